"""Inputs stand still before anything is made from them, and are afterwards what they were. With fakes, and with real git."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import pytest

from storectl_daemon.jobs.options import Job
from storectl_daemon.jobs.progress import Progress
from storectl_daemon.models import EnvironmentInfo, InterpreterInfo
from storectl_daemon.projects.inputs import Inputs, Located
from storectl_daemon.projects.stillness import Stillness
from storectl_daemon.warming.settling import MadeEnvironment, Settling
from storectl_store.collecting.holds import Holds
from storectl_store.digest import EnvironmentId
from storectl_store.errors import LockFileError, MissingProjectError, NoLockFileError, ProblemError
from storectl_store.projects.input_state import InputKind, InputState
from support.daemon import DEADLINE
from support.project import git

ENVIRONMENT = EnvironmentInfo(
    id=EnvironmentId("one"),
    path="/env/one",
    python="/env/one/bin/python",
    project="/p",
    lock_file="/p/uv.lock",
    interpreter=InterpreterInfo(executable="/python", version="3.12.1"),
    wheels=0,
)


def state(text: str) -> InputState:
    return InputState(sha256=text, mtime_ns=1, size=1)


class Scene:
    """A lock file and one more input, as texts; ``during`` is what happens while the environment is built."""

    def __init__(self, project: Path, stillness: Stillness | None = None) -> None:
        self.job = Job(project=project)
        self.lock, self.other = "lock", "one"
        self.missing: list[str] = []
        self.builds = 0
        self.reads = 0
        self.during: Callable[[int], None] = lambda _number: None
        self.holds = Holds()
        self.settling = Settling(self.build, self.read, stillness or Stillness(), again_seconds=0)

    def read(self, job: Job, extra: Mapping[Path, InputKind] | None) -> Inputs:
        self.reads += 1
        if "lock file" in self.missing:
            self.missing.remove("lock file")
            raise NoLockFileError("there is no lock file")
        located = Located(project=job.project, lock_file=job.project / "uv.lock")
        files = {located.lock_file: state(self.lock)} | {path: state(self.other) for path in extra or {}}
        return Inputs(located=located, files=files, extra=dict(extra or {}))

    async def build(self, job: Job, inputs: Inputs, progress: Progress) -> MadeEnvironment:
        self.builds += 1
        made_from = self.other
        if "project" in self.missing:
            self.missing.remove("project")
            raise MissingProjectError("there is no project")
        self.during(self.builds)
        extra = {job.project / "lib.toml": state(made_from)}
        return MadeEnvironment(environment=ENVIRONMENT, extra_inputs=extra, hold=self.holds.keep([ENVIRONMENT.id]))

    async def settle(self) -> tuple[MadeEnvironment, Inputs]:
        return await self.settling.make(self.job, Progress(lambda _event: None))


def play(scenario: Callable[[Scene], Awaitable[None]], tmp_path: Path, stillness: Stillness | None = None) -> None:
    async def main() -> None:
        async with asyncio.timeout(DEADLINE):
            await scenario(Scene(tmp_path, stillness))

    asyncio.run(main())


def test_an_environment_whose_inputs_stand_still_is_built_once(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        _, inputs = await scene.settle()
        assert scene.builds == 1
        assert {path.name for path in inputs.files} == {"uv.lock", "lib.toml"}

    play(scenario, tmp_path)


@pytest.mark.parametrize("name", ["lock", "other"])
def test_what_changes_while_it_is_built_is_built_again_even_if_it_was_not_known_to_be_an_input(
    tmp_path: Path, name: str
) -> None:
    async def scenario(scene: Scene) -> None:
        def change(number: int) -> None:
            if number == 1:
                setattr(scene, name, "another")

        scene.during = change
        _, inputs = await scene.settle()
        assert scene.builds == 2
        assert "another" in {found.sha256 for found in inputs.files.values() if found}

    play(scenario, tmp_path)


def test_what_is_built_again_lets_go_of_what_was_built_before(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        scene.during = lambda number: setattr(scene, "other", f"text {min(number, 3)}")
        made, _ = await scene.settle()
        assert scene.builds == 4
        assert scene.holds.held() == {ENVIRONMENT.id}
        made.hold.close()
        assert scene.holds.held() == frozenset()

    play(scenario, tmp_path)


def test_inputs_that_are_gone_after_a_build_leave_nothing_held(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        scene.during = lambda _number: scene.missing.extend(["lock file"] * 2)
        with pytest.raises(NoLockFileError):
            await scene.settle()
        assert scene.holds.held() == frozenset()

    play(scenario, tmp_path)


def test_inputs_that_never_stand_still_give_nothing(tmp_path: Path) -> None:
    async def scenario(scene: Scene) -> None:
        scene.during = lambda number: setattr(scene, "other", f"text {number}")
        with pytest.raises(LockFileError, match="keeps changing"):
            await scene.settle()

    play(scenario, tmp_path)


@pytest.mark.parametrize("what", ["project", "lock file"])
def test_what_is_missing_is_looked_for_again(tmp_path: Path, what: str) -> None:
    async def scenario(scene: Scene) -> None:
        scene.missing = [what]
        await scene.settle()
        assert scene.missing == []

    play(scenario, tmp_path)


@pytest.mark.parametrize(("what", "error"), [("project", MissingProjectError), ("lock file", NoLockFileError)])
def test_what_stays_missing_is_an_error_in_the_end(tmp_path: Path, what: str, error: type[ProblemError]) -> None:
    async def scenario(scene: Scene) -> None:
        scene.missing = [what] * 1000
        with pytest.raises(error):
            await scene.settle()
        assert scene.builds + scene.reads < 100

    play(scenario, tmp_path)


def checkout(folder: Path) -> Path:
    git(folder, "init", "-q")
    (folder / "uv.lock").touch()
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "first")
    return folder / ".git" / "index.lock"


def test_nothing_is_read_as_long_as_git_changes_the_checkout(tmp_path: Path) -> None:
    lock = checkout(tmp_path)

    async def scenario(scene: Scene) -> None:
        lock.touch()
        settling = asyncio.create_task(scene.settle())
        for _ in range(20):
            await asyncio.sleep(0.01)
        assert scene.reads == 0
        lock.unlink()
        await settling

    play(scenario, tmp_path, Stillness(patience_seconds=DEADLINE))


def test_a_lock_of_git_s_that_somebody_left_behind_is_waited_for_once(tmp_path: Path) -> None:
    lock = checkout(tmp_path)

    async def scenario(scene: Scene) -> None:
        lock.touch()
        await scene.settle()
        stillness = Stillness(patience_seconds=DEADLINE)
        stillness._outlasted = scene.settling._stillness._outlasted
        async with asyncio.timeout(DEADLINE / 2):
            await stillness.wait_for(tmp_path)

    play(scenario, tmp_path, Stillness(patience_seconds=0.01))


def test_a_project_that_is_missing_is_waited_for_as_long_as_git_is_at_work(tmp_path: Path) -> None:
    lock = checkout(tmp_path)

    async def scenario(scene: Scene) -> None:
        lock.touch()
        scene.missing = ["project"] * 20  # more often than is looked for it where nobody is at work
        await scene.settle()
        assert scene.builds == 21

    play(scenario, tmp_path, Stillness(patience_seconds=0.01))
