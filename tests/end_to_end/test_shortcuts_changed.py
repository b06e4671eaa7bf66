"""What the launcher has started by itself, and then something changes that no file of the project tells.

In each test the launcher starts a program without Python, by a shortcut. After the change the next start must do what
`storectl-python` alone would do.
"""

import os
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from support.client_project import age
from support.index import LoopbackIndex
from support.lock_files import pylock_text, pyproject_text, uv_lock_text
from support.machine import DEADLINE, Machine, pyenv_python
from support.project import write_project
from support.traps import Traps
from support.wheels import WheelBytes, make_wheel

SHOW = "import alpha, os; print(alpha.__version__, alpha.__file__, os.environ.get('VIRTUAL_ENV'))\n"
BLOCK = '# /// script\n# dependencies = ["alpha"]\n# ///\n'
FEATURE = f"{sys.version_info[0]}.{sys.version_info[1]}"
NOW = {
    "STORECTL_COLLECT_ANY_GRACE": "1",
    "STORECTL_COLLECT_GRACE": "0",
    "STORECTL_COLLECT_KEEP_DAYS": "0",
    "STORECTL_COLLECT_KEEP_GENERATIONS": "0",
}
"""Nothing is kept for having been made or used lately."""

SOMEBODY = 54321
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")


@pytest.fixture
def traps(machine: Machine) -> Traps:
    return Traps(machine)


@pytest.fixture
def environ(index: LoopbackIndex) -> dict[str, str]:
    index.add(make_wheel("alpha", "1.0"), tool())
    return {"UV_DEFAULT_INDEX": index.url, "UV_PYTHON_DOWNLOADS": "never"}


def tool() -> WheelBytes:
    code = "import os, sys\ndef main():\n    print(__file__, sys.prefix)\n"
    return make_wheel("greet", "1.0", files={"greet.py": code}, entry_points="[console_scripts]\ngreet = greet:main\n")


def settled(folder: Path) -> Path:
    """The folder, whose files are an hour old."""
    for path in folder.rglob("*"):
        if path.is_file():
            age(path)
    return folder


def project(folder: Path, index: LoopbackIndex, version: str = "1.0") -> Path:
    write_project(folder, index, [make_wheel("alpha", version)])
    (folder / "show.py").write_text(SHOW)
    return settled(folder)


def is_collected(machine: Machine, printed: str) -> None:
    """Collect the store, which takes the environment that the program printed at its end, once its end is noticed."""
    environment = Path(printed.rsplit(maxsplit=1)[-1])
    assert environment.is_dir()
    end = time.monotonic() + DEADLINE
    while environment.exists() and time.monotonic() < end:
        machine.ok("store", "collect", env=NOW)
    assert not environment.exists(), machine.ok("store", "why", environment.name, env=NOW)


def comes_back(traps: Traps, *arguments: str, cwd: Path, prints: str, **variables: str) -> None:
    """The program starts by way of Python, in the environment of before, and then without it again."""
    printed, asked = traps.run(*arguments, cwd=cwd, **variables)
    assert (printed, asked) == (prints, True)
    traps.becomes_quick(*arguments, cwd=cwd, prints=prints.__eq__, **variables)


def test_the_environment_of_a_script_was_collected(machine: Machine, environ: Mapping[str, str], traps: Traps) -> None:
    script = machine.home / "loose.py"
    script.write_text(BLOCK + SHOW)
    age(script)
    printed = traps.runs_twice("run", "loose.py", cwd=machine.home, **environ)
    is_collected(machine, printed)
    comes_back(traps, "run", "loose.py", cwd=machine.home, prints=printed, **environ)


def test_the_environment_of_a_tool_was_collected(machine: Machine, environ: Mapping[str, str], traps: Traps) -> None:
    printed = traps.runs_twice("tool", "run", "greet", cwd=machine.home, **environ)
    is_collected(machine, printed)
    comes_back(traps, "tool", "run", "greet", cwd=machine.home, prints=printed, **environ)


def test_the_environment_of_options_was_collected(machine: Machine, index: LoopbackIndex, traps: Traps) -> None:
    """A project that is forgotten has no environment any more."""
    folder = project(machine.home / "project", index)
    command = ("run", "--no-dev", "show.py")
    printed = traps.runs_twice(*command, cwd=folder)
    machine.ok("watch", "remove", folder)
    is_collected(machine, printed)
    comes_back(traps, *command, cwd=folder, prints=printed)


@pytest.mark.parametrize("command", [("run", "--no-dev", "show.py"), ("run", "show.py")], ids=["option", "plain"])
def test_an_environment_is_gone_that_the_record_still_names(
    machine: Machine, index: LoopbackIndex, traps: Traps, command: tuple[str, ...]
) -> None:
    folder = project(machine.home / "project", index)
    printed = traps.runs_twice(*command, cwd=folder)
    shutil.rmtree(printed.split()[-1])
    comes_back(traps, *command, cwd=folder, prints=printed)


def with_extra(folder: Path, index: LoopbackIndex, extra: str) -> None:
    """A project with this extra, which needs beta."""
    alpha, beta = make_wheel("alpha", "1.0"), make_wheel("beta", "1.0")
    index.add(alpha, beta)
    folder.mkdir(exist_ok=True)
    text = pyproject_text(["alpha"]).replace(
        "\n\n[tool.uv]", f'\n[project.optional-dependencies]\n{extra} = ["beta"]\n\n[tool.uv]'
    )
    (folder / "pyproject.toml").write_text(text)
    lock = uv_lock_text(index, [alpha, beta]).replace('    { name = "beta" },\n', "")
    lock += f'\n[package.optional-dependencies]\n{extra} = [{{ name = "beta" }}]\n'
    lock += f"""
[package.metadata]
requires-dist = [{{ name = "alpha" }}, {{ name = "beta", marker = "extra == '{extra}'" }}]
provides-extras = ["{extra}"]
"""
    (folder / "uv.lock").write_text(lock)
    (folder / "show.py").write_text("import beta, os; print(beta.__file__, os.environ['VIRTUAL_ENV'])\n")


def test_an_extra_has_another_name(machine: Machine, index: LoopbackIndex, traps: Traps) -> None:
    folder = machine.home / "project"
    with_extra(folder, index, "quick")
    settled(folder)
    printed = traps.runs_twice("run", "--extra", "quick", "show.py", cwd=folder)
    with_extra(folder, index, "brisk")
    done, asked = traps.start("run", "--extra", "quick", "show.py", cwd=folder)
    assert (asked, done.returncode, done.stdout) == (True, 125, "")
    assert "has no extra `quick`" in done.stderr
    settled(folder)
    assert traps.runs_twice("run", "--extra", "brisk", "show.py", cwd=folder) == printed
    with_extra(folder, index, "quick")
    settled(folder)
    assert traps.run("run", "--extra", "quick", "show.py", cwd=folder)[0] == printed
    done, asked = traps.start("run", "--extra", "brisk", "show.py", cwd=folder)
    assert (asked, done.returncode, done.stdout) == (True, 125, "")
    assert "has no extra `brisk`" in done.stderr


def install_python(folder: Path, real: Path) -> None:
    """Install this Python in the folder, in place of the one that is there: the same path, another program."""
    for name in ("bin", "lib"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for path, to in ((f"bin/python{FEATURE}", real), (f"lib/python{FEATURE}", library_of(real))):
        (folder / "new").symlink_to(to) if to.is_dir() else shutil.copy2(to, folder / "new")
        (folder / "new").rename(folder / path)


def library_of(python: Path) -> Path:
    return python.parents[1] / "lib" / python.name


PYTHONS = [path for path in (Path(pyenv_python(FEATURE) or "/"), Path(f"/usr/bin/python{FEATURE}")) if path.is_file()]


@pytest.mark.skipif(len(PYTHONS) < 2, reason=f"needs two builds of Python {FEATURE}")
def test_the_python_was_installed_anew(machine: Machine, index: LoopbackIndex, traps: Traps) -> None:
    """As under uv: an environment is made for the new one, since markers may tell it from the old one."""
    place = machine.home / "python"
    install_python(place, PYTHONS[0])
    folder = project(machine.home / "project", index)
    (folder / "show.py").write_text(f"import sys; print(sys._base_executable, sys.version.split()[0])\n{SHOW}")
    command, path = ("run", "-p", FEATURE, "show.py"), f"{place}/bin:{os.environ['PATH']}"
    before = traps.runs_twice(*command, cwd=folder, PATH=path)
    assert before.split()[0] == f"{place}/bin/python{FEATURE}"
    install_python(place, PYTHONS[1])
    after, asked = traps.run(*command, cwd=folder, PATH=path)
    assert asked
    versions, modules = zip(*(said.split(maxsplit=2)[1:] for said in (before, after)), strict=True)
    assert len({*versions}) == len({*modules}) == 2
    traps.becomes_quick(*command, cwd=folder, prints=after.__eq__, PATH=path)


def with_local_code(folder: Path, index: LoopbackIndex, library: Path) -> Path:
    """A project that has the code in another folder, as an editable dependency."""
    write_project(folder, index, [make_wheel("alpha", "1.0")])
    library.mkdir()
    (library / "pyproject.toml").write_text('[project]\nname = "library"\nversion = "1.0"\n')
    (library / "library.py").write_text("")
    local = f'[[package]]\nname = "library"\nversion = "1.0"\nsource = {{ editable = "{library}" }}\n\n'
    lock = (folder / "uv.lock").read_text().replace("dependencies = [", 'dependencies = [\n    { name = "library" },')
    (folder / "uv.lock").write_text(lock.replace("[[package]]", f"{local}[[package]]", 1))
    (folder / "show.py").write_text("import library; print(library.__file__)\n")
    settled(library)
    return settled(folder)


@only_root
@pytest.mark.parametrize("command", [("run", "--no-dev", "show.py"), ("run", "show.py")], ids=["option", "plain"])
def test_trust_in_local_code_was_taken_back(
    machine: Machine, index: LoopbackIndex, traps: Traps, command: tuple[str, ...]
) -> None:
    library = machine.home / "library"
    folder = with_local_code(machine.home / "project", index, library)
    for path in (library, *library.iterdir()):
        os.chown(path, SOMEBODY, SOMEBODY)
    assert "E_PROJECT_OWNER" in traps.start(*command, cwd=folder)[0].stderr
    machine.ok("trust", library)
    age(machine.home / ".config/storectl/trusted")
    printed = traps.runs_twice(*command, cwd=folder)
    machine.ok("trust", "--remove", library)
    done, asked = traps.start(*command, cwd=folder)
    assert (asked, done.returncode, done.stdout) == (True, 125, "")
    assert f"E_PROJECT_OWNER: {library} belongs to user {SOMEBODY}" in done.stderr
    machine.ok("trust", library)
    comes_back(traps, *command, cwd=folder, prints=printed)


@only_root
def test_trust_in_the_lock_file_of_a_script_was_taken_back(
    machine: Machine, index: LoopbackIndex, traps: Traps
) -> None:
    folder = machine.home / "scripts"
    folder.mkdir()
    (folder / "locked.py").write_text(BLOCK + SHOW)
    index.add(make_wheel("alpha", "1.0"))
    (folder / "pylock.locked.toml").write_text(pylock_text(index, [make_wheel("alpha", "1.0")]))
    settled(folder)
    os.chown(folder / "pylock.locked.toml", SOMEBODY, SOMEBODY)
    machine.ok("trust", folder)
    age(machine.home / ".config/storectl/trusted")
    traps.runs_twice("run", "locked.py", cwd=folder)
    machine.ok("trust", "--remove", folder)
    done, asked = traps.start("run", "locked.py", cwd=folder)
    assert (asked, done.returncode, done.stdout) == (True, 125, "")
    assert f"E_PROJECT_OWNER: {folder}/pylock.locked.toml belongs to user {SOMEBODY}" in done.stderr


@only_root
def test_trust_in_the_project_of_a_named_environment_was_taken_back(
    machine: Machine, index: LoopbackIndex, traps: Traps
) -> None:
    """The launcher never starts what is another user's by itself."""
    folder = project(machine.home / "project", index)
    for path in (folder, *folder.iterdir()):
        os.chown(path, SOMEBODY, SOMEBODY)
    machine.ok("trust", folder)
    machine.ok("env", "create", "data", "--lock", folder / "uv.lock")
    settled(machine.home / ".local/state/storectl/named")
    for _ in range(2):
        assert traps.run("run", "-e", "data", "-c", SHOW, cwd=machine.home)[1]
    machine.ok("trust", "--remove", folder)
    done, asked = traps.start("run", "-e", "data", "-c", SHOW, cwd=machine.home)
    assert (asked, done.returncode, done.stdout) == (True, 125, "")
    assert "E_PROJECT_OWNER" in done.stderr


def swap(one: Path, other: Path) -> None:
    one.rename(one.with_name("aside"))
    other.rename(one)
    one.with_name("aside").rename(other)


@pytest.mark.parametrize("command", [("run", "--no-dev", "show.py"), ("run", "show.py")], ids=["option", "plain"])
def test_another_project_is_in_the_same_place(
    machine: Machine, index: LoopbackIndex, traps: Traps, command: tuple[str, ...]
) -> None:
    folder = project(machine.home / "project", index)
    other = project(machine.home / "other", index, "2.0")
    before = traps.runs_twice(*command, cwd=folder)
    swap(folder, other)
    after, asked = traps.run(*command, cwd=folder)
    assert (asked, before.split()[0], after.split()[0]) == (True, "1.0", "2.0")
    traps.becomes_quick(*command, cwd=folder, prints=after.__eq__)
    swap(folder, other)
    assert traps.run(*command, cwd=folder) == (before, True)


@pytest.mark.parametrize("command", [("run", "--no-dev", "show.py"), ("run", "show.py")], ids=["option", "plain"])
def test_another_project_is_in_the_same_place_and_archives_have_one_time(
    machine: Machine, index: LoopbackIndex, traps: Traps, command: tuple[str, ...]
) -> None:
    """Archives that are to be the same each time give all files the epoch, or 1980: such a time tells of no change."""
    folder = project(machine.home / "project", index)
    other = project(machine.home / "other", index, "2.0")
    for path in (*folder.iterdir(), *other.iterdir()):
        os.utime(path, (0, 0))
    assert (folder / "uv.lock").stat().st_size == (other / "uv.lock").stat().st_size
    assert [traps.run(*command, cwd=folder)[0].split()[0] for _ in range(2)] == ["1.0", "1.0"]
    time.sleep(2.5)
    assert traps.run(*command, cwd=folder)[0].split()[0] == "1.0"
    swap(folder, other)
    assert traps.run(*command, cwd=folder)[0].split()[0] == "2.0"
