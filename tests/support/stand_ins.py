"""Real lock files over stand-in wheels: real file names with tiny contents, so that a tool's own choice costs nothing.

Each stand-in holds a file that says its name, and requires what uv found that the real one requires. What a tool chose
is read from the environment that it made.
"""

import os
import re
import subprocess
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.tags import compatible_tags, cpython_tags, mac_platforms
from packaging.utils import canonicalize_name, parse_wheel_filename
from uv import find_uv_bin

from storectl_store.selection.target import Interpreter
from support.index import LoopbackIndex, serve_index
from support.installed import Taken
from support.machine import pyenv_python
from support.targets import make_interpreter
from support.wheels import WheelBytes, WheelRecipe

_FILE = re.compile(r'url = "[^"]*/([^"/]+\.whl)"(?:, hash = "[^"]*")?(?:, size = \d+)?')
_REGISTRY = re.compile(r'registry = "https?://[^"]*"')
_SDIST = re.compile(r"^sdist = .*\n", re.MULTILINE)
_PYTHONS = ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
_ONLY_SDIST = re.compile(
    r'^name = "(.+)"\nversion = "(.+)"\n((?:(?!\[\[package\]\]|wheels = ).*\n)*?)sdist = .*\n(?!wheels)', re.MULTILINE
)


def _manylinux(machine: str) -> list[str]:
    """The platforms of glibc 2.28, best first, with the older names of some."""
    older = {17: [f"manylinux2014_{machine}"]}
    if machine == "x86_64":
        older |= {12: [f"manylinux2010_{machine}"], 5: [f"manylinux1_{machine}"]}
    last = min(older)
    names = [[f"manylinux_2_{minor}_{machine}", *older.get(minor, [])] for minor in range(28, last - 1, -1)]
    return [*(name for names_of_one in names for name in names_of_one), f"linux_{machine}"]


PLATFORMS: dict[str, tuple[str, str, list[str]]] = {
    "x86_64-manylinux_2_28": ("linux", "x86_64", _manylinux("x86_64")),
    "aarch64-manylinux_2_28": ("linux", "aarch64", _manylinux("aarch64")),
    "aarch64-apple-darwin": ("darwin", "arm64", list(mac_platforms((13, 0), "arm64"))),
    "x86_64-apple-darwin": ("darwin", "x86_64", list(mac_platforms((13, 0), "x86_64"))),
    "x86_64-pc-windows-msvc": ("win32", "x86_64", ["win_amd64"]),
}
"""What uv's ``--python-platform`` means: ``sys_platform``, ``platform_machine`` and the platforms of wheels."""


def interpreter_on(platform: str, version: str) -> Interpreter:
    """An interpreter of this full version on one of the `PLATFORMS`."""
    system, machine, platforms = PLATFORMS[platform]
    major, minor = (int(part) for part in version.split(".")[:2])
    abi = f"cp{major}{minor}"
    made = make_interpreter(version, system)
    tags = [
        *cpython_tags((major, minor), abis=[abi], platforms=platforms),
        *compatible_tags((major, minor), interpreter=abi, platforms=platforms),
    ]
    return replace(made, tags=tuple(map(str, tags)), markers={**made.markers, "platform_machine": machine})


@contextmanager
def stand_ins_for(text: str) -> Iterator[tuple[str, LoopbackIndex]]:
    """The ``uv.lock`` with a stand-in for each wheel, all on an index; one in place of what has only a source."""
    text = _ONLY_SDIST.sub(_with_wheel, text)
    packages = {(package["name"], package.get("version", "")): package for package in tomllib.loads(text)["package"]}
    wheels = [_stand_in(filename, packages) for filename in dict.fromkeys(_FILE.findall(text))]
    digests = {wheel.filename: wheel.digest for wheel in wheels}
    with serve_index(*wheels) as index:
        text = _SDIST.sub("", text)
        text = _REGISTRY.sub(f'registry = "{index.url.rstrip("/")}"', text)
        yield _FILE.sub(lambda m: f'url = "{index.root}/files/{m[1]}", hash = "{digests[m[1]]}"', text), index


def _with_wheel(only_sdist: re.Match[str]) -> str:
    name, version, between = only_sdist.groups()
    wheel = f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    return f'name = "{name}"\nversion = "{version}"\n{between}wheels = [{{ url = "x/{wheel}" }}]\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """A project of stand-ins: its folder with a ``uv.lock``, what to install it with, and if for every Python."""

    folder: Path
    index: LoopbackIndex
    environments: "StandInEnvironments"
    whole: bool

    @property
    def document(self) -> dict[str, Any]:
        """Its ``uv.lock``."""
        return tomllib.loads((self.folder / "uv.lock").read_text())

    @property
    def root(self) -> dict[str, Any]:
        """The package in it that is the project itself."""
        root: dict[str, Any]
        (root,) = (package for package in self.document["package"] if "virtual" in package["source"])
        return root

    def pythons(self) -> list[tuple[str, str]]:
        """The full version and the program of each Python that the lock file is for; of the oldest and newest if not whole."""
        allowed = Requirement(f"x{self.document['requires-python']}").specifier
        found = [(Path(path).parents[1].name, path) for version in _PYTHONS if (path := pyenv_python(version))]
        fitting = [(version, path) for version, path in found if allowed.contains(version)]
        return fitting if self.whole else [*fitting[:1], *fitting[1:][-1:]]


class StandInEnvironments:
    """Environments that uv makes of stand-ins, one after the other in one folder, with one cache."""

    def __init__(self, folder: Path, index: LoopbackIndex) -> None:
        self._folder = folder
        self._index = index
        self._count = 0
        folder.mkdir(exist_ok=True)

    def synced(self, project: Path, python: str, platform: str, options: Sequence[str] = ()) -> set[Taken] | str:
        """What ``uv sync`` installs of the project's ``uv.lock``; its error where it installs nothing."""
        where = self._new()
        return self._made(
            where,
            "sync", "--frozen", "--no-build", f"--python={python}", f"--python-platform={platform}", *options,
            cwd=project, UV_PROJECT_ENVIRONMENT=str(where),
        )  # fmt: skip

    def installed(self, file: Path, python: str, platform: str, options: Sequence[str] = ()) -> set[Taken] | str:
        """What ``uv pip sync`` installs of a ``pylock.toml`` or requirements file."""
        where = self._new()
        done = self._uv("venv", f"--python={python}", str(where), cwd=self._folder)
        assert done.returncode == 0, done.stderr
        return self._made(
            where,
            "pip", "sync", "--no-build", f"--python={where}", f"--python-platform={platform}",
            f"--default-index={self._index.url}", *options, file.name,
            cwd=file.parent,
        )  # fmt: skip

    def _new(self) -> Path:
        self._count += 1
        return self._folder / f"environment-{self._count}"

    def _made(self, where: Path, *arguments: str, cwd: Path, **variables: str) -> set[Taken] | str:
        done = self._uv(*arguments, cwd=cwd, **variables)
        if done.returncode:
            return done.stderr
        return taken_in(where, self._index)

    def _uv(self, *arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self._folder),
            "XDG_CONFIG_DIRS": str(self._folder),
            "UV_CACHE_DIR": str(self._folder / "cache"),
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_NO_PROGRESS": "1",
            **variables,
        }
        command = [find_uv_bin(), *arguments]
        return subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, check=False)


def taken_of(wheel: WheelBytes) -> Taken:
    """A wheel as what is said to be taken."""
    return Taken(canonicalize_name(wheel.name), str(parse_wheel_filename(wheel.filename)[1]), wheel.digest)


def requirements_of(dependencies: Iterable[Mapping[str, Any]], extra: str | None = None) -> Iterator[str]:
    """Dependencies of a package in ``uv.lock``, as in ``Requires-Dist``: with the version where uv says which of several."""
    for dependency in dependencies:
        extras = f"[{','.join(dependency['extra'])}]" if "extra" in dependency else ""
        version = f"=={dependency['version']}" if "version" in dependency else ""
        markers = [f"({dependency['marker']})"] if "marker" in dependency else []
        markers += [f"extra == '{extra}'"] if extra else []
        yield f"{dependency['name']}{extras}{version}" + (f"; {' and '.join(markers)}" if markers else "")


def taken_in(folder: Path, index: LoopbackIndex) -> set[Taken]:
    """The stand-ins that a tool installed into a venv."""
    said = [path.read_text() for path in folder.glob("lib/python*/site-packages/*.stand-in")]
    return {taken_of(index.wheels[filename]) for filename in said}


def _stand_in(filename: str, packages: Mapping[tuple[str, str], Mapping[str, Any]]) -> WheelBytes:
    name, version, build, _ = parse_wheel_filename(filename)
    package = packages[name, str(version)]
    optional = package.get("optional-dependencies", {})
    recipe = WheelRecipe(
        name=name,
        version=str(version),
        build="".join(map(str, build)),
        tag="-".join(filename.removesuffix(".whl").split("-")[-3:]),
        files={f"{name}.stand-in": filename},
        provides_extra=tuple(optional),
        requires_dist=(
            *requirements_of(package.get("dependencies", ())),
            *(line for extra, dependencies in optional.items() for line in requirements_of(dependencies, extra)),
        ),
    )
    return replace(recipe.build_wheel(), filename=filename)
