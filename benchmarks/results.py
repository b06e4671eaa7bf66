"""Results: what a row of the table says, as JSON, as Markdown and as a plot of ratios."""

import html
import json
import math
import re
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.measure import Ratios

_MISSES = Path(__file__).with_name("misses.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One comparison: a row, what was compared with what, the most that it may be, and what it was.

    ``ratios`` is None for figures without a second side; then ``figure`` is compared with ``bar``. ``lower`` figures are
    better. ``notes`` are further facts: versions, counts, sizes.
    """

    row: str
    what: str
    bar: float | None = None
    ratios: Ratios | None = None
    figure: float | None = None
    unit: str = ""
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def value(self) -> float:
        """The median ratio, or the figure."""
        return self.ratios.median if self.ratios else self.figure or 0.0

    @property
    def holds(self) -> bool | None:
        """Whether the bar is kept; None without one."""
        return None if self.bar is None else self.value <= self.bar


def as_json(results: Sequence[Result], facts: dict[str, Any]) -> str:
    """Everything, for programs."""
    rows = [asdict(result) | {"value": result.value, "holds": result.holds} for result in results]
    return json.dumps({"facts": facts, "results": rows}, indent=1) + "\n"


def as_markdown(results: Sequence[Result], facts: dict[str, Any]) -> str:
    """The table that docs/benchmarks.md shows."""
    lines = [
        "# Benchmarks",
        "",
        "Made by `python -m benchmarks`. Ratios are medians of pairs measured in turn, storectl's time / the other's; in",
        "brackets the middle half of them. Less is better; a bar is the most that a row may be.",
        "",
        *(f"- {name}: {value}" for name, value in facts.items()),
        "",
        "![ratios](benchmarks.svg)",
        "",
        "| row | what | bar | measured | spread | storectl | other | n | holds |",
        "|---|---|---|---|---|---|---|---|---|",
        *(_line(result) for result in results),
        "",
    ]
    reasons = tomllib.loads(_MISSES.read_text(encoding="utf-8"))["miss"]
    missed = [_missed(result, reasons) for result in results if result.holds is False]
    notes = [f"- {r.row}, {r.what}: {_notes(r)}" for r in results if r.notes]
    return "\n".join(
        [
            *lines,
            *(["## Rows that miss their bar", "", *missed, ""] if missed else []),
            *(["## Figures beside", "", *notes, ""] if notes else []),
        ]
    )


def _missed(result: Result, reasons: Sequence[dict[str, str]]) -> str:
    """By how much, and why as far as anybody has said so."""
    matching = (
        reason["why"]
        for reason in reasons
        if re.fullmatch(reason["row"], result.row) and re.fullmatch(reason["what"], result.what)
    )
    assert result.bar is not None
    times = result.value / result.bar
    beyond = f"{times:.1f} times its bar" if times >= 1.5 else f"{100 * (times - 1):.1f} % over its bar"
    return f"- **{result.row}, {result.what}**: {beyond}. {next(matching, 'Nobody has explained this.')}"


def from_json(text: str) -> tuple[list[Result], dict[str, Any]]:
    """The results and facts that `as_json` wrote."""
    document, found = json.loads(text), []
    for value in document["results"]:
        del value["value"], value["holds"]
        ratios = value.pop("ratios")
        found.append(Result(**value, ratios=Ratios(**ratios) if ratios else None))
    return found, document["facts"]


def with_earlier(results: Sequence[Result], earlier: Sequence[Result]) -> list[Result]:
    """These results in the places of the same ones of an earlier run, and the others of that run; what is of one row together."""
    new = {(result.row, result.what): result for result in results}
    kept = [new.pop((result.row, result.what), result) for result in earlier]
    found = [*kept, *new.values()]
    rows = list(dict.fromkeys(result.row for result in found))
    return sorted(found, key=lambda result: rows.index(result.row))


def _line(result: Result) -> str:
    holds = {None: "", True: "yes", False: "**no**"}[result.holds]
    bar = "" if result.bar is None else f"{result.bar:g} {result.unit}".strip()
    if result.ratios is None:
        return f"| {result.row} | {result.what} | {bar} | {result.value:.4g} {result.unit} | | | | | {holds} |"
    r = result.ratios
    return (
        f"| {result.row} | {result.what} | {bar} | {r.median:.3g} | {r.low:.3g} to {r.high:.3g} "
        f"| {_seconds(r.ours)} | {_seconds(r.theirs)} | {r.pairs} | {holds} |"
    )


def _seconds(value: float) -> str:
    return f"{value * 1000:.3g} ms" if value < 1 else f"{value:.3g} s"


def _notes(result: Result) -> str:
    return "; ".join(f"{name} {value}" for name, value in result.notes.items())


_WIDTH, _LEFT, _RIGHT, _LINE = 1080, 480, 40, 26
_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


def as_svg(results: Sequence[Result]) -> str:
    """Every ratio with its spread and its bar, on a logarithmic axis; 1 is equal."""
    shown = [result for result in results if result.ratios is not None]
    low, high = math.log(_TICKS[0]), math.log(_TICKS[-1])

    def x(value: float) -> float:
        place = (math.log(min(max(value, _TICKS[0]), _TICKS[-1])) - low) / (high - low)
        return _LEFT + place * (_WIDTH - _LEFT - _RIGHT)

    height = 60 + _LINE * len(shown)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="13">',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        f'<text x="{_LEFT}" y="18" fill="#333">storectl / other, median and middle half; | is the bar</text>',
    ]
    for tick in _TICKS:
        colour, width = ("#333", 1.5) if tick == 1 else ("#ddd", 1)
        parts.append(
            f'<line x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="26" y2="{height - 24}" stroke="{colour}" stroke-width="{width}"/>'
        )
        parts.append(f'<text x="{x(tick):.1f}" y="{height - 8}" text-anchor="middle" fill="#555">{tick:g}</text>')
    for number, result in enumerate(shown):
        assert result.ratios is not None
        y = 42 + number * _LINE
        colour = "#b3261e" if result.holds is False else "#1b6e3c"
        label = html.escape(f"{result.row}: {result.what}")
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end" fill="#222">{label}</text>')
        r = result.ratios
        parts.append(
            f'<line x1="{x(r.low):.1f}" x2="{x(r.high):.1f}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="6" stroke-opacity="0.35"/>'
        )
        parts.append(f'<circle cx="{x(r.median):.1f}" cy="{y}" r="5" fill="{colour}"/>')
        if result.bar is not None:
            parts.append(
                f'<line x1="{x(result.bar):.1f}" x2="{x(result.bar):.1f}" y1="{y - 9}" y2="{y + 9}" stroke="#333" stroke-width="2"/>'
            )
    return "\n".join([*parts, "</svg>", ""])
