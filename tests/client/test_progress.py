"""Progress is for what is slow, and for who looks."""

import io

import pytest

from storectl.daemon.answers import Progress
from storectl.daemon.progress import CLEAR_LINE, ProgressLine, describe, progress_line


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def step(phase: str = "fetch", done: int = 1, **facts: object) -> Progress:
    values = {"phase": phase, "done": done, "total": 4, "bytes_done": 0, "bytes_total": 0, "current": "numpy", **facts}
    return Progress.from_json(values)


def test_what_is_quick_is_not_worth_a_word() -> None:
    clock, stream = Clock(), Screen()
    line = ProgressLine(stream, clock=clock)
    line.progress(step())
    clock.now += 0.29
    line.progress(step(done=2))
    line.close()
    assert stream.getvalue() == ""


def test_what_is_slow_is_one_line_of_a_terminal_that_goes_away() -> None:
    clock, stream = Clock(), Screen()
    line = ProgressLine(stream, clock=clock)
    clock.now += 0.31
    line.progress(step(done=1))
    line.progress(step(done=2))
    line.close()
    line.close()
    assert "\n" not in stream.getvalue()
    assert [part for part in stream.getvalue().split(CLEAR_LINE) if part] == [
        "storectl: fetching 1 of 4 (25 %): numpy",
        "storectl: fetching 2 of 4 (50 %): numpy",
    ]
    assert stream.getvalue().endswith(CLEAR_LINE)


def test_elsewhere_it_is_a_rare_line_without_a_control_character() -> None:
    clock, stream = Clock(), io.StringIO()
    line = ProgressLine(stream, clock=clock)
    for progress in (step("resolve"), step("fetch", 1), step("fetch", 2), step("compile", 3), step("publish")):
        clock.now += 2
        line.progress(progress)
    line.close()
    assert stream.getvalue() == "storectl: fetching 2 of 4 (50 %): numpy\n"


def test_uv_no_progress_leaves_warnings_alone() -> None:
    for environ, shown in (({"UV_NO_PROGRESS": "1"}, ""), ({"UV_NO_PROGRESS": "0"}, "fetching"), ({}, "fetching")):
        stream = Screen()
        line = progress_line(stream, environ)
        line._speak_at -= 60
        line.progress(step())
        assert (shown in stream.getvalue(), "fetching" in stream.getvalue()) == (True, bool(shown))
        line.warning("odd")
        assert "storectl: warning: odd\n" in stream.getvalue()


def test_a_warning_is_told_at_once_on_a_line_of_its_own() -> None:
    clock, stream = Clock(), Screen()
    line = ProgressLine(stream, clock=clock)
    clock.now += 1
    line.progress(step())
    line.warning("a file\x1b]0;title\x07")
    assert stream.getvalue().endswith(f"{CLEAR_LINE}storectl: warning: a file\\x1b]0;title\\x07\n")


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (step(bytes_done=12_000_000, bytes_total=26_700_000), "fetching 1 of 4 (44 %, 12.0 of 26.7 MB): numpy"),
        (step("publish", 4, current=""), "publishing 4 of 4 (100 %)"),
        (step("unpack", 0, total=0), "unpacking"),
        (step("a new phase", 9), "a new phase 9 of 4 (100 %): numpy"),
        (step(current="\x1b[2J"), "fetching 1 of 4 (25 %): \\x1b[2J"),
    ],
)
def test_a_step_is_told_in_words(progress: Progress, text: str) -> None:
    assert describe(progress) == text
