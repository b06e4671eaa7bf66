"""A file that is written off the event loop, in order, so that the latest content always comes last."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from storectl_store.disk.whole_files import replace_file

logger = logging.getLogger(__name__)


class LatestFile:
    """Replaces a file after each call of ``changed``. Several changes during one write share the next write.

    ``content`` is called on the event loop and returns pieces, which a thread joins. Without a running loop the file is
    written at once.
    """

    def __init__(self, path: Path, content: Callable[[], list[bytes]]) -> None:
        self._path = path
        self._content = content
        self._is_stale = False
        self._writing: asyncio.Task[None] | None = None

    def changed(self) -> None:
        """Tell that the content has changed."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._write(self._content())
            return
        self._is_stale = True
        if self._writing is None or self._writing.done():
            self._writing = loop.create_task(self._write_until_fresh(), name=f"writing {self._path.name}")

    async def written(self) -> None:
        """Return when the file has every change so far, or when it could not be written."""
        while self._writing is not None and not self._writing.done():
            await asyncio.wait({self._writing})

    async def _write_until_fresh(self) -> None:
        while self._is_stale:
            self._is_stale = False
            await asyncio.to_thread(self._write, self._content())

    def _write(self, pieces: list[bytes]) -> None:
        try:
            replace_file(self._path, b"".join(pieces))
        except OSError as error:
            logger.warning("%s cannot be written: %s", self._path, error)
