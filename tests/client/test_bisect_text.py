"""What a person reads of a bisection, and of what was made ahead."""

import time
from typing import Any

import pytest

from storectl.commands.ahead import ahead_text, waiting_text
from storectl.commands.bisect_text import Tried, attempt_text, outcome_text, result_lines
from storectl.commands.output import moment_text
from storectl.daemon.bisections import Attempt, Change, Found, Generation
from storectl.daemon.made_ahead import AheadAccount, MadeAhead
from storectl.errors import DaemonProblemError

NOW = time.mktime((2026, 11, 30, 12, 0, 0, 0, 0, -1))
LAST_YEAR = time.mktime((2025, 11, 21, 10, 2, 0, 0, 0, -1))
PANDAS, NUMPY = Change("pandas", "2.2.3", "2.3.0"), Change("numpy", "2.0.2", "2.1.0")
CAME, WENT, REBUILT = Change("pyarrow", None, "17.0"), Change("xlrd", "2.0", None), Change("own", "1.0", "1.0")


def generation(number: int, branch: str | None = "main", commit: str | None = "a1b2c3d4e5f6") -> Generation:
    return Generation(number, int(LAST_YEAR * 1e9), branch, commit)


def found(**changed: Any) -> Found:
    value = Found(
        good=generation(16),
        bad=generation(17),
        between=(),
        changes=(PANDAS, NUMPY, CAME),
        suspects=((PANDAS, NUMPY),),
        needs=(),
        alone="bad",
        rest="good",
        pythons=None,
    )
    return value._replace(**changed)


def attempt(**changed: Any) -> Attempt:
    value = Attempt(outcome_of="e", environment="/e", problem=None, left=4, generation=None, taken=(PANDAS,))
    return value._replace(**changed)


class TestTheResult:
    def test_the_first_line_names_the_wheel_and_those_that_it_cannot_be_without(self) -> None:
        assert result_lines(found()) == [
            "pandas 2.2.3 -> 2.3.0 (with numpy 2.0.2 -> 2.1.0)",
            "since generation 17 of 21 Nov 2025 10:02, branch main, a1b2c3d; generation 16 is good",
            "it alone: bad",
            "all else that changed without it: good",
        ]

    @pytest.mark.parametrize(
        ("change", "text"),
        [(CAME, "+pyarrow 17.0"), (WENT, "-xlrd 2.0"), (REBUILT, "own 1.0 (another wheel)")],
    )
    def test_what_came_went_or_was_built_again_is_a_change_too(self, change: Change, text: str) -> None:
        assert result_lines(found(suspects=((change,),)))[0] == text

    def test_what_it_needs_is_told_with_it(self) -> None:
        lines = result_lines(found(suspects=((PANDAS,),), needs=(NUMPY,)))
        assert lines[0] == "pandas 2.2.3 -> 2.3.0"
        assert lines[2] == "it alone, which needs numpy 2.0.2 -> 2.1.0: bad"

    def test_two_to_blame_are_told_apart(self) -> None:
        assert result_lines(found(alone="good"))[2] == "it alone: good; it only fails together with others that changed"
        assert result_lines(found(rest="bad"))[3] == (
            "all else that changed without it: bad; so there is another one to blame, too"
        )

    def test_a_single_change_has_nothing_to_confirm(self) -> None:
        assert len(result_lines(found(changes=(PANDAS,), suspects=((PANDAS,),)))) == 2

    def test_skips_leave_several_and_generations_between(self) -> None:
        lines = result_lines(found(suspects=((PANDAS, NUMPY), (CAME,)), between=(generation(16), generation(15))))
        assert lines[:3] == [
            "one of these, which could not be told apart:",
            "pandas 2.2.3 -> 2.3.0 (with numpy 2.0.2 -> 2.1.0)",
            "+pyarrow 17.0",
        ]
        assert lines[3].endswith("generation 16 is good, 16, 15 could not be judged")

    def test_two_environments_of_the_same_wheels_have_none_to_blame(self) -> None:
        assert result_lines(found(changes=(), suspects=()))[0].startswith("no wheel changed: ")

    def test_another_python_is_the_first_line(self) -> None:
        assert result_lines(found(pythons=("3.12.1", "3.13.0")))[0] == "Python 3.12.1 -> 3.13.0 (with 3 wheels)"


class TestTheSteps:
    def test_a_generation_is_told_with_what_is_known_of_it(self) -> None:
        assert attempt_text(attempt(generation=generation(12), left=9)) == (
            "generation 12 of 21 Nov 2025 10:02, branch main, a1b2c3d; one of 9"
        )
        assert (
            attempt_text(attempt(generation=generation(1, None, None), left=0)) == "generation 1 of 21 Nov 2025 10:02"
        )

    def test_a_mixture_is_told_by_what_it_takes(self) -> None:
        taken = (PANDAS, NUMPY, CAME, WENT, REBUILT)
        assert attempt_text(attempt(taken=taken)) == (
            "4 changes may be to blame; with pandas 2.2.3 -> 2.3.0, numpy 2.0.2 -> 2.1.0, +pyarrow 17.0, 2 more"
        )
        assert attempt_text(attempt(left=1)) == "to confirm; with pandas 2.2.3 -> 2.3.0"

    def test_the_outcome_is_told_with_its_exit_code(self) -> None:
        assert outcome_text(Tried(attempt(), "good", 0, 0.1)) == "good"
        assert outcome_text(Tried(attempt(), "bad", 3, 0.1)) == "bad (exit code 3)"
        gone = attempt(environment=None, problem=DaemonProblemError("it is gone", code="E_OFFLINE"))
        assert outcome_text(Tried(gone, "skipped", None, 0.0)) == "skipped (E_OFFLINE: it is gone)"


@pytest.mark.parametrize(
    ("at", "text"),
    [(NOW - 3600, "today 11:00"), (NOW - 86400, "yesterday 12:00"), (NOW - 3 * 86400, "27 Nov 12:00"),
     (LAST_YEAR, "21 Nov 2025 10:02")],
)  # fmt: skip
def test_a_moment_is_as_exact_as_it_is_near(at: float, text: str) -> None:
    assert moment_text(at, NOW) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (4.12, "4.1 s"), (190.4, "3 min 10 s"), (7500, "2 h 5 min")]
)
def test_waiting_is_told_in_the_units_of_waiting(seconds: float, text: str) -> None:
    assert waiting_text(seconds) == text


@pytest.mark.parametrize(
    ("branch", "why", "cause"),
    [("fix-ci", "change", "branch fix-ci, "), (None, "worktree", "a new worktree, "), (None, "change", "")],
)
def test_what_was_made_ahead_is_one_line(branch: str | None, why: str, cause: str) -> None:
    last = MadeAhead("/p", "e", branch, why, LAST_YEAR, 4.1, None)
    account = AheadAccount(made=12, used=9, saved_s=190.0, last=last)
    assert ahead_text(account, last) == (
        f"made ahead: 12 times this week, 3 min 10 s of waiting saved; last: {cause}4.1 s, 21 Nov 2025 10:02"
    )
