"""The table of ``docs/fidelity.md``: how much of what two environments hold is equal, by project, Python and mode."""

import platform
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from fidelity.comparison import Comparison
from fidelity.pair import MODES

_HEAD = """\
# What a program finds, compared with a venv

Made by `scripts/fidelity` on {system}. Each cell: equal / compared, and nothing where that was not asked. By design: differences
that [differences.toml](../tests/fidelity/differences.toml) lists with a reason each.

What programs do with what they find: the [test suites of real projects](#test-suites-of-real-projects) below, packages that are hard
for any installer in [hard-packages.md](hard-packages.md), and the list of all that has to hold in [fidelity-cases.md](fidelity-cases.md).

"""
_FIRST = ("project", "Python", "mode")
_LAST = ("by design", "unexplained")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One project on one interpreter in one mode. ``cells``: the text below each section's name."""

    project: str
    python: str
    mode: str
    cells: Mapping[str, str]
    explained: int
    unexplained: int

    @property
    def key(self) -> tuple[str, tuple[int, ...], int]:
        """What a later run replaces it by, and where it stands."""
        return self.project, tuple(map(int, self.python.split("."))), [*MODES, self.mode].index(self.mode)


def line_of(project: str, python: str, mode: str, comparison: Comparison) -> Line:
    """What a comparison counted."""
    cells = {section: f"{comparison.equal[section]} / {number}" for section, number in comparison.compared.items()}
    return Line(
        project=project,
        python=python,
        mode=mode,
        cells=cells,
        explained=len(comparison.explained),
        unexplained=len(comparison.unexplained),
    )


def table(lines: Iterable[Line], before: str = "") -> str:
    """The file as Markdown: these lines, those of ``before`` for what was not compared this time, and its later sections."""
    own, heading, others = before.partition("\n## ")
    all_lines = {line.key: line for line in (*_read(own), *lines)}
    ordered = [all_lines[key] for key in sorted(all_lines)]
    sections = sorted({section for line in ordered for section in line.cells})
    columns = (*_FIRST, *sections, *_LAST)
    text = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}", *(_markdown(line, sections) for line in ordered)]
    return _HEAD.format(system=f"{platform.system()} {platform.machine()}") + "\n".join([*text, ""]) + heading + others


def _markdown(line: Line, sections: Iterable[str]) -> str:
    cells = [line.cells.get(section, "") for section in sections]
    texts = [line.project, line.python, line.mode, *cells, str(line.explained), str(line.unexplained)]
    return f"| {' | '.join(texts)} |"


def _read(text: str) -> Iterator[Line]:
    """The lines of a table; its columns are those of the sections that were compared then."""
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in text.splitlines() if row.startswith("| ")]
    for row in rows[1:]:
        cells = dict(zip(rows[0], row, strict=True))
        project, python, mode = (cells.pop(column) for column in _FIRST)
        explained, unexplained = (int(cells.pop(column)) for column in _LAST)
        counted = {section: cell for section, cell in cells.items() if cell}
        yield Line(
            project=project, python=python, mode=mode, cells=counted, explained=explained, unexplained=unexplained
        )
