"""``python -m benchmarks.many_users WHEELS``: 100 users, 20 projects, three days in fast time; one store for all of them.

On the level of roots and entries: no daemon is asked. The wheels are real and small, from the folder. A project has a
lock file a day, which changes three of its wheels; a user has some projects, and pulls each of them on some days. What
the user has now is a root; what it had before is none any more, and each night the store is collected.

Beside it are 100 stores of the users' own. What they take is computed: all that a user reaches, and what an empty store
takes. Of some users the own store is really made and measured, to see whether that is right.

Checked each night: all shares, nobody's and what is beside are the store as a walk measures it, within 0.1 %; and what
a collect frees without one user is that user's ``own``, inode by inode and byte by byte, in a copy of the store.
"""

import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from packaging.utils import parse_wheel_filename

from storectl_daemon.offline.collect import Order, collect
from storectl_store.collecting.belt import Seen
from storectl_store.collecting.guards import Guards
from storectl_store.collecting.node_accounts import NodeAccounts, node_accounts
from storectl_store.collecting.node_roots import NodeRoot, read_roots, remove_root, write_root
from storectl_store.collecting.usage import Usage, read_usage
from storectl_store.digest import Digest, EnvironmentId
from storectl_store.disk.disk_size import DiskSize, sum_of
from storectl_store.entries.bytecode.compile import compile_entries
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.read_only import ReadOnlyStore
from storectl_store.entries.trash import delete_tree
from storectl_store.environments.publish import publish_environment
from support.environments import ask_interpreter, plan_of
from support.lived_in import walked
from support.stores import digest, written_store
from support.wheels import WheelBytes

USERS, PROJECTS, DAYS = 100, 20, 3
FIRST_UID = 20_000
LARGEST = 60_000  # bytes of a wheel
POOL = 80  # wheels
PULLS = 0.8
SAMPLED = 4
NOBODY_RUNS = Guards(seen=lambda _store: Seen())
VARYING = ("index.db", "index.db-wal", "index.db-shm", "sightings.json", "GENERATION", "roots")
"""At the top of a store: what grows with other things than entries and environments."""


def small_wheels(folder: Path) -> list[WheelBytes]:
    """The largest of the small wheels of pure Python in this folder, one of each name."""
    found = [path for path in folder.glob("*-none-any.whl") if path.stat().st_size <= LARGEST]
    return [_read(path) for path in sorted(found, key=lambda path: (-path.stat().st_size, path.name))[:POOL]]


def _read(path: Path) -> WheelBytes:
    name, version, _, _ = parse_wheel_filename(path.name)
    return WheelBytes(name=name, version=str(version), filename=path.name, data=path.read_bytes())


@dataclass(kw_only=True)
class Life:
    """What users do. ``locked`` are the wheels of each project, by day; ``members`` the projects of each user."""

    wheels: Sequence[WheelBytes]
    choice: random.Random = field(default_factory=lambda: random.Random(20))
    locked: list[list[list[WheelBytes]]] = field(default_factory=list)
    members: dict[int, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for _ in range(PROJECTS):
            now = self.choice.sample(self.wheels, self.choice.randint(12, 30))
            days = [now]
            for _ in range(DAYS - 1):
                others = [wheel for wheel in self.wheels if wheel not in now]
                now = [*now[3:], *self.choice.sample(others, 3)]
                self.choice.shuffle(now)
                days.append(now)
            self.locked.append(days)
        weights = [1 / (place + 1) for place in range(PROJECTS)]  # few projects have most of the users
        for uid in range(FIRST_UID, FIRST_UID + USERS):
            chosen = self.choice.choices(range(PROJECTS), weights, k=self.choice.randint(1, 5))
            self.members[uid] = sorted(set(chosen))

    def day(self, day: int) -> Iterator[tuple[int, int]]:
        """Who pulls which project on this day."""
        for uid, projects in self.members.items():
            for project in projects:
                if day == 0 or self.choice.random() < PULLS:
                    yield uid, project


class OneStore:
    """The store of all."""

    def __init__(self, root: Path) -> None:
        self.layout = StoreLayout(root)
        self.interpreter = ask_interpreter(sys.executable)
        self.has: dict[tuple[int, int], EnvironmentId] = {}

    def work(self, life: Life, day: int) -> tuple[int, int]:
        """The day of all users. Returns how many warms there were, and how many wheels had to be unpacked."""
        asked = list(life.day(day))
        with written_store(self.layout.root) as written:
            made = {}
            unpacked = 0
            for project in sorted({project for _, project in asked}):
                wheels = life.locked[project][day]
                missing = [wheel for wheel in wheels if not written.store.has(digest(wheel))]
                unpacked += len(missing)
                if missing:
                    written.commit(*missing)
                    new = list(written.store.readable(map(digest, missing)))
                    compile_entries(self.layout, new, self.interpreter, processes=2, tmp=written.writer.session)
                manifests = list(written.store.readable(map(digest, wheels)))
                plan = plan_of(manifests, self.interpreter, self.layout)
                made[project] = EnvironmentId(publish_environment(written.store, plan).name)
        for uid, project in asked:
            self._root(uid, project, made[project], frozenset(map(digest, life.locked[project][day])))
        return len(asked), unpacked

    def _root(self, uid: int, project: int, environment: EnvironmentId, digests: frozenset[Digest]) -> None:
        before = self.has.get((uid, project))
        seen = int(time.time())
        write_root(
            self.layout,
            NodeRoot(uid=uid, environment=environment, project=f"project-{project}", seen=seen, digests=digests),
        )
        self.has[uid, project] = environment
        if before not in (None, environment) and before not in self._all_of(uid):
            assert before is not None
            remove_root(self.layout, uid, before)

    def _all_of(self, uid: int) -> set[EnvironmentId]:
        return {environment for (other, _), environment in self.has.items() if other == uid}


def night(root: Path) -> None:
    """Collect the store."""
    list(collect(root, Order(keep_days=0.0, grace=0.0), guards=NOBODY_RUNS))


def accounts(root: Path) -> tuple[Usage, NodeAccounts[int], list[NodeRoot]]:
    """What everybody has."""
    store = ReadOnlyStore.open(root)
    usage, roots = read_usage(store, exact=True), list(read_roots(store.layout).roots)
    return usage, node_accounts(usage.inventory, usage.measured, roots, lambda each: each.uid), roots


def check_shares(root: Path, usage: Usage, found: NodeAccounts[int]) -> float:
    """How far apart, as a part of it, the sum of all shares and the walked store are."""
    said = sum_of([*(each.share for each in found.accounts.values()), found.nobodys, usage.beside])
    there = walked(root)
    return max(abs(said.bytes / there.bytes - 1), abs(said.inodes / there.inodes - 1))


def check_own(root: Path, uid: int, said: DiskSize) -> bool:
    """Whether a collect of a copy without this user frees what is said, to the byte."""
    copy = root.with_name("copy")
    subprocess.run(["cp", "-a", root, copy], check=True)
    before = walked(copy, without=VARYING)
    shutil.rmtree(StoreLayout(copy).node_roots_of(uid))
    night(copy)
    freed = before - walked(copy, without=VARYING)
    delete_tree(copy)
    return freed == said


def own_store(root: Path, wheels: Sequence[Sequence[WheelBytes]]) -> DiskSize:
    """A store of one user's own with these environments, as it is on disk."""
    interpreter = ask_interpreter(sys.executable)
    with written_store(root) as written:
        layout = written.store.layout
        written.commit(*{wheel.hexdigest: wheel for each in wheels for wheel in each}.values())
        compile_entries(layout, written.store.manifests(), interpreter, processes=2, tmp=written.writer.session)
        for each in wheels:
            plan = plan_of(list(written.store.readable(map(digest, each))), interpreter, layout)
            publish_environment(written.store, plan)
    size = walked(root, without=VARYING)
    delete_tree(root)
    return size


def main() -> None:
    """Three days."""
    life = Life(wheels=small_wheels(Path(sys.argv[1])))
    with tempfile.TemporaryDirectory(prefix="many-users-") as folder:
        place = Path(folder)
        store = OneStore(place / "store")
        empty = own_store(place / "empty", [])
        print(f"{USERS} users, {PROJECTS} projects, {len(life.wheels)} wheels of at most {LARGEST:,} bytes", flush=True)
        for day in range(DAYS):
            warms, unpacked = store.work(life, day)
            night(store.layout.root)
            usage, found, roots = accounts(store.layout.root)
            apart = check_shares(store.layout.root, usage, found)
            chosen = random.Random(day).sample(sorted(found.accounts), SAMPLED)
            right = [check_own(store.layout.root, uid, found.accounts[uid].own) for uid in chosen]
            theirs = sum_of(each.full + empty for each in found.accounts.values())
            print(
                f"day {day + 1}: {warms} warms, {unpacked} wheels unpacked, {len(roots)} roots of"
                f" {len(usage.inventory.environments)} environments; store {_text(usage.total)};"
                f" own stores {_text(theirs)}; {theirs.bytes / usage.total.bytes:.1f} x bytes,"
                f" {theirs.inodes / usage.total.inodes:.1f} x inodes; shares {apart:.4%} off;"
                f" own exact {sum(right)} of {len(right)}",
                flush=True,
            )
        _compare(place, life, store, found, empty)


def _compare(place: Path, life: Life, store: OneStore, found: NodeAccounts[int], empty: DiskSize) -> None:
    """What own stores really take, beside what was computed."""
    current: Mapping[EnvironmentId, list[WheelBytes]] = _wheels_of(life, store)
    for uid in random.Random(9).sample(sorted(found.accounts), SAMPLED):
        said = found.accounts[uid].full + empty
        environments = {environment for (other, _), environment in store.has.items() if other == uid}
        made = own_store(place / "own", [current[each] for each in sorted(environments)])
        print(f"uid {uid}: own store made {_text(made)}, computed {_text(said)}", flush=True)


def _wheels_of(life: Life, store: OneStore) -> dict[EnvironmentId, list[WheelBytes]]:
    by_digests = {frozenset(map(digest, each)): each for days in life.locked for each in days}
    found = {}
    for root in read_roots(store.layout).roots:
        with suppress(KeyError):
            found[root.environment] = by_digests[root.digests]
    return found


def _text(size: DiskSize) -> str:
    return f"{size.bytes / 1e6:,.0f} MB, {size.inodes:,} inodes"


if __name__ == "__main__":
    main()
