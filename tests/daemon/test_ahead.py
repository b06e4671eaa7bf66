"""The account of what was made ahead: what counts, what is told, and what is left of it after a restart."""

import asyncio
import os
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from storectl_daemon.jobs.options import Job
from storectl_daemon.projects.ahead import (
    AHEAD_FORMAT,
    MOST_KEPT,
    WEEK_S,
    Account,
    Ahead,
    MadeAhead,
    Why,
    line_about,
    uses,
)
from storectl_daemon.warming.unasked import tell_when
from storectl_store.digest import EnvironmentId
from storectl_store.entries.layout import StoreLayout
from support.golden import check_golden

SITE, OTHER = Path("/home/ada/site"), Path("/home/ada/other")
NOON = time.mktime((2026, 11, 30, 12, 0, 0, 0, 0, -1))
DAY_S = 24 * 3600.0
AT = 1_700_000_000.5


def made(
    environment: str = "e1",
    *,
    project: Path = SITE,
    at: float = NOON,
    seconds: float = 4.0,
    why: Why = "change",
    branch: str | None = "fix-ci",
) -> MadeAhead:
    return MadeAhead(
        project=project, environment=EnvironmentId(environment), branch=branch, why=why, at=at, seconds=seconds
    )


class Kept:
    """An account a minute past noon, and when environments were used."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.used: dict[str, float] = {}
        self.asked: list[str] = []
        self.ahead = self.again()

    def again(self) -> Ahead:
        return Ahead(self.file, uses=self._uses, clock=lambda: NOON + 60)

    def account(self, project: Path | None = None) -> Account:
        asyncio.run(self.look())
        return self.ahead.account(project)

    async def look(self) -> None:
        await self.ahead.look()
        await self.ahead.written()

    def _uses(self, environments: Iterable[EnvironmentId]) -> dict[EnvironmentId, float]:
        self.asked = sorted(environments)
        return {each: self.used[each] for each in self.asked if each in self.used}  # type: ignore[misc]


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "ahead.json")


class TestTheAccount:
    def test_waiting_is_saved_only_if_a_program_started_there_afterwards(self, kept: Kept) -> None:
        kept.ahead.made(made("e1", seconds=4.0))
        kept.ahead.made(made("e2", seconds=2.5))
        kept.used |= {"e1": NOON - 1, "e2": NOON + 1}
        account = kept.account()
        assert (account.made, account.used, account.saved) == (2, 1, 2.5)
        assert account.last == replace(made("e2", seconds=2.5), used=NOON + 1)

    def test_a_second_program_saves_nothing_more_and_nothing_is_looked_at_again(self, kept: Kept) -> None:
        kept.ahead.made(made("e1"))
        kept.used["e1"] = NOON + 1
        assert kept.account().saved == 4.0
        kept.ahead.made(made("e2"))
        assert kept.account().saved == 4.0
        assert kept.asked == ["e2"]

    def test_what_was_fetched_and_then_checked_out_counts_once_with_the_time_of_both(self, kept: Kept) -> None:
        kept.ahead.made(made("e1", seconds=9.0, why="fetch", branch="origin/fix-ci"))
        kept.ahead.made(made("e1", seconds=0.2, why="change", branch="fix-ci"))
        kept.used["e1"] = NOON + 1
        account = kept.account()
        assert (account.made, round(account.saved, 3)) == (1, 9.2)
        assert account.last is not None
        assert (account.last.why, account.last.branch) == ("fetch", "fix-ci")

    def test_an_environment_that_two_projects_share_was_used_by_both(self, kept: Kept) -> None:
        kept.ahead.made(made("e1"))
        kept.ahead.made(made("e1", project=OTHER, seconds=0.5))
        kept.used["e1"] = NOON + 1
        assert kept.account().saved == 4.5
        assert kept.account(OTHER).saved == 0.5

    def test_it_is_of_one_week_and_bounded(self, kept: Kept) -> None:
        kept.ahead.made(made("old", at=NOON - WEEK_S))
        assert kept.account() == Account(made=0, used=0, saved=0.0, last=None)
        for number in range(MOST_KEPT + 50):
            kept.ahead.made(made(f"e{number}"))
        assert kept.account().made == MOST_KEPT

    def test_a_project_that_is_forgotten_leaves_it(self, kept: Kept) -> None:
        kept.ahead.made(made("e1"))
        kept.ahead.made(made("e2", project=OTHER))
        kept.ahead.forget(SITE)
        assert kept.account().made == 1
        assert kept.account(SITE).made == 0

    def test_the_last_read_of_the_leased_file_is_the_last_use(self, tmp_path: Path) -> None:
        layout = StoreLayout(tmp_path)
        file = layout.environment(EnvironmentId("e1")) / "pyvenv.cfg"
        file.parent.mkdir(parents=True)
        file.touch()
        os.utime(file, (NOON, NOON - DAY_S))
        assert uses(layout, [EnvironmentId("e1"), EnvironmentId("gone")]) == {"e1": NOON}


class TestWhatIsKept:
    def test_its_form_is_the_golden_one(self, kept: Kept) -> None:
        kept.ahead = Ahead(kept.file, uses=lambda _: {EnvironmentId("e1"): 1_700_000_100.25}, clock=lambda: AT)
        kept.ahead.made(made("e1", at=AT, branch="späť"))
        asyncio.run(kept.look())
        kept.ahead.made(made("e2", at=AT + 60, branch=None, why="worktree", project=OTHER), tell="daily")
        check_golden(f"ahead.v{AHEAD_FORMAT}.json", kept.file.read_bytes())
        before = kept.ahead.account()
        assert (before.made, before.used) == (2, 1)
        kept.ahead = Ahead(kept.file, uses=lambda _: {}, clock=lambda: AT)
        assert kept.ahead.account() == before

    def test_it_outlives_a_restart(self, kept: Kept) -> None:
        kept.ahead.made(made("e1", branch="sch\udcf6n"))
        kept.ahead.made(made("e2", branch=None, why="worktree"))
        kept.used["e2"] = NOON + 1
        before = kept.account()
        kept.ahead = kept.again()
        assert kept.account() == before
        kept.used["e1"] = NOON + 2
        assert kept.account().used == 2

    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 9}', b'{"format": 1, "told": 0, "made": [1]}'])
    def test_a_damaged_one_begins_anew(self, kept: Kept, content: bytes) -> None:
        kept.file.write_bytes(content)
        kept.ahead = kept.again()
        assert kept.account().made == 0
        kept.ahead.made(made())
        kept.ahead = kept.again()
        assert kept.account().made == 1


class TestWhatIsTold:
    def test_it_is_told_until_it_is_where_a_program_finds_it(self, kept: Kept) -> None:
        kept.ahead.made(made(), tell="daily")
        assert kept.ahead.told_by(SITE) == "this was ready before you asked (branch fix-ci): 4.0 s of waiting saved"
        assert kept.ahead.told_by(OTHER) is None
        kept.ahead.is_told(SITE)
        assert kept.ahead.told_by(SITE) is None

    def test_once_a_day_for_all_projects_also_after_a_restart(self, kept: Kept) -> None:
        kept.ahead.made(made(), tell="daily")
        kept.ahead.is_told(SITE)
        kept.ahead.made(made("e2", project=OTHER), tell="daily")
        assert kept.ahead.told_by(OTHER) is None
        again = kept.again()
        again.made(made("e3"), tell="daily")
        assert again.told_by(SITE) is None
        again.made(made("e4", at=NOON + DAY_S), tell="daily")
        assert again.told_by(SITE) is not None

    def test_what_nobody_could_hear_yet_may_be_told_of_a_later_one(self, kept: Kept) -> None:
        kept.ahead.made(made("e1"), tell="daily")
        kept.ahead.made(made("e2", branch="other"), tell="daily")
        assert kept.ahead.told_by(SITE) == line_about(made("e2", branch="other"))

    def test_a_moment_is_not_worth_a_line(self, kept: Kept) -> None:
        kept.ahead.made(made(seconds=0.9), tell="daily")
        assert kept.ahead.told_by(SITE) is None

    def test_a_user_may_hear_of_all_of_it_or_of_nothing(self, kept: Kept) -> None:
        kept.ahead.made(made("e1", seconds=0.1), tell="always")
        assert kept.ahead.told_by(SITE) is not None
        kept.ahead.made(made("e2"), tell="never")
        assert kept.ahead.told_by(SITE) is None

    def test_what_the_next_program_does_not_start_in_leaves_the_line_as_it_is(self, kept: Kept) -> None:
        """Such as the environment of other options, or of a branch that was fetched."""
        kept.ahead.made(made("e1"), tell="daily")
        kept.ahead.made(made("e2"))
        assert kept.ahead.told_by(SITE) == line_about(made("e1"))

    def test_the_cause_is_told_if_it_is_known(self) -> None:
        assert line_about(made(branch=None)) == "this was ready before you asked: 4.0 s of waiting saved"
        assert "(branch x, fetched ahead)" in line_about(made(branch="x", why="fetch"))
        assert "(a new worktree)" in line_about(made(branch=None, why="worktree"))


class TestHowOftenItIsTold:
    def job(self, tmp_path: Path, **variables: str) -> Job:
        return Job(project=SITE, environ={"HOME": str(tmp_path), **variables})

    @pytest.mark.parametrize(
        ("said", "when"), [("never", "never"), ("0", "never"), ("Off", "never"), ("always", "always"), ("", "daily")]
    )
    def test_a_variable_of_the_last_command_says_it(self, tmp_path: Path, said: str, when: str) -> None:
        assert tell_when(self.job(tmp_path, STORECTL_TELL=said)) == when

    @pytest.mark.parametrize(
        ("written", "when"), [("false", "never"), ('"never"', "never"), ('"always"', "always"), ("true", "daily")]
    )
    def test_so_do_the_settings_if_the_variable_does_not(self, tmp_path: Path, written: str, when: str) -> None:
        settings = tmp_path / ".config/storectl/config.toml"
        settings.parent.mkdir(parents=True)
        settings.write_text(f"tell = {written}\n")
        assert tell_when(self.job(tmp_path)) == when
        assert tell_when(self.job(tmp_path, STORECTL_TELL="always")) == "always"

    def test_settings_that_cannot_be_read_say_nothing(self, tmp_path: Path) -> None:
        settings = tmp_path / ".config/storectl/config.toml"
        settings.parent.mkdir(parents=True)
        settings.write_text("tell = [")
        assert tell_when(self.job(tmp_path)) == "daily"
