"""Other installers that do storectl's job, where they are on PATH: pip, pex and PDM with the symlinks of its cache.

Each makes an environment of everything that a project's lock file pins, from the loopback index, once from nothing and
once from what it keeps between projects. Whatever a run leaves is moved aside, not deleted: see ``aside``.
"""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import run
from benchmarks.world import PYTHON, UV, World

_EXPORT = [UV, "export", "--quiet", "--frozen", "--no-emit-project", "--no-annotate", "--no-header"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """``prepare`` is not measured. ``install`` makes ``target`` with what is kept in ``cache``; seconds."""

    name: str
    command: tuple[str, ...]
    prepare: Callable[[World, Path], None]
    install: Callable[[World, Path, Path, Path], float]

    @property
    def version(self) -> str:
        """What the program says of itself."""
        done = subprocess.run([*self.command, "--version"], capture_output=True, text=True, check=True)
        return next(word for word in done.stdout.replace(",", " ").split() if word[0].isdigit())


def aside(world: World, *paths: Path) -> list[Path]:
    """Move what a run made out of the way, as far as it is there; where it is now. The world's end deletes it.

    ext4 gives no inode to a new file that a deleted one had in the last minutes, and searches for another one by one:
    to delete 50,000 files before a measurement costs the next tool up to four times the system time of its own files.
    """
    return [
        path.rename(Path(tempfile.mkdtemp(dir=world.machine.root)) / path.name)
        for path in paths
        if path.exists() or path.is_symlink()
    ]


def emptied_aside(world: World, *paths: Path) -> None:
    """The same for all that one run made; its files are emptied as well, which gives the disk back and frees no inode.

    A file that has a further name elsewhere stays as it is, and no link is followed.
    """
    names: dict[int, list[str]] = {}
    for folder, _, files in (found for moved in aside(world, *paths) for found in os.walk(moved)):
        for path in (os.path.join(folder, name) for name in files):
            names.setdefault(os.lstat(path).st_ino, []).append(path)
    for paths_of_one in names.values():
        status = os.lstat(paths_of_one[0])
        if stat.S_ISREG(status.st_mode) and status.st_nlink == len(paths_of_one) and status.st_size:
            os.chmod(paths_of_one[0], 0o600)
            os.truncate(paths_of_one[0], 0)


def _export(world: World, project: Path) -> None:
    (project / "requirements.txt").write_text(world.do(_EXPORT, project))


def _pip(world: World, project: Path, target: Path, cache: Path) -> float:
    """A new venv, and the locked requirements with their hashes; pip compiles by default."""
    venv: list[str | Path] = [sys.executable, "-m", "venv", "--without-pip", target]
    pip: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        target / "bin/python",
        "install",
        "--quiet",
        "--no-deps",
    ]
    seconds = run(venv, cwd=project, environ=world.environ).wall
    return (
        seconds + run([*pip, "--cache-dir", cache, "-r", "requirements.txt"], cwd=project, environ=world.environ).wall
    )


def _pex(world: World, project: Path, target: Path, cache: Path) -> float:
    """A venv of what it has unpacked."""
    index = ["--no-pypi", "--index", f"{world.index}/simple/"]
    make: list[str | Path] = [
        "pex3",
        "venv",
        "create",
        "--dir",
        target,
        "--python",
        PYTHON,
        "--intransitive",
        "-r",
        "requirements.txt",
    ]
    environ = world.environ | {"PEX_ROOT": str(cache)}
    return run([*make, *index], cwd=project, environ=environ).wall


def _pdm_environ(world: World, target: Path, cache: Path) -> dict[str, str]:
    return world.environ | {
        "PDM_CACHE_DIR": str(cache),
        "PDM_PYPI_URL": f"{world.index}/simple/",
        "PDM_CHECK_UPDATE": "0",
        "PDM_VENV_IN_PROJECT": "1",
        "PDM_IGNORE_SAVED_PYTHON": "1",
        "VIRTUAL_ENV": str(target),
    }


def _lock_with_pdm(world: World, project: Path) -> None:
    (project / "pdm.toml").write_text('[install]\ncache = true\ncache_method = "symlink"\n')
    environ = _pdm_environ(world, project / ".venv", world.machine.root / "pdm-lock-cache")
    run(["pdm", "lock", "--quiet", "--platform", "linux", "--python", f"=={sys.version.split()[0]}"],
        cwd=project, environ=environ)  # fmt: skip


def _pdm(world: World, project: Path, target: Path, cache: Path) -> float:
    """A new venv, and ``pdm sync`` into it."""
    venv: list[str | Path] = [sys.executable, "-m", "venv", "--without-pip", target]
    sync = ["pdm", "sync", "--quiet", "--no-self"]
    seconds = run(venv, cwd=project, environ=world.environ).wall
    return seconds + run(sync, cwd=project, environ=_pdm_environ(world, target, cache)).wall


PIP = Peer(name="pip install", command=(sys.executable, "-m", "pip"), prepare=_export, install=_pip)
PEX = Peer(name="pex3 venv create", command=("pex",), prepare=_export, install=_pex)
PDM = Peer(name="pdm sync, symlinks", command=("pdm",), prepare=_lock_with_pdm, install=_pdm)


def peers_here() -> list[Peer]:
    """Those that can be run; pip always can."""
    return [PIP, *(peer for peer in (PEX, PDM) if shutil.which(peer.command[0]))]


def versions() -> dict[str, str]:
    """Of the peers that are here, and uv."""
    uv = Peer(name="uv", command=(UV,), prepare=_export, install=_pip)
    return {os.path.basename(peer.command[-1]): peer.version for peer in (uv, *peers_here())}
