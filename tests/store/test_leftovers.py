"""Leftovers: links, packs, caches and notes go with what they were for, and not before."""

import os
import sys
from pathlib import Path

import pytest

from storectl_store.collecting.belt import Seen
from storectl_store.collecting.guards import Guards
from storectl_store.collecting.holds import Holds
from storectl_store.collecting.leftovers import sweep_leftovers
from storectl_store.collecting.sweep import Sweep
from storectl_store.digest import EnvironmentId
from storectl_store.entries.provenance import Provenance, provenances, write_provenance
from storectl_store.entries.trash import empty_trash
from storectl_store.environments.environment_record import read_environment
from storectl_store.environments.pack import write_pack
from storectl_store.environments.shared_links import misnamed_links
from support.collected import published
from support.stores import WrittenStore, digest
from support.wheels import WheelBytes, make_wheel

ONE, TWO, SCRIPT = (
    make_wheel("one"),
    make_wheel("two"),
    make_wheel("script", files={"script-1.0.data/scripts/go": "#!/bin/sh\n"}),
)
linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="links are shared on Linux only")


def collect(written: WrittenStore, *folders: Path) -> None:
    Sweep(written.store, Holds(), Guards(seen=lambda _store: Seen())).environments(
        [EnvironmentId(folder.name) for folder in folders]
    )


def build_of(wheel: WheelBytes) -> Provenance:
    return Provenance(
        key=digest(wheel)[7:],
        name=wheel.name,  # type: ignore[arg-type]
        version="1.0",
        kind="wheel",
        source="a folder",
        interpreter="an interpreter",
        python="3.12.1",
        backend="flit_core",
        build_requires=(),
        installed=(),
        variables={},
        filename=wheel.filename,
        digest=digest(wheel),
    )


@linux_only
def test_links_and_copies_go_once_no_view_has_them_any_more(written: WrittenStore) -> None:
    folder, other = published(written, ONE, SCRIPT), published(written, ONE)
    links = written.store.layout.links
    before = set(os.listdir(links))
    collect(written, folder)
    assert sweep_leftovers(written.store) == 0  # the view in the trash still has them
    empty_trash(written.store.layout)
    assert sweep_leftovers(written.store) > 0
    left = set(os.listdir(links))
    assert left < before
    assert all((links / name).lstat().st_nlink > 1 for name in left)
    collect(written, other)
    empty_trash(written.store.layout)
    sweep_leftovers(written.store)
    assert os.listdir(links) == []


@linux_only
def test_a_view_that_takes_a_link_while_it_goes_has_it(written: WrittenStore) -> None:
    collect(written, published(written, ONE))
    empty_trash(written.store.layout)
    sweep_leftovers(written.store)
    folder = published(written, ONE)
    assert all(path.exists() for path in folder.glob("lib/python*/site-packages/one*"))


@linux_only
def test_links_that_go_while_they_are_looked_at_are_no_findings(
    written: WrittenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    collect(written, published(written, ONE, SCRIPT))
    empty_trash(written.store.layout)
    listed = sorted(written.store.layout.links.iterdir())
    sweep_leftovers(written.store)
    monkeypatch.setattr(Path, "iterdir", lambda _: iter(listed))
    assert len(listed) > 1
    assert misnamed_links(written.store.layout.links) == []


def test_a_pack_goes_with_its_environment(written: WrittenStore) -> None:
    layout = written.store.layout
    layout.packs.mkdir()
    kept, gone = layout.pack(EnvironmentId(published(written, ONE).name)), layout.pack(EnvironmentId("f" * 32))
    for pack in (kept, gone):
        pack.write_text("")
    sweep_leftovers(written.store)
    assert list(layout.packs.iterdir()) == [kept]


def test_an_environment_that_goes_while_it_is_packed_is_an_error_of_the_disk(written: WrittenStore) -> None:
    folder = published(written, ONE)
    record = read_environment(folder)
    collect(written, folder)
    with pytest.raises(FileNotFoundError):
        write_pack(written.store.layout, record, ["one.py"], tmp=written.writer.session)


def test_the_note_of_a_build_goes_with_its_entry(written: WrittenStore) -> None:
    written.commit(ONE)
    for wheel in (ONE, TWO):
        write_provenance(written.store.layout, build_of(wheel))
    odd = written.store.layout.builds / "of-another-version.json"
    odd.write_text("{}")
    assert sweep_leftovers(written.store) == 1
    assert provenances(written.store.layout, build_of(ONE).key) == [build_of(ONE)]
    assert provenances(written.store.layout, build_of(TWO).key) == []
    assert odd.exists()


def test_what_programs_kept_in_the_cache_goes_with_the_environment(written: WrittenStore, tmp_path: Path) -> None:
    live, cache = published(written, ONE), tmp_path / "cache"
    environments = written.store.layout.environments
    kept = [
        Path(f"{cache}/bytecode{live}"),
        Path(f"{cache}/imports{live}"),
        Path(f"{cache}/imports{environments}/notes"),
    ]
    gone = [Path(f"{cache}/{kind}{environments}/{'f' * 32}") for kind in ("bytecode", "imports")]
    other = Path(f"{cache}/bytecode/another/store/environments/{'e' * 32}")
    for folder in (*kept, *gone, other):
        (folder / "lib").mkdir(parents=True)
    assert sweep_leftovers(written.store, caches=cache) == 2
    assert all(folder.exists() for folder in (*kept, other))
    assert not any(folder.exists() for folder in gone)


def test_the_cache_of_a_store_behind_a_link_is_found_too(written: WrittenStore, tmp_path: Path) -> None:
    gone = Path(f"{tmp_path}/cache/bytecode{os.path.realpath(written.store.layout.environments)}/{'f' * 32}")
    gone.mkdir(parents=True)
    sweep_leftovers(written.store, caches=tmp_path / "cache")
    assert not gone.exists()
