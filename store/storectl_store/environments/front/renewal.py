"""Bring a front up to date in place, name by name, so that its path and what did not change stay.

    1  the record says that the front is not whole
    2  what uv or pip installed of a project that the environment has is taken out by its RECORD
    3  links and files of each project; each name is replaced by rename, the metadata last
    4  what storectl had put there before, and the environment no longer has, is taken out
    5  the shim is told which environment serves the imports, if nothing else is in site-packages
    6  the record says that the front is whole

Each step can be done again. So whatever a crash leaves half done is finished by the next renewal, which begins anew.
Whoever calls this holds the lock of the front.
"""

import errno
import os
import posixpath
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from storectl_shim._storectl import CUSTOMIZATIONS
from storectl_store.disk.whole_files import read_unnoticed
from storectl_store.environments.front.activation import activation_scripts
from storectl_store.environments.front.contents import STARTER, Contents, RealFile, read_contents
from storectl_store.environments.front.front_record import OWN_FOLDER, RECORD, FrontRecord, write_front
from storectl_store.environments.front.installed import (
    GONE,
    Installed,
    installed,
    name_and_version,
    recorded_paths,
    remove_paths,
    take_out,
)
from storectl_store.environments.planning.overlap import BYTECODE_FOLDER

_IGNORES_ITSELF = b"*"
_CACHE_TAG = b"Signature: 8a477f597d28d172789f06886806bc55"
_LAG_NS = 2_000_000_000
"""So long ago, in ns, a finished site-packages claims to have been changed: no later change has the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedFront:
    """What a folder is to be a front of. ``at`` is its final path, ``prompt`` what activation shows."""

    environment: Path
    at: Path
    prompt: str
    options: Mapping[str, object] = field(default_factory=dict)


def renew(front: Path, asked: AskedFront) -> list[str]:
    """Make the folder the front that is asked for. Returns what had to be moved out of the way, in words.

    May raise OSError, and EnvironmentBuildError if the path of the front cannot be named in scripts.
    """
    contents = read_contents(asked.environment, asked.at)
    record = FrontRecord(environment=str(asked.environment), front=str(asked.at), whole=False, options=asked.options)
    write_front(front, record)
    renewal = _Renewal(front, contents, asked)
    renewal.run()
    write_front(front, replace(record, whole=True))
    return renewal.moved


class _Renewal:
    """One renewal. Paths are relative to the front."""

    def __init__(self, front: Path, contents: Contents, asked: AskedFront) -> None:
        self._front = front
        self._contents = contents
        self._asked = asked
        self._record = front / RECORD
        self._stage = front / OWN_FOLDER / "new"
        self._files = {**contents.files, **base_files(contents, asked)}
        self._kept = {*contents.folders, *contents.links, *self._files}
        self.moved: list[str] = []

    def run(self) -> None:
        """All steps between the two records."""
        for left in (self._front / OWN_FOLDER).glob(".tmp-*"):
            left.unlink()
        for name in (self._stage.name, GONE):
            shutil.rmtree(self._front / OWN_FOLDER / name, ignore_errors=True)
        self._stage.mkdir()
        before = installed(self._front, self._contents.site_packages)
        self._make_room(before)
        for folder in self._contents.folders:
            self._folder(folder)
        for path, target in self._contents.links.items():
            self._link(path, target)
        records = {f"{metadata}/RECORD" for metadata in self._contents.distributions}
        settled = self._settled_paths()
        for path, file in self._files.items():
            if path not in records:
                self._file(path, file, trusted=path in settled and file.content is None)
        self._take_out_old(before)
        self._leave_other_pythons()
        for path in records:
            self._file(path, self._files[path])
        self._tell_the_shim()
        self._stage.rmdir()

    def _make_room(self, before: list[Installed]) -> None:
        """Take out what others installed of a project that the environment has."""
        wanted = {name_and_version(metadata)[0] for metadata in self._contents.distributions}
        for each in before:
            if each.name in wanted and not each.ours:
                take_out(self._front, each.metadata, self._kept)

    def _take_out_old(self, before: list[Installed]) -> None:
        for each in before:
            if each.ours and each.metadata in self._contents.distributions:
                remove_paths(self._front, recorded_paths(self._front, each.metadata), self._kept)
            elif each.ours:
                take_out(self._front, each.metadata, self._kept)

    def _leave_other_pythons(self) -> None:
        """Take out what was there for another Python than the environment's."""
        for folder in (self._front / "lib").iterdir():
            site_packages = f"lib/{folder.name}/site-packages"
            if site_packages != self._contents.site_packages:
                for each in installed(self._front, site_packages):
                    if each.ours:
                        take_out(self._front, each.metadata, self._kept)
                remove_paths(self._front, shim_paths(self._front, site_packages), self._kept)
        for link in (self._front / "bin").glob("python*"):
            if link.is_symlink() and os.readlink(link) == "python" and f"bin/{link.name}" not in self._kept:
                link.unlink()

    def _settled_paths(self) -> set[str]:
        """The paths of projects whose RECORD is there as wanted: their files may have been edited since."""
        settled: set[str] = set()
        for metadata, distribution in self._contents.distributions.items():
            if _content(self._front / metadata / "RECORD") == distribution.record:
                settled |= distribution.paths
        return settled

    def _folder(self, path: str) -> None:
        final = self._front / path
        if final.is_symlink():
            final.unlink()
        elif final.exists() and not final.is_dir():
            self._move_aside(path)
        final.mkdir(exist_ok=True)

    def _link(self, path: str, target: str) -> None:
        final = self._front / path
        if final.is_symlink() and os.readlink(final) == target:
            return
        stage = self._stage / "link"
        stage.symlink_to(target)
        self._replace(stage, path)

    def _file(self, path: str, file: RealFile, *, trusted: bool = False) -> None:
        final = self._front / path
        if final.is_file() and not final.is_symlink():
            wanted = file.content if file.content is not None else _content(Path(file.source))
            if trusted or _content(final) == wanted:
                return
        stage = self._stage / "file"
        if file.content is None:
            shutil.copyfile(file.source, stage)
        else:
            stage.write_bytes(file.content)
        stage.chmod(0o755 if file.executable else 0o644)
        self._replace(stage, path)

    def _replace(self, stage: Path, path: str) -> None:
        if not self._record.exists():
            raise FileNotFoundError(errno.ENOENT, "it is being deleted", str(self._front))  # nothing comes back
        final = self._front / path
        if final.is_dir() and not final.is_symlink():
            self._clear(path)
        stage.rename(final)

    def _clear(self, path: str) -> None:
        """Remove a folder: what storectl and Python have put into it goes, and if more is in it, it is moved aside."""
        entries = f"{self._asked.environment.parent.parent}/store/"
        for parent, folders, names in os.walk(self._front / path, topdown=False):
            for name in (*folders, *names):
                child = Path(parent, name)
                own = child.is_symlink() and os.readlink(child).startswith(entries)
                if own or name.endswith(".pyc"):
                    child.unlink()
            with suppress(OSError):
                os.rmdir(parent)
        if os.path.lexists(self._front / path):
            self._move_aside(path)

    def _move_aside(self, path: str) -> None:
        """Move what is no part of any project out of the way of what the environment has."""
        aside = self._front / "replaced" / f"{posixpath.basename(path)}.{time.time_ns()}"
        self._folder(aside.parent.name)
        (self._front / path).rename(aside)
        self.moved.append(f"{self._front / path} was in the way of a locked package: it is {aside} now")

    def _tell_the_shim(self) -> None:
        """Say when the import map serves: not at all if there is anything that it does not know."""
        folder = self._front / self._contents.site_packages
        start = f"{self._contents.site_packages}/"
        known = {STARTER, *(path[len(start) :].partition("/")[0] for path in self._kept if path.startswith(start))}
        if not known.issuperset(os.listdir(folder)):
            self._start(0)
            return
        changed = time.time_ns() - _LAG_NS
        os.utime(folder, ns=(changed, changed))
        changed = folder.stat().st_mtime_ns  # as exactly as the file system keeps it
        self._start(changed)
        os.utime(folder, ns=(changed, changed))
        if not known.issuperset(os.listdir(folder)):
            os.utime(folder)  # something came in between

    def _start(self, changed: int) -> None:
        """Write the file that starts the shim, for a site-packages that was changed at this time (ns)."""
        view = str(self._asked.environment / self._contents.site_packages)
        absent = () if self._contents.customized else CUSTOMIZATIONS
        line = f"import _storectl; _storectl.start_in_front({view!a}, {changed}, {absent})\n"
        self._file(f"{self._contents.site_packages}/{STARTER}", RealFile(source="", content=line.encode()))


def shim_paths(front: Path, site_packages: str) -> Iterator[str]:
    """The shim in a front."""
    for folder in (front / site_packages, front / site_packages / BYTECODE_FOLDER):
        yield from (str(path.relative_to(front)) for path in folder.glob("_storectl*"))


def base_files(contents: Contents, asked: AskedFront) -> Mapping[str, RealFile]:
    """The files that make a folder a virtual environment; no project brings them."""
    config = read_unnoticed(asked.environment / "pyvenv.cfg").splitlines(keepends=True)
    lines = [line for line in config if not line.startswith(b"storectl =")]
    files = {
        "pyvenv.cfg": b"".join([*lines, b"prompt = " + os.fsencode(asked.prompt) + b"\n"]),
        ".gitignore": _IGNORES_ITSELF,
        "CACHEDIR.TAG": _CACHE_TAG,
        **activation_scripts(asked.at, asked.prompt, contents.site_packages),
    }
    return {path: RealFile(source="", content=content) for path, content in files.items()}


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
