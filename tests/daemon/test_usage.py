"""Who has what in a store, and how long a count may take."""

import asyncio
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from storectl_daemon.collecting.gathering import Keep
from storectl_daemon.collecting.shares import KINDS, NOBODY, entry_shares, shares
from storectl_daemon.collecting.users import users_of
from storectl_daemon.jobs.options import DEFAULT_OPTIONS
from storectl_daemon.projects.book import ProjectBook, RecordedEnvironment
from storectl_daemon.projects.fronts import Fronts
from storectl_daemon.serving.api import streams
from storectl_daemon.serving.api import usage as usage_api
from storectl_daemon.serving.api.entry_models import WorkingEvent
from storectl_daemon.serving.api.usage_models import Size, UsageEvent, UsageFailedEvent
from storectl_store.collecting.pins import KeptEnvironment, write_pin
from storectl_store.collecting.usage import Usage, read_usage
from storectl_store.digest import EnvironmentId
from storectl_store.disk.disk_size import sum_of
from storectl_store.entries.layout import StoreLayout
from storectl_store.errors import StoreError
from storectl_store.projects.history import Generation, append_generation
from support.environments import interpreters
from support.lived_in import WHEELS, lived_in
from support.stores import written_store

NOW = 1_800_000_000.0
DAY = 86400.0
NO_SIZE = Size(inodes=0, bytes=0)
ANSWER = UsageEvent(store="/s", by="age", exact=False, total=NO_SIZE, parts=(), left_over=NO_SIZE, beside=NO_SIZE)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Usage, dict[str, EnvironmentId]]:
    """Three environments: one of today, one of last week, one of last year. No environment shows gamma."""
    with lived_in(tmp_path_factory.mktemp("usage") / "store", interpreters()[0]) as place:
        ids = {
            "today": place.publish(WHEELS["alpha-2"], WHEELS["beta"]),
            "week": place.publish(WHEELS["alpha-1"], WHEELS["beta"]),
            "year": place.publish(WHEELS["delta"]),
        }
        usage = read_usage(place.written.store)
    known, ages = usage.inventory.environments, {"today": 0.1 * DAY, "week": 5 * DAY, "year": 300 * DAY}
    aged = {ids[name]: replace(known[ids[name]], last_used=NOW - age) for name, age in ages.items()}
    return replace(usage, inventory=replace(usage.inventory, environments=aged)), ids


def test_a_project_has_what_it_asked_for_what_is_recorded_and_what_it_may_go_back_to(tmp_path: Path) -> None:
    layout, ids = StoreLayout(tmp_path / "store"), [EnvironmentId(f"{n:032x}") for n in range(5)]
    left, right, broken = (tmp_path / name for name in ("left", "right", "broken"))
    book = ProjectBook(tmp_path / "projects.json")
    book.record(left, RecordedEnvironment(options=DEFAULT_OPTIONS, environment=ids[0]))
    book.record(broken, RecordedEnvironment(options=DEFAULT_OPTIONS, environment=ids[0]))
    for project, text in ((right, f"environment /x/{ids[1]}\n"), (broken, "nothing\n")):
        layout.project_record(project).mkdir(parents=True)
        (layout.project_record(project) / "ready.default").write_text(text)
    for at, environment in enumerate((ids[2], ids[3], ids[4], ids[1])):
        generation = Generation(
            number=0, at_ns=at, key="default", environment=environment, inputs="0" * 64, branch=None, commit=None,
            snapshot="0" * 64,
        )  # fmt: skip
        append_generation(layout, right, generation)
    write_pin(layout, KeptEnvironment(name="course", environment=ids[2], at_ns=1, project=left))
    keep = Keep(generations=3, days=1)
    assert users_of(layout, book, Fronts(layout), keep, now=10 * DAY) == {
        ids[0]: {str(left), str(broken)},
        ids[1]: {str(right)},
        ids[2]: {str(left)},
        ids[3]: {str(right)},
        ids[4]: {str(right)},
    }


def test_what_no_project_has_is_nobodys(made: tuple[Usage, dict[str, EnvironmentId]]) -> None:
    usage, ids = made
    users = {ids["today"]: frozenset({"/a", "/b"}), ids["week"]: frozenset({"/a"})}
    found = {share.name: share.account for share in shares(usage, "project", users, now=NOW)}
    assert {name: (account.environments, account.entries) for name, account in found.items()} == {
        "/a": (2, 3), "/b": (1, 2), NOBODY: (1, 2),  # delta, and gamma
    }  # fmt: skip
    assert found["/b"].own.inodes == 0
    assert found["/a"].own.bytes > 0


def test_ages_are_told_from_the_latest_to_what_nothing_shows(made: tuple[Usage, dict[str, EnvironmentId]]) -> None:
    usage, _ = made
    found = [(share.name, share.account.entries) for share in shares(usage, "age", {}, now=NOW)]
    assert found == [("1 day", 2), ("7 days", 2), ("older", 1), (NOBODY, 1)]


def test_packages_have_their_versions_and_projects(made: tuple[Usage, dict[str, EnvironmentId]]) -> None:
    usage, ids = made
    users = {ids["today"]: frozenset({"/b"}), ids["week"]: frozenset({"/a"})}
    found = {share.name: (share.versions, share.projects) for share in shares(usage, "package", users, now=NOW)}
    assert found["alpha"] == (("1.0", "2.0"), ("/a", "/b"))
    assert found["gamma"] == (("1.0",), ())


def test_the_shares_of_packages_and_of_entries_are_the_entries(made: tuple[Usage, dict[str, EnvironmentId]]) -> None:
    usage, _ = made
    entries = sum_of(entry.size for entry in entry_shares(usage, {}))
    folders = 4  # one for each name
    assert sum_of(share.account.full for share in shares(usage, "package", {}, now=NOW)).inodes == (
        entries.inodes + folders
    )
    sizes = [entry.size.bytes for entry in entry_shares(usage, {})]
    assert sizes == sorted(sizes, reverse=True)


def test_an_empty_store_has_no_shares(tmp_path: Path) -> None:
    with written_store(tmp_path / "store") as written:
        usage = read_usage(written.store)
    assert [shares(usage, by, {}, now=NOW) for by in KINDS] == [[]] * len(KINDS)


@pytest.mark.anyio
async def test_a_count_that_takes_long_is_told_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "WORKING_SECONDS", 0.001)
    told = threading.Event()

    def count() -> UsageEvent:
        assert told.wait(30)
        return ANSWER

    events = streams.alive(usage_api._counted(count, asyncio.Lock()), WorkingEvent)
    assert await anext(events) == WorkingEvent()
    told.set()
    assert [event async for event in events if event != WorkingEvent()] == [ANSWER]


@pytest.mark.anyio
async def test_a_store_that_cannot_be_counted_is_a_problem() -> None:
    def count() -> UsageEvent:
        raise StoreError("no such luck", hint="try again")

    (event,) = [event async for event in usage_api._counted(count, asyncio.Lock())]
    assert isinstance(event, UsageFailedEvent)
    assert event.problem.detail == "no such luck"
