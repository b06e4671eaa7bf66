"""Frozen: on a read-only store, with a read-only home and no daemon, programs run, and nothing is written or asked."""

import compileall
import importlib.util
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.client_project import age
from support.frozen import Traced, reason_to_skip, traced
from support.index import LoopbackIndex, serve_index
from support.lock_files import pyproject_text
from support.machine import STORECTL, Machine, new_machine
from support.project import write_project
from support.wheels import WheelBytes, make_wheel

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(reason_to_skip() is not None, reason=reason_to_skip() or ""),
]

SHOW = "import alpha, os; print(alpha.__version__, alpha.__file__, os.environ.get('STORECTL_SOCKET'))\n"
BLOCK = '# /// script\n# dependencies = ["alpha"]\n# ///\n'
MANY = [f"many/m{number}.py" for number in range(20)]
FROZEN = {"STORECTL_FROZEN": "1"}


@dataclass(frozen=True, kw_only=True)
class Start:
    """One way to start a program; ``folder`` is below the machine's home."""

    arguments: tuple[str, ...]
    folder: str


STARTS = {
    "script": Start(arguments=("run", "show.py"), folder="project"),
    "options": Start(arguments=("run", "--no-dev", "-p", f"3.{sys.version_info[1]}", "show.py"), folder="project"),
    "member": Start(arguments=("run", "-c", SHOW), folder="project/lib"),
    "package": Start(arguments=("run", "--package", "lib", "show.py"), folder="project"),
    "block": Start(arguments=("run", "loose.py"), folder="scripts"),
    "named": Start(arguments=("run", "-e", "data", "-c", SHOW), folder=""),
    "tool": Start(arguments=("tool", "run", "greet@1.0"), folder=""),
    "command": Start(arguments=("run", "greet"), folder="commands"),
    "many modules": Start(arguments=("run", "-c", SHOW + "import many.all"), folder="project"),
    "without asserts": Start(arguments=("run", "-O", "-c", SHOW + "import many.all"), folder="project"),
    "path": Start(arguments=("env", "path"), folder="project"),
    "warm": Start(arguments=("warm",), folder="project"),
}


def greet() -> WheelBytes:
    code = "def main():\n    import alpha\n    print(alpha.__version__, alpha.__file__)\n"
    return make_wheel(
        "greet",
        "1.0",
        files={"greet.py": code},
        entry_points="[console_scripts]\ngreet = greet:main\n",
        requires_dist=("alpha",),
    )


def many() -> WheelBytes:
    """So many modules that a program would leave a record of what it has imported."""
    files = dict.fromkeys(MANY, "")
    names = ", ".join(Path(path).stem for path in MANY)
    return make_wheel("many", files={"many/__init__.py": "", **files, "many/all.py": f"from many import {names}\n"})


@pytest.fixture(scope="module")
def warmed() -> Iterator[Machine]:
    """A machine on which everything has been run once, and whose daemon has ended."""
    with new_machine() as machine, serve_index() as index:
        alpha = make_wheel("alpha", files={"alpha/__init__.py": "__version__ = '1.0'\n"})
        index.add(alpha, greet())
        environ = {"UV_DEFAULT_INDEX": index.url, "UV_PYTHON_DOWNLOADS": "never"}
        folder = write_project(machine.home / "project", index, [alpha, many()])
        (folder / "lib").mkdir()
        (folder / "lib/pyproject.toml").write_text(pyproject_text(["alpha"], root="lib"))
        (folder / "uv.lock").write_text(_workspace((folder / "uv.lock").read_text()))
        with (folder / "pyproject.toml").open("a") as project:
            project.write('[tool.uv.workspace]\nmembers = ["lib"]\n')
        write_project(machine.home / "commands", index, [alpha, greet()])
        write_project(machine.home / "other", index, [make_wheel("beta")])
        (machine.home / "scripts").mkdir()
        (machine.home / "scripts/loose.py").write_text(BLOCK + SHOW)
        (folder / "show.py").write_text(SHOW)
        (machine.home / "names").mkdir()
        (machine.home / "names/python3").symlink_to(STORECTL)
        machine.ok("env", "create", "data", "alpha", env=environ)
        for file in [
            *machine.home.glob("*/*"),
            folder / "lib/pyproject.toml",
            machine.home / ".local/state/storectl/named/data/asked",
        ]:
            if file.is_file():
                age(file)
        for name in sorted(STARTS):
            _started(machine, name, environ)
        machine.ok("daemon", "stop")
        _compile_storectl()
        yield machine


def _compile_storectl() -> None:
    """Compile storectl itself, as installers do: a checkout is compiled by whoever imports a module first."""
    for package in ("storectl", "storectl_daemon", "storectl_shim", "storectl_store"):
        found = importlib.util.find_spec(package)
        assert found is not None
        for folder in found.submodule_search_locations or ():
            assert compileall.compile_dir(folder, quiet=1)


def _workspace(lock: str) -> str:
    member = (
        '[[package]]\nname = "lib"\nversion = "0"\nsource = { virtual = "lib" }\ndependencies = [{ name = "alpha" }]\n'
    )
    return lock.replace("[[package]]", '[manifest]\nmembers = ["lib", "project"]\n\n[[package]]', 1) + member


def _started(machine: Machine, name: str, environ: dict[str, str]) -> str:
    start = STARTS[name]
    return machine.ok(*start.arguments, cwd=machine.home / start.folder, env=environ)


PLACES = ("a record", "no record", "a layer")
"""How much of the world of the first start is there: its record, its store alone, or that only as a layer."""


def frozen(machine: Machine, name: str, log: Path, place: str, env: dict[str, str]) -> Traced:
    start = STARTS[name]
    records = [machine.store / "projects", machine.store / "shortcuts"] if place == "no record" else []
    if place == "a layer":
        env = env | {"STORECTL_STORE": str(machine.root / "no/store"), "STORECTL_LAYERS": str(machine.store)}
    return traced(machine, *start.arguments, cwd=machine.home / start.folder, log=log, hidden=records, env=env)


FEW = ("script", "block", "tool")
CASES = [
    *((name, "a record", FROZEN) for name in STARTS),
    *((name, "no record", {}) for name in STARTS),
    *((name, "no record", FROZEN) for name in FEW),
    *((name, "a layer", {}) for name in FEW),
]


@pytest.mark.parametrize(
    ("name", "place", "said"), [pytest.param(*case, id=f"{case[0]}, {case[1]}, {bool(case[2])}") for case in CASES]
)
def test_nothing_is_written_locked_or_asked(
    warmed: Machine, tmp_path: Path, name: str, said: dict[str, str], place: str
) -> None:
    made = frozen(warmed, name, tmp_path / "calls", place, said)
    assert made.done.returncode == 0, made.done.stderr
    assert made.done.stderr == ""
    environments = f"{warmed.store}/environments/"
    if name == "warm":
        assert made.done.stdout.startswith("ready (frozen): 2 wheels for Python ")
    elif name == "path":
        assert made.done.stdout.startswith(environments)
    else:
        assert made.done.stdout.startswith(f"1.0 {environments}")
    assert made.writes == ()
    assert made.sockets == ()


API = "import storectl; storectl.activate(); import alpha; print(alpha.__version__, alpha.__file__)"


@pytest.mark.parametrize("place", PLACES[:2])
def test_the_python_api_and_names_of_pythons(warmed: Machine, tmp_path: Path, place: str) -> None:
    records = [warmed.store / "projects", warmed.store / "shortcuts"] if place == PLACES[1] else []
    for program, code in ((Path(sys.executable), API), (warmed.home / "names/python3", SHOW)):
        made = traced(
            warmed,
            "-c",
            code,
            cwd=warmed.home / "project",
            log=tmp_path / "calls",
            hidden=records,
            env=FROZEN,
            program=program,
        )
        assert made.done.returncode == 0, made.done.stderr
        assert made.done.stdout.startswith(f"1.0 {warmed.store}/environments/"), made.done.stderr
        assert (made.writes, made.sockets) == ((), ())


def test_no_daemon_is_asked_that_is_there(tmp_path: Path) -> None:
    with new_machine() as machine, serve_index() as index:
        folder = small_project(machine, index)
        asked = traced(machine, "env", "show", cwd=folder, log=tmp_path / "asked", read_only=False)
        assert asked.sockets
        for arguments in (("run", "-c", SHOW), ("run", "--no-dev", "-c", SHOW), ("env", "path")):
            made = traced(machine, *arguments, cwd=folder, log=tmp_path / "calls", read_only=False, env=FROZEN)
            assert made.done.returncode == 0, made.done.stderr
            assert not made.done.stdout.strip().endswith(".sock")
            assert (made.writes, made.sockets) == ((), ())


def test_the_same_look_finds_what_other_starts_write(tmp_path: Path) -> None:
    with new_machine() as machine, serve_index() as index:
        folder = small_project(machine, index)
        machine.ok("daemon", "stop")
        shutil.rmtree(machine.store / "shortcuts", ignore_errors=True)
        options = traced(machine, "run", "--no-dev", "-q", "-c", SHOW, cwd=folder, log=tmp_path / "1", read_only=False)
        assert any(f"{machine.store}/shortcuts/" in line for line in options.writes)
        modules = ("run", "-c", "import many.all")
        ending = traced(machine, *modules, cwd=folder, log=tmp_path / "2", read_only=False)
        assert any("/.cache/storectl/imports/" in line for line in ending.writes)
        silent = traced(
            machine, *modules, cwd=folder, log=tmp_path / "3", read_only=False, env={"STORECTL_RECORD": "0"}
        )
        assert silent.writes == ()
        unoptimized = traced(
            machine, "run", "-O", "-c", "import many.all", cwd=folder, log=tmp_path / "4", read_only=False
        )
        assert any("/.cache/storectl/bytecode/" in line for line in unoptimized.writes)


def test_a_python_that_somebody_else_has_started_leaves_a_record_only_for_a_store_of_its_own(tmp_path: Path) -> None:
    with new_machine() as machine, serve_index() as index:
        folder = small_project(machine, index)
        python = Path(machine.ok("env", "path", cwd=folder).strip()) / "bin/python"
        machine.ok("daemon", "stop")
        command = ("-c", "import many.all")
        own = traced(machine, *command, cwd=folder, log=tmp_path / "1", read_only=False, program=python)
        assert any("/.cache/storectl/imports/" in line for line in own.writes)
        away = traced(machine, *command, cwd=folder, log=tmp_path / "2", program=python)
        assert away.writes == ()
        said = traced(machine, *command, cwd=folder, log=tmp_path / "3", program=python, env={"STORECTL_RECORD": "1"})
        assert any("/.cache/storectl/imports/" in line for line in said.writes)


def small_project(machine: Machine, index: LoopbackIndex) -> Path:
    """A project whose environment is ready for two sets of options that mean the same, and whose record is whole."""
    folder = write_project(machine.home / "project", index, [make_wheel("alpha"), many()])
    for name in ("uv.lock", "pyproject.toml"):
        age(folder / name)
    machine.ok("run", "-c", SHOW, cwd=folder)
    machine.ok("run", "--no-dev", "-c", SHOW, cwd=folder)
    return folder


REFUSED = {
    "a project": ("run", "-c", "pass"),
    "its path": ("env", "path"),
    "warm": ("warm",),
    "requirements": ("run", "--with", "many", "-c", "pass"),
    "a tool": ("tool", "run", "nowhere"),
    "collect": ("store", "collect"),
    "list": ("store", "list"),
    "add": ("add", "many"),
    "create": ("env", "create", "more", "many"),
    "add to": ("env", "add", "data", "many"),
    "remove": ("env", "remove", "data"),
    "default": ("env", "default", "data"),
    "show": ("env", "show"),
    "link": ("link",),
    "start": ("daemon", "start"),
    "lock": ("lock",),
    "pin": ("env", "pin", "kept"),
    "history": ("env", "history"),
    "refresh": ("tool", "run", "--refresh", "greet@1.0"),
}


FEW_REFUSED = ("a project", "collect", "add", "create")


@pytest.mark.parametrize(
    ("name", "said"), [*((name, FROZEN) for name in REFUSED), *((name, {}) for name in FEW_REFUSED)]
)
def test_what_needs_more_ends_in_one_clear_line(
    warmed: Machine, tmp_path: Path, name: str, said: dict[str, str]
) -> None:
    made = traced(warmed, *REFUSED[name], cwd=warmed.home / "other", log=tmp_path / "calls", env=said)
    assert made.done.returncode == 125
    first, second = made.done.stderr.splitlines()
    assert first.startswith("storectl: E_FROZEN: ")
    assert ("STORECTL_FROZEN is set" if said else f"the store {warmed.store} cannot be written here") in first
    assert second.startswith("hint: ")
    assert "login node" in second
    assert made.writes == ()
    assert made.sockets == ()


@pytest.mark.parametrize("kind", ["pylock.toml", "poetry.lock", "pdm.lock", "Pipfile.lock", "requirements.txt"])
def test_lock_files_of_every_tool_are_looked_up(tmp_path: Path, kind: str) -> None:
    with new_machine() as machine, serve_index() as index:
        folder = write_project(machine.home / "project", index, [make_wheel("alpha"), many()], kind)
        expected = machine.ok("run", "-c", SHOW, cwd=folder)
        machine.ok("daemon", "stop")
        shutil.rmtree(machine.store / "projects")
        assert machine.ok("run", "-c", SHOW, cwd=folder, env=FROZEN).split()[:2] == expected.split()[:2]
        assert not (machine.store / "projects").exists()
        shutil.rmtree(machine.store / "meta")
        gone = machine.run("run", "-c", SHOW, cwd=folder, env=FROZEN)
        assert gone.returncode == 125
        assert gone.stderr.startswith("storectl: E_FROZEN: ")
