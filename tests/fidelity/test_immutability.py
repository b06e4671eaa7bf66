"""What is in the store stays as it is, however programs treat their environment; and they run all the same."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fidelity.twins import Twins, locked_project, project_files, twins_of, use_index, whom_modes_stop
from support.index import serve_index
from support.machine import new_machine
from support.wheels import make_wheel

BESIDE = """
import os, pathlib, tempfile
HERE = os.path.dirname(os.path.abspath(__file__))

def remember(text):
    '''Beside the module where that can be written, else in the user's folder: as numba looks for a place.'''
    for folder in (os.path.join(HERE, '__pycache__'), os.path.join(os.environ['HOME'], '.cache', 'beside')):
        try:
            os.makedirs(folder, exist_ok=True)
            with open(os.path.join(folder, 'kept.txt'), 'w') as file:
                file.write(text)
            return os.path.relpath(folder, HERE)
        except OSError:
            continue

def sibling():
    return (pathlib.Path(__file__).resolve().parent / 'data' / 'table.txt').read_text()

def is_plain(name):
    '''What refuses links in disguise asks: one name, and no link on the way below the package.'''
    path = os.path.join(HERE, 'data', name)
    return os.stat(path).st_nlink == 1 and not os.path.islink(path) and not os.path.islink(os.path.dirname(path))
"""
WHEELS = [
    make_wheel(
        "beside",
        files={
            "beside/__init__.py": BESIDE,
            "beside/data/table.txt": "table",
            "beside/old.py": "print 'a statement of Python 2'\n",
            "beside/_vendored/older.py": "exec 'x'\n",
        },
    ),
    make_wheel("other", files={"other.py": "VALUE = 1\n"}),
]


@pytest.fixture(scope="module")
def twins() -> Iterator[Twins]:
    with twins_of(WHEELS) as made:
        yield made


def test_bytecode_is_there_before_the_first_run_and_no_run_writes_any(twins: Twins) -> None:
    """A folder for bytecode that cannot be written is compiled for at every start, unless it is full already."""
    before = _store(twins)
    program = (
        "import sys, beside, other, importlib.util as u\ncompiled = []\n"
        "sys.addaudithook(lambda event, args: compiled.append(args[1]) if event == 'compile' else None)\n"
        "import beside._vendored\nprint(compiled, u.cache_from_source(other.__file__))\n"
        "print(open(other.__cached__, 'rb').read(8)[4:])"
    )
    shown = twins.output(twins.environment, "python", "-c", program)
    assert shown.splitlines()[0].startswith("[] <prefix>/lib/python")
    assert shown.splitlines()[1] == "b'\\x01\\x00\\x00\\x00'"
    assert _store(twins) == before


@pytest.mark.parametrize("flags", [("-O",), ("-OO",), ("-B",), ("-X", "dev"), ("-v",)], ids=" ".join)
def test_no_flag_makes_a_run_write_bytecode(twins: Twins, flags: tuple[str, ...]) -> None:
    before = _store(twins)
    program = "import beside, other; print(other.VALUE, __debug__, other.__file__)"
    expected, found = (twins.output(root, "python", *flags, "-c", program) for root in twins.roots)
    assert found == expected
    assert _store(twins) == before


def test_what_cannot_be_compiled_fails_when_it_is_imported_and_not_before(twins: Twins) -> None:
    shown = twins.python(
        "import beside, importlib\nfor name in ('beside.old', 'beside._vendored.older'):\n"
        "    try: importlib.import_module(name)\n"
        "    except SyntaxError as error: print(type(error).__name__, error.filename, error.lineno)"
    )
    assert shown.count("SyntaxError <prefix>/lib/python") == 2


def test_a_package_that_writes_beside_itself_finds_another_place(twins: Twins) -> None:
    before = _store(twins)
    program = "import beside; print(beside.remember('x'))"
    shown = twins.output(twins.environment, *whom_modes_stop(), "python", "-c", program)
    assert shown.strip().endswith(".cache/beside")
    assert _store(twins) == before


def test_nothing_of_an_environment_can_be_edited(twins: Twins) -> None:
    """Neither a file, nor a folder, nor what uv made of a hard link elsewhere; by nobody but root."""
    program = (
        "import beside, importlib.metadata as m, os, other, sys\n"
        "info = str(m.distribution('beside')._path)\n"
        "attempts = [lambda: open(beside.__file__, 'a'), lambda: open(beside.__file__, 'r+'),\n"
        "    lambda: open(info + '/RECORD', 'a'), lambda: os.unlink(other.__file__), lambda: os.unlink(info + '/METADATA'),\n"
        "    lambda: os.rename(beside.HERE, beside.HERE + '2'), lambda: os.mkdir(beside.HERE + '/new'),\n"
        "    lambda: open(sys.prefix + '/pyvenv.cfg', 'a'), lambda: os.unlink(sys.executable)]\n"
        "for attempt in attempts:\n"
        "    try: attempt()\n"
        "    except PermissionError: print('refused')"
    )
    shown = twins.output(twins.environment, *whom_modes_stop(), "python", "-c", program)
    assert shown.splitlines() == ["refused"] * 9


def test_what_root_edits_all_the_same_is_found(twins: Twins) -> None:
    (file,) = (twins.machine.store / "store/other").glob("*/site-packages/other.py")
    content = file.read_bytes()
    file.chmod(0o644)
    try:
        file.write_text("VALUE = 2\n")
        file.chmod(0o444)
        done = twins.machine.run("store", "verify")
    finally:
        file.chmod(0o644)
        file.write_bytes(content)
        file.chmod(0o444)
    assert done.returncode == 1
    assert "other.py" in done.stdout + done.stderr
    assert twins.machine.run("store", "verify").returncode == 0


def test_data_is_found_beside_a_file_whose_links_are_resolved(twins: Twins) -> None:
    assert twins.python("import beside; print(beside.sibling())") == "table\n"


def test_a_file_of_a_package_has_one_name(twins: Twins) -> None:
    """Unlike in a venv, whose files uv links from its cache: nltk, for one, refuses such data."""
    shown = twins.output(twins.environment, "python", "-c", "import beside; print(beside.is_plain('table.txt'))")
    assert shown == "True\n"


def test_a_running_program_keeps_its_wheels_when_the_lock_file_changes() -> None:
    """What it imports late is of the environment that it started in, though the project has another one by then."""
    old, new = (
        make_wheel("late", version, files={"late/__init__.py": "", "late/more.py": f"VERSION = {version!r}\n"})
        for version in ("1.0", "2.0")
    )
    with new_machine() as machine, serve_index(old) as index:
        use_index(machine, index)
        project = locked_project(machine, project_files(["late"]))
        code = (
            "import late, sys; print('up', flush=True); sys.stdin.readline(); import late.more as m; print(m.VERSION)"
        )
        machine.ok("warm", cwd=project)
        python = machine.ok("env", "path", cwd=project).strip() + "/bin/python"
        running = subprocess.Popen(
            [python, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=machine.environ
        )
        assert running.stdout is not None
        assert running.stdout.readline() == "up\n"
        index.wheels.clear()
        index.add(new)
        (project / "uv.lock").unlink()
        locked_project(machine, project_files(["late"]))
        assert machine.ok("run", "-c", "import late.more as m; print(m.VERSION)", cwd=project) == "2.0\n"
        output, _ = running.communicate("\n", timeout=60)
        assert output == "1.0\n"


def _store(twins: Twins) -> list[tuple[str, int, int]]:
    """Every file of the store and the environment: where, how large, when written."""
    found = []
    for top in (twins.machine.store / "store", twins.environment):
        for folder, _, names in os.walk(top):
            for name in names:
                status = os.lstat(Path(folder, name))
                found.append((f"{folder}/{name}", status.st_size, status.st_mtime_ns))
    assert sys.implementation.cache_tag in "".join(path for path, *_ in found)
    return sorted(found)
