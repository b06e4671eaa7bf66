"""What selecting from a lock file of many projects costs. ``python -m benchmarks.selection [PROJECTS]`` prints a table.

The lock files are made up, with the shape of real ones: one project in five has 24 wheels (four Pythons, six platforms),
every other one wheel, each a source distribution, and two dependencies; one dependency in six has a marker. Seconds of
processor time are the least of several rounds: what others do on the machine can only add to them.
"""

import gc
import hashlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from storectl_store.selection.reading import read_lock_file
from storectl_store.selection.requires_python import requires_python_of
from storectl_store.selection.select import SELECTORS, select
from support.targets import make_target

PROJECTS = 500
ROUNDS = 9
_HOST = "https://files.invalid/packages"
_MARKER = "python_full_version < '3.14' and sys_platform != 'emscripten'"
_TAGS = [
    f"cp{python}-cp{python}-{platform}"
    for python in ("310", "311", "312", "313")
    for platform in (
        "macosx_10_13_x86_64",
        "macosx_11_0_arm64",
        "manylinux2014_aarch64.manylinux_2_17_aarch64",
        "manylinux2014_x86_64.manylinux_2_17_x86_64",
        "musllinux_1_2_x86_64",
        "win_amd64",
    )
]


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file of a made-up project."""

    name: str

    @property
    def hexdigest(self) -> str:
        return hashlib.sha256(self.name.encode()).hexdigest()

    @property
    def url(self) -> str:
        return f"{_HOST}/{self.hexdigest[:2]}/{self.hexdigest[2:4]}/{self.hexdigest[4:]}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A made-up project, which needs two of those after it; the last ones need fewer."""

    number: int
    last: int

    @property
    def name(self) -> str:
        return f"project-{self.number:04}"

    @property
    def version(self) -> str:
        return f"{self.number % 7}.{self.number % 11}.{self.number % 13}"

    @property
    def sdist(self) -> File:
        return File(name=f"{self._stem}.tar.gz")

    @property
    def wheels(self) -> list[File]:
        return [File(name=f"{self._stem}-{tag}.whl") for tag in (_TAGS if self.number % 5 == 0 else ["py3-none-any"])]

    @property
    def dependencies(self) -> list[tuple[str, str]]:
        """Names and markers; the first one's chain reaches every project."""
        numbers = [number for number in (self.number + 1, self.number + 7) if number <= self.last]
        return [(f"project-{number:04}", _MARKER if number % 6 == 0 else "") for number in numbers]

    @property
    def _stem(self) -> str:
        return f"project_{self.number:04}-{self.version}"


def uv_lock(projects: list[Project]) -> Iterator[str]:
    """``uv.lock``, revision 3."""
    yield 'version = 1\nrevision = 3\nrequires-python = ">=3.10"\n'
    for project in projects:
        yield f'[[package]]\nname = "{project.name}"\nversion = "{project.version}"'
        yield 'source = { registry = "https://index.invalid/simple" }\ndependencies = ['
        for name, marker in project.dependencies:
            yield f'    {{ name = "{name}"' + (f', marker = "{marker}"' if marker else "") + " },"
        yield f"]\nsdist = {_uv_file(project.sdist)}\nwheels = ["
        yield from (f"    {_uv_file(wheel)}," for wheel in project.wheels)
        yield "]\n"
    yield '[[package]]\nname = "all"\nversion = "1"\nsource = { virtual = "." }'
    yield f'dependencies = [{{ name = "{projects[0].name}" }}]'


def _uv_file(file: File) -> str:
    uploaded = "2025-09-09T15:56:01.123Z"
    return f'{{ url = "{file.url}", hash = "sha256:{file.hexdigest}", size = 123456, upload-time = "{uploaded}" }}'


def pylock(projects: list[Project]) -> Iterator[str]:
    """``pylock.toml``, as uv and pip write it."""
    yield 'lock-version = "1.0"\ncreated-by = "benchmark"\nrequires-python = ">=3.10"\n'
    for project in projects:
        yield f'[[packages]]\nname = "{project.name}"\nversion = "{project.version}"'
        if project.number % 6 == 0:
            yield f'marker = "{_MARKER}"'
        yield f'index = "https://index.invalid/simple"\nsdist = {_pylock_file(project.sdist)}\nwheels = ['
        yield from (f"    {_pylock_file(wheel)}," for wheel in project.wheels)
        yield "]\n"


def _pylock_file(file: File) -> str:
    uploaded = "2025-09-09T15:56:01Z"
    return (
        f'{{ url = "{file.url}", upload-time = {uploaded}, size = 123456, hashes = {{ sha256 = "{file.hexdigest}" }} }}'
    )


def requirements(projects: list[Project]) -> Iterator[str]:
    """A requirements file in hash mode."""
    for project in projects:
        marker = f" ; {_MARKER}" if project.number % 6 == 0 else ""
        hashes = [f"    --hash=sha256:{file.hexdigest}" for file in (project.sdist, *project.wheels)]
        yield " \\\n".join([f"{project.name}=={project.version}{marker}", *hashes])
        yield "    # via all"


LOCK_FILES = {"uv.lock": uv_lock, "pylock.toml": pylock, "requirements.txt": requirements}


def milliseconds(step: Callable[[], object]) -> float:
    """The least processor time of a step, garbage of the others collected before."""
    found = []
    for _ in range(ROUNDS):
        gc.collect()
        start = time.process_time()
        step()
        found.append(time.process_time() - start)
    return 1000 * min(found)


def main() -> None:
    """Make each lock file, and measure what is done with it for every change: read, ask for the Pythons, select."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else PROJECTS
    projects = [Project(number=number, last=count) for number in range(1, count + 1)]
    target = make_target("3.12.1")
    print(f"{count} projects, {sum(len(project.wheels) for project in projects)} wheels; ms of processor time")
    print(f"{'':18}{'kB':>8}{'read':>8}{'pythons':>9}{'select':>8}{'pins':>7}")
    with TemporaryDirectory() as folder:
        for name, text in LOCK_FILES.items():
            path = Path(folder, name)
            path.write_text("\n".join(text(projects)), encoding="utf-8")
            lock_file = read_lock_file(path)
            assert lock_file.kind in SELECTORS
            selection = select(lock_file, target)
            times = (
                milliseconds(lambda path=path: read_lock_file(path)),  # type: ignore[misc]
                milliseconds(lambda lock_file=lock_file: requires_python_of(lock_file)),  # type: ignore[misc]
                milliseconds(lambda lock_file=lock_file: select(lock_file, target)),  # type: ignore[misc]
            )
            pins = len(selection.pins) + len(selection.index_pins)
            print(
                f"{name:18}{len(lock_file.content) // 1000:>8}{times[0]:>8.1f}{times[1]:>9.1f}{times[2]:>8.1f}{pins:>7}"
            )


if __name__ == "__main__":
    main()
