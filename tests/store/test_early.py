"""Early bytecode: what is made first, what becomes of it, and that it takes no time from anything else."""

import os
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from storectl_store.entries.bytecode import early
from storectl_store.entries.bytecode.compile import compile_entries, has_bytecode
from storectl_store.entries.bytecode.early import EarlyBytecode
from storectl_store.entries.bytecode.process import CompilerProcess, InterpreterError
from storectl_store.entries.bytecode_files import CompiledFile
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.manifest import Manifest
from storectl_store.selection.target import Interpreter
from support.environments import add_entry, ask_interpreter
from support.views import pythons
from support.wheels import make_wheel

PYTHON = ask_interpreter(pythons()[0].executable)
DEADLINE = 60.0
FIRST = {"first/__init__.py": "import second.b\nfrom first import a\n", "first/a.py": "1\n", "first/alone.py": "1\n"}
SECOND = {"second/__init__.py": "1\n", "second/a.py": "1\n", "second/b.py": "from . import a\n"}


@pytest.fixture
def layout(tmp_path: Path) -> StoreLayout:
    layout = StoreLayout(tmp_path / "store")
    for folder in (layout.entries, layout.meta, layout.tmp):
        folder.mkdir(parents=True)
    return layout


@pytest.fixture
def made(layout: StoreLayout) -> Iterator[EarlyBytecode]:
    made = EarlyBytecode(layout, PYTHON, session=layout.tmp, boot="this", processes=2)
    yield made
    made.stop()
    made.join()


def added(layout: StoreLayout, name: str, files: dict[str, str]) -> Manifest:
    return add_entry(layout, make_wheel(name, files=files))


def site_packages(layout: StoreLayout, manifest: Manifest) -> Path:
    return layout.entry(manifest.name, manifest.digest) / "site-packages"


def never() -> bool:
    return False


def test_modules_that_can_be_reached_are_there_at_once_and_become_those_of_the_entry(
    layout: StoreLayout, made: EarlyBytecode
) -> None:
    manifest = added(layout, "first", FIRST)
    made.arrived(manifest)
    made.wait(never)
    place = layout.early_bytecode(layout.tmp, "this", manifest.digest)
    tag = PYTHON.cache_tag
    reached = {f"first/__pycache__/{name}.{tag}.pyc" for name in ("__init__", "a")}
    assert {str(path.relative_to(place)) for path in place.rglob("*.pyc")} == reached
    assert not list(site_packages(layout, manifest).rglob("*.pyc"))
    contents = {name: (place / name).read_bytes() for name in reached}
    compile_entries(layout, [manifest], PYTHON, processes=1, tmp=layout.tmp, earlier=made.take)
    site = site_packages(layout, manifest)
    assert {name: (site / name).read_bytes() for name in reached} == contents
    assert len(list(site.rglob("*.pyc"))) == len(FIRST)
    assert has_bytecode(layout, manifest.digest, tag)
    assert not list(place.rglob("*.pyc"))
    assert made.take(manifest.digest) == {}


class FakeProcess:
    """A process that compiles nothing, and says what it was asked for. ``gate`` holds each job until it is opened."""

    asked: "queue.Queue[tuple[bool, list[str]]]"
    gate: threading.Event
    dies: Callable[[list[str]], bool]
    imports: "dict[str, dict[str, list[str]]]"

    def __init__(self, interpreter: Interpreter, *, gives_way: bool = False) -> None:
        self.gives_way = gives_way

    def reached(self, folder: Path, roots: list[str]) -> dict[str, list[str]] | None:
        return self.imports[roots[0]]

    def compile(self, request: bytes) -> dict[str, CompiledFile] | None:
        files: list[str] = eval(request)["files"]
        self.asked.put((self.gives_way, files))
        self.gate.wait(DEADLINE)
        return None if self.dies(files) else {file: CompiledFile(staged="/gone", sha256="") for file in files}

    def kill(self) -> None:
        self.gate.set()

    def close(self) -> None:
        pass


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeProcess]:
    class Fake(FakeProcess):
        asked = queue.Queue()
        gate = threading.Event()
        dies = staticmethod(lambda files: False)
        imports = {  # noqa: RUF012
            "first/__init__.py": {"first/__init__.py": ["second.b", "first", "first.a"], "first/a.py": []},
            "second/__init__.py": {"second/__init__.py": [], "second/b.py": ["second.a"], "second/a.py": []},
        }

    monkeypatch.setattr(early, "CompilerProcess", Fake)
    monkeypatch.setattr(early, "CHUNK", 1)
    return Fake


def arrived(layout: StoreLayout, made: EarlyBytecode) -> tuple[Manifest, Manifest]:
    first, second = added(layout, "first", FIRST), added(layout, "second", SECOND)
    found: Any = made
    with found._changed:  # neither is begun before the other is there
        made.arrived(first)
        made.arrived(second)
    return first, second


def asked(fake: type[FakeProcess], count: int) -> list[tuple[bool, list[str]]]:
    return [fake.asked.get(timeout=DEADLINE) for _ in range(count)]


def test_before_a_program_starts_its_first_imports_come_first_and_give_way(
    layout: StoreLayout, fake: type[FakeProcess]
) -> None:
    made = EarlyBytecode(layout, PYTHON, session=layout.tmp, boot="this", processes=1)
    arrived(layout, made)
    fake.gate.set()
    modules = ["first/__init__.py", "first/a.py", "second/__init__.py", "second/b.py", "second/a.py"]
    assert asked(fake, 5) == [(True, [module]) for module in modules]
    made.stop()
    made.join()


def test_once_a_program_has_started_its_last_imports_come_first_in_a_hurry(
    layout: StoreLayout, fake: type[FakeProcess]
) -> None:
    made = EarlyBytecode(layout, PYTHON, session=layout.tmp, boot="this", processes=1)
    arrived(layout, made)
    assert asked(fake, 1) == [(True, ["first/__init__.py"])]
    made.hurry(["first"])
    fake.gate.set()
    made.wait(never)
    last = [files for gives_way, files in asked(fake, fake.asked.qsize()) if not gives_way]
    assert last == [["first/a.py"], ["second/a.py"], ["second/b.py"], ["second/__init__.py"], ["first/__init__.py"]]
    made.stop()
    made.join()


def test_a_program_does_not_wait_for_what_gives_way(layout: StoreLayout, fake: type[FakeProcess]) -> None:
    """A process that gives way may be at one job for long: another one does the same again."""
    made = EarlyBytecode(layout, PYTHON, session=layout.tmp, boot="this", processes=1)
    arrived(layout, made)
    assert asked(fake, 1) == [(True, ["first/__init__.py"])]
    made.hurry(["first"])
    assert asked(fake, 1) == [(False, ["first/a.py"])]
    fake.gate.set()
    made.wait(never)
    assert (False, ["first/__init__.py"]) in asked(fake, fake.asked.qsize())
    made.stop()
    made.join()


def test_what_the_program_does_not_import_is_left_for_later(layout: StoreLayout, fake: type[FakeProcess]) -> None:
    made = EarlyBytecode(layout, PYTHON, session=layout.tmp, boot="this", processes=1)
    arrived(layout, made)
    assert asked(fake, 1) == [(True, ["first/__init__.py"])]
    made.hurry(["second.a"])
    fake.gate.set()
    made.wait(never)
    assert [files for _, files in asked(fake, fake.asked.qsize())] == [["second/a.py"], ["second/__init__.py"]]
    made.stop()
    made.join()


def test_only_what_a_waiting_program_imports_is_made_and_in_its_order(
    layout: StoreLayout, fake: type[FakeProcess]
) -> None:
    made = EarlyBytecode(layout, PYTHON, session=layout.tmp, boot="this", processes=1)
    made.expect(["second.b"])
    arrived(layout, made)
    fake.gate.set()
    made.wait(never)
    modules = ["second/__init__.py", "second/b.py", "second/a.py"]
    assert asked(fake, fake.asked.qsize()) == [(True, [module]) for module in modules]
    made.stop()
    made.join()


def test_nothing_is_looked_at_for_a_program_that_imports_none_of_it(
    layout: StoreLayout, fake: type[FakeProcess]
) -> None:
    fake.imports = {}  # a look would fail
    made = EarlyBytecode(layout, PYTHON, session=layout.tmp, boot="this", processes=1)
    made.expect(["__main__"])
    arrived(layout, made)
    made.hurry(["__main__"])
    made.wait(never)
    found: Any = made
    assert found._threads == {True: 0, False: 0}
    assert fake.asked.empty()
    made.stop()
    made.join()


def test_modules_that_were_looked_at_twice_are_in_the_order_of_the_program(
    layout: StoreLayout, fake: type[FakeProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that gave way is done with its look after the program has started, and the other looks at it again."""
    looked, first_done = threading.Event(), threading.Event()
    reached = fake.reached

    def slow(self: FakeProcess, folder: Path, roots: list[str]) -> dict[str, list[str]] | None:
        if self.gives_way:
            looked.set()
        elif roots[0].startswith("second"):
            first_done.set()
            while entries[first.digest].imports is None:
                assert not never_comes.wait(0.01)
        if self.gives_way:
            assert first_done.wait(DEADLINE)
        return reached(self, folder, roots)

    monkeypatch.setattr(fake, "reached", slow)
    never_comes = threading.Event()
    made = EarlyBytecode(layout, PYTHON, session=layout.tmp, boot="this", processes=1)
    found: Any = made
    entries = found._entries
    first, _ = arrived(layout, made)
    assert looked.wait(DEADLINE)
    made.hurry(["second.a"])
    fake.gate.set()
    made.wait(never)
    assert [files for _, files in asked(fake, fake.asked.qsize())] == [["second/a.py"], ["second/__init__.py"]]
    made.stop()
    made.join()


def test_what_is_there_already_is_not_made_again_in_a_hurry(layout: StoreLayout, fake: type[FakeProcess]) -> None:
    made = EarlyBytecode(layout, PYTHON, session=layout.tmp, boot="this", processes=1)
    first, _ = arrived(layout, made)
    assert asked(fake, 1) == [(True, ["first/__init__.py"])]
    place = layout.early_bytecode(layout.tmp, "this", first.digest) / "first/__pycache__"
    place.mkdir(parents=True)
    (place / f"a.{PYTHON.cache_tag}.pyc").touch()
    made.hurry(["first.a"])
    fake.gate.set()
    made.wait(never)
    assert next(files for gives_way, files in asked(fake, fake.asked.qsize()) if not gives_way) == []
    made.stop()
    made.join()


def test_no_module_below_a_package_is_a_root_and_namespaces_have_theirs() -> None:
    modules = ["one/__init__.py", "one/data/x.py", "space/two/__init__.py", "space/two/y.py", "space/z.py", "w.py"]
    assert list(early._roots(dict.fromkeys(modules, 1))) == [
        "one/__init__.py", "space/two/__init__.py", "space/z.py", "w.py",
    ]  # fmt: skip


def test_a_process_that_dies_is_replaced_and_its_modules_are_left_to_others(
    layout: StoreLayout, fake: type[FakeProcess]
) -> None:
    fake.dies = staticmethod(lambda files: files == ["first/a.py"])
    made = EarlyBytecode(layout, PYTHON, session=layout.tmp, boot="this", processes=1)
    first, second = arrived(layout, made)
    fake.gate.set()
    made.wait(never)
    assert set(made.take(first.digest)) == {"first/__init__.py"}
    assert set(made.take(second.digest)) == set(SECOND)
    made.stop()
    made.join()


def test_nobody_waits_once_all_bytecode_is_wanted(layout: StoreLayout, fake: type[FakeProcess]) -> None:
    made = EarlyBytecode(layout, PYTHON, session=layout.tmp, boot="this", processes=1)
    first, _ = arrived(layout, made)
    assert asked(fake, 1) == [(True, ["first/__init__.py"])]
    made.wait(lambda: True)
    assert made.take(first.digest) == {}
    fake.gate.set()
    made.stop()
    made.join()


def test_an_interpreter_that_is_gone_makes_nothing_early(layout: StoreLayout) -> None:
    gone = replace(PYTHON, executable="/gone/python")
    made = EarlyBytecode(layout, gone, session=layout.tmp, boot="this", processes=2)
    arrived(layout, made)
    made.join()
    with pytest.raises(InterpreterError):
        CompilerProcess(gone)


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="another system")
def test_a_process_that_gives_way_runs_when_nothing_else_wants_to(layout: StoreLayout) -> None:
    manifest = added(layout, "first", FIRST)
    for gives_way, policy in ((True, os.SCHED_IDLE), (False, os.SCHED_OTHER)):
        process = CompilerProcess(PYTHON, gives_way=gives_way)
        try:
            assert process.reached(site_packages(layout, manifest), ["first/__init__.py"])
            found: Any = process
            assert os.sched_getscheduler(found._process.pid) == policy
        finally:
            process.close()


def test_an_entry_that_is_gone_meanwhile_stops_nothing(layout: StoreLayout, made: EarlyBytecode) -> None:
    gone, there = added(layout, "first", FIRST), added(layout, "second", SECOND)
    os.rename(layout.entry(gone.name, gone.digest), layout.tmp / "collected")
    made.arrived(gone)
    made.arrived(there)
    made.wait(never)
    assert made.take(gone.digest) == {}
    assert made.take(there.digest)
