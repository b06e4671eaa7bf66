"""Record which files of an environment a program opens: the program itself, its children, and their libraries.

The kernel tells it (inotify), so the program runs as it always does, and what its C code opens counts too. Other
programs that run in the environment meanwhile count as well: that makes an image larger, never wrong.
"""

import errno
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from storectl.errors import ImageProblemError
from storectl.target import command_line

if TYPE_CHECKING:
    from asyncinotify import Inotify

_WAIT = 0.1  # seconds


def record_run(
    environment: str, program: Sequence[str], folders: Sequence[str], environ: Mapping[str, str]
) -> tuple[str, ...]:
    """Run the program in the environment to its end. Returns the files in ``folders`` that were opened, in order.

    Raises ImageProblemError if it fails, or if not everything could be seen.
    """
    python = os.path.join(environment, "bin", "python")
    command = [python, *program]
    if not program[0].startswith("-"):
        command = command_line(program[0], tuple(program[1:]), (), python, environ)
    opened: dict[str, None] = {}
    with _watched(folders) as watch:
        process = subprocess.Popen(command, env=dict(environ))
        try:
            while True:
                ended = process.poll() is not None
                found = list(_opened(watch))
                opened.update(dict.fromkeys(found))
                if ended and not found:
                    break
        except BaseException:
            process.kill()
            process.wait()
            raise
    if process.returncode != 0:
        raise ImageProblemError(
            f"the program to be recorded ended with exit code {process.returncode}",
            hint="it has to succeed: what it would have used is not known",
        )
    return tuple(opened)


@contextmanager
def _watched(folders: Sequence[str]) -> "Iterator[Inotify]":
    """Watch what is opened in these folders."""
    try:
        from asyncinotify import Inotify, Mask  # noqa: PLC0415 - Linux only
    except ImportError:
        raise ImageProblemError("a hot image can be built on Linux only", hint="leave --hot out") from None
    with Inotify(sync_timeout=_WAIT) as watch:
        try:
            for folder in folders:
                watch.add_watch(folder, Mask.OPEN)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EMFILE):
                raise
            hint = f"raise fs.inotify.max_user_watches by {len(folders)}"
            raise ImageProblemError("there are too few inotify watches", hint=hint) from error
        yield watch


def _opened(watch: "Inotify") -> Iterator[str]:
    """The files that were opened, until nothing comes for ``_WAIT``."""
    from asyncinotify import Mask  # noqa: PLC0415 - as above

    while (event := watch.sync_get()) is not None:
        if Mask.Q_OVERFLOW in event.mask:
            hint = "raise fs.inotify.max_queued_events"
            raise ImageProblemError("the program opened more files at once than could be recorded", hint=hint)
        if event.path is not None and Mask.ISDIR not in event.mask:
            yield str(event.path)
