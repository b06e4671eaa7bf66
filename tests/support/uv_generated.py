"""Projects made at random: extras, groups, markers, forks, conflicts and workspace members, all of which uv can lock."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from support.wheels import WheelBytes, make_wheel

MARKERS = (
    "python_version < '3.11'",
    "python_full_version >= '3.12'",
    "python_version != '3.10'",
    "sys_platform == 'win32'",
    "sys_platform != 'darwin' and python_version >= '3.10'",
    "platform_machine == 'arm64' or os_name == 'nt'",
    "implementation_name == 'cpython'",
    "platform_python_implementation == 'PyPy' or python_version > '3.9'",
)
PROJECTS = tuple(f"p{number}" for number in range(12))


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """The files of a project, and the wheels that are on the index."""

    files: dict[str, str]
    wheels: tuple[WheelBytes, ...]


def generate(seed: int) -> Generated:
    """A project and all that it could need; the same for the same seed."""
    return _Generator(random.Random(seed)).make()


class _Generator:
    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._forked, self._conflicting = rng.sample(PROJECTS, 2)

    def make(self) -> Generated:
        workspace = self._rng.random() < 0.4
        files = {"pyproject.toml": self._root(workspace=workspace)}
        if workspace:
            files["member/pyproject.toml"] = self._member()
            files["member/src/member/__init__.py"] = ""
        return Generated(files=files, wheels=tuple(self._wheels()))

    def _wheels(self) -> Iterator[WheelBytes]:
        """Two versions of everything. Requirements go to later projects, and now and then in a circle."""
        for number, name in enumerate(PROJECTS):
            others = list(PROJECTS[number + 1 :]) + ([PROJECTS[0]] if self._rng.random() < 0.1 else [])
            for version in ("1.0", "2.0"):
                requires = [self._edge(other) for other in self._some(others, 3)]
                requires += [self._edge(other, extra="more") for other in self._some(others, 2)]
                yield make_wheel(name, version, requires_dist=tuple(requires), provides_extra=("more",))

    def _root(self, *, workspace: bool) -> str:
        conflict = self._rng.choice(("none", "none", "extras", "groups", "both"))
        forked = [f"{self._forked}==1.0; python_version < '3.11'", f"{self._forked}==2.0; python_version >= '3.11'"]
        dependencies = self._edges(4) + (forked if self._rng.random() < 0.7 else [])
        dependencies += ["member"] if workspace and self._rng.random() < 0.7 else []
        one, two = f"{self._conflicting}==1.0", f"{self._conflicting}==2.0"
        extras = {"x": self._edges(2), "y": self._edges(2), "z": self._edges(1)}
        groups: dict[str, list[str]] = {"dev": self._edges(2), "docs": self._edges(2), "test": self._edges(1)}
        sides = {
            "none": [],
            "extras": [(extras["x"], "extra", "x", one), (extras["y"], "extra", "y", two)],
            "groups": [(groups["docs"], "group", "docs", one), (groups["test"], "group", "test", two)],
            "both": [(extras["x"], "extra", "x", one), (groups["test"], "group", "test", two)],
        }[conflict]
        for edges, _, _, requirement in sides:
            edges.append(requirement)
        declared = ", ".join(f'{{ {kind} = "{name}" }}' for _, kind, name, _ in sides)
        included = ['{ include-group = "dev" }'] if self._rng.random() < 0.5 else []
        lines = ["[project]", 'name = "root"', 'version = "0"', 'requires-python = ">=3.9"']
        lines += [f"dependencies = {dependencies}", "[project.optional-dependencies]"]
        lines += [f"{name} = {edges}" for name, edges in extras.items()]
        lines += ["[dependency-groups]"]
        lines += [
            f"{name} = [{', '.join([*map(repr_toml, edges), *(included if name == 'docs' else [])])}]"
            for name, edges in groups.items()
        ]
        lines += ["[tool.uv]", "package = false"]
        default = self._rng.choice((None, [], ["dev", "docs"], ["test"]))
        if default is not None and conflict in ("none", "extras"):
            lines.append(f"default-groups = {default}")
        lines += [f"conflicts = [[{declared}]]"] if sides else []
        if workspace:
            lines += [
                "[tool.uv.workspace]",
                'members = ["member"]',
                "[tool.uv.sources]",
                "member = { workspace = true }",
            ]
        return "\n".join([*lines, ""])

    def _member(self) -> str:
        return (
            '[project]\nname = "member"\nversion = "0"\nrequires-python = ">=3.9"\n'
            f"dependencies = {self._edges(2)}\n[build-system]\nrequires = []\nbuild-backend = 'none'\n"
        )

    def _edges(self, most: int) -> list[str]:
        """Requirements of the project; not of what is forked or in conflict, which only the project chooses a version of."""
        free = [name for name in PROJECTS if name not in (self._forked, self._conflicting)]
        return [self._edge(name) for name in self._some(free, most)]

    def _edge(self, name: str, *, extra: str | None = None) -> str:
        markers = [f"({self._rng.choice(MARKERS)})"] if self._rng.random() < 0.5 else []
        markers += [f"extra == '{extra}'"] if extra else []
        wanted = "[more]" if self._rng.random() < 0.3 else ""
        return f"{name}{wanted}" + (f"; {' and '.join(markers)}" if markers else "")

    def _some(self, names: list[str], most: int) -> list[str]:
        return self._rng.sample(names, min(len(names), self._rng.randint(0, most)))


def repr_toml(text: str) -> str:
    """A text that holds single quotes only, as a TOML string."""
    return f'"{text}"'
