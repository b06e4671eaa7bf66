"""Pages of the documentation as something to be followed: their blocks are run in the order in which they stand.

The line that opens a block says what a test does with it::

    ```toml file=tox.toml     writes this file into the project
    ```console                runs what stands behind `$ ` in one bash that ends at the first failure; the rest is what
                              all of it prints, on both streams. `...` stands for any text
    ```console shell=zsh      the same in another shell
    ```text unrun=REASON      does nothing: the words of the reason are joined by `-`

A page may say what it needs in its first lines: `<!-- needs: own registry tools=tox,jupyter-execute:nbclient programs=direnv -->`:
a machine of its own, the real packages, commands of packages from the registry, programs of this machine.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from uv import find_uv_bin

from support.index import LoopbackIndex
from support.locked_day import as_of_that_day
from support.machine import STORECTL, Machine, base_python, pyenv_python
from support.tools import install_tool
from support.wheels import WheelBytes, make_wheel

DOCS = Path(__file__).parents[2] / "docs"
BASE = DOCS / "recipes/README.md"
SHELLS = {
    "bash": ("bash", "-e"),
    "sh": ("sh", "-e"),
    "zsh": ("zsh", "-f", "-e"),
    "fish": ("fish", "--no-config"),
    "csh": ("tcsh", "-f", "-e"),
}
SECONDS = 300
_SYSTEM = ("/usr/local/bin", "/usr/bin", "/bin")
_BLOCK = re.compile(r"^```(?P<info>\w[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_NEEDS = re.compile(r"<!-- needs: (?P<words>[^>]*) -->")
_PROGRESS = re.compile(r"storectl: \w+ \d+ of \d+ \(.*\n")

PYTEST = """\
import glob, runpy, sys

def main():
    sys.path.insert(0, "")
    tests = [
        run
        for file in sorted(glob.glob("test_*.py"))
        for name, run in runpy.run_path(file).items()
        if name.startswith("test_")
    ]
    for test in tests:
        test()
    print(len(tests), "passed")

if __name__ == "__main__":
    main()
"""
RUFF = "def main():\n    print('All checks passed!')\n"


def stand_ins() -> Iterator[WheelBytes]:
    """The packages that the recipes speak of, as small as can be."""
    for version in ("13.9", "14.0"):
        yield make_wheel(
            "rich", version, files={"rich/__init__.py": f"__version__ = {version!r}\n", "rich/py.typed": ""}
        )
    for name, source in (("pytest", PYTEST), ("ruff", RUFF)):
        script = f"[console_scripts]\n{name} = {name}.__main__:main\n"
        files = {f"{name}/__init__.py": "", f"{name}/__main__.py": source}
        yield make_wheel(name, "8.0", files=files, entry_points=script)
    yield make_wheel("httpx", "1.0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block; ``line`` is that of its first line of text."""

    line: int
    language: str
    options: Mapping[str, str]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page: its blocks, and what must be there to follow it."""

    path: Path
    blocks: tuple[Block, ...]
    own: bool
    registry: bool
    tools: tuple[str, ...]
    programs: tuple[str, ...]

    def file(self, name: str) -> str:
        """The text of the block that is a file of this name."""
        (text,) = (block.text for block in self.blocks if block.options.get("file") == name)
        return text


def page(path: Path) -> Page:
    text = path.read_text()
    found = _NEEDS.search(text)
    words = dict(_option(word) for word in found["words"].split()) if found else {}
    return Page(
        path=path,
        blocks=tuple(_blocks(text)),
        own="own" in words,
        registry="registry" in words,
        tools=tuple(filter(None, words.get("tools", "").split(","))),
        programs=tuple(filter(None, words.get("programs", "").split(","))),
    )


def _blocks(text: str) -> Iterator[Block]:
    for match in _BLOCK.finditer(text):
        language, *options = match["info"].split()
        line = text.count("\n", 0, match.start("text")) + 1
        yield Block(line=line, language=language, options=dict(map(_option, options)), text=match["text"])


def _option(word: str) -> tuple[str, str]:
    name, _, value = word.partition("=")
    return name, value


def pages() -> list[Page]:
    """Every page that is followed."""
    return [page(path) for path in sorted([*(DOCS / "recipes").glob("*.md"), DOCS / "comparison.md"])]


def _programs() -> dict[str, str | Path]:
    """What is first on a reader's PATH; other programs of a Python that is installed there could stand for those of a page."""
    found: dict[str, str | Path | None] = {"storectl": STORECTL, "uv": find_uv_bin(), "python3": base_python()}
    found["python3.12"] = pyenv_python("3.12")
    found["python{}.{}".format(*sys.version_info)] = base_python()
    return {name: program for name, program in found.items() if program is not None}


class Reader:
    """Someone who follows pages on a machine, in a project that is the one of ``docs/recipes/README.md``."""

    def __init__(self, machine: Machine, index: LoopbackIndex | None, run_folder: Path) -> None:
        self.machine = machine
        self.folder = machine.home / "shop"
        self.folder.mkdir()
        self._run_folder = run_folder
        self._bin = machine.root / "bin"
        self._bin.mkdir(exist_ok=True)
        for name, program in _programs().items():
            self._add_program(name, program)
        source = as_of_that_day() if index is None else {"UV_DEFAULT_INDEX": index.url}
        self.environ = machine.environ | source | {
            "PATH": os.pathsep.join([str(self._bin), *_SYSTEM]),
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_NO_PROGRESS": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "COLUMNS": "200",
        }  # fmt: skip
        for block in page(BASE).blocks:
            self.do(block)

    def _add_program(self, name: str, path: str | Path) -> None:
        if not (self._bin / name).is_symlink():
            (self._bin / name).symlink_to(path)

    def follow(self, given: Page) -> None:
        """Do all that the page says, and see that it prints what the page says; skipped if a program is not here."""
        shells = {SHELLS[block.options["shell"]][0] for block in given.blocks if "shell" in block.options}
        absent = [name for name in (*given.programs, *shells) if not shutil.which(name, path=self.environ["PATH"])]
        if set(absent) & set(given.programs):
            pytest.skip(f"not here: {absent}")
        for tool in given.tools:
            command, _, requirement = tool.partition(":")
            self._add_program(command, install_tool(self._run_folder, requirement or command) / command)
        for block in given.blocks:
            if SHELLS[block.options.get("shell", "bash")][0] not in absent:
                self.do(block, at=f"{given.path.name}:{block.line}")
        if absent:
            pytest.skip(f"followed but for what needs {absent}")

    def do(self, block: Block, at: str = "") -> None:
        if "file" in block.options:
            path = self.folder / block.options["file"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
        elif block.language == "console":
            self._run(block, at)

    def _run(self, block: Block, at: str) -> None:
        lines = block.text.splitlines(keepends=True)
        commands = "".join(line[2:] for line in lines if line.startswith("$ "))
        expected = "".join(line for line in lines if not line.startswith("$ "))
        done = self.run(*SHELLS[block.options.get("shell", "bash")], "-c", commands)
        shown = _PROGRESS.sub("", done.stdout)
        assert done.returncode == 0, f"{at}: exit {done.returncode}\n{commands}\n{shown}"
        assert _pattern(expected).fullmatch(shown.strip()), f"{at}\n{commands}\nexpected:\n{expected}\nshown:\n{shown}"

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """A command in the project, with both streams as its output."""
        return subprocess.run(
            command, cwd=self.folder, env=self.environ, text=True, timeout=SECONDS, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip


def _pattern(expected: str) -> re.Pattern[str]:
    return re.compile(re.escape(expected.strip()).replace(re.escape("..."), ".*"), re.DOTALL)
