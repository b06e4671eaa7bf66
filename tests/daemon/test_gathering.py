"""Which roots come of what is known of projects."""

from dataclasses import replace
from pathlib import Path

import pytest

from storectl_daemon.collecting.facts import Facts, KnownFront, ProjectFacts
from storectl_daemon.collecting.gathering import DAY, GONE_DAYS, UNMOUNTED_DAYS, Keep, gather, stale_records
from storectl_daemon.jobs.options import DEFAULT_OPTIONS, Options
from storectl_daemon.projects.book import RecordedEnvironment
from storectl_store.collecting.inventory import Inventory, StoredEnvironment
from storectl_store.collecting.pins import KeptEnvironment
from storectl_store.collecting.roots import Root
from storectl_store.collecting.sightings import Absence
from storectl_store.digest import Digest, EnvironmentId
from storectl_store.projects.history import Generation
from storectl_store.projects.prefetched import Prefetched
from storectl_store.projects.recorded_environments import RecordedReady

NOW = 1_800_000_000.0
SITE = Path("/home/me/site")
KEEP = Keep(days=30, generations=2)
OVERLAY = Options(overlay="/state/overlays/0123/pylock.toml")
GROUP = Options(groups=frozenset({"docs"}))


def environment(number: int) -> EnvironmentId:
    return EnvironmentId(f"{number:032x}")


def wish(number: int, options: Options = DEFAULT_OPTIONS, *, days: float = 100) -> RecordedEnvironment:
    """The environment of these options, warmed so many days ago."""
    return RecordedEnvironment(
        options=options, lock_file=str(SITE / "uv.lock"), environment=environment(number), last_used=NOW - days * DAY
    )


def generation(number: int, *, days: float, key: str = "default", of: int | None = None) -> Generation:
    return Generation(
        number=number,
        at_ns=int((NOW - days * DAY) * 1e9),
        key=key,
        environment=environment(number if of is None else of),
        inputs="",
        branch=f"branch-{number}",
        commit=None,
        snapshot="",
    )


def there(*numbers: int, published: float = 100, used: float | None = None) -> Inventory:
    """Environments that were published, and used last, so many days ago."""
    at = NOW - published * DAY
    last = at if used is None else NOW - used * DAY
    return Inventory(
        environments={
            environment(number): StoredEnvironment(
                id=environment(number), digests=frozenset(), published=at, last_used=last
            )
            for number in numbers
        },
        entries={},
    )


def roots_of(project: ProjectFacts, inventory: Inventory | None = None, keep: Keep = KEEP) -> list[Root]:
    return gather(Facts(projects=(project,)), inventory or there(1, 2, 3, 4, 5), keep)


def kept(roots: list[Root]) -> set[int]:
    """The numbers of the environments that a root keeps now."""
    return {
        int(root.environment, 16) for root in roots if root.environment and (root.until is None or root.until > NOW)
    }


def the(roots: list[Root]) -> Root:
    (root,) = roots
    return root


def test_what_a_project_has_is_kept_as_long_as_its_folder_is_there_however_long_it_was_not_used() -> None:
    project = ProjectFacts(path=SITE, wishes=(wish(1), wish(2, GROUP), wish(3, Options(python="3.12"))))
    roots = roots_of(project)
    assert [root.until for root in roots] == [None] * 3
    assert [root.detail for root in roots] == [
        "uv.lock, current", "uv.lock, current, --group docs", "uv.lock, current, -p 3.12",
    ]  # fmt: skip
    assert {root.project for root in roots} == {SITE}


def test_what_a_record_names_is_kept_even_if_the_book_does_not_know_it() -> None:
    recorded = RecordedReady(key="default", environment=environment(1), at=NOW - 100 * DAY)
    assert kept(roots_of(ProjectFacts(path=SITE, recorded=(recorded,)))) == {1}
    assert kept(roots_of(ProjectFacts(path=SITE, recorded=(recorded,), wishes=(wish(2),)))) == {1, 2}


def test_one_environment_that_book_and_record_name_is_told_once() -> None:
    recorded = RecordedReady(key="default", environment=environment(1), at=NOW)
    assert len(roots_of(ProjectFacts(path=SITE, recorded=(recorded, recorded), wishes=(wish(1),)))) == 1


@pytest.mark.parametrize(("days", "is_kept"), [(29, True), (31, False)])
def test_what_was_run_with_packages_on_top_is_kept_for_some_days(days: float, *, is_kept: bool) -> None:
    roots = roots_of(ProjectFacts(path=SITE, wishes=(wish(1, OVERLAY, days=days),)))
    assert kept(roots) == ({1} if is_kept else set())
    assert "--with" in the(roots).detail


def test_a_program_that_was_started_there_counts_as_use() -> None:
    project = ProjectFacts(path=SITE, wishes=(wish(1, OVERLAY, days=100),))
    assert kept(roots_of(project, there(1, used=29))) == {1}
    assert kept(roots_of(project, there(1, used=31))) == set()


@pytest.mark.parametrize(("days", "is_kept"), [(29, True), (31, False)])
def test_a_tool_is_kept_for_some_days_and_a_named_environment_for_good(days: float, *, is_kept: bool) -> None:
    tool = ProjectFacts(path=Path("/state/tools/0123"), remembered=True, wishes=(wish(1, days=days),))
    assert kept(roots_of(tool)) == ({1} if is_kept else set())
    assert kept(roots_of(replace(tool, path=Path("/state/named/science"), remembered=False))) == {1}


def test_a_lock_file_that_is_gone_is_a_project_no_longer() -> None:
    script = Options(lock_file=str(SITE / "script.py.lock"))
    project = ProjectFacts(path=SITE, wishes=(wish(1, script, days=31),))
    assert kept(roots_of(project)) == {1}
    assert kept(roots_of(replace(project, lost_lock_files=frozenset({str(SITE / "script.py.lock")})))) == set()


def test_options_that_nobody_asks_for_any_more_are_stale_once_they_were_not_used_for_the_days() -> None:
    old = RecordedReady(key="0123", environment=environment(1), at=NOW - 31 * DAY)
    new = RecordedReady(key="4567", environment=environment(2), at=NOW - 29 * DAY)
    default = RecordedReady(key="default", environment=environment(3), at=NOW - 31 * DAY)
    asked = RecordedReady(key=GROUP.key, environment=environment(4), at=NOW - 31 * DAY)
    project = ProjectFacts(path=SITE, recorded=(old, new, default, asked), wishes=(wish(4, GROUP),))
    facts, inventory = Facts(projects=(project,)), there(1, 2, 3, 4)
    assert kept(gather(facts, inventory, KEEP)) == {2, 3, 4}
    assert stale_records(facts, inventory, KEEP, now=NOW) == {SITE: ["0123"]}


def test_the_last_generations_are_kept_however_old_and_others_for_some_days() -> None:
    generations = tuple(generation(number, days=days) for number, days in [(1, 90), (2, 29), (3, 60), (4, 50), (5, 40)])
    project = ProjectFacts(path=SITE, wishes=(wish(5),), generations=generations)
    assert kept(roots_of(project)) == {2, 4, 5}
    assert kept(roots_of(project, keep=Keep(days=0, generations=3))) == {3, 4, 5}


def test_a_generation_in_which_programs_still_run_is_kept_although_it_is_old() -> None:
    generations = tuple(generation(number, days=90 - number) for number in range(1, 6))
    project = ProjectFacts(path=SITE, generations=generations)
    assert kept(roots_of(project, there(1, 2, 3, 4, 5, used=29))) == {1, 2, 3, 4, 5}
    assert kept(roots_of(project, there(1, 2, 3, 4, 5, used=31))) == {4, 5}


def test_going_to_and_fro_between_two_branches_does_not_use_up_the_generations() -> None:
    to_and_fro = [generation(number, days=60 - number, of=4 + number % 2) for number in range(10, 20)]
    project = ProjectFacts(path=SITE, generations=(generation(3, days=90), *to_and_fro))
    assert kept(roots_of(project, keep=Keep(days=0, generations=3))) == {3, 4, 5}


def test_generations_of_options_that_were_asked_for_once_are_kept_for_some_days_only() -> None:
    with_packages = generation(1, days=31, key=OVERLAY.key)
    assert kept(roots_of(ProjectFacts(path=SITE, wishes=(wish(2, OVERLAY),), generations=(with_packages,)))) == set()
    tool = ProjectFacts(path=Path("/state/tools/01"), remembered=True, generations=(generation(1, days=31),))
    assert kept(roots_of(tool)) == set()


def test_a_generation_says_its_number_day_and_branch_and_what_is_current_says_the_branch() -> None:
    project = ProjectFacts(path=SITE, wishes=(wish(1),), generations=(generation(1, days=3),))
    current, past = roots_of(project)
    assert current.detail == "uv.lock, current, branch branch-1"
    assert past.detail.startswith("generation 1 of ")
    assert past.detail.endswith(" 2027, branch branch-1")


@pytest.mark.parametrize(("disk", "most"), [(False, GONE_DAYS), (True, UNMOUNTED_DAYS)])
def test_what_a_project_had_is_kept_for_a_while_after_its_folder_was_first_missed(most: float, *, disk: bool) -> None:
    def gone(days: float) -> set[int]:
        absence = Absence(since=NOW - days * DAY, disk=disk)
        project = ProjectFacts(
            path=SITE, wishes=(wish(1),), fronts=(), generations=(generation(2, days=1),), absence=absence
        )
        return kept(roots_of(project, keep=Keep(days=1000)))

    assert gone(most - 1) == {1, 2}
    assert gone(most + 1) == set()


def test_a_project_that_was_moved_keeps_what_its_programs_use() -> None:
    project = ProjectFacts(path=SITE, wishes=(wish(1),), absence=Absence(since=NOW - 100 * DAY, disk=False))
    assert kept(roots_of(project, there(1, used=13))) == {1}
    assert kept(roots_of(project, there(1, used=15))) == set()


def test_to_keep_nothing_for_long_does_not_touch_a_project_that_was_missed_a_moment_ago() -> None:
    project = ProjectFacts(path=SITE, wishes=(wish(1),), absence=Absence(since=NOW - DAY, disk=False))
    assert kept(roots_of(project, keep=Keep(days=0, generations=0))) == {1}


def test_a_linked_environment_and_a_pin_keep_what_they_show() -> None:
    front = KnownFront(path=SITE / ".venv", environment=environment(1))
    roots = roots_of(ProjectFacts(path=SITE, fronts=(front,)))
    assert [(root.kind, root.detail, root.until) for root in roots] == [("front", ".venv", None)]
    pin = KeptEnvironment(name="course", environment=environment(2), at_ns=0, project=SITE)
    roots = gather(Facts(pins=(pin,)), there(1, 2), KEEP)
    assert [(root.kind, root.detail, root.until) for root in roots] == [("pin", 'pin "course"', None)]


def test_an_environment_of_no_known_project_is_kept_while_programs_use_it() -> None:
    assert kept(gather(Facts(), there(1, used=13), KEEP)) == {1}
    assert kept(gather(Facts(), there(1, used=15), KEEP)) == set()
    assert kept(gather(Facts(), there(1, published=1), KEEP)) == set()  # published, and never used
    assert kept(gather(Facts(), there(1, used=13), Keep(days=0))) == set()


def test_a_branch_that_was_fetched_is_kept_for_a_week_and_what_was_fetched_of_it_if_there_is_no_environment() -> None:
    def fetched(days: float, made: EnvironmentId | None = None, digests: tuple[Digest, ...] = ()) -> list[Root]:
        at_ns = int((NOW - days * DAY) * 1e9)
        prefetched = Prefetched(at_ns=at_ns, environment=made, commit="c0ffee", ref="origin/x", digests=digests)
        return roots_of(ProjectFacts(path=SITE, prefetched=(prefetched,)))

    assert kept(fetched(6, environment(1))) == {1}
    assert kept(fetched(8, environment(1))) == set()
    (root,) = fetched(6, digests=(Digest("sha256:" + "0" * 64),))
    assert (root.kind, root.environment, root.digest) == ("prefetch", None, "sha256:" + "0" * 64)
    assert root.detail.startswith("origin/x, fetched ")
