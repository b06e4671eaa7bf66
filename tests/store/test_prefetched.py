"""What was made ready of fetched branches: a file of lines that ends by itself, and is never guessed."""

from pathlib import Path

import pytest

from storectl_store.digest import EnvironmentId, digest_of_hex
from storectl_store.entries.layout import StoreLayout
from storectl_store.errors import StoreError, StoreFormatError
from storectl_store.projects.prefetched import (
    KEPT_SECONDS,
    PREFETCHED,
    Prefetched,
    note_prefetched,
    read_prefetched,
)
from storectl_store.projects.project_record import forget_record, record_problem, write_record

PROJECT = Path("/home/me/project")
SECOND = 1_000_000_000
FIRST, SECOND_ID = EnvironmentId("0a" * 16), EnvironmentId("0b" * 16)


def made(commit: str = "c0" * 20, environment: EnvironmentId | None = FIRST, at: int = 1) -> Prefetched:
    digests = () if environment else (digest_of_hex("0f" * 32),)
    return Prefetched(at_ns=at * SECOND, environment=environment, commit=commit, ref="feature", digests=digests)


@pytest.fixture
def layout(tmp_path: Path) -> StoreLayout:
    return StoreLayout(tmp_path)


def test_there_is_nothing_before_anything_was_made_ready(layout: StoreLayout) -> None:
    assert read_prefetched(layout, PROJECT) == ()


def test_a_commit_keeps_one_line_for_each_environment(layout: StoreLayout) -> None:
    for each in (made(), made(at=2), made(environment=SECOND_ID, at=3)):
        note_prefetched(layout, PROJECT, each)
    assert read_prefetched(layout, PROJECT) == (made(at=2), made(environment=SECOND_ID, at=3))


def test_an_environment_takes_the_place_of_entries_alone(layout: StoreLayout) -> None:
    for each in (made(environment=None), made(at=2)):
        note_prefetched(layout, PROJECT, each)
    assert read_prefetched(layout, PROJECT) == (made(at=2),)


def test_lines_end_after_a_week_and_are_at_most_64(layout: StoreLayout) -> None:
    note_prefetched(layout, PROJECT, made("ff" * 20))
    assert read_prefetched(layout, PROJECT)[0].until == 1 + KEPT_SECONDS
    note_prefetched(layout, PROJECT, made(at=2 + KEPT_SECONDS))
    assert [each.commit for each in read_prefetched(layout, PROJECT)] == ["c0" * 20]
    for number in range(70):
        note_prefetched(layout, PROJECT, made(f"{number:040x}", at=2 + KEPT_SECONDS))
    assert [each.commit for each in read_prefetched(layout, PROJECT)] == [f"{n:040x}" for n in range(6, 70)]


@pytest.mark.parametrize("line", ["", "2 1 - c0 main", "1 x - c0 main", "1 1 short c0 main", "1 1 - c0 main abc"])
def test_a_line_that_cannot_be_read_is_an_error_and_never_left_out(layout: StoreLayout, line: str) -> None:
    note_prefetched(layout, PROJECT, made())
    file = layout.project_record(PROJECT) / PREFETCHED
    file.write_text(f"{file.read_text()}{line}\n")
    with pytest.raises(StoreFormatError, match="format 1"):
        read_prefetched(layout, PROJECT)
    note_prefetched(layout, PROJECT, made("ee" * 20, at=2))
    assert len(read_prefetched(layout, PROJECT)) == 2, "what is written next does without it"


def test_a_file_that_cannot_be_read_is_an_error(layout: StoreLayout) -> None:
    (layout.project_record(PROJECT) / PREFETCHED).mkdir(parents=True)
    with pytest.raises(StoreError):
        read_prefetched(layout, PROJECT)


def test_the_record_is_whole_with_it_and_takes_it_along_when_it_is_forgotten(layout: StoreLayout) -> None:
    write_record(
        layout, PROJECT, key="default", environment=Path("/e"), lock_file=PROJECT / "uv.lock", inputs={}, now_ns=SECOND
    )
    note_prefetched(layout, PROJECT, made())
    assert record_problem(layout.project_record(PROJECT)) is None
    forget_record(layout, PROJECT)
    assert read_prefetched(layout, PROJECT) == ()
