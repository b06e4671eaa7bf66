"""Documents read block by block: what a decoder says of the whole, or nothing."""

from collections.abc import Mapping
from typing import Any

import pytest
import tomli
from hypothesis import given, settings
from hypothesis import strategies as st

from storectl_store.selection.tables import toml_blocks
from storectl_store.selection.tables.toml_blocks import Blocks

PACKAGES = "".join(
    f'[[package]]\nname = "p{n}"\ndependencies = [\n    {{ name = "q" }},\n]\n\n[package.metadata]\nextras = ["x"]\n'
    f'\n[[package.metadata.requires-dist]]\nname = "q"\n\n'
    for n in range(9)
)
HEAD = 'version = 1\nresolution-markers = [\n    "a",\n]\n\n[manifest]\nmembers = ["a"]\n\n'
TAIL = '[metadata]\nlock-version = "2.1"\n\n[metadata.files]\np1 = []\n'


def read(text: str) -> Mapping[str, Any] | None:
    return Blocks().loads(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        HEAD + PACKAGES,
        PACKAGES + TAIL,
        HEAD + PACKAGES + TAIL,
        HEAD + PACKAGES.replace("package", "packages"),
        PACKAGES + "[x]\n" + PACKAGES,
    ],
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_lock_files_are_read_as_a_whole_is(text: str, line_end: str) -> None:
    text = text.replace("\n", line_end)
    assert read(text) == tomli.loads(text)


@pytest.mark.parametrize(
    "text",
    [
        PACKAGES.removeprefix("[[package]]"),
        f'text = """\n{PACKAGES}"""\n',
        f"x = [\n{PACKAGES}]\n",
        f"x = [\n{PACKAGES}[1]\n]\n",
        PACKAGES + "x = [\n[1]\n]\n",
        PACKAGES + "[ package ]\n",
        PACKAGES + '["package".more]\n',
        "package = 1\n" + PACKAGES,
        PACKAGES + "[metadata]\n[metadata]\n",
        PACKAGES + " [metadata]\nx = 1\n",
        PACKAGES + "[metadata]\n" + " [[package]]\nname = 'z'\n",
        PACKAGES + "name = 'twice'\n",
        PACKAGES.replace("]\n\n[package.metadata]", "\n\n[package.metadata]", 1),
        "[[package]]\nname = 'few'\n",
        "",
    ],
)
def test_whatever_may_mean_something_else_as_a_whole_is_left_to_the_decoder(text: str) -> None:
    found = read(text)
    assert found is None or found == tomli.loads(text)


LINES = st.sampled_from(
    [
        "[[package]]", "[[packages]]", "[package.a]", "[[package.b]]", "[package]", "[other]", "[[other]]", "[other.c]",
        "x = 1", "y = [", "]", "[1]", "[1],", "z = { a = 1 }", "# [[package]]", " [[package]]", "package.d = 1",
        "s = '''", "'''", 't = "[[package]]"', "", "[[package]] # c", "[packages.e]", '"package" = 1',
    ]
)  # fmt: skip


@settings(max_examples=600, deadline=None)
@given(st.lists(LINES, max_size=14))
def test_any_lines_mean_the_same_in_blocks_or_are_left_to_the_decoder(lines: list[str]) -> None:
    text = "\n".join(lines) + "\n"
    found = read(text)
    if found is not None:
        assert found == tomli.loads(text)


@pytest.fixture(autouse=True)
def few_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toml_blocks, "_FEWEST", 1)


def test_what_was_read_before_is_not_decoded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = Blocks()
    decoded: list[str] = []
    loads = tomli.loads

    def noted(text: str) -> dict[str, Any]:
        decoded.append(text)
        return loads(text)

    monkeypatch.setattr(tomli, "loads", noted)
    first = blocks.loads(PACKAGES.encode())
    decoded.clear()
    changed = PACKAGES.replace('"p4"', '"other"')
    second = blocks.loads(changed.encode())
    assert second == loads(changed)
    assert sum("[[package]]" in text for text in decoded) == 1
    assert blocks.loads(PACKAGES.encode()) == first


def test_no_more_is_remembered_than_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = Blocks(most_bytes=500)
    for text in (PACKAGES, HEAD + PACKAGES):
        assert blocks.loads(text.encode()) == tomli.loads(text)
    assert 0 < sum(map(len, blocks._kept.values())) == blocks._bytes <= 500
