"""Whether another tool is installing into a project's virtual environment just now.

uv holds a lock while it does. PDM, Pipenv and pip hold none, and PDM and Pipenv write the lock file before they install
what is in it. If the front got its links between the two, they would find what they did not expect, and root would
write through a link. So the daemon waits for their end, which the processes of the system tell.
"""

import os
from collections.abc import Iterator
from pathlib import Path

_INSTALLERS = frozenset({"pdm", "poetry", "pipenv", "pip", "pip3", "__pip-runner__.py", "hatch", "pip-sync"})
_PROCESSES = Path("/proc")
_FIRST_WORDS = 4
"""So many words of a command may name its program: an interpreter, ``-I``, ``-m`` and the module."""


def installer_at_work(front: Path) -> str | None:
    """The name of a tool that installs and runs in the front's project, or by its python; None if there is none.

    A system without ``/proc`` does not tell: None.
    """
    for process, words in _commands():
        name = next((os.path.basename(word) for word in words[:_FIRST_WORDS] if _is_installer(word)), None)
        if name is not None and (_names(words, front) or _runs_in(process, front.parent)):
            return name
    return None


def _is_installer(word: str) -> bool:
    return os.path.basename(word) in _INSTALLERS


def _names(words: list[str], front: Path) -> bool:
    return any(word.startswith(f"{front}/") for word in words)


def _runs_in(process: Path, folder: Path) -> bool:
    try:
        return (process / "cwd").readlink().is_relative_to(folder)
    except OSError:
        return False


def _commands() -> Iterator[tuple[Path, list[str]]]:
    """Every process of the system, with the words of its command."""
    if not _PROCESSES.is_dir():
        return
    for process in _PROCESSES.glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        yield process, [os.fsdecode(word) for word in words]
