"""`storectl env bisect`: the generation, and in it the wheel, that made a command fail; and what it leaves as it is."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from storectl.commands.documents import DOCUMENTS
from support.index import LoopbackIndex, serve_index
from support.json_page import differences
from support.machine import STORECTL, Machine, new_machine, pyenv_python, remove_tree
from support.project import write_project
from support.wheels import WheelBytes, make_wheel

SMALL = [f"small{number}" for number in range(6)]
FAILS_WITH_NEW_PANDA = ("python", "-c", "import panda, sys; print('ran'); sys.exit(panda.VERSION == '2.0')")


def wheel(name: str, version: str, *requires: str) -> WheelBytes:
    return make_wheel(
        name, version=version, files={f"{name}/__init__.py": f"VERSION = '{version}'"}, requires_dist=requires
    )


def closure(small: str, panda: str) -> list[WheelBytes]:
    """Six small wheels, and two that only fit each other in the same version."""
    tied = [wheel("panda", panda, f"num=={panda}"), wheel("num", panda)]
    return [*(wheel(name, small) for name in SMALL), *tied]


GENERATIONS = [closure("1.0", "1.0"), closure("1.1", "1.0"), closure("1.2", "2.0"), closure("1.3", "2.0")]


@pytest.fixture(scope="module")
def machine(host: Machine) -> Machine:
    """One for all tests: a bisection leaves everything as it is."""
    return host


@pytest.fixture(scope="module")
def pypi() -> Iterator[LoopbackIndex]:
    """The index of all wheels here, for as long as the module's tests run."""
    with serve_index() as served:
        yield served


@pytest.fixture(scope="module")
def project(machine: Machine, pypi: LoopbackIndex) -> Path:
    """A project with four generations. The third one brought the new `panda`, and six other wheels."""
    return made_project(machine, pypi, "project")


def made_project(machine: Machine, pypi: LoopbackIndex, name: str) -> Path:
    folder = machine.home / name
    for wheels in GENERATIONS:
        write_project(folder, pypi, wheels)
        machine.ok("warm", folder)
    return folder


def bisect(machine: Machine, project: Path, *arguments: str) -> Any:
    return machine.json("env", "bisect", "--json", *arguments, cwd=project)


def test_the_wheel_is_named_with_the_one_that_it_cannot_be_without(machine: Machine, project: Path) -> None:
    told = machine.ok("env", "bisect", "--", *FAILS_WITH_NEW_PANDA, cwd=project)
    lines = [line for line in told.splitlines() if line != "ran"]
    assert lines[0] == "panda 1.0 -> 2.0 (with num 1.0 -> 2.0)"
    assert lines[1].startswith("since generation 3 of ")
    assert lines[1].endswith("; generation 2 is good")
    assert lines[2:] == ["it alone: bad", "all else that changed without it: good"]


def test_each_step_is_a_line_and_a_part_of_the_document(machine: Machine, project: Path) -> None:
    done = machine.run("env", "bisect", "--json", "--", *FAILS_WITH_NEW_PANDA, cwd=project)
    lines = [line for line in done.stderr.splitlines() if line.startswith("storectl: ")]
    assert lines[0].startswith("storectl: bad (exit code 1): generation 4 of ")
    assert lines[1].startswith("storectl: good: generation 1 of ")
    found = bisect(machine, project, "--", *FAILS_WITH_NEW_PANDA)
    assert (found["good"]["number"], found["bad"]["number"]) == (2, 3)
    assert found["suspects"] == [
        [{"name": "panda", "good": "1.0", "bad": "2.0"}, {"name": "num", "good": "1.0", "bad": "2.0"}]
    ]
    assert len(found["changes"]) == 8
    assert len(lines) == len(found["steps"]) <= 4 + 5
    assert [step["generation"] for step in found["steps"]][:2] == [4, 1]
    for step in found["steps"]:
        names = {change["name"] for change in step["taken"]}
        assert ("panda" in names) == ("num" in names), "a mixture in which wheels do not fit"


def test_the_document_is_as_the_page_says(machine: Machine, project: Path) -> None:
    assert list(differences(bisect(machine, project, "--", *FAILS_WITH_NEW_PANDA), DOCUMENTS["env bisect"])) == []


def test_nothing_of_the_project_is_touched(machine: Machine, project: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in [project, *project.rglob("*")]}
    environment = machine.ok("env", "path", project)
    machine.ok("env", "bisect", "--", *FAILS_WITH_NEW_PANDA, cwd=project)
    assert {path: path.stat().st_mtime_ns for path in [project, *project.rglob("*")]} == before
    assert machine.ok("env", "path", project) == environment
    machine.ok("store", "verify")


def test_the_command_runs_as_by_run_in_the_current_folder(machine: Machine, project: Path) -> None:
    """Also: -m and -c are Python's, a script is found, and the variables are those of the environment."""
    (project / "check.py").write_text(
        "import os, sys, panda\n"
        "assert os.path.dirname(os.path.dirname(sys.executable)) == os.environ['VIRTUAL_ENV'] == sys.prefix\n"
        "sys.exit(panda.VERSION == '2.0')\n"
    )
    for command in (["check.py"], ["-m", "check"], ["-c", "import check"]):
        assert bisect(machine, project, "--", *command)["bad"]["number"] == 3


def test_the_ends_may_be_named(machine: Machine, project: Path) -> None:
    found = bisect(machine, project, "2", "3", "--", *FAILS_WITH_NEW_PANDA)
    assert [step["generation"] for step in found["steps"] if step["generation"]] == [3, 2]


def test_a_command_that_cannot_judge_skips_and_what_is_left_is_named(machine: Machine, project: Path) -> None:
    """It cannot judge a mixture of small wheels: `small0` and `panda` are never told apart."""
    command = (
        "import panda, small0, sys\n"
        "new = panda.VERSION == '2.0', small0.VERSION >= '1.2'\n"
        "sys.exit(new[0] if new[0] == new[1] else 125)\n"
    )
    done = machine.run("env", "bisect", "--", "-c", command, cwd=project)
    assert done.returncode == 3
    lines = done.stdout.splitlines()
    assert lines[0] == "one of these, which could not be told apart:"
    assert lines[1:3] == ["panda 1.0 -> 2.0 (with num 1.0 -> 2.0)", "small0 1.1 -> 1.2"]
    assert "skipped (exit code 125)" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "E_USAGE: say what to run, after --"),
        (["1", "2", "3", "--", "true"], 2, "E_USAGE: two generations are enough: 3"),
        (["--", "true"], 1, "E_BISECT: generation 4 is good, and a bad one is needed to begin with"),
        (["--", "false"], 1, "E_BISECT: generation 1 is bad, and a good one is needed to begin with"),
        (["--", "no-such-command"], 1, "E_BISECT: generation 1 is bad, and a good one is needed to begin with"),
        (["9", "--", "false"], 1, "E_UNKNOWN_GENERATION: there is no generation 9 of "),
        (["--", "sh", "-c", "kill -SEGV $$"], 1, "E_BISECT: the command ended with exit code 139"),
        (["--extra", "none", "--", "true"], 1, "E_BISECT: "),
    ],
)
def test_what_cannot_be_searched_is_told_in_one_line(
    machine: Machine, project: Path, arguments: list[str], code: int, message: str
) -> None:
    done = machine.run("env", "bisect", *arguments, cwd=project)
    assert (done.returncode, done.stdout) == (code, "")
    assert f"storectl: {message}" in done.stderr
    assert "hint: " in done.stderr


def test_ctrl_c_ends_the_command_and_the_search(machine: Machine, project: Path) -> None:
    command = [str(STORECTL), "env", "bisect", "--", "sh", "-c", "echo started; exec sleep 60"]
    with subprocess.Popen(
        command,
        cwd=project,
        env=machine.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        os.killpg(process.pid, signal.SIGINT)
        output, told = process.communicate(timeout=30)
    assert (process.returncode, output, told) == (130, b"", b"")


def lose(machine: Machine, *wheels: WheelBytes) -> None:
    """Take all environments out of the store, and these entries, as a collect would."""
    machine.ok("daemon", "stop")
    lost = [*(machine.store / "environments").iterdir()]
    lost += [machine.store / "store" / wheel.name / wheel.hexdigest[:32] for wheel in wheels]
    for folder in lost:
        remove_tree(folder)
        assert not folder.exists()
    for wheel in wheels:
        (machine.store / "meta" / f"{wheel.hexdigest}.json").unlink()


def test_what_was_collected_is_made_again_as_its_inputs_were_kept(pypi: LoopbackIndex) -> None:
    """With the network. Without it, what is missing is named, and that generation is skipped."""
    with new_machine() as machine:
        project = made_project(machine, pypi, "collected")
        lose(machine, GENERATIONS[0][0])
        machine.ok("warm", project)
        done = machine.run("env", "bisect", "--offline", "--", *FAILS_WITH_NEW_PANDA, cwd=project)
        assert "panda 1.0 -> 2.0 (with num 1.0 -> 2.0)" in done.stdout.splitlines()
        why = "E_OFFLINE: not in the store, and the network is not to be used: small0 1.0"
        assert f"storectl: skipped ({why}): generation 1 of " in done.stderr
        found = bisect(machine, project, "--", *FAILS_WITH_NEW_PANDA)
        assert [step["outcome"] for step in found["steps"] if step["generation"] == 1] == ["good"]


def test_a_collect_at_every_step_takes_nothing_that_the_search_needs(pypi: LoopbackIndex) -> None:
    """The first one takes all generations but the last. What was tried has a lease until the search ends."""
    now = {"GRACE": "0", "ANY_GRACE": "1", "KEEP_GENERATIONS": "1", "KEEP_DAYS": "0"}
    with new_machine() as machine:
        project = made_project(machine, pypi, "collected")
        machine.environ |= {f"STORECTL_COLLECT_{name}": value for name, value in now.items()}
        command = (
            f"{STORECTL} store collect >&2; exec python -c 'import panda, sys; sys.exit(panda.VERSION == \"2.0\")'"
        )
        done = machine.run("env", "bisect", "--json", "--", "sh", "-c", command, cwd=project)
        assert ": 3 environments, 20 entries " in done.stderr.splitlines()[0]
        found = json.loads(done.stdout)
        assert [group[0]["name"] for group in found["suspects"]] == ["panda"]
        assert all(Path(step["environment"]).exists() for step in found["steps"])


def test_another_python_is_named_and_no_wheel_is_blamed_for_it(machine: Machine, pypi: LoopbackIndex) -> None:
    pythons = [version for version in ("3.10", "3.12", "3.13") if pyenv_python(version)]
    if len(pythons) < 2:
        pytest.skip("needs two Pythons of pyenv")
    project = machine.home / "pythons"
    write_project(project, pypi, GENERATIONS[0])
    for version, wheels in zip(pythons[:2], GENERATIONS[:2], strict=True):
        (project / ".python-version").write_text(f"{version}\n")
        write_project(project, pypi, wheels)
        machine.ok("warm", project)
    command = f"import sys; sys.exit(sys.version_info[:2] == {tuple(map(int, pythons[1].split('.')))})"
    told = machine.ok("env", "bisect", "--", "-c", command, cwd=project).splitlines()
    assert told[0].startswith(f"Python {pythons[0]}.")
    assert f" -> {pythons[1]}." in told[0]
    assert told[0].endswith("(with 6 wheels)")
    assert told[1].startswith("since generation 2 of ")
