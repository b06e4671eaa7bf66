"""Compiling behind an environment that is ready: what is told when, and what a failure costs."""

import asyncio
import itertools
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from storectl_daemon.compiling import compiler
from storectl_daemon.compiling.compiler import BATCH, Compiler
from storectl_daemon.compiling.compiling import Compiling
from storectl_daemon.jobs.events import EventBus
from storectl_daemon.jobs.options import Job
from storectl_daemon.jobs.progress import Progress
from storectl_daemon.models import CompiledEvent, ProgressEvent, WarmEvent, WarningEvent
from storectl_store.collecting.holds import Holds
from storectl_store.digest import Digest, digest_of_hex
from storectl_store.entries.bytecode.compile import Compiled
from storectl_store.entries.manifest import Manifest, ManifestFile
from storectl_store.entries.store import Store
from storectl_store.environments.outlines.outline import Outline, outline_of
from storectl_store.errors import ProblemError
from storectl_store.selection.target import Interpreter
from storectl_store.wheel.checked import Part
from support.daemon import DEADLINE, Daemon, new_daemon, turns_until, until
from support.index import serve_index
from support.lock_files import pylock_text
from support.wheels import make_wheel

PYTHON = Interpreter(
    executable="/python", identity="one", version="3.12.1", implementation="cpython", cache_tag="cpython-312",
    base_prefix="", platlibdir="lib", abiflags="",
)  # fmt: skip


def manifest(number: int, source: int = 1) -> Manifest:
    return Manifest(
        digest=digest_of_hex(f"{number:064x}"), filename=f"p{number}-1-py3-none-any.whl",
        name=canonicalize_name(f"p{number}"), version="1", wheel_size=1, tags=(), root_is_purelib=True,
        dist_info=f"p{number}-1.dist-info", requires_dist=(), entry_points=(), escaping_libraries=(),
        files=(ManifestFile(part=Part.SITE_PACKAGES, path="m.py", size=source, sha256="", executable=False),),
    )  # fmt: skip


class GatedCompiler(Compiler):
    """Has the scene's bytecode, and compiles as the scene says."""

    def __init__(self, scene: "Scene", store: Store) -> None:
        super().__init__(store, holds=Holds(), session=store.layout.tmp, processes=1)
        self.scene = scene

    def has(self, digest: Digest, interpreter: Interpreter) -> bool:
        return digest in self.scene.done

    async def compile_batch(self, digests: Sequence[Digest], interpreter: Interpreter, compiled: Compiled) -> None:
        await self.scene.compile(digests, compiled)


class Scene:
    """A compiler that waits at a gate and remembers what it was given."""

    def __init__(self, folder: Path) -> None:
        self.job = Job(project=folder)
        self.batches: list[list[str]] = []
        self.done: set[Digest] = set()
        self.gate = asyncio.Event()
        self.clock: Callable[[], float] = time.monotonic
        self.compiled: Compiled = lambda _digest, _size: None
        self.trouble: Exception | None = None
        self.told: list[WarmEvent] = []
        self.bus = EventBus()
        gated = GatedCompiler(self, Store.open(folder / "store"))
        self.entries: dict[Digest, Outline] = {}
        self.compiler = gated
        self.compiling = Compiling(gated, lambda digests, _: [self.entries[digest] for digest in digests], self.bus)

    async def compile(self, digests: Sequence[Digest], compiled: Compiled) -> None:
        self.batches.append([self.entries[digest].name for digest in digests])
        self.compiled = compiled
        await self.gate.wait()
        if self.trouble is not None:
            raise self.trouble
        self.done |= set(digests)

    async def start(self, *manifests: Manifest) -> None:
        self.entries |= {manifest.digest: outline_of(manifest, ()) for manifest in manifests}
        digests = [manifest.digest for manifest in manifests]
        await self.compiling.start(self.job, digests, PYTHON, Progress(self.told.append, clock=self.clock))


def play(scenario: Callable[[Scene], Awaitable[None]], tmp_path: Path) -> None:
    async def main() -> None:
        scene = Scene(tmp_path)
        async with asyncio.timeout(DEADLINE):
            with scene.bus.subscribe() as events:
                await scenario(scene)
                scene.bus.close()
                scene.told += [event.message async for event in events]
            await scene.compiling.stop()

    asyncio.run(main())


def test_nothing_is_started_where_everything_is_compiled(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        scene.done.add(manifest(1).digest)
        await scene.start(manifest(1))
        assert not scene.compiling.busy
        assert not scene.compiling.busy_with(scene.job)
        assert scene.told == []

    play(scenario, tmp_path)


def test_the_end_is_told_once_to_all_who_compile_for_the_same_project(tmp_path: Path) -> None:
    scenes: list[Scene] = []

    async def scenario(scene: Scene) -> None:
        scenes.append(scene)
        await scene.start(manifest(1))
        await scene.start(manifest(1), manifest(2))
        await turns_until(lambda: bool(scene.batches))
        assert scene.compiling.busy_with(scene.job)
        scene.gate.set()
        await turns_until(lambda: not scene.compiling.busy)
        assert sorted(name for batch in scene.batches for name in batch) == ["p1", "p2"]

    play(scenario, tmp_path)
    assert [message for message in scenes[0].told if isinstance(message, CompiledEvent)] == [CompiledEvent()]


def test_progress_is_told_after_each_batch(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        most = BATCH
        scene.gate.set()
        await scene.start(manifest(1, most - 1), manifest(2), manifest(3))
        await turns_until(lambda: not scene.compiling.busy)
        assert scene.batches[0] == ["p1"] or scene.batches[0] == ["p1", "p2"]
        assert [name for batch in scene.batches for name in batch] == ["p1", "p2", "p3"]
        assert scene.batches[-1] == ["p3"]
        last = [message for message in scene.told if isinstance(message, ProgressEvent)][-1]
        assert (last.phase, last.done, last.total) == ("compile", 3, 3)

    play(scenario, tmp_path)


def test_progress_moves_while_one_batch_is_compiled(tmp_path: Path) -> None:
    def last(scene: Scene) -> tuple[int, int, int]:
        event = [event for event in scene.told if isinstance(event, ProgressEvent)][-1]
        return event.done, event.bytes_done, event.bytes_total

    async def scenario(scene: Scene) -> None:
        scene.clock = itertools.count().__next__  # a second passes between any two looks at it
        await scene.start(manifest(1, 600), manifest(2, 400))
        await turns_until(lambda: bool(scene.batches))
        assert last(scene) == (0, 0, 1000)
        scene.compiled(manifest(1).digest, 250)
        assert last(scene) == (0, 250, 1000)
        scene.compiled(manifest(1).digest, 250)
        assert last(scene) == (0, 500, 1000)
        scene.gate.set()
        await turns_until(lambda: not scene.compiling.busy)
        assert last(scene) == (2, 1000, 1000)

    play(scenario, tmp_path)


def test_the_next_batch_is_begun_while_one_becomes_durable_but_not_the_one_after_it(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        large = BATCH
        await scene.start(manifest(1, large), manifest(2, large), manifest(3, large))
        await turns_until(lambda: len(scene.batches) == 2)
        for _ in range(100):
            await asyncio.sleep(0)
        assert scene.batches == [["p1"], ["p2"]]
        scene.gate.set()
        await turns_until(lambda: not scene.compiling.busy)
        assert scene.batches == [["p1"], ["p2"], ["p3"]]

    play(scenario, tmp_path)


def test_one_project_does_not_wait_for_everything_of_another(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.start(*(manifest(number, BATCH) for number in range(1, 6)))
        await turns_until(lambda: len(scene.batches) == 2)
        await scene.start(manifest(6, BATCH))
        for _ in range(100):
            await asyncio.sleep(0)
        scene.gate.set()
        await turns_until(lambda: not scene.compiling.busy)
        assert sorted(scene.batches) == [[f"p{number}"] for number in range(1, 7)]
        assert scene.batches[2] == ["p6"]

    play(scenario, tmp_path)


def test_an_interpreter_that_fails_costs_the_bytecode_and_a_warning(tmp_path: Path) -> None:
    scenes: list[Scene] = []

    async def scenario(scene: Scene) -> None:
        scenes.append(scene)
        scene.trouble = ProblemError("/python does not run")
        scene.gate.set()
        await scene.start(manifest(1), manifest(2))
        await turns_until(lambda: not scene.compiling.busy)

    play(scenario, tmp_path)
    (warning,) = (message for message in scenes[0].told if isinstance(message, WarningEvent))
    assert "/python does not run" in warning.message
    assert CompiledEvent() in scenes[0].told


def test_only_the_imports_of_a_program_that_waits_are_in_a_hurry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurried: list[Sequence[str]] = []
    waited_for: list[bool] = []

    async def hurry(_compiler: Compiler, names: Sequence[str], *_of: object) -> None:
        hurried.append(names)

    async def scenario(scene: Scene) -> None:
        monkeypatch.setattr(GatedCompiler, "hurry", hurry)
        scene.gate.set()
        await scene.start(manifest(1))
        with scene.compiling.waited_for(scene.job, bytecode=True, imports=["p2"]):
            waited_for.append(scene.compiler.hurried)
            await scene.start(manifest(2))
        waited_for.append(scene.compiler.hurried)
        with scene.compiling.waited_for(scene.job, bytecode=False, imports=["p3", "os"]):
            waited_for.append(scene.compiler.hurried)
            await scene.start(manifest(3))
        await scene.start(manifest(4))
        await turns_until(lambda: not scene.compiling.busy)

    play(scenario, tmp_path)
    assert hurried == [["p3", "os"]]
    assert waited_for == [True, False, False]


def test_what_is_being_compiled_ends_with_the_daemon(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.start(manifest(1))
        await turns_until(lambda: bool(scene.batches))
        stopping = asyncio.create_task(scene.compiling.stop())
        await asyncio.sleep(0)
        scene.gate.set()
        await stopping
        assert not scene.compiling.busy

    play(scenario, tmp_path)


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    with new_daemon() as daemon:
        daemon.start()
        yield daemon


def test_an_environment_is_ready_before_its_bytecode_for_those_who_do_not_wait(daemon: Daemon, tmp_path: Path) -> None:
    wheel = make_wheel("alpha")
    with serve_index(wheel) as index:
        (tmp_path / "pylock.toml").write_text(pylock_text(index, [wheel]))
        events = daemon.warm(tmp_path, bytecode=False)
    phases = {event["phase"] for event in events if event["event"] == "progress"}
    assert events[-1]["event"] == "ready"
    assert "publish" in phases
    until(lambda: bool(list((daemon.store / "meta").glob("*.pyc.json"))))
    until(lambda: [event["event"] for event in daemon.warm(tmp_path)] == ["ready"])  # it may be about to say so


def test_a_program_finds_bytecode_that_nobody_waits_for(daemon: Daemon, tmp_path: Path) -> None:
    """What is early becomes part of the entry, and nothing of it is left."""
    wheel = make_wheel("alpha", files={"alpha/__init__.py": "import alpha.b\n", "alpha/b.py": "X = 1\n"})
    with serve_index(wheel) as index:
        (tmp_path / "pylock.toml").write_text(pylock_text(index, [wheel]))
        events = daemon.warm(tmp_path, bytecode=False, imports=["alpha.b"])
    assert events[-1]["event"] == "ready"
    until(lambda: bool(list((daemon.store / "meta").glob("*.pyc.json"))))
    (entry,) = (daemon.store / "store/alpha").iterdir()
    assert len(list(entry.rglob("*.pyc"))) == 2
    until(lambda: not list(daemon.store.glob("tmp/*/early.*/*")))


def test_batches_that_compile_or_wait_for_their_turn_take_no_thread_of_anything_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free, begun = threading.Event(), threading.Semaphore(0)

    def compile_entries(*_arguments: object, **_options: object) -> None:
        begun.release()
        assert free.wait(DEADLINE)

    async def main() -> None:
        store = Store.open(tmp_path / "store")
        compiling = Compiler(store, holds=Holds(), session=tmp_path, processes=1)
        batches = [
            asyncio.create_task(compiling.compile_batch([], PYTHON, lambda _digest, _size: None)) for _ in range(100)
        ]
        assert await asyncio.to_thread(begun.acquire, timeout=DEADLINE)
        assert await asyncio.wait_for(asyncio.to_thread(lambda: 1), DEADLINE) == 1
        free.set()
        await asyncio.gather(*batches)
        await compiling.aclose()
        store.close()

    monkeypatch.setattr(compiler, "compile_entries", compile_entries)
    asyncio.run(main())


def test_entries_are_held_while_they_are_compiled_even_if_nobody_waits_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    holds, begun, free = Holds(), threading.Event(), threading.Event()

    def compile_entries(*_arguments: object, **_options: object) -> None:
        begun.set()
        assert free.wait(DEADLINE)

    async def main() -> None:
        store = Store.open(tmp_path / "store")
        compiling = Compiler(store, holds=holds, session=tmp_path, processes=1)
        digest = manifest(1).digest
        batch = asyncio.create_task(compiling.compile_batch([digest], PYTHON, lambda _digest, _size: None))
        assert await asyncio.to_thread(begun.wait, DEADLINE)
        batch.cancel()
        await asyncio.wait([batch])
        assert holds.held() == {digest}
        free.set()
        await turns_until(lambda: not holds.held())
        await compiling.aclose()
        store.close()

    monkeypatch.setattr(compiler, "compile_entries", compile_entries)
    asyncio.run(main())
