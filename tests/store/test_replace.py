"""A damaged entry changes places with a fresh one; what was found is in the quarantine."""

import json
import os
import subprocess
from pathlib import Path

from storectl_store.entries.mend import discard_bytecode, mend_in_place
from storectl_store.entries.quarantine import Reason, set_aside
from storectl_store.entries.replace import replace_entry, withdraw_entry
from support.stores import WrittenStore, digest, tree
from support.wheels import WheelRecipe

SAMPLE = WheelRecipe(
    files={"sample/__init__.py": "1\n", "sample-1.0.data/scripts/tool": "#!python\n"},
    executable=frozenset({"sample-1.0.data/scripts/tool"}),
).build_wheel()
INIT = "site-packages/sample/__init__.py"
REASON = Reason(what="entry sample 1.0", why=["its sha256 is another"])


def harm(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(b"2\n")
    path.chmod(0o444)


def quarantined(written: WrittenStore) -> list[tuple[dict[str, object], Path]]:
    places = sorted(written.store.layout.quarantine.iterdir())
    return [(json.loads((place / "why.json").read_bytes()), place) for place in places]


def test_the_new_entry_stands_where_the_damaged_one_stood(written: WrittenStore) -> None:
    written.commit(SAMPLE)
    entry = written.entry(SAMPLE)
    whole = tree(entry)
    harm(entry / INIT)
    with (entry / INIT).open("rb") as held:
        replace_entry(written.store, written.stage(SAMPLE), REASON)
        assert held.read() == b"2\n"  # who has it open keeps it
    assert tree(entry) == whole
    assert written.findings() == []
    assert os.listdir(written.writer.session) != []
    ((why, place),) = quarantined(written)
    assert (why["what"], why["why"]) == (REASON.what, REASON.why)
    assert why["was"] == [f"store/sample/{entry.name}", f"meta/{SAMPLE.hexdigest}.json"]
    assert (place / entry.name / INIT).read_bytes() == b"2\n"


def test_bytecode_of_the_damaged_entry_is_not_taken_for_that_of_the_new_one(written: WrittenStore) -> None:
    written.commit(SAMPLE)
    side = written.store.layout.bytecode_manifest(digest(SAMPLE), "cpython-312")
    side.write_text("{}")
    replace_entry(written.store, written.stage(SAMPLE), REASON)
    assert not side.exists()


def test_an_entry_that_is_gone_comes_back(written: WrittenStore, tmp_path: Path) -> None:
    written.commit(SAMPLE)
    entry = written.entry(SAMPLE)
    entry.chmod(0o755)
    entry.rename(tmp_path / "gone")
    written.store.layout.manifest(digest(SAMPLE)).write_bytes(b"{")
    replace_entry(written.store, written.stage(SAMPLE), REASON)
    assert written.findings() == []
    ((_, place),) = quarantined(written)
    assert sorted(os.listdir(place)) == sorted(["why.json", f"{SAMPLE.hexdigest}.json"])


def test_a_withdrawn_entry_is_seen_by_nobody(written: WrittenStore) -> None:
    written.commit(SAMPLE)
    entry = written.entry(SAMPLE)
    withdraw_entry(written.store, digest(SAMPLE), REASON)
    assert not written.store.has(digest(SAMPLE))
    assert list(written.store.digests()) == []
    assert not entry.parent.exists()
    assert written.store.catalogue.digests() == set()


def test_one_command_removes_what_is_in_the_quarantine(written: WrittenStore) -> None:
    written.commit(SAMPLE)
    withdraw_entry(written.store, digest(SAMPLE), REASON)
    ((_, place),) = quarantined(written)
    folders = [Path(parent) for parent, _, _ in os.walk(place)]
    assert all(folder.stat().st_mode & 0o300 == 0o300 for folder in folders)
    subprocess.run(["rm", "-r", place], check=True)
    assert quarantined(written) == []


def test_what_is_gone_already_is_not_set_aside(written: WrittenStore) -> None:
    assert set_aside(written.store.layout, {"x": written.store.layout.root / "x"}, REASON) is None
    assert quarantined(written) == []


def test_modes_and_strangers_are_mended_without_the_wheel(written: WrittenStore) -> None:
    written.commit(SAMPLE)
    entry = written.entry(SAMPLE)
    whole = tree(entry)
    (entry / INIT).chmod(0o666)
    (entry / "scripts/tool").chmod(0o444)
    (entry / "site-packages/sample").chmod(0o755)
    (entry / "site-packages/sample/new.py").write_text("evil\n")
    (entry / "site-packages/sample").chmod(0o555)
    mend_in_place(written.store, digest(SAMPLE), written.findings(), REASON, written.writer.session)
    assert tree(entry) == whole
    ((_, place),) = quarantined(written)
    assert [path.read_text() for path in place.glob("*.py")] == ["evil\n"]


def test_only_bytecode_of_the_cache_tags_named_is_discarded(written: WrittenStore) -> None:
    written.commit(SAMPLE)
    cache = written.entry(SAMPLE) / "site-packages/sample/__pycache__"
    cache.parent.chmod(0o755)
    cache.mkdir()
    for name in ("x.cpython-312.pyc", "x.cpython-313.pyc"):
        (cache / name).write_bytes(b"")
    sides = [written.store.layout.bytecode_manifest(digest(SAMPLE), f"cpython-31{minor}") for minor in (2, 3)]
    for side in sides:
        side.write_text("{}")
    discard_bytecode(written.store, digest(SAMPLE), {"cpython-312"}, written.writer.session)
    assert os.listdir(cache) == ["x.cpython-313.pyc"]
    assert [side.exists() for side in sides] == [False, True]
