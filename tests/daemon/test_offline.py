"""A store of many users is counted and collected without a daemon."""

import os
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from storectl_daemon.collecting.report import Collected, Planned, Told
from storectl_daemon.offline.collect import Order, collect
from storectl_daemon.offline.usage import count, group_name, user_name
from storectl_store.collecting.belt import Seen
from storectl_store.collecting.guards import Guards
from storectl_store.collecting.inventory import named_by
from storectl_store.collecting.node_roots import KEPT_UNSEEN, NodeRoot, read_roots, write_root
from storectl_store.collecting.pins import KeptEnvironment, write_pin
from storectl_store.digest import Digest, EnvironmentId
from storectl_store.disk.disk_size import DiskSize
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.read_only import ReadOnlyStore
from storectl_store.errors import StoreBusyError, StoreError, StoreFormatError
from support.collected import aged, published
from support.lived_in import walked
from support.stores import digest, run_python, written_store
from support.wheels import WheelBytes, make_wheel

ONE, TWO, THREE, FOUR = (
    make_wheel(name, files={f"{name}.py": name * 9000}) for name in ("one", "two", "three", "four")
)
NOBODY_RUNS = Guards(seen=lambda _store: Seen())
DAY = 24 * 3600.0


def root_of(layout: StoreLayout, uid: int, environment: str, wheels: Iterable[WheelBytes], *, age: float = 0.0) -> None:
    write_root(
        layout,
        NodeRoot(
            uid=uid,
            environment=EnvironmentId(environment),
            project=f"project {uid}",
            seen=int(time.time() - age),
            digests=frozenset(map(digest, wheels)),
        ),
    )


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with an environment of ``ONE``, one of both ``ONE`` and ``TWO``, and the entries ``THREE``, ``FOUR``."""
    with written_store(tmp_path / "store") as written:
        published(written, ONE)
        published(written, ONE, TWO)
        written.commit(THREE, FOUR)
    layout = StoreLayout(tmp_path / "store")
    aged([*layout.environments.iterdir(), *layout.environments.glob("*/pyvenv.cfg")], time.time() - 100 * DAY)
    return layout.root


def environments(store: Path) -> dict[str, frozenset[Digest]]:
    return {folder.name: _named(folder) for folder in StoreLayout(store).environments.iterdir()}


def _named(folder: Path) -> frozenset[Digest]:
    found = named_by(folder)
    assert found is not None
    return found


def environment_of(store: Path, *wheels: WheelBytes) -> str:
    return next(name for name, named in environments(store).items() if named == frozenset(map(digest, wheels)))


def entries(store: Path) -> set[Digest]:
    return set(ReadOnlyStore.open(store).digests())


def done(store: Path, **asked: object) -> tuple[Planned, Collected]:
    order = Order(**{"keep_days": 0.0, "grace": 0.0, **asked})  # type: ignore[arg-type]
    told: list[Told] = list(collect(store, order, guards=NOBODY_RUNS))
    planned, collected = told
    assert isinstance(planned, Planned)
    assert isinstance(collected, Collected)
    return planned, collected


def generation(store: Path) -> bytes | None:
    path = StoreLayout(store).generation
    return path.read_bytes() if path.exists() else None


def test_what_a_root_of_any_user_keeps_stays_and_the_rest_goes(store: Path) -> None:
    layout, first = StoreLayout(store), environment_of(store, ONE)
    root_of(layout, 1000, first, [ONE])
    root_of(layout, 1001, "e" * 32, [THREE])  # an environment in a store of the user's own
    said, went = done(store)
    assert environments(store).keys() == {first}
    assert entries(store) == {digest(ONE), digest(THREE)}
    assert (went.environments, went.entries) == (said.environments, said.entries) == (1, 2)
    assert os.listdir(layout.trash) == []
    assert generation(store) is not None


def test_nothing_went_so_the_generation_stays(store: Path) -> None:
    layout = StoreLayout(store)
    root_of(layout, 1000, environment_of(store, ONE, TWO), [ONE, TWO, THREE, FOUR])
    root_of(layout, 1000, environment_of(store, ONE), [ONE])
    done(store)
    assert generation(store) is None
    layout.node_root(1000, EnvironmentId(environment_of(store, ONE))).unlink()
    done(store)
    first = generation(store)
    assert first is not None
    done(store)
    assert generation(store) == first
    layout.node_root(1000, EnvironmentId(environment_of(store, ONE, TWO))).unlink()
    done(store)
    assert generation(store) not in {None, first}


def test_a_root_that_nobody_has_renewed_for_90_days_ends_and_goes(store: Path) -> None:
    layout = StoreLayout(store)
    first, second = environment_of(store, ONE), environment_of(store, ONE, TWO)
    root_of(layout, 1000, first, [ONE], age=KEPT_UNSEEN - DAY)
    root_of(layout, 1001, second, [ONE, TWO], age=KEPT_UNSEEN + 1)
    done(store, dry_run=True)
    assert len(read_roots(layout).roots) == 2
    done(store)
    assert environments(store).keys() == {first}
    assert [root.uid for root in read_roots(layout).roots] == [1000]


def test_what_was_made_or_used_within_the_days_stays_whether_anything_keeps_it_or_not(store: Path) -> None:
    _, went = done(store, keep_days=101.0)
    assert (went.environments, went.entries) == (0, 2)
    assert len(environments(store)) == 2
    _, went = done(store, keep_days=99.0)
    assert went.environments == 2
    assert entries(store) == set()


def test_a_pin_of_an_administrator_stays(store: Path) -> None:
    kept = EnvironmentId(environment_of(store, ONE))
    write_pin(StoreLayout(store), KeptEnvironment(name="module", environment=kept, at_ns=1, project=Path("/p")))
    done(store)
    assert environments(store).keys() == {kept}


def test_what_is_published_just_now_stays(store: Path) -> None:
    _, went = done(store, grace=3600.0)
    assert went.entries == 0  # they are new; the environments are not


def test_a_dry_run_takes_nothing_and_says_what_would_go(store: Path) -> None:
    before = environments(store), entries(store)
    said, went = done(store, dry_run=True)
    assert (environments(store), entries(store)) == before
    assert (said.environments, said.entries) == (2, 4)
    assert (went.environments, went.entries) == (0, 0)
    assert generation(store) is None


def test_what_is_said_to_go_is_what_goes(store: Path) -> None:
    layout = StoreLayout(store)
    root_of(layout, 1000, environment_of(store, ONE), [ONE])
    done(store, dry_run=True)
    without = ("index.db", "index.db-wal", "index.db-shm", "GENERATION", "sightings.json")
    before = walked(store, without=without)
    said, went = done(store)
    freed = before - walked(store, without=without)
    assert went.size == said.size
    assert freed.inodes == went.size.inodes
    assert freed.bytes == pytest.approx(went.size.bytes, rel=0.01)


def test_a_root_that_nobody_understands_stops_the_collect(store: Path) -> None:
    layout = StoreLayout(store)
    root_of(layout, 1000, environment_of(store, ONE), [ONE])
    layout.node_root(1000, EnvironmentId("a" * 32)).write_bytes(b"torn")
    with pytest.raises(StoreError, match="a" * 32):
        done(store)
    assert len(environments(store)) == 2


def test_a_store_that_a_daemon_serves_or_that_is_none_is_left_alone(store: Path, tmp_path: Path) -> None:
    with written_store(store), pytest.raises(StoreBusyError):
        done(store)
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreFormatError):
        done(tmp_path / "empty")
    assert os.listdir(tmp_path / "empty") == []


@pytest.mark.system
@pytest.mark.skipif(os.geteuid() != 0, reason="gives the store to another account")
def test_a_store_of_another_account_is_left_alone(store: Path) -> None:
    os.chown(store, 4711, -1)
    with pytest.raises(StoreError, match="uid 4711") as caught:
        done(store)
    assert "setpriv --reuid 4711" in (caught.value.hint or "")
    assert len(environments(store)) == 2


def test_under_pressure_who_is_over_the_limit_gives_way(store: Path) -> None:
    layout = StoreLayout(store)
    first, second = environment_of(store, ONE), environment_of(store, ONE, TWO)
    root_of(layout, 1000, first, [ONE])
    root_of(layout, 1001, second, [ONE, TWO])
    root_of(layout, 1002, "e" * 32, [FOUR])
    limits = {1000: DiskSize(1000, 10**9), 1001: DiskSize(1, 4096), 1002: DiskSize(1000, 10**9)}
    done(store, max_size=10**12, limits=limits)
    assert len(environments(store)) == 2  # there is room
    assert entries(store) == {digest(ONE), digest(TWO), digest(FOUR)}
    _, went = done(store, max_size=1, limits=limits)
    assert environments(store).keys() == {first}
    assert entries(store) == {digest(ONE), digest(FOUR)}
    assert not went.enough  # what is within its limit stays all the same
    assert {root.uid for root in read_roots(layout).roots} == {1000, 1002}


@pytest.mark.parametrize("by", ["user", "group", "project"])
def test_the_store_by_those_who_keep_it(store: Path, by: str) -> None:
    layout = StoreLayout(store)
    root_of(layout, 0, environment_of(store, ONE), [ONE])
    root_of(layout, 54321, environment_of(store, ONE, TWO), [ONE, TWO])
    root_of(layout, 54321, "e" * 32, [FOUR], age=KEPT_UNSEEN + 1)
    before = walked(store)
    usage = count(store, by, exact=True)  # type: ignore[arg-type]
    assert walked(store) == before
    names = {
        "user": {user_name(0), "54321", ""},
        "group": {group_name(0), "uid 54321", ""},
        "project": {"project 0", "project 54321", ""},
    }
    assert {share.name for share in usage.shares} == names[by]
    assert sum(share.share.bytes for share in usage.shares) + usage.beside.bytes == usage.total.bytes
    assert usage.total.inodes == before.inodes
    nobodys = next(share for share in usage.shares if not share.name)
    assert nobodys.own.bytes > 0  # three, and four, whose root has ended


def test_a_store_without_users_is_counted_by_what_is_recorded(store: Path) -> None:
    assert [share.name for share in count(store, "project", exact=False).shares] == [""]
    assert len(count(store, "entry", exact=False).entries) == 4
    with pytest.raises(StoreError, match="nobody has a root"):
        count(store, "user", exact=False)


# Makes a store in argv[1] with a root of a user. Then, for every call by which a collect changes the disk, it has a
# child collect a copy of that store and kill itself before that call, collects the copy again, and looks at all of it.
# Of the calls that empty the trash, it takes every tenth.
KILL_AT_EVERY_CALL = """
import itertools, json, os, shutil, signal, sys, time
from pathlib import Path
from storectl_daemon.offline import collect as offline
from storectl_store.collecting.belt import Seen
from storectl_store.collecting.guards import Guards
from storectl_store.collecting.node_roots import NodeRoot, write_root
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.trash import delete_tree
from storectl_store.digest import EnvironmentId, digest_of_hex
from support.collected import broken, made_store

CHANGING = ("rename", "replace", "unlink", "remove", "rmdir", "chmod", "fchmod", "mkdir", "fsync", "link", "symlink")
root, whole = Path(sys.argv[1], "store"), Path(sys.argv[1], "whole")
live = made_store(root)
layout = StoreLayout(root)
for uid, environment, seen in ((7, live, time.time()), (8, "e" * 32, 5)):
    write_root(layout, NodeRoot(uid=uid, environment=EnvironmentId(environment), project="p", seen=int(seen),
                                digests=frozenset([digest_of_hex("0" * 64)])))
before = set(os.listdir(layout.environments))
entries = {name for name in os.listdir(layout.meta) if name.count(".") == 1}
root.rename(whole)
emptying = []
empty = offline.empty_trash

def emptied(layout):
    emptying.append(itertools.count())
    empty(layout)
    emptying.clear()

offline.empty_trash = emptied

def collect():
    order = offline.Order(keep_days=0.0, grace=0.0)
    return list(offline.collect(root, order, guards=Guards(seen=lambda _store: Seen())))[-1]

def count_calls(last):
    calls = itertools.count(1)
    def counted(call):
        def changing(*arguments, **options):
            if not (emptying and next(emptying[0]) % 10) and next(calls) == last:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **options)
        return changing
    for name in CHANGING:
        setattr(os, name, counted(getattr(os, name)))

def killed_at(last):
    child = os.fork()
    if not child:
        count_calls(last)
        collect()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def generation():
    return layout.generation.read_bytes() if layout.generation.exists() else None

def went():
    return before != set(os.listdir(layout.environments)) or not entries <= set(os.listdir(layout.meta))

told = {"killed": 0, "untold": 0, "problems": []}
ends = []
for last in itertools.count(1):
    shutil.copytree(whole, root, symlinks=True)
    code = killed_at(last)
    told["killed"] += code == -signal.SIGKILL
    told["untold"] += went() and generation() is None
    collect()
    if went() and generation() is None:
        told["problems"].append(f"{last}: something went, and the generation is the old one")
    told["problems"] += [f"{last}: {problem}" for problem in broken(root, live)]
    ends.append([sorted(os.listdir(folder)) for folder in
                 (layout.environments, layout.meta, layout.trash, layout.roots / "7", layout.roots / "8")])
    delete_tree(root)
    if code == 0:
        break
told["ends alike"] = all(end == ends[0] for end in ends) and ends[0][0] == [live] and ends[0][3:] == [[live], []]
print(json.dumps(told))
"""


def test_a_collect_that_is_killed_at_any_call_is_ended_by_the_next_and_tells_the_others(tmp_path: Path) -> None:
    told = run_python(KILL_AT_EVERY_CALL, str(tmp_path))
    assert told["problems"] == []
    assert told["ends alike"]
    assert told["killed"] > 50
    assert told["untold"] > 5  # if not, no kill came between what went and the new generation, and this shows nothing
