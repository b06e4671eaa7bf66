"""Projects locked by the real uv over a loopback index, and what uv itself says that they need."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import Marker
from uv import find_uv_bin

from storectl_store.selection.lock_file import LockFile
from storectl_store.selection.reading import read_lock_file
from storectl_store.selection.select import select
from storectl_store.selection.target import Target
from storectl_store.selection.uv.known_packages import KnownPackages
from support.index import LoopbackIndex

_KNOWN = KnownPackages()


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """What a target needs: ``name==version`` of wheels, and the folders of local projects below the root one."""

    pins: frozenset[str]
    folders: frozenset[str]


class UvProject:
    """A folder with the given files, locked. uv sees neither the user's configuration nor any other index."""

    def __init__(self, folder: Path, index: LoopbackIndex, files: Mapping[str, str], *, script: str = "") -> None:
        self.folder = folder
        self._index = index
        self._script = ["--script", script] if script else []
        self._exports: dict[tuple[str, ...], list[str] | None] = {}
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        self._uv("lock", "--python", sys.executable, *self._script)
        self.path = folder / (f"{script}.lock" if script else "uv.lock")

    @property
    def lock_file(self) -> LockFile:
        return read_lock_file(self.path)

    def export(self, *arguments: str) -> str:
        return self._uv("export", "--frozen", "--no-header", "--no-annotate", *self._script, *arguments)

    def is_current(self) -> bool:
        """Whether uv says that the lock file needs no change."""
        return self._run("lock", "--check", "--python", sys.executable, *self._script).returncode == 0

    def may_sync(self, variables: Mapping[str, str] | None = None, *arguments: str) -> bool:
        """Whether uv would install what is locked, with these variables of the command."""
        command = ("sync", "--frozen", "--dry-run", "--python", sys.executable, *arguments)
        return self._run(*command, variables=variables).returncode == 0

    def needed(self, target: Target) -> Needed:
        """What uv says: its export, evaluated on the target's markers."""
        needed = self.needed_if_any(target)
        assert needed is not None, target
        return needed

    def needed_if_any(self, target: Target) -> Needed | None:
        """The same; None where uv refuses these extras and groups together."""
        lines = self._exported(target)
        if lines is None:
            return None
        pins: set[str] = set()
        folders: set[str] = set()
        for line in lines:
            what, _, marker = line.removeprefix("-e ").partition(" ; ")
            if marker and not Marker(marker).evaluate(dict(target.interpreter.markers)):
                continue
            (folders if what.startswith("./") else pins).add(what)
        return Needed(pins=frozenset(pins), folders=frozenset(folder.removeprefix("./") for folder in folders))

    def _exported(self, target: Target) -> list[str] | None:
        """The lines of an export, which is the same for every interpreter."""
        local = [] if self._script else ["--no-emit-project"]
        options = ("--no-hashes", *local, *_options(target))
        if options not in self._exports:
            done = self._run("export", "--frozen", "--no-header", "--no-annotate", *self._script, *options)
            refused = done.returncode != 0 and "are incompatible with the" in done.stderr
            assert done.returncode == 0 or refused, done.stderr
            self._exports[options] = None if refused else done.stdout.splitlines()
        return self._exports[options]

    def selected(self, target: Target) -> Needed:
        """The same, selected; by what is known of other lock files, too."""
        selection = select(self.lock_file, target)
        assert select(self.lock_file, target, _KNOWN) == selection
        return Needed(
            pins=frozenset(f"{pin.name}=={pin.version}" for pin in selection.pins),
            folders=frozenset(
                os.path.relpath(project.path, self.folder)
                for project in selection.local_projects
                if project.packaged and project.kind != "root" and project.path != target.member
            ),
        )

    def _uv(self, *arguments: str) -> str:
        done = self._run(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _run(self, *arguments: str, variables: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "XDG_CONFIG_HOME": str(self.folder / ".config"),
            "XDG_CONFIG_DIRS": str(self.folder / ".config"),
            "UV_CACHE_DIR": str(self.folder / ".cache"),
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_DEFAULT_INDEX": self._index.url,
            "UV_NO_PROGRESS": "1",
            **(variables or {}),
        }
        return subprocess.run(
            [find_uv_bin(), *arguments], cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )


def _options(target: Target) -> list[str]:
    options = [f"--extra={extra}" for extra in sorted(target.extras)]
    options += ["--all-extras"] if target.all_extras else []
    flag = "--group" if target.project else "--only-group"
    options += [f"{flag}={group}" for group in sorted(target.groups)]
    options += [f"--package={Path(target.member).name}"] if target.member else []
    return options + ([] if target.default_groups else ["--no-default-groups"])
