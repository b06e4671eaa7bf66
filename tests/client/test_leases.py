"""The lease of a program: it has the ``pyvenv.cfg`` of its environment open, and that is all one can see of it."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from storectl.isolation import FLAGS
from storectl_shim import leases
from storectl_shim._storectl import open_lease
from storectl_shim.project_record import options_key
from storectl_store.collecting.leases import LeasedFile, is_used, try_write_lease
from support.client_project import LAUNCHER, ClientHome, client_home, make_environment, write_program
from support.views import Python, View, build_front, build_view, every_python, pythons
from support.wheels import make_wheel

EVERY_PYTHON = pytest.mark.parametrize("python", every_python())
SHELLS = [shell for shell in ("dash", "bash", "busybox", "zsh") if shutil.which(shell)]
WHEELS = [make_wheel("alpha", files={"alpha/__init__.py": ""})]
Opened = tuple[dict[str, list[str | bool]], int, list[str]]
"""The files that are open and if they are inherited, by number; the next number; variables that have to do with it."""

OPEN = """
import json, os
found = {}
for name in os.listdir("/proc/self/fd"):
    try:
        found[name] = [os.readlink("/proc/self/fd/" + name), os.get_inheritable(int(name))]
    except OSError:
        pass
first = os.open("/", os.O_RDONLY)
print(json.dumps([found, first, sorted(name for name in os.environ if "LEASE" in name)]))
"""

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks at open files in /proc")


def started(shell: str) -> list[str]:
    """The command by which this shell is ``sh``."""
    as_sh = {"bash": ["--posix"], "busybox": ["sh"], "zsh": ["--emulate", "sh"]}
    return [str(shutil.which(shell)), *as_sh.get(shell, [])]


@pytest.fixture
def home() -> Iterator[ClientHome]:
    with client_home() as home:
        write_program(home.bin / "storectl", LAUNCHER.read_text())
        (home.bin / "python").symlink_to("storectl")
        write_program(
            home.bin / "storectl-python", '#!/bin/sh\necho "slow: $STORECTL_LEASE"; readlink /proc/$$/fd/9 || :\n'
        )
        write_program(
            home.environment / "bin" / "native", '#!/bin/sh\necho "$STORECTL_LEASE"; readlink /proc/$$/fd/9 || :\n'
        )
        yield home


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> list[str]:
    return started(request.param)


@pytest.fixture
def view(tmp_path: Path) -> View:
    return build_view(tmp_path / "view", WHEELS, pythons()[0])


def launched(home: ClientHome, command: Sequence[str | Path]) -> str:
    done = subprocess.run(
        command, cwd=home.project, env=home.program_environ(), capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr == ""
    return done.stdout


# --- the launcher ---


def test_a_command_keeps_the_lease_that_the_launcher_took(home: ClientHome, shell: list[str]) -> None:
    printed = launched(home, [*shell, home.bin / "storectl", "run", "native"])
    assert printed == f"9\n{home.environment}/pyvenv.cfg\n"


def test_the_environment_is_used_as_long_as_a_child_of_the_command_runs(home: ClientHome, shell: list[str]) -> None:
    lease, fifo = home.environment / "pyvenv.cfg", home.home / "fifo"
    os.mkfifo(fifo)
    write_program(home.environment / "bin" / "server", f'#!/bin/sh\n(read _ <"{fifo}") >&- 2>&- &\necho ready\n')
    assert launched(home, [*shell, home.bin / "storectl", "run", "server"]) == "ready\n"
    assert is_used(lease)
    fifo.write_text("end\n")
    while is_used(lease):
        pass


def test_a_python_of_the_name_python_is_given_the_lease(home: ClientHome, shell: list[str]) -> None:
    show = 'import os; print(os.environ["STORECTL_LEASE"], os.readlink("/proc/self/fd/9"))'
    printed = launched(home, [*shell, home.bin / "python", "-c", show])
    assert printed == f"9 {home.environment}/pyvenv.cfg\n"


def test_a_descriptor_of_the_user_s_is_left_as_it_is(home: ClientHome, shell: list[str]) -> None:
    lock = home.home / "lock"
    printed = launched(
        home, [*shell, "-c", f'exec 9>"{lock}"; exec "$@"', "sh", home.bin / "storectl", "run", "native"]
    )
    assert printed == f"slow: \n{lock}\n"


@pytest.mark.parametrize("other", [False, True], ids=["the same environment", "another environment"])
def test_a_command_in_a_shell_in_an_environment_is_quick(home: ClientHome, shell: list[str], *, other: bool) -> None:
    write_program(
        home.environment / "bin" / "inner", f'#!/bin/sh\nexec {" ".join(shell)} "{home.bin}/storectl" run native\n'
    )
    environment = home.environment
    if other:
        environment = make_environment(home.root / "other")
        shutil.copy(home.environment / "bin" / "native", environment / "bin")
        switches = f"""#!/bin/sh\necho "_storectl_environment='{environment}'" >"{home.fast}/environment"\n"""
        inner = (home.environment / "bin" / "inner").read_text().removeprefix("#!/bin/sh\n")
        write_program(home.environment / "bin" / "inner", switches + inner)
    printed = launched(home, [*shell, home.bin / "storectl", "run", "inner"])
    assert printed == f"9\n{environment}/pyvenv.cfg\n"


def test_a_stale_variable_does_not_cost_the_user_a_descriptor(home: ClientHome, shell: list[str]) -> None:
    lock = home.home / "lock"
    takes = f'exec 9>"{lock}"; export STORECTL_LEASE=9 VIRTUAL_ENV="{home.environment}"; exec "$@"'
    printed = launched(home, [*shell, "-c", takes, "sh", home.bin / "storectl", "run", "native"])
    assert printed == f"slow: 9\n{lock}\n"


def test_an_environment_that_is_gone_is_made_anew_in_silence(home: ClientHome, shell: list[str]) -> None:
    shutil.rmtree(home.environment)
    assert launched(home, [*shell, home.bin / "storectl", "run", "native"]) == "slow: \n"


@pytest.mark.parametrize("gone", ["python", "native"])
def test_what_is_handed_over_has_no_lease(home: ClientHome, shell: list[str], gone: str) -> None:
    (home.environment / "bin" / gone).unlink()
    (home.environment / "bin" / gone).touch(mode=0o644)
    assert launched(home, [*shell, home.bin / "storectl", "run", "native"]) == "slow: \n"


def test_a_python_of_another_version_is_started_without_a_lease(home: ClientHome, shell: list[str]) -> None:
    (home.bin / "python3.0").symlink_to("storectl")
    assert launched(home, [*shell, home.bin / "python3.0", "x"]).startswith("slow: \n")


def test_the_launcher_waits_for_the_collector_and_sees_what_it_has_decided(home: ClientHome, shell: list[str]) -> None:
    with leased(home.environment / "pyvenv.cfg") as collecting:
        waiting = subprocess.Popen(
            [*shell, home.bin / "storectl", "run", "native"],
            cwd=home.project,
            env=home.program_environ(),
            stdout=subprocess.PIPE,
        )
        while collecting.held():
            assert waiting.poll() is None
        home.environment.rename(home.root / "trash")
    assert waiting.communicate()[0] == b"slow: \n"


# --- the command line ---


def test_the_command_line_gives_its_program_the_lease(home: ClientHome) -> None:
    show = 'import os; print(os.environ["STORECTL_LEASE"], os.readlink("/proc/self/fd/200"), os.open("/", os.O_RDONLY))'
    assert home.storectl("run", "-c", show).stdout == f"200 {home.environment}/pyvenv.cfg 3\n"


def test_under_several_pythons_the_environments_stay_while_the_command_runs(home: ClientHome) -> None:
    write_program(home.environment / "bin" / "held", "#!/bin/sh\nreadlink /proc/$PPID/fd/200\n")
    for version in ("3.11", "3.12"):
        home.write_record(options_key(python=version))
    done = home.storectl("run", "-p", "3.11", "-p", "3.12", "held")
    assert done.stdout == f"{home.environment}/pyvenv.cfg\n" * 2, done.stderr


def test_a_descriptor_that_is_taken_is_passed_over(home: ClientHome) -> None:
    lock = home.home / "lock"
    command = 'exec 9>"$0"; python=$1; shift; exec "$python" -c "import os, sys; os.dup2(9, 200); os.execv(sys.argv[1], sys.argv[1:])" "$python" "$@"'
    show = 'import os; print(os.environ["STORECTL_LEASE"], [os.readlink(f"/proc/self/fd/{n}") for n in (200, 201)])'
    done = subprocess.run(
        ["sh", "-c", command, lock, sys.executable, *FLAGS, "-m", "storectl", "run", "-c", show],
        cwd=home.project, env=home.environ(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.stderr, done.stdout) == ("", f"201 {[str(lock), f'{home.environment}/pyvenv.cfg']}\n")


def test_an_environment_that_goes_when_it_is_to_be_held_is_asked_for_again(tmp_path: Path) -> None:
    environments = iter([tmp_path / "gone", make_environment(tmp_path / "there")])
    assert leases.held(lambda: str(next(environments)), str) == str(tmp_path / "there")
    assert is_used(tmp_path / "there" / "pyvenv.cfg")


def test_an_environment_is_asked_for_so_often_and_no_more(tmp_path: Path) -> None:
    gone = iter(range(10))
    assert leases.held(lambda: f"{tmp_path}/{next(gone)}", str) == f"{tmp_path}/{leases.TRIES - 1}"


def test_the_lease_is_the_last_use(tmp_path: Path) -> None:
    environment = make_environment(tmp_path / "environment")
    before = long_ago(environment)
    leases.take_lease(str(environment))
    assert last_use(environment) > before


# --- the shim ---


@EVERY_PYTHON
def test_a_program_has_the_lease_and_opens_its_first_file_as_3(tmp_path: Path, python: Python) -> None:
    view = build_view(tmp_path / "view", WHEELS, python)
    files, first, names = opened(view)
    assert files["200"] == [f"{view.root}/pyvenv.cfg", False]
    assert (first, names) == (3, [])
    assert not is_used(view.root / "pyvenv.cfg")


@EVERY_PYTHON
def test_a_program_keeps_the_lease_that_it_was_given(tmp_path: Path, python: Python) -> None:
    view = build_view(tmp_path / "view", WHEELS, python)
    files, first, names = opened_by(view, {9: view.root / "pyvenv.cfg"})
    assert files["9"] == [f"{view.root}/pyvenv.cfg", False]
    assert "200" not in files
    assert (first, names) == (3, [])


def test_a_lease_that_is_given_stands_for_the_walk_through_links(view: View) -> None:
    imports = "import alpha, json; print(json.dumps(alpha.__file__))"
    assert opened_by(view, {9: view.root / "pyvenv.cfg"}, imports) == f"{view.site_packages}/alpha/__init__.py"


@pytest.mark.parametrize("given", ["9", "x", "", "-1", "99999999999999999999", "9\n"])
def test_a_descriptor_that_is_no_lease_is_none_of_ours(view: View, tmp_path: Path, given: str) -> None:
    lock = tmp_path / "lock"
    lock.touch()
    files, _, names = opened_by(view, {9: lock}, given=given)
    assert files["9"] == [str(lock), True]
    assert files["200"] == [f"{view.root}/pyvenv.cfg", False]
    assert names == []


def test_a_lease_that_was_closed_on_the_way_is_taken_again(view: View) -> None:
    files, _, _ = opened(view, environ={"STORECTL_LEASE": "9"})
    assert files["200"] == [f"{view.root}/pyvenv.cfg", False]


def test_numbers_that_are_taken_are_passed_over(view: View, tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.touch()
    files, first, _ = opened_by(view, {200: lock, 201: lock})
    assert [files[name][0] for name in ("200", "201", "202")] == [str(lock), str(lock), f"{view.root}/pyvenv.cfg"]
    assert first == 3


def test_a_program_that_may_open_few_files_has_a_lease_too(view: View) -> None:
    command = ["sh", "-c", 'ulimit -n 64; exec "$@"', "sh", str(view.executable), "-c", OPEN]
    files, _, _ = json.loads(subprocess.run(command, env={}, capture_output=True, check=True).stdout)
    assert f"{view.root}/pyvenv.cfg" in {path for path, _ in files.values()}


def test_a_program_in_an_environment_that_is_used_through_a_link_holds_the_environment(
    view: View, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(view.root)
    files, _, _ = opened(view, through=tmp_path / "link")
    assert files["200"] == [f"{view.root}/pyvenv.cfg", False]


def test_a_forked_child_holds_the_environment_and_a_program_of_another_kind_does_not(view: View) -> None:
    program = """
import os, subprocess, sys
child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False)
if os.fork():
    print(child.pid, flush=True)
    os._exit(0)
sys.stdin.read()
"""
    with subprocess.Popen([view.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdin is not None
        other = int(parent.stdout.readline())
        parent.wait()
        assert is_used(view.root / "pyvenv.cfg")
        parent.stdin.close()
        while is_used(view.root / "pyvenv.cfg"):
            pass
    assert not Path(f"/proc/{other}/fd/200").exists()


def test_a_start_waits_for_the_collector_and_goes_on_if_it_keeps_the_environment(view: View) -> None:
    with leased(view.root / "pyvenv.cfg") as collecting:
        waiting = subprocess.Popen(
            [view.executable, "-Ic", "import alpha, sys; print(sys.prefix)"], stdout=subprocess.PIPE, text=True
        )
        while collecting.held():
            assert waiting.poll() is None
    assert waiting.communicate()[0] == f"{view.root}\n"


def test_a_lease_that_was_waited_for_is_of_the_environment_that_is_there(tmp_path: Path) -> None:
    lease = make_environment(tmp_path / "environment") / "pyvenv.cfg"
    taken: list[int] = []
    with leased(lease) as collecting:
        waiting = threading.Thread(target=lambda: taken.append(open_lease(str(lease))))
        waiting.start()
        while collecting.held():
            assert waiting.is_alive()
        lease.parent.rename(tmp_path / "trash")
        make_environment(tmp_path / "environment")
    waiting.join()
    assert os.path.samestat(os.fstat(taken[0]), lease.stat())
    os.close(taken[0])


@EVERY_PYTHON
def test_an_environment_that_is_gone_is_said_in_one_line(tmp_path: Path, python: Python) -> None:
    view = build_view(tmp_path / "view", WHEELS, python)
    program = f"import os, sys; os.unlink({str(view.root / 'pyvenv.cfg')!r}); sys.path_hooks[:] = sys.path_hooks; "
    program += f"import site; site.addsitedir({str(view.site_packages)!r}); import alpha; print('goes on')"
    done = subprocess.run([python.executable, "-Ic", program], capture_output=True, text=True, check=True)
    assert done.stdout == "goes on\n"
    assert done.stderr == (
        f"storectl: the import map cannot be used ({view.root} is gone from the store); using the plain environment\n"
    )


def test_who_reads_no_pyvenv_cfg_of_the_environment_leaves_a_trace_of_its_use(view: View) -> None:
    before = long_ago(view.root)
    program = f"import site; site.addsitedir({str(view.site_packages)!r}); import alpha"
    subprocess.run([view.python.executable, "-Ic", program], check=True)
    assert last_use(view.root) > before


@EVERY_PYTHON
@pytest.mark.parametrize("changed", [False, True], ids=["as it was made", "changed"])
def test_a_program_in_a_front_holds_the_environment_behind_it(tmp_path: Path, python: Python, *, changed: bool) -> None:
    view = build_view(tmp_path / "view", WHEELS, python)
    front = build_front(view, tmp_path / "front")
    if changed:
        (front.site_packages / "mine.py").touch()
    before = long_ago(view.root)
    files, first, _ = opened(front)
    assert files["200"] == [f"{view.root}/pyvenv.cfg", False]
    assert first == 3
    assert last_use(view.root) > before


def test_a_front_whose_environment_is_gone_is_a_plain_venv(view: View, tmp_path: Path) -> None:
    front = build_front(view, tmp_path / "front")
    view.root.rename(tmp_path / "trash")
    files, _, _ = opened(front)
    assert "200" not in files
    assert (
        front.json("import alpha, json; print(json.dumps(alpha.__file__))")
        == f"{front.site_packages}/alpha/__init__.py"
    )


def test_what_follows_the_changes_of_a_front_holds_no_environment(view: View, tmp_path: Path) -> None:
    front = build_front(view, tmp_path / "front")
    server = tmp_path / "jedi/inference/compiled/subprocess/__main__.py"
    server.parent.mkdir(parents=True)
    server.write_text(OPEN)
    files, _, _ = json.loads(front.run(str(server)).stdout)
    assert "200" not in files


def test_an_environment_that_is_taken_in_again_and_again_has_one_lease(view: View) -> None:
    program = f"""
import json, os, site, sys
for _ in range(20):
    site.addsitedir({str(view.site_packages)!r})
    sys.path_hooks[:] = [getattr(hook, "storectl_stands_for", hook) for hook in sys.path_hooks]
    sys.path_importer_cache.clear()
    sys.modules.pop("_storectl", None)
{OPEN}
"""
    done = subprocess.run([view.python.executable, "-Ic", program], capture_output=True, text=True, check=True)
    files, _, _ = json.loads(done.stdout)
    assert [name for name, (path, _) in files.items() if path == f"{view.root}/pyvenv.cfg"] == ["200"]


def opened(view: View, through: Path | None = None, environ: Mapping[str, str] | None = None) -> Opened:
    """What a program has open."""
    files, first, names = cast("Any", view.json(OPEN, through=through, environ=environ))
    return files, first, names


def opened_by(view: View, files: Mapping[int, Path], program: str = OPEN, *, given: str = "9") -> Any:
    """What the program prints as JSON, started with these files open."""
    opens = "import os, sys; files = eval(sys.argv[1])\nfor n in files: os.dup2(os.open(files[n], os.O_RDONLY), n)\n"
    closes = "os.closerange(3, 9); os.execve(sys.argv[2], sys.argv[2:], {'STORECTL_LEASE': sys.argv.pop()})"
    shown = repr({number: str(path) for number, path in files.items()})
    command = [sys.executable, "-ISc", opens + closes, shown, str(view.executable), "-c", program, given]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return json.loads(done.stdout)


@contextmanager
def leased(path: Path) -> Iterator[LeasedFile]:
    found = try_write_lease(path)
    assert found is not None
    with found:
        yield found


def long_ago(environment: Path) -> float:
    """When the environment is said to have been used last; skips the test if nothing is told here (noatime)."""
    lease = environment / "pyvenv.cfg"
    status = lease.stat()
    os.utime(lease, ns=(status.st_mtime_ns - 10**18, status.st_mtime_ns))
    before = last_use(environment)
    probe = environment / "probe"
    probe.write_text("x")
    os.utime(probe, (1, 1))
    probe.read_text()
    if probe.stat().st_atime == 1:
        pytest.skip("this file system does not tell when a file was read")
    return before


def last_use(environment: Path) -> float:
    return (environment / "pyvenv.cfg").stat().st_atime
