"""A hard package: a project, and tasks whose outcome has to be the same in a venv and with storectl.

tests/fidelity/hard/<name>.toml
  python = "3.12"            the interpreter
  linked = true              the tasks run a third time, in the .venv that `storectl link` makes, with the daemon ended
  dependencies = [...]       of the project; with uv_sources where one of them is a folder of the case
  find_links = true          its wheels are in the folder that UV_FIND_LINKS names; not run where that is not set
  [uv_sources]               as [tool.uv.sources]
  [files]                    more files of the project: path to text
  [tasks]                    name to a shell command line, run one after the other; what they print is compared
  [variables]                for the tasks
"""

import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import tomli_w

FOLDER = Path(__file__).with_name("hard")

_IN_STORE = re.compile(r"<home>/\.local/share/storectl/store/[^/\s]+/[0-9a-f]{32}/site-packages")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_ADDRESS = re.compile(r"0x[0-9a-f]{6,}")
_TIME = re.compile(r"\b\d\d:\d\d:\d\d([.,]\d+)?|\b\d+\.\d+ ?(s|sec|seconds)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class HardCase:
    """One file of the folder."""

    name: str
    python: str
    dependencies: tuple[str, ...]
    tasks: Mapping[str, str]
    linked: bool = False
    files: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    uv_sources: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    find_links: bool = False

    def only(self, names: Collection[str] | None) -> "HardCase":
        """The case with these of its tasks; None for all of them."""
        if names is None:
            return self
        return replace(self, tasks={name: command for name, command in self.tasks.items() if name in names})

    def write(self, folder: Path) -> None:
        """The project, without its lock file."""
        project = {
            "name": "hard",
            "version": "0",
            "requires-python": f"=={self.python}.*",
            "dependencies": list(self.dependencies),
        }
        uv = {"package": False, "sources": {name: dict(source) for name, source in self.uv_sources.items()}}
        (folder / "pyproject.toml").write_text(tomli_w.dumps({"project": project, "tool": {"uv": uv}}))
        for path, text in self.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a task ended: its exit code, and its output with what differs between any two runs made equal."""

    code: int
    output: str

    @classmethod
    def of(cls, code: int, output: str, folders: Mapping[str, str]) -> "Outcome":
        """``folders`` are paths of those of this side, with the names that stand for them; a relative one begins a word."""
        for folder, name in folders.items():
            begin = "" if folder.startswith("/") else r"(?<!\w)"
            output = re.sub(begin + re.escape(folder), name, output)
        return cls(code=code, output=_TIME.sub("<time>", _ADDRESS.sub("<address>", _COLOUR.sub("", output))).strip())

    def in_view(self, python: str) -> "Outcome":
        """The same with what lies in the store named as the view names it: programs that resolve links print such paths."""
        view = f"<prefix>/lib/python{python}/site-packages"
        return Outcome(code=self.code, output=_IN_STORE.sub(view, self.output))


def read_cases() -> list[HardCase]:
    """Every case, by name."""
    return [_read(path) for path in sorted(FOLDER.glob("*.toml"))]


def _read(path: Path) -> HardCase:
    table = tomllib.loads(path.read_text())
    dependencies = tuple(table.pop("dependencies"))
    return HardCase(name=path.stem, dependencies=dependencies, **table)
