"""Sweep: the dead goes, in an order that no crash and no program suffers from; what is used after all stays."""

import errno
import mmap
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from storectl_store.collecting import sweep as sweeping
from storectl_store.collecting.belt import Process, Seen
from storectl_store.collecting.guards import Guards
from storectl_store.collecting.holds import Holds
from storectl_store.collecting.sweep import Spared, Sweep
from storectl_store.digest import EnvironmentId, prefix_of
from storectl_store.disk.durability import rename_noreplace
from storectl_store.entries import placing
from storectl_store.entries.commit import commit
from storectl_store.entries.recovery import Recovered
from storectl_store.errors import StoreError
from support.collected import published, side_manifest
from support.stores import WrittenStore, digest, tree
from support.wheels import make_wheel

ONE, TWO, THREE = (make_wheel(name) for name in ("one", "two", "three"))
NEWER = make_wheel("one", "2.0")
PROGRAM = make_wheel(
    "program", files={"program/lib.so.1": "", "program/data.txt": "", "program-1.0.data/scripts/go": "#!/bin/sh\n"}
)
SHELL, JUPYTER = Process(pid=12, name="bash", started=0.0), Process(pid=13, name="jupyter", started=0.0)


@dataclass
class FakeLease:
    """The lease of one file. ``waited_for``: somebody wants to open it."""

    path: Path
    log: list[str]
    waited_for: bool = False
    closed: bool = False

    def held(self) -> bool:
        return not self.waited_for

    def close(self) -> None:
        self.closed = True


@dataclass
class FakeGuards:
    """Guards that say what a test wants. ``log`` has what was asked, in order; ``leases`` are all that were given."""

    opened: set[EnvironmentId] = field(default_factory=set)
    waited_for: set[EnvironmentId] = field(default_factory=set)
    seen: dict[EnvironmentId, tuple[Process, ...]] = field(default_factory=dict)
    seen_entries: dict[str, tuple[Process, ...]] = field(default_factory=dict)
    used: set[Path] = field(default_factory=set)
    log: list[str] = field(default_factory=list)
    leases: list[FakeLease] = field(default_factory=list)
    asked: list[Path] = field(default_factory=list)
    kept_at_looks: list[list[str]] = field(default_factory=list)
    on_look: Callable[[], object] = lambda: None

    def guards(self) -> Guards:
        return Guards(lease=self._lease, seen=self._seen, is_used=self._is_used)

    def _lease(self, path: Path) -> FakeLease | None:
        path.stat()
        identity = EnvironmentId(path.parent.name)
        self.log.append("lease")
        if identity in self.opened:
            return None
        self.leases.append(FakeLease(path, self.log, identity in self.waited_for))
        return self.leases[-1]

    def _seen(self, _store: Path) -> Seen:
        self.log.append("look")
        self.kept_at_looks.append([lease.path.parent.name for lease in self.leases if not lease.closed])
        self.on_look()
        return Seen(environments=self.seen, entries=self.seen_entries)

    def _is_used(self, path: Path) -> bool:
        self.asked.append(path)
        return path in self.used


@dataclass
class Collector:
    """A sweep of a store, with all that it is given."""

    written: WrittenStore
    guards: FakeGuards = field(default_factory=FakeGuards)
    holds: Holds = field(default_factory=Holds)
    forgotten: list[EnvironmentId] = field(default_factory=list)

    @property
    def sweep(self) -> Sweep:
        return Sweep(self.written.store, self.holds, self.guards.guards(), forget=self.forgotten.append)

    def trash(self) -> list[str]:
        """What is in the trash, without the random end of its name."""
        return sorted(name.rpartition(".")[0] for name in os.listdir(self.written.store.layout.trash))


@pytest.fixture
def collector(written: WrittenStore) -> Collector:
    return Collector(written)


def identity(folder: Path) -> EnvironmentId:
    return EnvironmentId(folder.name)


# --- environments ---------------------------------------------------------------------------------------------------


def test_an_environment_that_nobody_uses_goes_into_the_trash_with_its_pack(collector: Collector) -> None:
    layout = collector.written.store.layout
    folder, other = published(collector.written, ONE), published(collector.written, TWO)
    layout.packs.mkdir()
    for each in (folder, other):
        layout.pack(identity(each)).write_text("")
    swept = collector.sweep.environments([identity(folder)])
    assert (swept.environments, swept.spared) == ((identity(folder),), {})
    assert os.listdir(layout.environments) == [other.name] == os.listdir(layout.packs)
    assert collector.trash() == [f"environment.{folder.name}"]
    assert collector.forgotten == [identity(folder)]


def test_leases_come_first_then_one_look_at_all_processes_then_what_is_free_goes(collector: Collector) -> None:
    folders = [published(collector.written, wheel) for wheel in (ONE, TWO, THREE)]
    collector.sweep.environments([identity(folder) for folder in folders])
    assert collector.guards.log == ["lease", "lease", "lease", "look"]
    assert collector.guards.kept_at_looks == [[folder.name for folder in folders]]
    assert all(lease.closed for lease in collector.guards.leases)
    assert not any(folder.exists() for folder in folders)


def test_each_batch_has_leases_and_a_look_of_its_own(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [published(collector.written, wheel) for wheel in (ONE, TWO, THREE)]
    monkeypatch.setattr(sweeping, "AT_ONCE", 2)
    collector.sweep.environments([identity(folder) for folder in folders])
    assert collector.guards.log == ["lease", "lease", "look", "lease", "look"]


def test_a_sweep_that_is_to_stop_leaves_the_next_batch(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [published(collector.written, wheel) for wheel in (ONE, TWO)]
    monkeypatch.setattr(sweeping, "AT_ONCE", 1)
    answers = iter([True, False])
    swept = collector.sweep.environments([identity(each) for each in folders], proceed=lambda: next(answers))
    assert swept.environments == (identity(folders[0]),)
    assert swept.spared == {identity(folders[1]): Spared.LATER}


def test_what_is_used_stays_and_says_why(collector: Collector) -> None:
    wheels = [make_wheel(name) for name in ("opened", "seen", "held", "waited", "free")]
    opened, seen, held, waited, free = (identity(published(collector.written, wheel)) for wheel in wheels)
    collector.guards.opened = {opened}
    collector.guards.seen = {seen: (SHELL,), opened: (JUPYTER,)}
    collector.guards.waited_for = {waited}
    with collector.holds.keep([held]):
        swept = collector.sweep.environments([opened, seen, held, waited, free])
    assert swept.environments == (free,) == tuple(collector.forgotten)
    assert swept.spared == {
        opened: Spared.LEASED,
        seen: Spared.SEEN,
        held: Spared.HELD,
        waited: Spared.LEASED,
    }
    assert swept.processes == {seen: (SHELL,), opened: (JUPYTER,)}
    assert sorted(os.listdir(collector.written.store.layout.environments)) == sorted([opened, seen, held, waited])


def test_what_was_held_since_the_collect_began_stays(collector: Collector) -> None:
    environment = identity(published(collector.written, ONE))
    with collector.holds.remembering():
        collector.holds.keep([environment, digest(ONE)]).close()
        assert collector.sweep.environments([environment]).spared == {environment: Spared.HELD}
        assert collector.sweep.entries([digest(ONE)]).spared == {digest(ONE): Spared.HELD}


def test_processes_are_not_looked_at_if_no_environment_is_free(collector: Collector) -> None:
    environment = identity(published(collector.written, ONE))
    collector.guards.opened = {environment}
    collector.sweep.environments([environment, EnvironmentId("f" * 32)])
    assert collector.guards.log == ["lease"]


def test_an_environment_that_is_gone_is_no_error(collector: Collector) -> None:
    folder = published(collector.written, ONE)
    folder.chmod(0o700)
    collector.guards.on_look = lambda: folder.rename(collector.written.writer.session / "x")
    gone = EnvironmentId("f" * 32)
    swept = collector.sweep.environments([identity(folder), gone])
    assert swept.environments == ()
    assert swept.spared == {identity(folder): Spared.GONE, gone: Spared.GONE}


def test_a_damaged_environment_that_has_nothing_to_lease_stays(collector: Collector) -> None:
    folder = published(collector.written, ONE)
    folder.chmod(0o700)
    (folder / "pyvenv.cfg").unlink()
    assert collector.sweep.environments([identity(folder)]).spared == {identity(folder): Spared.UNKNOWN}
    assert folder.exists()


def test_what_the_system_cannot_tell_of_counts_as_used(collector: Collector) -> None:
    folder = published(collector.written, PROGRAM)

    def refuse(_: Path) -> None:
        raise PermissionError(errno.EPERM, "it is another user's")

    guards = Guards(lease=refuse, seen=lambda _store: Seen(), is_used=refuse)  # type: ignore[arg-type]
    sweep = Sweep(collector.written.store, collector.holds, guards)
    assert sweep.environments([identity(folder)]).spared == {identity(folder): Spared.UNKNOWN}
    collector.sweep.environments([identity(folder)])
    assert sweep.entries([digest(PROGRAM)]).spared == {digest(PROGRAM): Spared.UNKNOWN}


def test_if_the_disk_refuses_all_leases_are_let_go_and_the_environment_is_as_it_was(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [published(collector.written, wheel) for wheel in (ONE, TWO)]
    before = tree(collector.written.store.layout.environments)

    def refuse(path: Path, _: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(StoreError, match="cannot collect environments"):
        collector.sweep.environments([identity(folder) for folder in folders])
    assert all(lease.closed for lease in collector.guards.leases)
    assert tree(collector.written.store.layout.environments) == before


def test_if_nobody_can_tell_what_processes_use_nothing_goes(collector: Collector) -> None:
    folder = published(collector.written, ONE)
    collector.written.commit(TWO)

    def fail(_store: Path) -> Seen:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    guards = Guards(lease=collector.guards.guards().lease, seen=fail)
    sweep = Sweep(collector.written.store, collector.holds, guards)
    with pytest.raises(StoreError):
        sweep.environments([identity(folder)])
    with pytest.raises(StoreError):
        sweep.entries([digest(TWO)])
    assert all(lease.closed for lease in collector.guards.leases)
    assert folder.exists()
    assert collector.written.store.has(digest(TWO))


# --- entries --------------------------------------------------------------------------------------------------------


def test_an_entry_that_no_environment_names_goes_with_its_manifests_and_its_line(collector: Collector) -> None:
    written, layout = collector.written, collector.written.store.layout
    written.commit(ONE, TWO)
    side_manifest(written, ONE)
    kept = side_manifest(written, TWO)
    swept = collector.sweep.entries([digest(ONE)])
    assert (swept.entries, swept.spared) == ((digest(ONE),), {})
    assert sorted(os.listdir(layout.meta)) == sorted([layout.manifest(digest(TWO)).name, kept.name])
    assert os.listdir(layout.entries) == ["two"]
    assert written.store.catalogue.digests() == {digest(TWO)}
    assert collector.trash() == [f"entry.{digest(ONE)[7:39]}"]
    assert written.findings() == []
    assert written.recover() == Recovered()


def test_another_version_keeps_the_folder_of_the_name(collector: Collector) -> None:
    collector.written.commit(ONE, NEWER)
    collector.sweep.entries([digest(ONE)])
    assert collector.written.entry(NEWER).is_dir()
    assert collector.written.findings() == []


def test_an_entry_that_an_environment_names_after_all_stays(collector: Collector) -> None:
    collector.written.commit(TWO)
    published(collector.written, ONE)
    swept = collector.sweep.entries([digest(ONE), digest(TWO)])
    assert (swept.entries, swept.spared) == ((digest(TWO),), {digest(ONE): Spared.NAMED})


def test_an_environment_that_comes_while_entries_go_keeps_those_that_are_left(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "_TOGETHER", 1)
    collector.written.commit(ONE, TWO, THREE)
    asked: list[int] = []

    def publish_at_second() -> bool:
        asked.append(1)
        if len(asked) == 2:
            published(collector.written, TWO, THREE)
        return True

    swept = collector.sweep.entries(list(map(digest, (ONE, TWO, THREE))), proceed=publish_at_second)
    assert swept.entries == (digest(ONE),)
    assert swept.spared == {digest(TWO): Spared.NAMED, digest(THREE): Spared.NAMED}


def test_an_environment_that_goes_while_entries_go_still_counts(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That it has gone may not be on the disk yet."""
    folder = published(collector.written, ONE)

    def sync_late(_: Path) -> None:
        collector.sweep.environments([identity(folder)])

    monkeypatch.setattr(sweeping, "fsync_folder", sync_late)
    swept = collector.sweep.entries([digest(ONE)])
    assert not folder.exists()
    assert swept.spared == {digest(ONE): Spared.NAMED}


def test_as_long_as_an_environment_cannot_be_read_no_entry_goes(collector: Collector) -> None:
    folder = published(collector.written, ONE)
    collector.written.commit(TWO)
    folder.chmod(0o700)
    (folder / "environment.json").unlink()
    swept = collector.sweep.entries([digest(ONE), digest(TWO)])
    assert swept.entries == ()
    assert collector.written.store.has(digest(TWO))


def test_what_a_copy_of_an_environment_names_stays(collector: Collector) -> None:
    folder = published(collector.written, ONE)
    folder.chmod(0o700)
    folder.rename(folder.with_name("before-the-course"))
    assert collector.sweep.entries([digest(ONE)]).spared == {digest(ONE): Spared.NAMED}


def test_an_entry_of_which_a_program_has_a_library_or_an_executable_stays(collector: Collector) -> None:
    collector.written.commit(PROGRAM)
    entry = collector.written.entry(PROGRAM)
    library, script = entry / "site-packages/program/lib.so.1", entry / "scripts/go"
    for used in (library, script):
        collector.guards.used = {used}
        assert collector.sweep.entries([digest(PROGRAM)]).spared == {digest(PROGRAM): Spared.USED}
    assert set(collector.guards.asked) == {library, script}
    collector.guards.used = set()
    assert collector.sweep.entries([digest(PROGRAM)]).entries == (digest(PROGRAM),)


def test_an_entry_that_a_process_names_stays_and_says_which(collector: Collector) -> None:
    collector.written.commit(ONE, TWO)
    collector.guards.seen_entries = {f"one/{prefix_of(digest(ONE))}": (SHELL,), "other/" + "f" * 32: (JUPYTER,)}
    swept = collector.sweep.entries([digest(ONE), digest(TWO)])
    assert (swept.entries, swept.spared) == ((digest(TWO),), {digest(ONE): Spared.SEEN})
    assert swept.processes == {digest(ONE): (SHELL,)}


def test_an_entry_with_a_broken_manifest_goes_and_its_files_are_looked_at_all_the_same(collector: Collector) -> None:
    collector.written.commit(PROGRAM)
    entry, manifest = collector.written.entry(PROGRAM), collector.written.store.layout.manifest(digest(PROGRAM))
    manifest.chmod(0o644)
    manifest.write_text("broken")
    collector.guards.used = {entry / "site-packages/program/lib.so.1"}
    assert collector.sweep.entries([digest(PROGRAM)]).spared == {digest(PROGRAM): Spared.USED}
    collector.guards.used = set()
    assert collector.sweep.entries([digest(PROGRAM)]).entries == (digest(PROGRAM),)
    assert not entry.parent.exists()


def test_an_entry_that_is_gone_is_no_error(collector: Collector) -> None:
    collector.written.commit(ONE, TWO)
    collector.written.store.layout.manifest(digest(ONE)).unlink()
    swept = collector.sweep.entries([digest(ONE), digest(TWO)])
    assert (swept.entries, swept.spared) == ((digest(TWO),), {digest(ONE): Spared.GONE})


def test_what_is_held_stays_while_the_rest_of_the_batch_goes(collector: Collector) -> None:
    collector.written.commit(ONE, TWO)
    with collector.holds.keep([digest(ONE)]):
        swept = collector.sweep.entries([digest(ONE), digest(TWO)])
    assert (swept.entries, swept.spared) == ((digest(TWO),), {digest(ONE): Spared.HELD})


@pytest.mark.parametrize("call", ["listdir", "read_bytes"])
def test_if_an_environment_cannot_be_looked_at_no_entry_goes(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    published(collector.written, ONE)
    collector.written.commit(TWO)
    before = tree(collector.written.store.layout.meta)

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr(*((os, call) if call == "listdir" else (Path, call)), fail)  # type: ignore[call-overload]
        with pytest.raises(StoreError, match="cannot collect entries"):
            collector.sweep.entries([digest(TWO)])
    assert tree(collector.written.store.layout.meta) == before


def test_the_folder_of_a_name_may_go_while_another_version_of_it_is_committed(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    collector.written.commit(ONE)
    staged = collector.written.stage(NEWER)
    late: list[int] = []

    def rename_late(source: Path, destination: Path) -> None:
        if not late:
            late.append(1)
            collector.sweep.entries([digest(ONE)])
        rename_noreplace(source, destination)

    monkeypatch.setattr(placing, "rename_noreplace", rename_late)
    commit(collector.written.store, [staged])
    assert collector.written.entry(NEWER).is_dir()
    assert not collector.written.store.has(digest(ONE))


def test_what_has_gone_can_be_committed_and_published_again(collector: Collector) -> None:
    folder = published(collector.written, ONE)
    before = tree(folder)
    collector.sweep.environments([identity(folder)])
    collector.sweep.entries([digest(ONE)])
    assert published(collector.written, ONE) == folder
    assert tree(folder) == before
    assert stat.S_IMODE(folder.stat().st_mode) == 0o555
    assert collector.written.findings() == []


# --- with the guards of the system ----------------------------------------------------------------------------------

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="untried elsewhere")


@linux_only
def test_an_environment_stays_until_the_last_program_in_it_has_ended(collector: Collector) -> None:
    folder = published(collector.written, ONE)
    sweep = Sweep(collector.written.store, collector.holds)
    with (
        (folder / "pyvenv.cfg").open() as opened,
        subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[opened.fileno()]),
    ):
        opened.close()
        assert sweep.environments([identity(folder)]).spared == {identity(folder): Spared.LEASED}
    assert sweep.environments([identity(folder)]).environments == (identity(folder),)


@linux_only
def test_an_environment_that_a_shell_names_in_a_variable_stays(collector: Collector) -> None:
    folder = published(collector.written, ONE)
    sweep = Sweep(collector.written.store, collector.holds)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, env={**os.environ, "VIRTUAL_ENV": str(folder)}) as shell:
        swept = sweep.environments([identity(folder)])
    assert swept.spared == {identity(folder): Spared.SEEN}
    assert [process.pid for process in swept.processes[identity(folder)]] == [shell.pid]
    assert sweep.environments([identity(folder)]).environments == (identity(folder),)


@linux_only
def test_an_entry_of_which_a_program_has_mapped_a_library_stays(collector: Collector, tmp_path: Path) -> None:
    collector.written.commit(make_wheel("mapped", files={"mapped/lib.so": "x" * 4096}))
    (mapped,) = collector.written.store.digests()
    library = next(collector.written.store.layout.entries.rglob("lib.so"))
    sweep = Sweep(collector.written.store, collector.holds, Guards(seen=lambda _store: Seen()))
    with library.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ):
        file.close()
        assert sweep.entries([mapped]).spared == {mapped: Spared.USED}
    assert sweep.entries([mapped]).entries == (mapped,)
