"""Which of what is dead goes, how it is told, and what is forgotten with it."""

import errno
from pathlib import Path

import pytest
from packaging.utils import NormalizedName

from storectl_daemon.collecting import in_use
from storectl_daemon.collecting.choice import Candidates, candidates, chosen, environments_of
from storectl_daemon.collecting.ended import Ended, ended
from storectl_daemon.collecting.facts import Facts, ProjectFacts
from storectl_daemon.collecting.gathering import DAY, Keep
from storectl_daemon.collecting.in_use import UNUSED_S, Trust, leases_can_be_relied_on, roots_of_use
from storectl_daemon.collecting.report import Reporter, belongings
from storectl_daemon.collecting.survey import Survey
from storectl_daemon.jobs.options import Options
from storectl_daemon.projects.book import RecordedEnvironment
from storectl_store.collecting.belt import Process, Seen
from storectl_store.collecting.inventory import Inventory, StoredEnvironment
from storectl_store.collecting.leases import LeasedFile
from storectl_store.collecting.measuring import Measured, MeasuredEntry, MeasuredEnvironment
from storectl_store.collecting.sightings import Absence
from storectl_store.collecting.sweep import Spared, Swept
from storectl_store.digest import Digest, EnvironmentId, prefix_of
from storectl_store.disk.disk_size import NOTHING, DiskSize
from storectl_store.entries.store import Store
from storectl_store.projects.history import Generation

NOW = 1_800_000_000.0
SITE, TOOL = Path("/home/me/site"), Path("/state/tools/01")
KEEP = Keep(days=30, generations=1)
TOOL_OPTIONS = Options(extras=frozenset({"cli"}))


def environment(number: int) -> EnvironmentId:
    return EnvironmentId(f"{number:032x}")


def entry(number: int) -> Digest:
    return Digest(f"sha256:{number:032x}{0:032x}")


def generation(number: int, *, days: float, branch: str) -> Generation:
    return Generation(
        number=number, at_ns=int((NOW - days * DAY) * 1e9), key="default", environment=environment(number), inputs="",
        branch=branch, commit=None, snapshot="",
    )  # fmt: skip


GENERATIONS = (
    generation(1, days=50, branch="old"),
    generation(2, days=20, branch="newer"),
    generation(3, days=10, branch="newest"),
    generation(4, days=1, branch="main"),
)
"""Nothing keeps the first, the last has to stay, and the others are kept for some days."""


def wish(number: int, *, days: float) -> RecordedEnvironment:
    return RecordedEnvironment(options=TOOL_OPTIONS, environment=environment(number), last_used=NOW - days * DAY)


SITE_FACTS = ProjectFacts(path=SITE, generations=GENERATIONS)
TOOL_FACTS = ProjectFacts(path=TOOL, remembered=True, wishes=(wish(5, days=25),))


def survey(*projects: ProjectFacts) -> Survey:
    """Environments 1 to 5, each with an entry of its own and one that all have; 6 and its entry are nobody's."""
    environments = {
        environment(number): StoredEnvironment(
            id=environment(number), digests=frozenset({entry(number), entry(100)}), published=0, last_used=0
        )
        for number in range(1, 7)
    }
    entries = {entry(number): 0.0 for number in (*range(1, 7), 100, 200)}
    inventory = Inventory(environments=environments, entries=entries)
    return Survey(at=NOW, facts=Facts(projects=projects), inventory=inventory, busy=())


MEASURED = Measured(
    entries={
        entry(number): MeasuredEntry(
            name=NormalizedName(f"p{number}"), version="1", wheel=DiskSize(10, 1000), bytecode=NOTHING, records=NOTHING
        )
        for number in (*range(1, 7), 100, 200)
    },
    environments={environment(number): MeasuredEnvironment(own=DiskSize(5, 100), shared={}) for number in range(1, 7)},
    shared={},
    names={NormalizedName(f"p{number}"): 2 for number in (*range(1, 7), 100, 200)},  # there are others beside each
)


def found(*, pressed: bool = True, only: frozenset[EnvironmentId] | None = None) -> Candidates:
    return candidates(survey(SITE_FACTS, TOOL_FACTS), KEEP, grace=0, pressed=pressed, only=only)


def numbers(environments: tuple[EnvironmentId, ...]) -> list[int]:
    return [int(each, 16) for each in environments]


def test_what_nothing_keeps_goes_and_no_more() -> None:
    candidates = found(pressed=False)
    assert numbers(chosen(candidates, MEASURED, 0)) == [6, 1]
    assert candidates.entries_after(candidates.environments) == (entry(1), entry(6), entry(200))


@pytest.mark.parametrize(
    ("wanted", "gone"),
    [
        (0, [6, 1]),
        (3200, [6, 1]),  # two environments, their entries, and the entry of none
        (3201, [6, 1, 2]),
        (4301, [6, 1, 2, 3]),
        (5401, [6, 1, 2, 3, 5]),
        (10**9, [6, 1, 2, 3, 5]),
    ],
)
def test_for_a_size_what_is_kept_for_some_days_goes_too_the_oldest_first_and_no_more_than_has_to(
    wanted: int, gone: list[int]
) -> None:
    assert numbers(chosen(found(), MEASURED, wanted)) == gone


def test_if_one_project_is_named_only_what_it_had_goes() -> None:
    only = environments_of(survey(SITE_FACTS, TOOL_FACTS), SITE)
    candidates = found(pressed=False, only=only)
    assert numbers(candidates.environments) == [1]
    assert candidates.entries_after(candidates.environments) == (entry(1),)


def test_it_is_told_by_project_and_branch() -> None:
    candidates = found(pressed=False)
    reporter = Reporter(
        belongings=belongings(Facts(projects=(SITE_FACTS,))), marked=candidates.marked, measured=MEASURED, now=NOW
    )
    planned = reporter.planned(candidates.environments, candidates.entries_after(candidates.environments), ["note"])
    nobodys, old, unnamed = planned.groups
    assert (nobodys.project, nobodys.branch, [each.name for each in nobodys.entries]) == (None, None, ["p6"])
    assert (old.project, old.branch, [each.name for each in old.entries]) == (SITE, "old", ["p1"])
    assert (unnamed.environments, [each.name for each in unnamed.entries]) == ((), ["p200"])
    assert planned.size == DiskSize(40, 3200)
    assert planned.notes == ("note",)


def test_what_stayed_is_told_by_name_with_the_programs_that_use_it() -> None:
    candidates = found(pressed=False)
    reporter = Reporter(
        belongings=belongings(Facts(projects=(SITE_FACTS,))), marked=candidates.marked, measured=MEASURED, now=NOW
    )
    swept = Swept(
        environments=(environment(6),),
        spared={environment(1): Spared.SEEN, entry(1): Spared.NAMED},
        processes={environment(1): (Process(pid=4711, name="jupyter", started=NOW - 12 * DAY),)},
    )
    collected = reporter.collected([swept], wanted=101)
    assert (collected.environments, collected.size, collected.enough) == (1, DiskSize(5, 100), False)
    assert [(each.what, each.why) for each in collected.stayed] == [
        (f"environment {environment(1)} of {SITE} (branch old)",
         "a process was seen that uses it: process 4711 (jupyter, 12 days)"),
        ("p1 1", "an environment names it"),
    ]  # fmt: skip


def test_options_whose_environment_goes_are_forgotten_and_a_tool_with_all_that_it_had() -> None:
    site = ProjectFacts(path=SITE, wishes=(wish(1, days=50), wish(2, days=50)))
    roots = survey(site, TOOL_FACTS).roots(KEEP)
    going = [environment(1), environment(5)]
    assert ended([site, TOOL_FACTS], roots, going, now=NOW) == Ended(projects=(TOOL,), wishes=((SITE, TOOL_OPTIONS),))
    assert ended([site, TOOL_FACTS], roots, [], now=NOW) == Ended()


@pytest.mark.parametrize(("days", "ends"), [(13, False), (15, True)])
def test_a_project_is_forgotten_when_nothing_of_it_is_kept_any_more(days: float, *, ends: bool) -> None:
    absence = Absence(since=NOW - days * DAY, disk=False)
    gone = ProjectFacts(path=SITE, wishes=(wish(1, days=50),), absence=absence)
    assert ended([gone], survey(gone).roots(KEEP), [], now=NOW).projects == ((SITE,) if ends else ())


def used(trust: Trust, seen: Seen | None = None, *, is_open: int = 0) -> dict[str, float | None]:
    """What is in use, by environment or digest, and until when."""
    roots = roots_of_use(survey().inventory, trust, seen or Seen(), lambda each: each == environment(is_open), now=NOW)
    return {root.environment or root.digest or "": root.until for root in roots}


def test_what_a_program_has_open_and_what_processes_name_is_in_use() -> None:
    process = Process(pid=1, name="python", started=NOW)
    seen = Seen(environments={environment(2): (process,)}, entries={f"p3/{prefix_of(entry(3))}": (process,)})
    assert used(Trust(), seen, is_open=1) == {environment(1): None, environment(2): None, entry(3): None}


def test_without_leases_every_environment_counts_as_used_unless_a_person_says_otherwise() -> None:
    assert used(Trust(leases=False)) == {environment(number): None for number in range(1, 7)}
    assert used(Trust(leases=False, without=True)) == {environment(number): UNUSED_S for number in range(1, 7)}


@pytest.mark.parametrize("works", [True, False])
def test_leases_are_tried_on_a_file_of_the_store_if_there_is_no_room_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, works: bool
) -> None:
    def refuse(_folder: Path) -> bool:
        raise OSError(errno.ENOSPC, "No space left on device")

    layout = Store.open(tmp_path / "store").layout
    monkeypatch.setattr(in_use, "leases_work", refuse)
    if not works:
        monkeypatch.setattr(in_use, "try_write_lease", lambda _file: LeasedFile(-1))
    assert leases_can_be_relied_on(layout) is works
