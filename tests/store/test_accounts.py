"""What is said to go is what goes; what is said to be there is what is there."""

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from storectl_store.collecting.accounts import (
    by_age,
    by_group,
    by_package,
    freed,
    left_over,
    loose_links,
    unnamed_entries,
)
from storectl_store.collecting.inventory import read_inventory
from storectl_store.collecting.keepers import Group
from storectl_store.collecting.measuring import measure
from storectl_store.collecting.usage import read_usage
from storectl_store.digest import Digest, EnvironmentId
from storectl_store.disk.disk_size import BLOCK, DiskSize
from storectl_store.entries.bytecode_files import CompiledEntry, CompiledFile, place_bytecode
from storectl_store.entries.catalogue import Catalogue
from storectl_store.entries.trash import delete_tree
from support.environments import interpreters
from support.lived_in import WHEELS, LivedIn, lived_in, walked
from support.mounts import mounted
from support.stores import digest
from support.wheels import make_wheel

CATALOGUE = ("index.db", "index.db-wal", "index.db-shm")
"""It grows and shrinks as it likes."""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[LivedIn]:
    with lived_in(tmp_path / "store", interpreters()[0]) as place:
        yield place


@pytest.fixture
def shown(place: LivedIn) -> dict[str, EnvironmentId]:
    """Environments by the wheels in them. Of gamma there is none."""
    made = {
        "old": place.publish(WHEELS["alpha-1"], WHEELS["beta"]),
        "new": place.publish(WHEELS["alpha-2"], WHEELS["beta"]),
        "more": place.publish(WHEELS["alpha-2"], WHEELS["beta"], WHEELS["delta"]),
    }
    place.pack(made["old"], "alpha/__init__.py", "beta.py")
    return made


def nearly(size: DiskSize) -> object:
    """The same inodes, and the same bytes within 1 %."""
    return DiskSize(size.inodes, pytest.approx(size.bytes, rel=0.01))  # type: ignore[arg-type]


def closed(place: LivedIn, gone: set[EnvironmentId]) -> set[Digest]:
    """The entries that only these environments name, and those that none names."""
    naming = read_inventory(place.written.store).back_references()
    return {each for each in place.written.store.digests() if gone.issuperset(naming.get(each, ()))}


@pytest.mark.usefixtures("shown")
@pytest.mark.parametrize("exact", [False, True])
def test_the_parts_of_a_store_are_the_store(place: LivedIn, *, exact: bool) -> None:
    layout = place.written.store.layout
    before = read_usage(place.written.store)  # the catalogue grows with the first count
    (layout.environments / ".tmp-half").mkdir()
    (layout.entries / "alpha" / ("0" * 32)).mkdir()
    (layout.meta / f"{'0' * 64}.json").touch()
    (layout.meta / ".half").touch()
    usage = read_usage(place.written.store, exact=exact)
    assert usage.total == (walked(layout.root) if exact else nearly(walked(layout.root)))
    assert usage.parts["unfinished"].inodes == before.parts["unfinished"].inodes + 4


@pytest.mark.parametrize("seed", range(4))
def test_what_goes_is_what_was_said_to_go(place: LivedIn, shown: dict[str, EnvironmentId], seed: int) -> None:
    store, choice = place.written.store, random.Random(seed)
    gone = set(choice.sample(sorted(shown.values()), choice.randint(0, len(shown))))
    for wheel in WHEELS.values():
        place.built(wheel)
    entries = closed(place, gone)
    said = freed(measure(store, gone, entries), gone, entries)
    before = walked(store.layout.root, without=CATALOGUE)
    place.collect(gone, entries)
    after = walked(store.layout.root, without=CATALOGUE)
    assert said == nearly(before - after)
    assert said.inodes > 0


@pytest.mark.system
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mkfs.ext4"), reason="makes and mounts a file system")
def test_what_goes_is_what_the_file_system_gets_back(tmp_path: Path) -> None:
    image, folder = tmp_path / "image", tmp_path / "mounted"
    folder.mkdir()
    image.touch()
    os.truncate(image, 256 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-b", "4096", image], check=True)
    with mounted("-o", "loop", str(image), str(folder)), lived_in(folder / "store", interpreters()[0]) as place:
        gone = {place.publish(WHEELS["alpha-1"], WHEELS["beta"]), place.publish(WHEELS["alpha-2"], WHEELS["beta"])}
        place.publish(WHEELS["delta"])
        entries = closed(place, gone)
        said = freed(measure(place.written.store, gone, entries), gone, entries)
        before = _free(folder)
        place.collect(gone, entries)
        assert said == nearly(_free(folder) - before)


def _free(folder: Path) -> DiskSize:
    os.sync()
    status = os.statvfs(folder)
    return DiskSize(status.f_ffree, status.f_bfree * status.f_frsize)


def test_a_link_that_two_views_have_goes_with_the_second(place: LivedIn, shown: dict[str, EnvironmentId]) -> None:
    store = place.written.store
    measured = measure(store, shown.values(), ())
    each = [freed(measured, [shown[name]], ()) for name in ("new", "more")]
    both = freed(measured, [shown["new"], shown["more"]], ())
    assert both.inodes > each[0].inodes + each[1].inodes
    place.collect([shown["new"], shown["more"]], ())
    assert loose_links(measure(store, [shown["old"]], ())) == DiskSize()


def test_links_that_no_view_has_are_loose(place: LivedIn, shown: dict[str, EnvironmentId]) -> None:
    store = place.written.store
    measured = measure(store, [shown["old"]], ())
    alone = [inode for inode in measured.environments[shown["old"]].shared if measured.shared[inode].names == 1]
    assert loose_links(measured) == DiskSize()
    delete_tree(store.layout.environment(shown["old"]))
    assert loose_links(measure(store, (), ())).inodes == len(alone) > 0


def test_what_is_left_over_goes_with_any_collect(place: LivedIn, shown: dict[str, EnvironmentId]) -> None:
    store = place.written.store
    place.built(WHEELS["beta"])
    place.built(make_wheel("lost"))
    delete_tree(store.layout.environment(shown["old"]))
    said = left_over(measure(store, (), ()))
    before = walked(store.layout.root, without=CATALOGUE)
    place.collect((), ())
    assert said == before - walked(store.layout.root, without=CATALOGUE)
    assert said.inodes > 2


def test_what_two_projects_have_is_neithers_own(place: LivedIn, shown: dict[str, EnvironmentId]) -> None:
    usage = read_usage(place.written.store)
    groups = {
        "left": Group(environments=frozenset({shown["old"], shown["new"]})),
        "right": Group(environments=frozenset({shown["new"], shown["more"]})),
    }
    accounts = by_group(usage.inventory, usage.measured, groups)
    left = {digest(WHEELS["alpha-1"])}
    assert accounts["left"].own == freed(usage.measured, {shown["old"]}, left)
    assert accounts["right"].own == freed(usage.measured, {shown["more"]}, {digest(WHEELS["delta"])})
    assert (accounts["left"].environments, accounts["left"].entries) == (2, 3)
    assert accounts["left"].full == accounts["left"].own + accounts["left"].shared
    assert accounts["left"].full.bytes > accounts["left"].own.bytes


def test_nothing_is_anybodys_own_as_long_as_an_environment_cannot_be_read(
    place: LivedIn, shown: dict[str, EnvironmentId]
) -> None:
    usage = read_usage(place.written.store)
    known = usage.inventory.environments
    lost = replace(known[shown["more"]], digests=None)
    inventory = replace(usage.inventory, environments={**known, shown["more"]: lost})
    account = by_group(inventory, usage.measured, {"": Group(environments=frozenset({shown["old"]}))})[""]
    assert account.own == freed(usage.measured, {shown["old"]}, ())


def test_ages_add_up_to_what_goes_if_nothing_older_is_kept(place: LivedIn, shown: dict[str, EnvironmentId]) -> None:
    usage = read_usage(place.written.store)
    used = {shown["old"]: 9000.0, shown["new"]: 500.0, shown["more"]: 50.0}
    inventory = replace(
        usage.inventory,
        environments={e: replace(usage.inventory.environments[e], last_used=10_000 - age) for e, age in used.items()},
    )
    fresh, older, oldest = (
        account for _, account in by_age(inventory, usage.measured, now=10_000, ages=[100, 1000, 2000])
    )
    assert [fresh.environments, older.environments, oldest.environments] == [1, 1, 1]
    unnamed = freed(usage.measured, (), unnamed_entries(inventory))
    two = {shown["old"], shown["new"]}
    assert oldest.own + older.own + unnamed == freed(usage.measured, two, closed(place, two))
    everything = set(shown.values())
    assert fresh.own + older.own + oldest.own + unnamed == freed(usage.measured, everything, closed(place, everything))
    assert older.own.bytes < older.full.bytes


@pytest.mark.usefixtures("shown")
def test_packages_are_counted_with_all_their_versions(place: LivedIn) -> None:
    usage = read_usage(place.written.store)
    packages = by_package(usage.inventory, usage.measured)
    assert {name: account.entries for name, account in packages.items()} == {
        "alpha": 2, "beta": 1, "gamma": 1, "delta": 1,
    }  # fmt: skip
    assert packages["alpha"].environments == 3  # type: ignore[index]
    assert packages["gamma"].last_used is None  # type: ignore[index]


def test_bytecode_is_counted_once_and_again_if_it_is_another(place: LivedIn, monkeypatch: pytest.MonkeyPatch) -> None:
    store, sample = place.written.store, digest(WHEELS["alpha-1"])
    first = measure(store, (), [sample]).entries[sample]
    with monkeypatch.context() as patch:
        patch.setattr(type(store), "manifest", lambda *_: pytest.fail("it is known"))
        assert measure(store, (), [sample]).entries[sample] == first
    side = store.layout.bytecode_manifest(sample, place.interpreter.cache_tag)
    side.unlink()
    assert measure(store, (), [sample]).entries[sample].bytecode == DiskSize()
    place.compile()
    assert measure(store, (), [sample]).entries[sample] == first


def test_folders_that_the_bytecode_of_two_interpreters_shares_count_once(place: LivedIn, tmp_path: Path) -> None:
    store, sample = place.written.store, digest(WHEELS["alpha-1"])
    layout, (manifest,) = store.layout, store.readable([sample])
    staged = tmp_path / "store/tmp/x.pyc"
    staged.write_bytes(b"bytecode of another interpreter")
    placed = {"alpha/__pycache__/__init__.cpython-399.pyc": CompiledFile(staged=str(staged), sha256="0" * 64)}
    folder = store.entry_folder(manifest) / "site-packages"
    before = measure(store, (), [sample]).entries[sample].bytecode
    entry = CompiledEntry(digest=sample, folder=folder, part="site-packages", files=placed)
    place_bytecode(layout, [entry], "cpython-399", place.written.writer.session)
    assert measure(store, (), [sample]).entries[sample].bytecode == before + DiskSize(1, BLOCK)
    assert measure(store, (), [sample], exact=True).entries[sample].size == nearly(
        walked(store.entry_folder(manifest)) + measure(store, (), [sample]).entries[sample].records
    )


def test_a_store_whose_catalogue_fails_is_counted_from_its_manifests(
    place: LivedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = measure(place.written.store, (), place.written.store.digests())

    def fail(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(Catalogue, "_run", fail)
    assert measure(place.written.store, (), place.written.store.digests()) == right
