"""Boxes as large as their values, and the picture that is made of them."""

import random
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from storectl.commands.treemap import Box, squarified
from storectl.commands.usage_picture import usage_picture

SVG = "{http://www.w3.org/2000/svg}"
NOW = 1_800_000_000.0
DAY = 86400.0


@pytest.mark.parametrize("count", [1, 2, 7, 400])
@pytest.mark.parametrize("place", [Box(0, 0, 600, 400), Box(50, 20, 30, 900)])
def test_boxes_are_as_large_as_their_values_and_fill_the_place(count: int, place: Box) -> None:
    values = sorted((random.Random(count).paretovariate(1) for _ in range(count)), reverse=True)
    boxes = squarified(values, place)
    scale = place.area / sum(values)
    assert [box.area for box in boxes] == pytest.approx([value * scale for value in values])
    for box in boxes:
        assert box.x >= place.x - 1e-6
        assert box.x + box.width <= place.x + place.width + 1e-6
        assert box.y >= place.y - 1e-6
        assert box.y + box.height <= place.y + place.height + 1e-6


def test_boxes_do_not_cover_each_other() -> None:
    boxes = squarified([9, 8, 5, 5, 3, 2, 1, 1], Box(0, 0, 100, 60))
    for place, one in enumerate(boxes):
        for other in boxes[place + 1 :]:
            wide = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
            high = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
            assert min(wide, high) <= 1e-9


def test_equal_values_get_boxes_near_to_squares() -> None:
    sides = [(box.width, box.height) for box in squarified([1.0] * 24, Box(0, 0, 600, 400))]
    assert max(max(side) / min(side) for side in sides) < 1.5


def entry(name: str, size: int, **fields: object) -> dict[str, Any]:
    facts = {"version": "1.0", "prefix": "0" * 32, "inodes": 7, "bytecode": 0, "environments": 1}
    return {"name": name, "bytes": size, "projects": [0], "last_used": NOW - DAY, **facts, **fields}


def usage(*entries: dict[str, Any], projects: tuple[str, ...] = ("/home/ada/site", "/srv/api")) -> dict[str, Any]:
    size = sum(each["bytes"] for each in entries)
    parts = [{"name": "wheels", "inodes": 7, "bytes": size}, {"name": "trash", "inodes": 2, "bytes": 90_000}]
    total = {"inodes": 1234, "bytes": size + 90_000}
    return {"store": "/data", "total": total, "parts": parts, "projects": list(projects), "entries": list(entries)}


def drawn(answer: dict[str, Any]) -> ET.Element:
    return ET.fromstring(usage_picture(answer, now=NOW, home="/home/ada"))


def texts(picture: ET.Element) -> list[str]:
    return [text.text or "" for text in picture.iter(f"{SVG}text")]


def test_entries_stand_with_the_project_that_alone_needs_them() -> None:
    picture = drawn(
        usage(
            entry("mine", 5_000_000),
            entry("ours", 4_000_000, projects=[0, 1]),
            entry("nobodys", 3_000_000, projects=[]),
        )
    )
    shown = texts(picture)
    for heading, name in (("~/site", "mine"), ("several projects", "ours"), ("no project", "nobodys")):
        place = next(place for place, text in enumerate(shown) if text.startswith(heading))
        assert shown[place + 1] == name


def test_a_box_says_more_when_a_pointer_is_over_it() -> None:
    picture = drawn(usage(entry("numpy", 62_000_000, inodes=1203, bytecode=8_000_000, environments=2)))
    titles = [title.text or "" for title in picture.iter(f"{SVG}title")]
    (told,) = (title for title in titles if title.startswith("numpy 1.0"))
    assert told.split("\n") == [
        "numpy 1.0",
        "62.0 MB, 1,203 inodes, of it 8.0 MB of bytecode",
        "last used 24 h ago, in 2 environments",
        "~/site",
    ]


def test_the_legend_names_the_colours_that_are_there_with_their_sizes() -> None:
    old = entry("old", 2_000_000, last_used=NOW - 200 * DAY)
    picture = drawn(usage(entry("new", 3_000_000), old, entry("lost", 1_000_000, projects=[], last_used=None)))
    legend = texts(picture)[2:7]
    assert legend == [
        "Last used:", "this week 3.0 MB", "before that 2.0 MB", "in no environment 1.0 MB", "beside entries 90.0 kB",
    ]  # fmt: skip


@pytest.mark.parametrize("count", [0, 1, 3000])
def test_a_store_of_any_size_is_one_picture_that_needs_nothing_else(count: int) -> None:
    entries = (entry(f"p{n}", 1000 + n * n, projects=[n % 60]) for n in range(count))
    answer = usage(*entries, projects=tuple(f"/home/ada/p{n}" for n in range(60)))
    text = usage_picture(answer, now=NOW)
    assert len(text) < 600_000
    assert "<script" not in text
    assert text.count("http") == 1  # the name of the format
    assert all(float(box.get("width", 0)) >= 0 for box in ET.fromstring(text).iter(f"{SVG}rect"))


def test_what_is_too_small_for_a_box_is_counted_in_one() -> None:
    small = [entry(f"small-{n}", 100) for n in range(500)]
    titles = [title.text or "" for title in drawn(usage(entry("large", 900_000_000), *small)).iter(f"{SVG}title")]
    assert "500 more, none of them larger\n50.0 kB" in titles
    assert not any(title.startswith("small-") for title in titles)


def test_of_many_small_ones_the_first_are_drawn() -> None:
    picture = drawn(usage(*(entry(f"p{n}", 4096) for n in range(20_000))))
    titles = [title.text or "" for title in picture.iter(f"{SVG}title")]
    assert sum(title.startswith("p") for title in titles) == 300
    assert any(title.startswith("19,700 more") for title in titles)


def test_names_that_xml_does_not_know_are_escaped() -> None:
    picture = drawn(usage(entry("a<b>&\x07", 5_000_000, projects=[0]), projects=("/x/\udcff\x1b[31m",)))
    assert "a<b>&\\x07" in texts(picture)
    assert any("\\udcff\\x1b[31m" in text for text in texts(picture))
