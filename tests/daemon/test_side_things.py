"""What was kept to be quicker goes once it was not used for long; what is in use stays."""

import fcntl
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from storectl_daemon.building.mirror_sums import lock_file, sums_file, write_sums
from storectl_daemon.collecting.side_things import drop_side_things
from storectl_store.entries.layout import StoreLayout
from storectl_store.interpreters.book import InterpreterBook
from support.collected import aged
from support.stores import written_store

BEFORE = 5000.0


@pytest.fixture
def layout(tmp_path: Path) -> Iterator[StoreLayout]:
    with written_store(tmp_path / "store") as written:
        yield written.store.layout


def drop(layout: StoreLayout) -> int:
    return drop_side_things(layout, logs=layout.root.with_name("builds"), before=BEFORE)


def mirror(layout: StoreLayout, name: str, used: float) -> Path:
    folder = layout.repositories / name
    folder.mkdir(parents=True)
    (folder / "config").write_text("[core]")
    write_sums(folder)
    aged([sums_file(folder)], used)
    return folder


def test_a_store_without_side_things_has_nothing_to_drop(layout: StoreLayout) -> None:
    assert drop(layout) == 0


def test_pages_and_logs_go_by_their_time(layout: StoreLayout) -> None:
    logs = layout.root.with_name("builds")
    kept, gone, of_a_person = (logs / name for name in ("build-new-1.log", "build-old-2.log", "notes.log"))
    old_page, new_page = layout.index_pages / "0", layout.index_pages / "1"
    for folder in (logs, layout.index_pages):
        folder.mkdir()
    for path in (kept, gone, of_a_person, old_page, new_page):
        path.write_text("")
    aged([gone, of_a_person, old_page], BEFORE - 1)
    aged([kept, new_page], BEFORE)
    assert drop(layout) == 2
    assert sorted(logs.iterdir()) == [kept, of_a_person]
    assert list(layout.index_pages.iterdir()) == [new_page]


def test_a_mirror_goes_with_its_sums_unless_it_was_used_or_a_process_works_on_it(layout: StoreLayout) -> None:
    old, busy, used = mirror(layout, "old", 1), mirror(layout, "busy", 1), mirror(layout, "used", BEFORE)
    with lock_file(busy).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert drop(layout) == 1
    assert not old.exists()
    assert not sums_file(old).exists()
    assert busy.is_dir()
    assert used.is_dir()
    assert [name.rpartition(".")[0] for name in os.listdir(layout.trash)] == ["repository.old"]


def test_the_answer_of_an_interpreter_goes_with_it_or_with_time(layout: StoreLayout) -> None:
    interpreter = InterpreterBook(layout.interpreters).inspect(sys.executable)
    answers = list(layout.interpreters.iterdir())
    assert drop(layout) == 0
    facts = json.loads(answers[0].read_bytes().partition(b"\n")[0])
    facts["facts"]["executable"] = "/nowhere/python"
    gone, broken = layout.interpreters / "gone.json", layout.interpreters / "broken.json"
    gone.write_text(json.dumps(facts))
    broken.write_text("{")
    assert drop(layout) == 1
    assert not gone.exists()
    assert broken.exists()
    aged([*answers, broken], BEFORE - 1)
    assert drop(layout) == len(answers) + 1
    assert InterpreterBook(layout.interpreters).inspect(sys.executable) == interpreter
