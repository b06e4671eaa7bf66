"""The picture of a store: an SVG with a box for each entry, as large as what it takes up, in the colour of its age.

The boxes of one project stand together, as do those that several projects need, those that none needs, and what the
store has beside entries. It is one file without scripts, fonts or anything else from elsewhere. Pure.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from time import gmtime, strftime
from typing import Any

from storectl.commands.output import count_text, duration_text, size_text
from storectl.commands.treemap import Box, squarified
from storectl.errors import printable

Json = Mapping[str, Any]

_WIDTH, _HEIGHT = 1280.0, 860.0
_MARGIN = 16.0
_MAP = Box(_MARGIN, 80, _WIDTH - 2 * _MARGIN, _HEIGHT - 80 - 30)
_HEADING = 18.0
_GAP = 1.0
_SMALLEST = 64.0  # in square units; smaller boxes of a group become one,
_FIRST, _SMALLEST_FIRST = 300, 9.0  # but for so many of the largest, down to this
_MOST_GROUPS = 14
_FONT, _BOLD = 0.62, 0.68  # of its size: the mean width of a character, for the wider of the usual fonts
_LARGEST_FONT, _SMALLEST_FONT = 22.0, 8.0

_DAY = 86400.0


@dataclass(frozen=True, slots=True)
class _Shade:
    """A colour with its meaning. ``within`` is the age in seconds up to which it counts, None if it is no age."""

    label: str
    fill: str
    ink: str
    within: float | None = None


_AGES = (
    _Shade("this week", "#2b6a99", "#ffffff", 7 * _DAY),
    _Shade("this month", "#6fa8cc", "#0b1a26", 30 * _DAY),
    _Shade("in three months", "#e8d9a0", "#2b2410", 90 * _DAY),
    _Shade("before that", "#df9443", "#2b1604", float("inf")),
)
_UNSHOWN = _Shade("in no environment", "#b24a3f", "#ffffff")
_BESIDE = _Shade("beside entries", "#7d838c", "#ffffff")
_SHADES = (*_AGES, _UNSHOWN, _BESIDE)

_SEVERAL, _NONE, _ITSELF = "several projects", "no project", "beside entries"
_CAPTION = (
    "A box is an entry of the store, as large as what it takes up on disk."
    " It stands with the project that alone needs it. Hold the pointer over a box to read more."
)
_STYLE = """
svg { background: #ffffff; font-family: system-ui, "Segoe UI", Helvetica, Arial, "DejaVu Sans", sans-serif; }
.ink { fill: #1c2128; } .soft { fill: #59626e; } .group { fill: #e4e7ec; } .paper { fill: #ffffff; }
.box:hover rect { stroke: #000000; stroke-width: 2; }
@media (prefers-color-scheme: dark) {
  svg { background: #14171c; } .paper { fill: #14171c; }
  .ink { fill: #e8ebef; } .soft { fill: #9aa4b1; } .group { fill: #2b313a; }
  .box:hover rect { stroke: #ffffff; }
}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Item:
    """One box to be: its size in bytes, what is written on it, and what is said when a pointer is over it.

    ``seconds`` are what may stand below the label: the first that fits.
    """

    size: int
    label: str
    seconds: tuple[str, ...]
    title: str
    shade: _Shade
    faint: bool = False


def usage_picture(usage: Json, *, now: float, home: str | None = None) -> str:
    """The SVG for the answer to ``/v1/usage?by=entry``. ``now`` is in seconds of the system clock.

    Folders below ``home`` are shown with ``~``.
    """
    groups = _groups(usage, now, home)
    caption = f'<text class="soft" x="{_MARGIN}" y="{_HEIGHT - 11}" font-size="12">{_CAPTION}</text>'
    parts = [*_frame(usage, groups, now, home), *_map(groups), caption, "</svg>"]
    return "\n".join(parts) + "\n"


def _groups(usage: Json, now: float, home: str | None) -> list[tuple[str, list[_Item]]]:
    """What stands together, with its heading; the largest group and the largest box in it come first."""
    projects = [_short(path, home) for path in usage["projects"]]
    found: defaultdict[str, list[_Item]] = defaultdict(list)
    for entry in usage["entries"]:
        users = [projects[place] for place in entry["projects"]]
        heading = users[0] if len(users) == 1 else _SEVERAL if users else _NONE
        found[heading].append(_item(entry, users, now))
    found[_ITSELF] = [_part(part) for part in usage["parts"] if part["name"] not in ("wheels", "bytecode", "manifests")]
    drawn = {
        heading: sorted((item for item in items if item.size > 0), key=lambda item: -item.size)
        for heading, items in found.items()
    }
    groups = sorted(((h, items) for h, items in drawn.items() if items), key=lambda group: -_size(group[1]))
    if len(groups) <= _MOST_GROUPS:
        return groups
    kept = groups[: _MOST_GROUPS - 1]
    rest = [item for _, items in groups[_MOST_GROUPS - 1 :] for item in items]
    heading = f"{len(groups) - len(kept)} other projects"
    return [*kept, (heading, sorted(rest, key=lambda item: -item.size))]


def _item(entry: Json, users: Sequence[str], now: float) -> _Item:
    age = None if entry["last_used"] is None else max(0.0, now - entry["last_used"])
    shade = _UNSHOWN if age is None else next(shade for shade in _AGES if age <= (shade.within or 0))
    used = "in no environment" if age is None else f"last used {duration_text(age)} ago"
    seen = f"in {count_text(entry['environments'], 'environment')}" if entry["environments"] else ""
    size = size_text(entry["bytes"])
    told = [
        f"{entry['name']} {entry['version']}",
        f"{size}, {entry['inodes']:,} inodes, of it {size_text(entry['bytecode'])} of bytecode",
        ", ".join(filter(None, (used, seen))),
        *users[:8],
        *([f"and {len(users) - 8} other projects"] if len(users) > 8 else ()),
    ]
    return _Item(
        size=entry["bytes"],
        label=entry["name"],
        seconds=(f"{entry['version']} · {size}", size),
        title="\n".join(told),
        shade=shade,
    )


def _part(part: Json) -> _Item:
    size = size_text(part["bytes"])
    title = f"{part['name']}\n{size}, {part['inodes']:,} inodes"
    return _Item(size=part["bytes"], label=part["name"], seconds=(size,), title=title, shade=_BESIDE)


def _frame(usage: Json, groups: Iterable[tuple[str, list[_Item]]], now: float, home: str | None) -> Iterator[str]:
    """The beginning of the file, the title and the legend."""
    total, entries = usage["total"], len(usage["entries"])
    facts = (
        f"{size_text(total['bytes'])} on disk",
        f"{total['inodes']:,} inodes",
        f"{entries:,} {'entry' if entries == 1 else 'entries'}",
        strftime("%Y-%m-%d", gmtime(now)),
    )
    store = _short(usage["store"], home)
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:.0f} {_HEIGHT:.0f}" role="img"'
        f' width="{_WIDTH:.0f}" height="{_HEIGHT:.0f}">'
    )
    yield f"<title>{_text(f'{store}: {facts[0]}')}</title>"
    yield f"<style>{_STYLE}</style>"
    yield f'<rect class="paper" width="{_WIDTH:.0f}" height="{_HEIGHT:.0f}"/>'
    shown = _text(_cut(store, 640, 20, _BOLD))
    yield f'<text class="ink" x="{_MARGIN}" y="32" font-size="20" font-weight="600">{shown}</text>'
    yield (
        f'<text class="soft" x="{_WIDTH - _MARGIN}" y="32" font-size="15" text-anchor="end">'
        f"{_text(' · '.join(facts))}</text>"
    )
    yield from _legend([item for _, items in groups for item in items])


def _legend(items: Sequence[_Item]) -> Iterator[str]:
    """What each colour that is there means, and how much of it there is."""
    sizes = {shade: _size(item for item in items if item.shade is shade) for shade in _SHADES}
    labels = {shade: f"{shade.label} {size_text(size)}" for shade, size in sizes.items() if size}
    x = _MARGIN
    if any(shade in labels for shade in _AGES):
        yield f'<text class="soft" x="{x:.1f}" y="62" font-size="13">Last used:</text>'
        x += 76
    for shade, label in labels.items():
        yield f'<rect x="{x:.1f}" y="51" width="13" height="13" rx="2" fill="{shade.fill}"/>'
        yield f'<text class="ink" x="{x + 18:.1f}" y="62" font-size="13">{_text(label)}</text>'
        x += 32 + len(label) * 13 * _FONT


def _map(groups: Sequence[tuple[str, list[_Item]]]) -> Iterator[str]:
    if not groups:
        yield f'<text class="soft" x="{_MARGIN}" y="120" font-size="15">The store is empty.</text>'
        return
    places = squarified([_size(items) for _, items in groups], _MAP)
    for (heading, items), place in zip(groups, places, strict=True):
        yield from _group(heading, items, place.within(_GAP, _GAP, _GAP, _GAP))


def _group(heading: str, items: Sequence[_Item], place: Box) -> Iterator[str]:
    yield f'<rect class="group" {_at(place)} rx="3"/>'
    inside = place.within(2, 2, 2, 2)
    if place.width >= 56 and place.height >= 3 * _HEADING:
        label = f"{heading}  {size_text(_size(items))}"
        room = place.width - 10
        shown = label if _fits(label, room, 12, _BOLD) else _cut(heading, room, 12, _BOLD)
        yield (
            f'<text class="ink" x="{place.x + 5:.1f}" y="{place.y + 13.5:.1f}" font-size="12" font-weight="600">'
            f"{_text(shown)}<title>{_text(label)}</title></text>"
        )
        inside = place.within(2, _HEADING, 2, 2)
    drawn = _drawable(items, inside)
    for item, box in zip(drawn, squarified([item.size for item in drawn], inside), strict=True):
        yield from _box(item, box.within(0, 0, _GAP, _GAP))


def _drawable(items: Sequence[_Item], room: Box) -> list[_Item]:
    """The items that are large enough for a box in this place; the others become one, of the shade most of it has."""
    scale = room.area / _size(items)
    large = [
        item
        for place, item in enumerate(items)
        if item.size * scale >= (_SMALLEST if place >= _FIRST else _SMALLEST_FIRST)
    ]
    small = items[len(large) :]
    if len(small) < 2:
        return list(items)
    sizes: defaultdict[_Shade, int] = defaultdict(int)
    for item in small:
        sizes[item.shade] += item.size
    size = _size(small)
    rest = _Item(
        size=size,
        label=f"{len(small):,} more",
        seconds=(size_text(size),),
        title=f"{len(small):,} more, none of them larger\n{size_text(size)}",
        shade=max(sizes, key=lambda shade: sizes[shade]),
        faint=True,
    )
    return sorted([*large, rest], key=lambda item: -item.size)


def _box(item: _Item, box: Box) -> Iterator[str]:
    faint = ' fill-opacity="0.75"' if item.faint else ""
    yield f'<g class="box"><title>{_text(item.title)}</title><rect {_at(box)} fill="{item.shade.fill}"{faint}/>'
    yield from _labels(item, box)
    yield "</g>"


def _labels(item: _Item, box: Box) -> Iterator[str]:
    """The name, as large as fits, and below it the rest if there is room; nothing if the name is not readable."""
    room = box.width - 8
    size = min(_LARGEST_FONT, box.height * 0.42, room / (max(len(item.label), 1) * _FONT))
    if size < _SMALLEST_FONT and box.height >= 13:  # cut it rather than have nothing
        size = _SMALLEST_FONT + 1
    shown = _cut(item.label, room, size)
    if size < _SMALLEST_FONT or len(shown) < min(4, len(item.label)):
        return
    y = box.y + 3 + size
    yield f'<text x="{box.x + 4:.1f}" y="{y:.1f}" font-size="{size:.1f}" fill="{item.shade.ink}">{_text(shown)}</text>'
    small = max(_SMALLEST_FONT, min(13.0, size * 0.75))
    second = next((text for text in item.seconds if _fits(text, room, small)), None)
    if second is not None and y + small + 4 <= box.y + box.height:
        yield (
            f'<text x="{box.x + 4:.1f}" y="{y + small + 3:.1f}" font-size="{small:.1f}" fill="{item.shade.ink}"'
            f' opacity="0.85">{_text(second)}</text>'
        )


def _fits(text: str, width: float, size: float, font: float = _FONT) -> bool:
    return len(text) * size * font <= width + 0.01  # of a unit: the size may have been made to fit


def _cut(text: str, width: float, size: float, font: float = _FONT) -> str:
    """The beginning of the text that fits into the width, with an ellipsis if that is not all of it."""
    if _fits(text, width, size, font):
        return text
    return text[: max(0, int(width / (size * font)) - 1)] + "…"


def _size(items: Iterable[_Item]) -> int:
    return sum(item.size for item in items)


def _short(path: str, home: str | None) -> str:
    inside = home and (path == home or path.startswith(home.rstrip(os.sep) + os.sep))
    return f"~{path[len(home.rstrip(os.sep)) :]}" if home and inside else path


def _at(box: Box) -> str:
    return f'x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}"'


def _text(text: str) -> str:
    """The text as it stands in XML, which knows no control characters."""
    return escape("\n".join(printable(line) for line in text.split("\n")))
