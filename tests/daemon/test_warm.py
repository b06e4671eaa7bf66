"""Policy with fakes: what is shared, what stays after a failure. Then the whole way, with a real daemon."""

import asyncio
import json
import os
import subprocess
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from storectl_daemon.entries import pipeline
from storectl_daemon.entries.pipeline import Pipeline, biggest_first
from storectl_daemon.entries.workers import Workers
from storectl_daemon.errors import FetchError
from storectl_daemon.jobs.events import Event, EventBus, concerns
from storectl_daemon.jobs.options import DEFAULT_OPTIONS, Job, Options
from storectl_daemon.jobs.progress import Progress
from storectl_daemon.models import (
    STOPPING,
    EnvironmentInfo,
    FailedEvent,
    InterpreterInfo,
    ProgressEvent,
    ReadyEvent,
    WarmEvent,
    WarningEvent,
)
from storectl_daemon.network.fetch import Fetched
from storectl_daemon.process.batches import Batcher
from storectl_daemon.projects.ahead import Ahead
from storectl_daemon.projects.book import ProjectBook, RecordedEnvironment
from storectl_daemon.projects.files import ProjectFiles
from storectl_daemon.projects.fronts import Fronts
from storectl_daemon.projects.histories import Granted, Histories
from storectl_daemon.projects.inputs import Inputs, Located
from storectl_daemon.projects.stillness import Stillness
from storectl_daemon.warming.grants import Grants
from storectl_daemon.warming.settling import MadeEnvironment, Settling
from storectl_daemon.warming.states import Failed, Idle, Ready
from storectl_daemon.warming.unasked import Unasked
from storectl_daemon.warming.warm import FORGOTTEN, Warmer
from storectl_store.collecting.holds import Holds
from storectl_store.digest import EnvironmentId, digest_of_hex
from storectl_store.entries.commit import Committed, commit
from storectl_store.entries.manifest import Manifest
from storectl_store.entries.sealed import opened
from storectl_store.entries.staged import StagedEntry
from storectl_store.entries.store import Store
from storectl_store.errors import LockFileError, ProblemError, StoreError
from storectl_store.projects.git_refs import Head
from storectl_store.projects.history import Generation, history_file
from storectl_store.projects.input_state import InputKind, InputState
from storectl_store.projects.kept_inputs import KeptInputs
from storectl_store.selection.pin import Pin, WheelFile
from support.daemon import DEADLINE, Daemon, new_daemon, turns_until, until
from support.index import LoopbackIndex, serve_index
from support.lock_files import pylock_text, pyproject_text, requirements_text, uv_lock_text
from support.stores import unfinished
from support.wheels import WheelBytes, make_wheel

# --- policy -----------------------------------------------------------------------------------------------------------


class FakeFiles(ProjectFiles):
    """Projects whose only input is a text in memory; records are lists."""

    def __init__(self) -> None:
        self.text = "one"
        self.settled = True
        self.records: list[tuple[Job, Path]] = []
        self.history: list[Granted] = []
        self.gone: set[str | None] = set()
        self.writing = threading.Event()
        self.may_write = threading.Event()
        self.may_write.set()

    def read(self, job: Job, extra: Mapping[Path, InputKind] | None) -> Inputs:
        if self.text == "broken":
            raise LockFileError("uv.lock:1: broken")
        state = InputState(sha256=self.text, mtime_ns=1, size=1)
        located = Located(project=job.project, lock_file=job.project / "uv.lock")
        return Inputs(located=located, files={located.lock_file: state})

    def write_record(self, job: Job, inputs: Inputs, environment: Path, recorded: RecordedEnvironment) -> bool:
        self.writing.set()
        assert self.may_write.wait(DEADLINE)
        self.records.append((job, environment))
        return self.settled

    def forget(self, project: Path) -> None:
        self.records.clear()
        self.history.clear()

    def has_variables(self, digests: Mapping[str, str], environ: Mapping[str, str]) -> bool:
        return digests.items() <= environ.items()

    def environment(self, recorded: RecordedEnvironment, project: Path) -> EnvironmentInfo | None:
        return None if recorded.environment in self.gone else info(str(recorded.environment))


def info(name: str) -> EnvironmentInfo:
    return EnvironmentInfo(
        id=EnvironmentId(name),
        path=f"/env/{name}",
        python=f"/env/{name}/bin/python",
        project="/p",
        lock_file="/p/uv.lock",
        interpreter=InterpreterInfo(executable="/python", version="3.12.1"),
        wheels=0,
    )


class FakeHistories(Histories):
    """A history in memory, which goes with the records."""

    def __init__(self, files: FakeFiles) -> None:
        self.files = files

    def is_news(self, job: Job, granted: Granted) -> bool:
        return True

    def granted(self, job: Job, granted: Granted, head: Head) -> None:
        self.files.history.append(granted)

    def before(self, job: Job, inputs: str) -> Generation | None:
        found = (granted for granted in reversed(self.files.history) if granted.inputs == inputs)
        return next((generation_of(granted) for granted in found), None)


def generation_of(granted: Granted) -> Generation:
    return Generation(
        number=1,
        at_ns=0,
        key="default",
        environment=granted.environment,
        inputs=granted.inputs,
        branch=None,
        commit=None,
        snapshot="",
        notices=granted.notices,
        variables=granted.variables,
    )


class FakeFronts(Fronts):
    """Fronts of the default options, which are followed; ``busy`` counts how often another program changes one."""

    def __init__(self) -> None:
        self.followed: list[Path] = []
        self.busy = 0

    def follow_all(self, project: Path, options: Options, environment: Path, lock_file: Path) -> tuple[list[str], bool]:
        if options == DEFAULT_OPTIONS:
            self.followed.append(environment)
        self.busy -= 1
        return ["told"], self.busy >= 0


class FakeMaker:
    """Makes an environment named after the inputs; `gate` holds it up, `trouble` lets it fail."""

    def __init__(self, files: FakeFiles) -> None:
        self.files = files
        self.made: list[str] = []
        self.jobs: list[Job] = []
        self.gate: asyncio.Event | None = None
        self.trouble: Exception | None = None
        self.variables: dict[str, str] = {}
        self.during: Callable[[], None] = lambda: None
        self.holds = Holds()

    async def __call__(self, job: Job, inputs: Inputs, progress: Progress) -> MadeEnvironment:
        name = next(state.sha256 for state in inputs.files.values() if state)
        self.made.append(name)
        self.jobs.append(job)
        if self.gate is not None:
            await self.gate.wait()
        self.during()
        if self.trouble is not None:
            raise self.trouble
        hold = self.holds.keep([info(name).id])
        kept = KeptInputs(lock_file=Path("/p/uv.lock"), executable="/python", version="3.12.1", interpreter_identity="")
        return MadeEnvironment(environment=info(name), variables=self.variables, hold=hold, kept=kept)


class Scene:
    def __init__(self, tmp_path: Path, *, settle_seconds: float = 60, histories: Histories | None = None) -> None:
        self.files = FakeFiles()
        self.maker = FakeMaker(self.files)
        self.fronts = FakeFronts()
        self.bus = EventBus()
        self.holds = self.maker.holds
        self.book = ProjectBook(tmp_path / "projects.json")
        self.ahead = Ahead(tmp_path / "ahead.json", uses=lambda _: {})
        self.warmer = Warmer(
            settling=Settling(self.maker, self.files.read, Stillness(), again_seconds=0),
            grants=Grants(files=self.files, histories=histories or FakeHistories(self.files), book=self.book),
            fronts=self.fronts,
            bus=self.bus,
            holds=self.holds,
            unasked=Unasked(self.ahead),
            settle_seconds=settle_seconds,
        )
        self.job = Job(project=tmp_path)

    async def warm(self, job: Job | None = None) -> WarmEvent:
        """The last event of a warm."""
        wanted = job or self.job
        with self.bus.subscribe(partial(concerns, wanted)) as events:
            self.warmer.start(wanted)
            async for event in events:
                if isinstance(event.message, ReadyEvent | FailedEvent):
                    await turns_until(lambda: not self.warmer.busy)
                    return event.message
        raise AssertionError("no last event")


def play(scenario: Callable[[Scene], Awaitable[None]], tmp_path: Path, **options: Any) -> None:
    async def main() -> None:
        scene = Scene(tmp_path, **options)
        async with asyncio.timeout(DEADLINE):
            await scenario(scene)
            await scene.warmer.stop()

    asyncio.run(main())


def test_an_environment_is_held_until_a_record_names_it(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        scene.files.may_write.clear()
        scene.warmer.start(scene.job)
        await turns_until(scene.files.writing.is_set)
        assert scene.holds.held() == {"one"}
        scene.files.may_write.set()
        await turns_until(lambda: not scene.warmer.busy)
        assert scene.holds.held() == frozenset()
        assert scene.book.get(tmp_path) is not None

    play(scenario, tmp_path)


def test_what_a_change_led_to_is_made_ahead_and_what_somebody_asks_for_is_not(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.warm()
        assert scene.ahead.account().made == 0
        scene.files.text = "two"
        await scene.warmer.refresh(scene.job)
        await turns_until(lambda: not scene.warmer.busy)
        account = scene.ahead.account(tmp_path)
        assert (account.made, account.last and account.last.environment) == (1, "two")
        scene.files.text, scene.maker.gate = "three", asyncio.Event()
        await scene.warmer.refresh(scene.job)
        await turns_until(lambda: scene.maker.made == ["one", "two", "three"])
        scene.warmer.start(scene.job)
        scene.maker.gate.set()
        await turns_until(lambda: not scene.warmer.busy)
        assert scene.ahead.account().made == 1

    play(scenario, tmp_path)


def test_a_branch_that_was_seen_before_is_not_made_again(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.warm()
        scene.files.text = "two"
        await scene.warm()
        scene.files.text = "one"
        await scene.warmer.refresh(scene.job)
        await turns_until(lambda: not scene.warmer.busy)
        assert scene.ahead.account().made == 0

    play(scenario, tmp_path)


def test_a_change_that_leaves_the_environment_as_it_is_has_made_nothing_ahead(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.warm()
        project = scene.book.get(tmp_path)
        assert project is not None
        scene.book.record(tmp_path, replace(project.environments[0], environment=info("two").id))
        scene.files.text = "two"
        await scene.warmer.refresh(scene.job)
        await turns_until(lambda: not scene.warmer.busy)
        assert scene.maker.made == ["one", "two"]
        assert scene.ahead.account().made == 0

    play(scenario, tmp_path)


def test_a_branch_that_was_seen_before_is_held_before_it_is_looked_for(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.warm()
        scene.files.text = "two"
        await scene.warm()
        held: list[frozenset[object]] = []

        def environment(recorded: RecordedEnvironment, project: Path) -> EnvironmentInfo | None:
            held.append(scene.holds.held())
            return info(str(recorded.environment))

        scene.files.text = "one"
        scene.files.environment = environment  # type: ignore[method-assign]
        await scene.warmer.refresh(scene.job)
        await turns_until(lambda: not scene.warmer.busy)
        assert {"one"} in held
        assert scene.maker.made == ["one", "two"]
        assert scene.holds.held() == frozenset()

    play(scenario, tmp_path)


def test_a_warm_whose_record_cannot_be_written_holds_nothing_afterwards(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        def refuse(*_arguments: object, **_options: object) -> bool:
            raise StoreError("no space")

        scene.files.write_record = refuse  # type: ignore[method-assign]
        assert isinstance(await scene.warm(), FailedEvent)
        assert scene.holds.held() == frozenset()

    play(scenario, tmp_path)


def test_a_record_that_is_being_written_when_its_project_is_forgotten_is_gone_too(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.warm()
        scene.files.writing.clear()
        scene.files.may_write.clear()
        visit = asyncio.create_task(scene.warmer.refresh(scene.job))
        await asyncio.to_thread(scene.files.writing.wait, DEADLINE)
        scene.book.remove(scene.job.project)
        scene.warmer.forget(scene.job.project)
        forgetting = asyncio.create_task(scene.warmer.forget_record(scene.job.project))
        visit.cancel()
        await asyncio.sleep(0)
        scene.files.may_write.set()
        await forgetting
        await asyncio.gather(visit, return_exceptions=True)
        await scene.warmer.refresh(scene.job)
        assert not scene.warmer.busy
        assert scene.files.records == []

    play(scenario, tmp_path)


def test_many_who_ask_at_once_share_one_build(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        messages = await asyncio.gather(*(scene.warm() for _ in range(20)))
        assert scene.maker.made == ["one"]
        assert {message.event for message in messages} == {"ready"}

    play(scenario, tmp_path)


def test_a_warm_right_after_its_project_was_forgotten_has_a_flight_of_its_own(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        scene.maker.gate = asyncio.Event()
        first = asyncio.create_task(scene.warm())
        await turns_until(lambda: len(scene.maker.made) == 1)
        scene.book.remove(tmp_path)
        scene.warmer.forget(tmp_path)
        second = asyncio.create_task(scene.warm())
        scene.maker.gate.set()
        told = await asyncio.gather(first, second)
        assert [getattr(message, "problem", None) for message in told] == [FORGOTTEN, None]
        assert len(scene.maker.made) == 2
        assert isinstance(scene.warmer.state(scene.job), Ready)
        assert scene.book.get(tmp_path) is not None

    play(scenario, tmp_path)


def test_flights_of_a_forgotten_project_never_overlap_with_those_after_it(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        under_way, most = 0, 0

        async def make(job: Job, inputs: Inputs, progress: Progress) -> MadeEnvironment:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            try:
                await asyncio.sleep(0)
                return MadeEnvironment(environment=info("one"))
            finally:
                await asyncio.shield(asyncio.sleep(0))
                under_way -= 1

        scene.warmer._settling._make = make
        warms = []
        for _ in range(20):
            warms.append(asyncio.create_task(scene.warm()))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            scene.warmer.forget(tmp_path)
        warms.append(asyncio.create_task(scene.warm()))
        told = await asyncio.gather(*warms)
        assert isinstance(told[-1], ReadyEvent)
        assert most == 1

    play(scenario, tmp_path)


@pytest.mark.parametrize("trouble", [None, ProblemError("no", code="E_X")])
def test_a_warm_in_the_turn_in_which_a_flight_ends_hears_of_its_own(
    tmp_path: Path, trouble: ProblemError | None
) -> None:
    async def scenario(scene: Scene) -> None:
        scene.maker.trouble = trouble
        ends = 0
        with scene.bus.subscribe(partial(concerns, scene.job)) as events:
            scene.warmer.start(scene.job)
            async for event in events:  # it is heard before anything else that the end of a flight sets off
                if isinstance(event.message, ReadyEvent | FailedEvent):
                    ends += 1
                    if ends == 5:
                        break
                    scene.warmer.start(scene.job)
        assert ends == len(scene.maker.made) == 5

    play(scenario, tmp_path)


def test_commands_with_other_variables_have_flights_of_their_own_one_after_the_other(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        one, two = ({"TOKEN": value} for value in ("one", "two"))
        scene.maker.gate = asyncio.Event()
        warms = [
            asyncio.create_task(scene.warm(Job(project=tmp_path, environ=environ)))
            for environ in (one, two, dict(one), {}, dict(two))
        ]
        await turns_until(lambda: len(scene.maker.jobs) == 1)
        scene.maker.trouble = ProblemError("no login", code="E_FETCH")

        def only_the_first_fails() -> None:
            scene.maker.trouble = None if len(scene.maker.jobs) > 1 else scene.maker.trouble

        scene.maker.during = only_the_first_fails
        scene.maker.gate.set()
        messages = await asyncio.gather(*warms)
        assert [job.environ for job in scene.maker.jobs] == [one, two, {}]
        assert [message.event for message in messages] == ["failed", "ready", "failed", "ready", "ready"]

    play(scenario, tmp_path)


def test_commands_that_wait_for_a_flight_hear_when_the_daemon_stops(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        scene.maker.gate = asyncio.Event()
        warms = [
            asyncio.create_task(scene.warm(Job(project=tmp_path, environ={"TOKEN": value})))
            for value in ("a", "b", "c")
        ]
        await turns_until(lambda: len(scene.maker.jobs) == 1)
        await scene.warmer.stop()
        messages = await asyncio.gather(*warms)
        assert {getattr(message, "problem", None) for message in messages} == {STOPPING}
        assert len(scene.maker.jobs) == 1

    play(scenario, tmp_path)


def test_variables_are_not_shown_with_a_job(tmp_path: Path) -> None:
    job = Job(project=tmp_path, environ={"TOKEN": "s3cret"})
    assert "s3cret" not in repr(job)
    assert job == Job(project=tmp_path)
    assert hash(job) == hash(Job(project=tmp_path))


def test_other_options_are_another_flight(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        other = Job(project=tmp_path, options=Options(extras=frozenset({"x"})))
        await asyncio.gather(scene.warm(), scene.warm(other))
        assert scene.maker.made == ["one", "one"]
        assert {job for job, _ in scene.files.records} == {scene.job, other}

    play(scenario, tmp_path)


def test_a_failure_keeps_the_last_good_environment_and_its_record(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.warm()
        scene.files.text = "two"
        scene.maker.trouble = ProblemError("no such wheel", code="E_FETCH", hint="look")
        message = await scene.warm()
        assert isinstance(message, FailedEvent)
        assert (message.problem.code, message.problem.hint) == ("E_FETCH", "look")
        assert scene.warmer.state(scene.job) == Failed(environment=info("one"), problem=message.problem)
        assert [environment.name for _, environment in scene.files.records] == ["one"]
        project = scene.book.get(tmp_path)
        assert project is not None
        assert [recorded.environment for recorded in project.environments] == ["one"]

    play(scenario, tmp_path)


def test_inputs_that_failed_are_tried_again_when_asked_for_and_not_by_looking(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        scene.maker.trouble = ProblemError("no such wheel")
        await scene.warm()
        await scene.warmer.refresh(scene.job)
        assert scene.maker.made == ["one"]
        assert isinstance(scene.warmer.state(scene.job), Failed)
        await scene.warm()
        assert scene.maker.made == ["one", "one"]
        scene.files.text, scene.maker.trouble = "two", None
        await scene.warmer.refresh(scene.job)
        await turns_until(lambda: isinstance(scene.warmer.state(scene.job), Ready))
        assert scene.maker.made == ["one", "one", "two"]

    play(scenario, tmp_path)


def test_a_defect_is_a_failure_that_shows_no_internals(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        scene.maker.trouble = KeyError("secret")
        message = await scene.warm()
        assert isinstance(message, FailedEvent)
        assert message.problem.code == "E_INTERNAL"
        assert "secret" not in message.json_text()
        scene.maker.trouble = None
        assert isinstance(await scene.warm(), ReadyEvent)

    play(scenario, tmp_path)


def test_a_broken_lock_file_fails_at_once_and_is_mended_by_the_next_look(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.warm()
        scene.files.text = "broken"
        await scene.warmer.refresh(scene.job)
        assert isinstance(scene.warmer.state(scene.job), Failed)
        assert scene.warmer.state(scene.job).environment == info("one")
        scene.files.text = "one"
        await scene.warmer.refresh(scene.job)
        assert isinstance(scene.warmer.state(scene.job), Ready)
        assert scene.maker.made == ["one"]

    play(scenario, tmp_path)


def test_inputs_that_change_meanwhile_are_made_again_and_only_the_last_is_ready(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        texts = iter(["two", "three"])

        def change() -> None:
            scene.files.text = next(texts, scene.files.text)

        scene.maker.during = change
        message = await scene.warm()
        assert scene.maker.made == ["one", "two", "three"]
        assert message == ReadyEvent(environment=info("three"))
        assert [environment.name for _, environment in scene.files.records] == ["three"]

    play(scenario, tmp_path)


def test_a_failure_of_inputs_that_are_no_longer_there_is_no_failure(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        scene.maker.trouble = ProblemError("gone")

        def change() -> None:
            if scene.files.text == "two":
                scene.maker.trouble = None
            scene.files.text = "two"

        scene.maker.during = change
        assert await scene.warm() == ReadyEvent(environment=info("two"))

    play(scenario, tmp_path)


def test_inputs_that_never_stand_still_fail_in_the_end(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        def change() -> None:
            scene.files.text += "x"

        scene.maker.during = change
        message = await scene.warm()
        assert isinstance(message, FailedEvent)
        assert message.problem.code == "E_LOCK"

    play(scenario, tmp_path)


def test_a_change_seen_during_the_flight_is_looked_at_afterwards(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        scene.maker.gate = asyncio.Event()
        warm = asyncio.create_task(scene.warm())
        await turns_until(lambda: bool(scene.maker.made))
        await scene.warmer.refresh(scene.job)
        records = len(scene.files.records)
        scene.maker.gate.set()
        await warm
        await turns_until(lambda: len(scene.files.records) >= records + 2)
        assert scene.maker.made == ["one"]

    play(scenario, tmp_path)


def test_a_look_at_unchanged_inputs_builds_nothing_and_renews_the_record(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.warm()
        await scene.warmer.refresh(scene.job)
        assert scene.maker.made == ["one"]
        assert len(scene.files.records) == 2

    play(scenario, tmp_path)


def test_a_look_builds_again_where_the_environment_is_gone(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.warm()
        scene.files.gone.add("one")
        await scene.warmer.refresh(scene.job)
        await turns_until(lambda: not scene.warmer.busy)
        assert scene.maker.made == ["one", "one"]

    play(scenario, tmp_path)


async def look(scene: Scene, text: str) -> None:
    """The watcher's look after the lock file has changed to this text."""
    scene.files.text = text
    await scene.warmer.refresh(scene.job)
    await turns_until(lambda: not scene.warmer.busy)


def test_a_branch_that_was_seen_before_is_ready_without_being_made(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        for text in ("one", "two", "one", "two"):
            await look(scene, text)
            assert scene.warmer.state(scene.job).environment == info(text)
        assert scene.maker.made == ["one", "two"]
        assert [environment.name for _, environment in scene.files.records] == ["one", "two", "one", "two"]
        project = scene.book.get(tmp_path)
        assert project is not None
        assert [recorded.environment for recorded in project.environments] == ["two"]

    play(registered(scenario), tmp_path)


def test_a_branch_that_was_seen_before_is_made_again_for_other_variables(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        for value, text in (("a", "one"), ("a", "two"), ("a", "one"), ("b", "two"), ("b", "two"), ("b", "one")):
            scene.job = Job(project=tmp_path, environ={"PURE": value})
            scene.maker.variables = {"PURE": value}
            await look(scene, text)
        assert scene.maker.made == ["one", "two", "two", "one"]
        project = scene.book.get(tmp_path)
        assert project is not None
        assert [recorded.variables for recorded in project.environments] == [{"PURE": "b"}]

    play(registered(scenario), tmp_path)


def test_a_branch_that_was_seen_before_is_made_again_if_its_environment_is_gone(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        await look(scene, "one")
        await look(scene, "two")
        scene.files.gone.add("one")
        await look(scene, "one")
        assert scene.maker.made == ["one", "two", "one"]

    play(registered(scenario), tmp_path)


def test_who_asks_for_an_environment_has_all_of_it_looked_at(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.warm()
        await scene.warm()
        assert scene.maker.made == ["one", "one"]

    play(scenario, tmp_path)


def test_a_forgotten_project_is_not_remembered(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        await look(scene, "one")
        await look(scene, "two")
        scene.warmer.forget(tmp_path)
        await scene.warmer.forget_record(tmp_path)
        await look(scene, "one")
        assert scene.maker.made == ["one", "two", "one"]

    play(registered(scenario), tmp_path)


def test_a_branch_that_was_seen_before_a_restart_is_ready_without_being_made(tmp_path: Path) -> None:
    main, feature, other = ("a" * 32, "b" * 32, "c" * 32)

    async def before(scene: Scene) -> None:
        for text in (main, feature):
            await look(scene, text)
        await scene.book.written()

    async def after(scene: Scene) -> None:
        for text in (main, feature, other, main):
            await look(scene, text)
            assert scene.warmer.state(scene.job).environment == info(text)
        assert scene.maker.made == [other]

    with closing(Store.open(tmp_path / "store")) as store:
        play(registered(before), tmp_path, histories=Histories(store))
        play(after, tmp_path, histories=Histories(store))


def test_a_history_that_cannot_be_written_fails_no_warm(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(scene: Scene) -> None:
        assert isinstance(await scene.warm(), ReadyEvent)

    with closing(Store.open(tmp_path / "store")) as store:
        history_file(store.layout, tmp_path).mkdir(parents=True)
        play(scenario, tmp_path, histories=Histories(store))
    assert f"the history of {tmp_path}" in caplog.text


# --- rolling back -----------------------------------------------------------------------------------------------------

BACK = MadeEnvironment(environment=info("zero"), notices=("in generation 1",), rolled_back=1)


async def roll_back(scene: Scene, made: MadeEnvironment | Exception = BACK) -> WarmEvent:
    """The last event of a rollback to this environment, or with this failure."""

    async def make(progress: Progress) -> MadeEnvironment:
        progress.begin("publish", 1)
        if isinstance(made, Exception):
            raise made
        return made

    with scene.bus.subscribe(partial(concerns, scene.job)) as events:
        scene.warmer.roll_back(scene.job, make)
        async for event in events:
            if isinstance(event.message, ReadyEvent | FailedEvent):
                await turns_until(lambda: not scene.warmer.busy)
                return event.message
    raise AssertionError("no last event")


def recorded(scene: Scene) -> RecordedEnvironment:
    project = scene.book.get(scene.job.project)
    assert project is not None
    (found,) = project.environments
    return found


def test_a_rollback_holds_until_an_input_changes(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.warm()
        assert await roll_back(scene) == ReadyEvent(environment=info("zero"))
        assert await scene.warm() == ReadyEvent(environment=info("zero"))
        await look(scene, "one")
        assert scene.warmer.state(scene.job) == Ready(environment=info("zero"))
        assert (recorded(scene).rolled_back, recorded(scene).notices) == (1, ("in generation 1",))
        assert scene.fronts.followed[-1] == Path("/env/zero")
        await look(scene, "two")
        assert scene.warmer.state(scene.job) == Ready(environment=info("two"))
        assert (recorded(scene).rolled_back, recorded(scene).notices) == (None, ())
        await look(scene, "one")
        assert scene.warmer.state(scene.job) == Ready(environment=info("one"))
        assert scene.maker.made == ["one", "two"]

    play(scenario, tmp_path)


def test_a_rollback_holds_after_a_restart(tmp_path: Path) -> None:
    async def before(scene: Scene) -> None:
        await scene.warm()
        await roll_back(scene)
        await scene.book.written()

    async def after(scene: Scene) -> None:
        await look(scene, "one")
        assert scene.warmer.state(scene.job) == Ready(environment=info("zero"))
        assert await scene.warm() == ReadyEvent(environment=info("zero"))
        assert recorded(scene).rolled_back == 1

    play(before, tmp_path)
    play(after, tmp_path)


def test_a_rollback_that_is_ended_gives_what_the_inputs_give(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.warm()
        await roll_back(scene)
        scene.warmer.end_rollback(scene.job)
        assert await scene.warm() == ReadyEvent(environment=info("one"))
        assert recorded(scene).rolled_back is None

    play(scenario, tmp_path)


def test_a_rollback_whose_environment_is_gone_ends(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.warm()
        await roll_back(scene)
        scene.files.gone.add("zero")
        assert await scene.warm() == ReadyEvent(environment=info("one"))

    play(scenario, tmp_path)


@pytest.mark.parametrize("trouble", [FetchError("no such file"), ZeroDivisionError("a defect")])
def test_a_rollback_that_fails_leaves_everything_as_it_was(tmp_path: Path, trouble: Exception) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.warm()
        known = recorded(scene)
        assert isinstance(await roll_back(scene, trouble), FailedEvent)
        assert scene.warmer.state(scene.job) == Ready(environment=info("one"))
        assert recorded(scene) == known
        assert len(scene.files.records) == 1

    play(scenario, tmp_path)


def test_a_rollback_waits_for_a_flight_that_is_under_way(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        scene.maker.gate = asyncio.Event()
        warm = asyncio.create_task(scene.warm())
        await turns_until(lambda: bool(scene.maker.made))
        scene.warmer.roll_back(scene.job, lambda _progress: asyncio.sleep(0, BACK))
        scene.maker.gate.set()
        assert await warm == ReadyEvent(environment=info("one"))
        assert scene.warmer.state(scene.job) == Ready(environment=info("zero"))

    play(scenario, tmp_path)


def test_a_rollback_is_no_generation(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.warm()
        await roll_back(scene)
        assert [granted.environment for granted in scene.files.history] == ["one"]

    play(scenario, tmp_path)


def registered(scenario: Callable[[Scene], Awaitable[None]]) -> Callable[[Scene], Awaitable[None]]:
    """The scenario, for a project that was warmed some time ago, in another life of the daemon."""

    async def play_registered(scene: Scene) -> None:
        scene.book.want(scene.job.project, scene.job.options)
        await scenario(scene)

    return play_registered


def test_a_record_that_was_too_young_is_completed_later(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        scene.files.settled = False
        await scene.warm()
        scene.files.settled = True
        await turns_until(lambda: len(scene.files.records) >= 2)
        assert scene.maker.made == ["one"]

    play(scenario, tmp_path, settle_seconds=0.01)


def test_a_listener_that_leaves_does_not_end_the_work(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        scene.maker.gate = asyncio.Event()
        first, second = asyncio.create_task(scene.warm()), asyncio.create_task(scene.warm())
        await turns_until(lambda: bool(scene.maker.made))
        first.cancel()
        await asyncio.wait({first})
        scene.maker.gate.set()
        assert isinstance(await second, ReadyEvent)
        assert scene.maker.made == ["one"]

    play(scenario, tmp_path)


def test_stopping_cancels_what_is_on_its_way_and_starts_nothing_more(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        scene.maker.gate = asyncio.Event()
        warm = asyncio.create_task(scene.warm())
        await turns_until(lambda: bool(scene.maker.made))
        await scene.warmer.stop()
        for message in (await warm, await scene.warm()):
            assert isinstance(message, FailedEvent)
            assert message.problem.code == "E_STOPPING"
        assert scene.maker.made == ["one"]

    play(scenario, tmp_path)


def test_a_forgotten_project_is_idle_and_its_flight_ends(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        scene.maker.gate = asyncio.Event()
        warm = asyncio.create_task(scene.warm())
        await turns_until(lambda: bool(scene.maker.made))
        scene.warmer.forget(tmp_path)
        assert isinstance(await warm, FailedEvent)
        assert isinstance(scene.warmer.state(scene.job), Idle)
        assert scene.files.records == []

    play(scenario, tmp_path)


def test_fronts_are_up_to_date_before_an_environment_is_reported_ready(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        with scene.bus.subscribe() as events:
            await scene.warm()
            stream = aiter(events)
            messages = [(await anext(stream)).message for _ in range(2)]
        assert scene.fronts.followed == [Path("/env/one")]
        assert messages == [WarningEvent(message="told"), ReadyEvent(environment=info("one"))]

    play(scenario, tmp_path)


def test_a_front_that_another_program_changes_is_followed_once_that_is_done(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        scene.fronts.busy = 2
        await scene.warm()
        await turns_until(lambda: len(scene.fronts.followed) == 3)

    play(scenario, tmp_path, settle_seconds=0.01)


def test_a_slow_listener_misses_progress_and_nothing_else(tmp_path: Path) -> None:
    async def main() -> None:
        bus, job = EventBus(), Job(project=tmp_path)
        with bus.subscribe() as events:
            bus.publish(Event(job=job, message=ReadyEvent(environment=info("first"))))
            for number in range(2000):
                bus.publish(Event(job=job, message=ProgressEvent(phase="fetch", done=number, total=2000)))
            bus.publish(Event(job=job, message=ReadyEvent(environment=info("last"))))
            bus.close()
            got = [event.message async for event in events]
        ready = [message.environment.id for message in got if isinstance(message, ReadyEvent)]
        progress = [message.done for message in got if isinstance(message, ProgressEvent)]
        assert ready == ["first", "last"]
        assert len(got) < 300
        assert progress[-1] == 1999

    asyncio.run(main())


# --- the pipeline -----------------------------------------------------------------------------------------------------


def pin_of(name: str, size: int | None = None) -> Pin:
    wheel = make_wheel(name)
    file = WheelFile(filename=wheel.filename, digest=digest_of_hex(wheel.hexdigest), url="file:///x", size=size)
    return Pin(name=name, version="1.0", wheel=file)  # type: ignore[arg-type]


class InlineWorkers(Workers):
    """Workers without processes: a job runs at once, where it is asked for."""

    def __init__(self) -> None:
        super().__init__(1)

    def expect(self, module: str) -> None:
        """Start nothing."""

    async def run(self, job: str, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)


class Line:
    """A pipeline of a store of its own. ``fetch_gate`` and ``commit_gate`` hold it up."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store = Store.open(folder / "store")
        self.session = folder / "session"
        self.session.mkdir()
        self.pipeline = Pipeline(self.store, InlineWorkers(), session=self.session)
        self.fetched: list[str] = []
        self.batches: list[int] = []
        self.fetch_gate: asyncio.Event | None = None
        self.commit_gate = threading.Event()
        self.commit_gate.set()
        self.damaged = False
        monkeypatch.setattr(pipeline, "commit", self.commit)

    async def fetch(self, wheel: WheelFile, destination: Path, *, progress: Callable[[int], None]) -> Fetched:
        self.fetched.append(wheel.filename)
        if self.fetch_gate is not None:
            await self.fetch_gate.wait()
        content = make_wheel(wheel.filename.partition("-")[0]).data
        write(destination, b"no wheel" if self.damaged else content)
        progress(5)
        return Fetched(path=destination, digest=wheel.digest, size=5)

    def commit(self, store: Store, staged: Sequence[StagedEntry]) -> list[Committed]:
        self.batches.append(len(staged))
        assert self.commit_gate.wait(DEADLINE)
        return commit(store, staged)

    async def ensure(self, pin: Pin) -> Manifest:
        return await self.pipeline.ensure(pin, quiet(), self.fetch)


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    line = Line(tmp_path, monkeypatch)
    yield line
    line.store.close()


def write(file: Path, content: bytes) -> None:
    file.write_bytes(content)


def quiet() -> Progress:
    return Progress(lambda _message: None)


def test_one_digest_is_fetched_and_committed_once_however_many_ask(line: Line) -> None:
    async def main() -> None:
        manifests = await asyncio.gather(*(line.ensure(pin_of("alpha")) for _ in range(10)))
        assert len({id(manifest) for manifest in manifests}) == 1
        assert (len(line.fetched), line.batches) == (1, [1])
        assert os.listdir(line.session) == []
        await line.ensure(pin_of("alpha"))
        assert len(line.fetched) == 1

    asyncio.run(main())


def test_a_command_whose_way_to_a_wheel_works_does_not_fail_with_another_s(line: Line) -> None:
    async def main() -> None:
        refused = asyncio.Event()

        async def refusing(wheel: WheelFile, destination: Path, *, progress: Callable[[int], None]) -> Fetched:
            await refused.wait()
            raise FetchError(f"{wheel.filename}: no login")

        without = asyncio.create_task(line.pipeline.ensure(pin_of("alpha"), quiet(), refusing))
        await asyncio.sleep(0)
        within = asyncio.create_task(line.ensure(pin_of("alpha")))
        await asyncio.sleep(0)
        refused.set()
        results = await asyncio.gather(without, within, return_exceptions=True)
        assert isinstance(results[0], FetchError)
        assert isinstance(results[1], Manifest)
        assert len(line.fetched) == 1

    asyncio.run(main())


class Told:
    """What one job hears of its pins."""

    def __init__(self) -> None:
        self.counts: dict[str, tuple[int, int]] = {}
        self.progress = Progress(self._hear)
        self.progress.begin("fetch", 1, bytes_total=5)
        self.progress.begin("unpack", 1)

    def _hear(self, message: WarmEvent) -> None:
        assert isinstance(message, ProgressEvent)
        self.counts[message.phase] = (message.done, message.bytes_done)


@pytest.mark.parametrize("joins", ["before", "during", "after"])
def test_a_pin_that_another_job_fetches_counts_for_everyone_who_waits_for_it(line: Line, joins: str) -> None:
    async def main() -> None:
        line.fetch_gate = asyncio.Event()
        line.commit_gate.clear()
        first, second = Told(), Told()
        tasks = [asyncio.create_task(line.pipeline.ensure(pin_of("alpha"), first.progress, line.fetch))]
        await turns_until(lambda: bool(line.fetched))
        if joins != "before":
            line.fetch_gate.set()
            await turns_until(lambda: bool(line.batches))
        if joins == "after":
            line.commit_gate.set()
            await tasks[0]
        tasks.append(asyncio.create_task(line.pipeline.ensure(pin_of("alpha"), second.progress, line.fetch)))
        await asyncio.sleep(0)
        line.fetch_gate.set()
        line.commit_gate.set()
        await asyncio.gather(*tasks)
        assert first.counts == {"fetch": (1, 5), "unpack": (1, 0)}
        assert {phase: done for phase, (done, _) in second.counts.items()} == {"fetch": 1, "unpack": 1}
        assert len(line.fetched) == 1

    asyncio.run(main())


def test_what_is_staged_while_a_commit_runs_shares_the_next_one(line: Line) -> None:
    async def main() -> None:
        line.commit_gate.clear()
        first = asyncio.create_task(line.ensure(pin_of("first")))
        await turns_until(lambda: bool(line.batches))
        others = [asyncio.create_task(line.ensure(pin_of(f"w{n}"))) for n in range(9)]
        await turns_until(lambda: len(line.fetched) >= 10)
        for _ in range(100):
            await asyncio.sleep(0)
        line.commit_gate.set()
        await asyncio.gather(first, *others)
        assert line.batches == [1, 9]

    asyncio.run(main())


def test_a_refused_wheel_reaches_everyone_who_asked_and_leaves_nothing(line: Line) -> None:
    async def main() -> None:
        pin = pin_of("bad")
        line.damaged = True
        results = await asyncio.gather(*(line.ensure(pin) for _ in range(3)), return_exceptions=True)
        assert {getattr(result, "code", None) for result in results} == {"E_ZIP_STRUCT"}
        assert len(line.fetched) == 1
        assert os.listdir(line.session) == []
        line.damaged = False
        assert (await line.ensure(pin)).digest == pin.wheel.digest

    asyncio.run(main())


def test_the_last_who_leaves_ends_the_download(line: Line) -> None:
    async def main() -> None:
        line.fetch_gate = asyncio.Event()
        tasks = [asyncio.create_task(line.ensure(pin_of("alpha"))) for _ in range(2)]
        await turns_until(lambda: bool(line.fetched))
        tasks[0].cancel()
        await asyncio.wait({tasks[0]})
        assert not tasks[1].done()
        tasks[1].cancel()
        await asyncio.wait(tasks)
        assert (line.batches, os.listdir(line.session)) == ([], [])

    asyncio.run(main())


def test_a_commit_that_has_begun_is_waited_for_before_anything_is_removed(line: Line) -> None:
    async def main() -> None:
        line.commit_gate.clear()
        task = asyncio.create_task(line.ensure(pin_of("alpha")))
        await turns_until(lambda: bool(line.batches))
        task.cancel()
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(os.listdir(line.session)) == 1
        line.commit_gate.set()
        await asyncio.wait({task})
        assert line.store.has(pin_of("alpha").wheel.digest)

    asyncio.run(main())


def test_an_error_of_a_batch_is_everyone_s_and_the_next_batch_is_free_of_it() -> None:
    async def main() -> None:
        calls = 0

        async def run(items: Sequence[int]) -> Sequence[int]:
            nonlocal calls
            calls += 1
            if calls == 1:
                raise ProblemError("disk full", code="E_DISK")
            return [item * 2 for item in items]

        batcher: Batcher[int, int] = Batcher(run)
        results = await asyncio.gather(*(batcher.submit(n) for n in range(3)), return_exceptions=True)
        assert [getattr(result, "code", None) for result in results] == ["E_DISK"] * 3
        assert await batcher.submit(4) == 8

    asyncio.run(main())


def test_a_second_batch_runs_beside_the_first_where_two_may() -> None:
    async def main() -> None:
        batches: list[list[int]] = []
        gate = asyncio.Event()

        async def run(items: Sequence[int]) -> Sequence[int]:
            batches.append(list(items))
            await gate.wait()
            return items

        batcher: Batcher[int, int] = Batcher(run, at_once=2)
        asked = []
        for items in ([1, 2], [3, 4], [5, 6]):
            asked += [asyncio.create_task(batcher.submit(item)) for item in items]
            for _ in range(10):
                await asyncio.sleep(0)
        assert batches == [[1, 2], [3, 4]]
        gate.set()
        await batcher.aclose()
        assert await asyncio.gather(*asked) == [1, 2, 3, 4, 5, 6]
        assert batches == [[1, 2], [3, 4], [5, 6]]

    asyncio.run(main())


def test_big_wheels_come_first() -> None:
    pins = [pin_of("a", 1), pin_of("b", 30), pin_of("c", 2)]
    assert [pin.name for pin in biggest_first(pins)] == ["b", "c", "a"]


# --- the whole way ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with new_daemon() as daemon:
        daemon.start()
        yield daemon


@pytest.fixture
def index() -> Iterator[LoopbackIndex]:
    with serve_index() as index:
        yield index


def unique(tmp_path: Path, *names: str, **recipe: Any) -> list[WheelBytes]:
    """Wheels that no other test has: the daemon's store is shared."""
    return [make_wheel(name, files={f"{name}.py": f"where = {str(tmp_path)!r}\n"}, **recipe) for name in names]


def write_lock(project: Path, index: LoopbackIndex, wheels: Sequence[WheelBytes]) -> None:
    project.mkdir(exist_ok=True)
    index.add(*wheels)
    (project / "pylock.toml").write_text(pylock_text(index, wheels))


def imported(environment: dict[str, Any], name: str) -> str:
    program = f"import {name}; print({name}.where)"
    done = subprocess.run([environment["python"], "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_project_runs_from_its_environment(daemon: Daemon, tmp_path: Path, index: LoopbackIndex) -> None:
    write_lock(tmp_path, index, unique(tmp_path, "alpha", "beta"))
    environment = daemon.ready(tmp_path)
    assert imported(environment, "alpha") == str(tmp_path)
    assert sorted(p.name for p in daemon.record(tmp_path).glob("ready.*")) == ["ready.default"]


def test_every_entry_is_compiled_before_the_environment_is_ready(
    daemon: Daemon, tmp_path: Path, index: LoopbackIndex
) -> None:
    wheels = unique(tmp_path, "alpha", "beta")
    write_lock(tmp_path, index, wheels)
    daemon.ready(tmp_path)
    for wheel in wheels:
        folder = daemon.store / "store" / wheel.name / wheel.hexdigest[:32] / "site-packages/__pycache__"
        assert [file.suffix for file in folder.iterdir()] == [".pyc"]


def test_a_wheel_without_modules_is_complete_after_the_first_warm(
    daemon: Daemon, tmp_path: Path, index: LoopbackIndex
) -> None:
    write_lock(tmp_path, index, [make_wheel("data", files={"data/where.txt": str(tmp_path)})])
    daemon.ready(tmp_path)
    assert [event["event"] for event in daemon.warm(tmp_path)] == ["ready"]


def test_a_conflict_of_two_wheels_is_told_with_both_names(daemon: Daemon, tmp_path: Path, index: LoopbackIndex) -> None:
    wheels = [make_wheel(name, files={"same.py": f"{name} = {str(tmp_path)!r}\n"}) for name in ("first", "second")]
    write_lock(tmp_path, index, wheels)
    warnings = [event["message"] for event in daemon.warm(tmp_path) if event["event"] == "warning"]
    assert len(warnings) == 1
    assert "first" in warnings[0]
    assert "second" in warnings[0]


def test_a_second_warm_asks_for_nothing_and_starts_nothing(
    daemon: Daemon, tmp_path: Path, index: LoopbackIndex
) -> None:
    write_lock(tmp_path, index, unique(tmp_path, "alpha", "beta"))
    environment = daemon.ready(tmp_path)
    before = index.requests.total()
    assert daemon.warm(tmp_path) == [{"event": "ready", "environment": environment}]
    assert index.requests.total() == before


def test_projects_with_one_closure_share_its_environment(daemon: Daemon, tmp_path: Path, index: LoopbackIndex) -> None:
    wheels = unique(tmp_path, "alpha")
    for name in ("one", "two"):
        write_lock(tmp_path / name, index, wheels)
    first, second = daemon.ready(tmp_path / "one"), daemon.ready(tmp_path / "two")
    assert first["id"] == second["id"]
    assert (first["project"], second["project"]) == (str(tmp_path / "one"), str(tmp_path / "two"))
    assert index.file_requests == 1


def test_two_projects_that_want_one_wheel_at_once_fetch_it_once(
    daemon: Daemon, tmp_path: Path, index: LoopbackIndex
) -> None:
    shared = unique(tmp_path, "shared")
    for name in ("one", "two"):
        write_lock(tmp_path / name, index, [*shared, *unique(tmp_path / name, name)])
        assert daemon.request("POST", "/v1/projects", {"path": str(tmp_path / name)})[0] == 200
    for name in ("one", "two"):
        daemon.ready(tmp_path / name)
    assert index.requests[f"/files/{shared[0].filename}"] == 1


@pytest.mark.parametrize("kind", ["uv.lock", "requirements.txt"])
def test_other_lock_files_lead_to_the_same_environment(
    daemon: Daemon, tmp_path: Path, index: LoopbackIndex, kind: str
) -> None:
    wheels = unique(tmp_path, "alpha", "beta")
    write_lock(tmp_path / "one", index, wheels)
    other = tmp_path / "two"
    other.mkdir()
    if kind == "uv.lock":
        (other / kind).write_text(uv_lock_text(index, wheels))
        (other / "pyproject.toml").write_text(pyproject_text(["alpha", "beta"]))
    else:
        (other / kind).write_text(f"--index-url {index.url}\n" + requirements_text(wheels))
    assert daemon.ready(other)["id"] == daemon.ready(tmp_path / "one")["id"]


def test_a_named_lock_file_is_a_project_of_its_folder(daemon: Daemon, tmp_path: Path, index: LoopbackIndex) -> None:
    alpha, beta = unique(tmp_path, "alpha", "beta")
    write_lock(tmp_path, index, [alpha, beta])
    named = tmp_path / "pylock.other.toml"
    named.write_text(pylock_text(index, [beta]))
    assert daemon.ready(tmp_path)["wheels"] == 2
    environment = daemon.ready(Path("/"), lock_file=str(named))
    assert (environment["wheels"], environment["lock_file"]) == (1, str(named))
    assert len(list(daemon.record(tmp_path).glob("ready.*"))) == 2


def test_a_wheel_that_is_not_the_locked_one_fails_and_the_last_good_environment_stays(
    daemon: Daemon, tmp_path: Path, index: LoopbackIndex
) -> None:
    good, bad = unique(tmp_path, "good", "bad")
    write_lock(tmp_path, index, [good])
    environment = daemon.ready(tmp_path)
    record = (daemon.record(tmp_path) / "ready.default").read_text()
    index.bodies[bad.filename] = bad.data[:-1] + b"?"
    write_lock(tmp_path, index, [good, bad])
    problem = daemon.failed(tmp_path)
    assert problem["code"] == "E_HASH"
    assert bad.filename in problem["detail"]
    state = daemon.state(tmp_path)
    assert (state["state"], state["environment"], state["problem"]) == ("failed", environment, problem)
    assert (daemon.record(tmp_path) / "ready.default").read_text() == record
    assert imported(environment, "good") == str(tmp_path)
    del index.bodies[bad.filename]
    assert daemon.ready(tmp_path)["wheels"] == 2


def test_a_hostile_wheel_is_refused_by_name_and_nothing_of_it_stays(
    daemon: Daemon, tmp_path: Path, index: LoopbackIndex
) -> None:
    wheel = make_wheel("evil", files={"../evil.py": str(tmp_path)})
    write_lock(tmp_path, index, [wheel])
    problem = daemon.failed(tmp_path)
    assert problem["code"] == "E_ZIP_NAME"
    assert "evil" in problem["detail"]
    assert not (daemon.store / "store/evil").exists()
    assert unfinished(daemon.store) == []


def test_progress_counts_bytes_while_they_come(daemon: Daemon, tmp_path: Path, index: LoopbackIndex) -> None:
    wheels = unique(tmp_path, "alpha", "beta")
    write_lock(tmp_path, index, wheels)
    events = daemon.warm(tmp_path)
    fetch = [event for event in events if event.get("phase") == "fetch"]
    size = sum(len(wheel.data) for wheel in wheels)
    assert (fetch[0]["done"], fetch[0]["total"], fetch[0]["bytes_total"]) == (0, 2, size)
    assert (fetch[-1]["done"], fetch[-1]["bytes_done"]) == (2, size)
    phases = {event["phase"] for event in events if event["event"] == "progress"}
    assert phases == {"fetch", "unpack", "compile", "publish"}


def test_a_lock_file_that_changes_during_the_warm_is_warmed_in_the_same_answer(
    daemon: Daemon, tmp_path: Path, index: LoopbackIndex
) -> None:
    old, new = unique(tmp_path, "old", "new")
    asked, go_on = threading.Event(), threading.Event()

    def hold(handler: BaseHTTPRequestHandler) -> bool:
        if old.filename in handler.path:
            asked.set()
            go_on.wait(DEADLINE)
        return False

    index.respond = hold
    write_lock(tmp_path, index, [old])
    answers: list[dict[str, Any]] = []
    asking = threading.Thread(target=lambda: answers.append(daemon.ready(tmp_path)))
    asking.start()
    assert asked.wait(DEADLINE)
    write_lock(tmp_path, index, [new])
    go_on.set()
    asking.join(DEADLINE)
    assert imported(answers[0], "new") == str(tmp_path)
    until(lambda: daemon.state(tmp_path)["environment"] == answers[0])
    line = (daemon.record(tmp_path) / "ready.default").read_text().splitlines()[1]
    assert line == f"environment {answers[0]['path']}"


def test_the_book_of_projects_is_sealed_json_on_disk(daemon: Daemon, tmp_path: Path, index: LoopbackIndex) -> None:
    write_lock(tmp_path, index, unique(tmp_path, "alpha"))
    environment = daemon.ready(tmp_path)
    content, has_seal = opened((daemon.store / "projects.json").read_bytes())
    assert has_seal
    book = json.loads(content)
    mine = next(project for project in book["projects"] if project["path"] == str(tmp_path))
    assert mine["wishes"][0]["environment"] == environment["id"]
