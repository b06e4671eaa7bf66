"""Environments as the shim meets them: a venv of symlinks into unpacked wheels, for any interpreter on this machine."""

import functools
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from storectl_shim import _storectl, _storectl_map
from storectl_store.digest import EnvironmentId
from storectl_store.environments.identity import shim_sources
from storectl_store.environments.import_map import encode_import_map, index_paths
from support.wheels import WheelBytes

SHIM = Path(_storectl.__file__)
MAP_READER = Path(_storectl_map.__file__)
_VERSIONS = ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
_PROBE = (
    "import _imp, json, os, sys; print(json.dumps([os.path.realpath(sys.executable), '%d.%d' % sys.version_info[:2], "
    "_imp.extension_suffixes(), sys.implementation.cache_tag]))"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Python:
    """A base interpreter of this machine."""

    executable: str
    version: str
    extension_suffixes: tuple[str, ...]
    cache_tag: str

    @property
    def library(self) -> str:
        return f"python{self.version}"


@functools.cache
def pythons() -> tuple[Python, ...]:
    """This interpreter first, then one of each other version that can be found."""
    found: dict[str, Python] = {}
    for executable in (sys.executable, *_candidates()):
        probe = subprocess.run([executable, "-I", "-c", _PROBE], capture_output=True, check=False)
        if probe.returncode == 0:
            path, version, suffixes, tag = json.loads(probe.stdout)
            python = Python(executable=path, version=version, extension_suffixes=tuple(suffixes), cache_tag=tag)
            found.setdefault(version, python)
    return tuple(found.values())


def every_python() -> list[Any]:
    """`pythons` as parameters of a test; in the gate that of the tests, the oldest and the newest."""
    found = pythons()
    by_age = sorted(found, key=lambda python: int(python.version.partition(".")[2]))
    gate = (found[0], by_age[0], by_age[-1])
    return [
        pytest.param(python, id=python.version, marks=() if python in gate else pytest.mark.whole) for python in found
    ]


def _candidates() -> list[str]:
    installed = sorted(map(str, Path.home().glob(".pyenv/versions/3.*/bin/python")))
    wanted = [path for path in installed if any(f"/{version}." in path for version in _VERSIONS)]
    return [path for version in _VERSIONS if (path := shutil.which(f"python{version}"))] + wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """An environment; ``name`` is its id."""

    root: Path
    python: Python

    @property
    def site_packages(self) -> Path:
        return self.root / "lib" / self.python.library / "site-packages"

    @property
    def executable(self) -> Path:
        return self.root / "bin" / "python"

    @property
    def import_map(self) -> Path:
        return self.root / "import-map"

    def run(
        self, *arguments: str, through: Path | None = None, environ: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run its interpreter; ``through`` is another path to the root, ``environ`` all of the environment but PATH."""
        python = (through or self.root) / "bin" / "python"
        return subprocess.run(
            [str(python), *arguments],
            env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", **(environ or {})},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            cwd=self.root,
        )

    def json(
        self, program: str, *arguments: str, through: Path | None = None, environ: Mapping[str, str] | None = None
    ) -> object:
        """What the program prints as JSON; nothing may be on its stderr."""
        done = self.run(*arguments, "-c", program, through=through, environ=environ)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return json.loads(done.stdout)


def build_view(root: Path, wheels: Sequence[WheelBytes], python: Python, *, shim: bool = True) -> View:
    """The wheels, unpacked beside the root, made visible in it: a symlink for each name that one wheel has alone."""
    view = View(root=root, python=python)
    (root / "bin").mkdir(parents=True)
    view.executable.symlink_to(python.executable)
    home = Path(python.executable).parent
    (root / "pyvenv.cfg").write_text(f"home = {home}\ninclude-system-site-packages = false\n")
    entries = [_unpack(wheel, root.with_name(f"{root.name}.store") / str(n)) for n, wheel in enumerate(wheels)]
    link_trees(view.site_packages, entries)
    if shim:
        add_shim(view, [os.path.relpath(p, e) for e in entries for p in e.rglob("*") if p.is_file()])
    return view


def build_front(view: View, folder: Path) -> View:
    """A front of the view: a venv of the same links, and the start of the shim as the daemon writes it."""
    shutil.copytree(view.root, folder, symlinks=True)
    front = View(root=folder, python=view.python)
    changed = 10**9
    (front.site_packages / "__pycache__").mkdir(exist_ok=True)
    start = f"import _storectl; _storectl.start_in_front({str(view.site_packages)!r}, {changed}, ())\n"
    (front.site_packages / "_storectl.pth").write_text(start)
    os.utime(front.site_packages, ns=(changed, changed))
    return front


def add_shim(view: View, paths: Sequence[str]) -> None:
    """The shim, its ``.pth`` and the map of these files."""
    for path, source in shim_sources().items():
        (view.site_packages.parent / path).write_bytes(source)
    (view.site_packages / "_storectl.pth").write_text("import _storectl; _storectl.start()\n")
    view.import_map.write_bytes(map_of(view, paths))


def map_of(view: View, paths: Sequence[str]) -> bytes:
    return encode_import_map(EnvironmentId(view.root.name), index_paths(paths, view.python.extension_suffixes))


def link_trees(target: Path, sources: Sequence[Path]) -> None:
    """One tree of many: a symlink where only one source has a name, a real folder where several have."""
    target.mkdir(parents=True, exist_ok=True)
    names: dict[str, list[Path]] = {}
    for source in sources:
        for path in source.iterdir():
            names.setdefault(path.name, []).append(path)
    for name, paths in names.items():
        if len(paths) > 1 and all(path.is_dir() for path in paths):
            link_trees(target / name, paths)
        else:
            (target / name).symlink_to(paths[-1])


def write_files(folder: Path, files: Mapping[str, bytes | str]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def fresh_shim() -> Any:
    """A copy of the shim's first module of its own, as each interpreter has one."""
    return _fresh(SHIM)


def fresh_map_reader() -> Any:
    """A copy of the one that reads import maps."""
    return _fresh(MAP_READER)


def read_map(root: Path, site_packages: Path, address: str | None = None, *, reader: Any = None) -> Any:
    """The import map of an environment, as the shim reads it; complaints go to stderr."""
    reader = fresh_map_reader() if reader is None else reader
    return reader.ImportMap(str(root), str(site_packages), address, _storectl.complain)


def hook_of(site_packages: Path, stands_for: object) -> Any:
    """A path hook for an environment without a shim of its own, in place of another."""
    shim, path = fresh_shim(), str(site_packages)
    shim.load = lambda *_: fresh_map_reader()
    return shim.path_hook(shim.View(path, path, None, ()), stands_for)


def _fresh(path: Path) -> Any:
    module = ModuleType(f"{path.stem}_under_test")
    module.__file__ = str(path)
    exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)
    return module


def _unpack(wheel: WheelBytes, folder: Path) -> Path:
    with zipfile.ZipFile(io.BytesIO(wheel.data)) as archive:
        archive.extractall(folder)
    return folder
