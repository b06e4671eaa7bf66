"""Small files that change as a whole: a reader finds what was there before or what is there now, and never a part of it.

    .tmp-<16 hex digits>    a file on its way to its name beside it; left behind by a crash only

Nothing is synced: what is written like this can be made again.
"""

import os
import secrets
from contextlib import suppress
from pathlib import Path

PRIVATE = 0o600
"""The mode of a file that nobody else may read."""

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def replace_file(path: Path, content: bytes, *, mode: int = 0o666, mtime_ns: int | None = None) -> None:
    """Let the file have this content, and this modification time if there is one; an OSError where the disk refuses.

    ``mode`` is what it may have at most: the umask takes from it.
    """
    stage = path.with_name(f".tmp-{secrets.token_hex(8)}")
    try:
        with open(os.open(stage, _NEW_FILE, mode), "wb") as stream:
            stream.write(content)
        if mtime_ns is not None:
            os.utime(stage, ns=(mtime_ns, mtime_ns))
        stage.rename(path)
    except BaseException:
        with suppress(OSError):
            stage.unlink()
        raise
