"""Records of programs become packs, when nothing else is to be done."""

import asyncio
import contextlib
import logging
import os
import shutil
from functools import partial
from pathlib import Path

import pytest

from storectl_daemon.environments import Environments
from storectl_daemon.packing.packing import Packing, records_folder
from storectl_daemon.repair import derived_part
from storectl_daemon.repair.derived_part import PackPart
from storectl_shim._storectl_pack import RECORD_MAGIC
from storectl_store.entries.layout import StoreLayout
from storectl_store.environments.made_by import Maker
from storectl_store.environments.pack import packed_modules
from support.daemon import turns_until
from support.packs import PackedPlace, packed_place
from support.views import pythons
from support.wheels import make_wheel

NAMES = ("alpha/__init__.py", "alpha/one.py", "alpha/two.py")


@pytest.fixture
def place(tmp_path: Path) -> PackedPlace:
    return packed_place(tmp_path, pythons()[0], make_wheel("alpha", files=dict.fromkeys(NAMES, "")))


def packing(place: PackedPlace) -> Packing:
    records = records_folder({"HOME": str(place.home)}, place.layout)
    assert records is not None
    return Packing(place.layout, Environments(place.layout), records=records, session=place.layout.tmp)


def say(place: PackedPlace, *names: str, environment: str = "") -> Path:
    path = place.imports.with_name(environment or place.imports.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\n".join([RECORD_MAGIC, *map(os.fsencode, names), b""]))
    return path


def modules(place: PackedPlace) -> tuple[str, ...]:
    return packed_modules(place.layout, place.record.id)


def test_a_record_becomes_a_pack_and_is_gone(place: PackedPlace) -> None:
    record = say(place, *NAMES[:2])
    packing(place).pack_recorded()
    assert modules(place) == NAMES[:2]
    assert not record.exists()


def test_a_later_one_comes_in_front_of_what_was_there(place: PackedPlace) -> None:
    say(place, *NAMES[:2])
    packing(place).pack_recorded()
    say(place, NAMES[2], NAMES[1])
    packing(place).pack_recorded()
    assert modules(place) == (NAMES[2], NAMES[1], NAMES[0])


def test_nothing_is_written_for_what_is_packed_already(place: PackedPlace) -> None:
    say(place, *NAMES)
    packing(place).pack_recorded()
    inode = place.pack.stat().st_ino
    record = say(place, NAMES[1])
    packing(place).pack_recorded()
    assert place.pack.stat().st_ino == inode
    assert not record.exists()


def test_records_of_unknown_environments_and_unfinished_ones(place: PackedPlace) -> None:
    unknown, unfinished = say(place, *NAMES, environment="0" * 32), say(place, *NAMES, environment=f"{'1' * 32}.140")
    packing(place).pack_recorded()
    assert not unknown.exists()
    assert unfinished.exists()
    assert not place.layout.packs.exists()


def test_one_that_cannot_be_read_is_said_once_and_does_not_hold_up_others(
    place: PackedPlace, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    say(place, *NAMES)
    place.imports.with_name("0" * 32).mkdir()
    packer = packing(place)
    packer.pack_recorded()
    packer.pack_recorded()
    assert modules(place) == NAMES
    assert caplog.text.count("no pack") == 1


def test_a_pack_of_another_storectls_environment_is_not_compared(
    place: PackedPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.layout.packs.mkdir()
    place.pack.write_bytes(f"storectl pack 2 {place.folder.name} x 0 0 0\n".encode())
    part = PackPart(layout=place.layout, session=place.layout.tmp)
    assert "cannot be read" in str(part._examine(place.record.id)[1])
    monkeypatch.setattr(derived_part, "maker_of", lambda *_: Maker.ANOTHER)
    assert part._examine(place.record.id)[1] is None


def test_nobody_has_said_anything_yet(place: PackedPlace) -> None:
    packing(place).pack_recorded()
    assert not place.layout.packs.exists()


def test_records_are_where_programs_leave_them(place: PackedPlace, tmp_path: Path) -> None:
    assert records_folder({"HOME": str(place.home)}, place.layout) == place.imports.parent
    assert records_folder({"XDG_CACHE_HOME": str(tmp_path)}, place.layout) == Path(
        f"{tmp_path}/storectl/imports{place.folder.parent}"
    )
    assert records_folder({}, place.layout) is None
    (tmp_path / "link").symlink_to(place.layout.root)
    assert records_folder({"HOME": str(place.home)}, StoreLayout(tmp_path / "link")) == place.imports.parent


def test_a_busy_daemon_packs_later(place: PackedPlace) -> None:
    async def scene() -> None:
        turns, busy = 0, True

        def is_busy() -> bool:
            nonlocal turns
            turns += 1
            return busy

        say(place, *NAMES)
        task = asyncio.create_task(packing(place).run(busy=is_busy, seconds=0))
        await turns_until(lambda: turns > 3)
        assert not place.pack.exists()
        busy = False
        await turns_until(place.pack.exists)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(scene())
    assert modules(place) == NAMES


def test_what_comes_later_is_packed_too_also_in_a_folder_made_anew(place: PackedPlace) -> None:
    def has_packed(names: tuple[str, ...]) -> bool:
        return place.pack.exists() and modules(place) == names

    async def scene() -> None:
        task = asyncio.create_task(packing(place).run(busy=lambda: False, seconds=0))
        records = place.imports.parent
        for names in (NAMES[:1], NAMES):
            await turns_until(records.is_dir)
            say(place, *names)
            await turns_until(partial(has_packed, names))
            shutil.rmtree(records)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(scene())
