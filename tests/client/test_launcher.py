"""The launcher in every shell that is here: what it starts itself, what it hands over, what the program gets."""

import json
import os
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from storectl.run_options import OPTIONS
from storectl_shim.project_record import INPUTS, LOCK_FILES, UNSET
from storectl_store.entries.layout import StoreLayout
from storectl_store.projects.input_state import read_state
from storectl_store.projects.project_record import write_record
from support.client_project import DEFAULT_PATH, LAUNCHER, ClientHome, age, client_home, make_environment, write_program
from support.fake_daemon import serve_daemon

SHELLS = [shell for shell in ("dash", "bash") if shutil.which(shell)]

SHOW = """
import json, os, sys
print(json.dumps({"argv": sys.argv, "prefix": sys.prefix, "cwd": os.getcwd(), "environ": dict(os.environ)}))
"""


@pytest.fixture
def home() -> Iterator[ClientHome]:
    with client_home() as home:
        write_program(home.bin / "storectl", LAUNCHER.read_text())
        write_program(home.bin / "storectl-python", '#!/bin/sh\necho "slow: $*"\n')
        (home.project / "show.py").write_text(SHOW)
        yield home


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> list[str]:
    return [request.param, *(["--posix"] if request.param == "bash" else [])]


def launch(
    home: ClientHome,
    shell: list[str],
    *arguments: str,
    cwd: Path | str | None = None,
    stdin: str = "",
    **variables: str,
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*shell, str(home.bin / "storectl"), *arguments],
        cwd=cwd or home.project,
        env=home.program_environ(**variables),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_names_in_the_launcher_are_those_of_the_record() -> None:
    text = LAUNCHER.read_text().replace("\\\n", " ")
    lists = [line.removesuffix("; do").split()[3:] for line in text.splitlines() if " for _storectl_input in " in line]
    assert lists == [list(LOCK_FILES)]


def is_slow(done: subprocess.CompletedProcess[str]) -> bool:
    return done.stdout.startswith("slow: ")


def test_a_script_runs_in_the_environment_of_its_project(home: ClientHome, shell: list[str]) -> None:
    shown = json.loads(launch(home, shell, "run", "show.py", "a b", "-p", "3.9").stdout)
    assert shown["argv"] == ["show.py", "a b", "-p", "3.9"]
    assert shown["prefix"] == str(home.environment)
    assert shown["environ"]["VIRTUAL_ENV"] == str(home.environment)
    assert shown["environ"]["PATH"] == f"{home.environment}/bin:{DEFAULT_PATH}"


def test_the_launcher_is_executable() -> None:
    assert LAUNCHER.stat().st_mode & stat.S_IXUSR


@pytest.mark.parametrize(
    "arguments",
    [
        ("-m", "show", "x"),
        ("-Bm", "show", "x"),
        ("-c", SHOW, "x"),
        ("./show.py", "x"),
        ("show.py", "x"),
        ("-u", "-X", "dev", "show.py", "-p", "x"),
        ("-Wignore", "-m", "show"),
    ],
)
def test_module_code_and_script_get_python_s_own_arguments(
    home: ClientHome, shell: list[str], arguments: tuple[str, ...]
) -> None:
    ours = json.loads(launch(home, shell, "run", *arguments).stdout)
    python = subprocess.run(
        [home.environment / "bin" / "python", *arguments], cwd=home.project, capture_output=True, text=True, check=True
    )
    assert ours["argv"] == json.loads(python.stdout)["argv"]


@pytest.mark.parametrize(
    "options",
    [("--",), ("--offline",), ("-q", "--color", "never", "--no-sync", "--locked"), ("--no-progress", "-n", "-u")],
)
def test_options_that_change_nothing_are_taken(home: ClientHome, shell: list[str], options: tuple[str, ...]) -> None:
    done = launch(home, shell, "run", *options, "show.py", "--offline")
    shown = json.loads(done.stdout)
    assert shown["argv"] == ["show.py", "--offline"]
    assert shown["prefix"] == str(home.environment)
    assert not {"UV_OFFLINE", "UV_NO_PROGRESS", "STORECTL_QUIET"} & shown["environ"].keys()


def test_a_script_elsewhere_has_the_project_of_its_own_folder(
    home: ClientHome, shell: list[str], tmp_path: Path
) -> None:
    sub = home.project / "deep" / "down"
    sub.mkdir(parents=True)
    (sub / "show.py").write_text(SHOW)
    shown = json.loads(launch(home, shell, "run", str(sub / "show.py"), cwd=tmp_path).stdout)
    assert (shown["prefix"], shown["cwd"]) == (str(home.environment), os.path.realpath(tmp_path))


def test_a_script_in_no_project_has_that_of_the_current_folder(home: ClientHome, shell: list[str]) -> None:
    outside = home.home / "outside"
    outside.mkdir()
    (outside / "show.py").write_text(SHOW)
    shown = json.loads(launch(home, shell, "run", "../outside/show.py").stdout)
    assert shown["prefix"] == str(home.environment)


def test_nothing_but_the_documented_variables_changes(home: ClientHome, shell: list[str]) -> None:
    before = home.program_environ(
        CDPATH="/", OLDPWD="/usr", PWD=str(home.project), PYTHONHOME="", PYTHONPATH="/x", STRANGE="a\nb"
    )
    done = subprocess.run(
        [*shell, str(home.bin / "storectl"), "run", "./show.py"],
        cwd=home.project,
        env=before,
        capture_output=True,
        text=True,
        check=True,
    )
    after = json.loads(done.stdout)["environ"]
    ignored = {"_", "SHLVL", "LC_CTYPE"}
    changed = {name for name in {*before, *after} - ignored if before.get(name) != after.get(name)}
    assert changed == {"PATH", "VIRTUAL_ENV", "STORECTL_LEASE"}


def test_oldpwd_stays_unset(home: ClientHome, shell: list[str]) -> None:
    assert "OLDPWD" not in json.loads(launch(home, shell, "run", "./show.py").stdout)["environ"]


def test_a_current_folder_behind_a_link_keeps_its_name(home: ClientHome, shell: list[str]) -> None:
    link = home.home / "link"
    link.symlink_to(home.project)
    shown = json.loads(launch(home, shell, "run", "show.py", cwd=link, PWD=str(link)).stdout)
    assert shown["prefix"] == str(home.environment)
    assert shown["environ"]["PWD"] == str(link)


def test_path_begins_with_the_environment_once(home: ClientHome, shell: list[str]) -> None:
    path = f"{home.environment}/bin:/usr/bin:/bin"
    assert json.loads(launch(home, shell, "run", "show.py", PATH=path).stdout)["environ"]["PATH"] == path


def test_the_socket_is_named_only_where_it_is(home: ClientHome, shell: list[str]) -> None:
    stale = {"STORECTL_SOCKET": "/tmp/stale.sock"}
    assert "STORECTL_SOCKET" not in json.loads(launch(home, shell, "run", "show.py", **stale).stdout)["environ"]
    home.write_daemon_file()
    assert "STORECTL_SOCKET" not in json.loads(launch(home, shell, "run", "show.py", **stale).stdout)["environ"]
    with serve_daemon(home.socket):
        shown = json.loads(launch(home, shell, "run", "show.py", **stale).stdout)
    assert shown["environ"]["STORECTL_SOCKET"] == str(home.socket)


def test_an_environment_command_wins_over_a_file(home: ClientHome, shell: list[str]) -> None:
    (home.project / "greet").write_text("print('the file')")
    assert launch(home, shell, "run", "greet", "me", "--json").stdout == "greet me --json\n"


def test_an_environment_command_wins_over_the_package_of_the_same_name(home: ClientHome, shell: list[str]) -> None:
    (home.project / "greet").mkdir()
    (home.project / "greet" / "__main__.py").write_text("print('the folder')")
    assert launch(home, shell, "run", "greet").stdout == "greet \n"
    assert launch(home, shell, "run", "./greet").stdout == "the folder\n"


def test_a_folder_with_a_main_module_is_a_script(home: ClientHome, shell: list[str]) -> None:
    (home.project / "tool").mkdir()
    (home.project / "tool" / "__main__.py").write_text("print('the folder')")
    assert launch(home, shell, "run", "tool").stdout == "the folder\n"


def test_without_a_program_it_is_the_interpreter_itself(home: ClientHome, shell: list[str]) -> None:
    assert launch(home, shell, "run", stdin="import sys; print(sys.prefix)").stdout == f"{home.environment}\n"


def test_stdin_reaches_the_program_untouched(home: ClientHome, shell: list[str]) -> None:
    done = launch(home, shell, "run", "-c", "import sys; print(sys.stdin.read())", stdin="one\ntwo\n")
    assert done.stdout == "one\ntwo\n\n"


@pytest.mark.parametrize("code", [0, 1, 3, 125])
def test_the_exit_code_is_the_program_s(home: ClientHome, shell: list[str], code: int) -> None:
    assert launch(home, shell, "run", "-c", f"raise SystemExit({code})").returncode == code


def test_death_by_a_signal_is_the_program_s(home: ClientHome, shell: list[str]) -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"
    assert launch(home, shell, "run", "-c", code).returncode == -signal.SIGTERM


@pytest.mark.parametrize("name", ["uv.lock", "pyproject.toml"])
def test_an_input_of_another_time_goes_the_slow_way(home: ClientHome, shell: list[str], name: str) -> None:
    stamp = (home.project / name).stat().st_mtime_ns
    for other in (stamp + 10, stamp - 10):
        os.utime(home.project / name, ns=(other, other))
        assert is_slow(launch(home, shell, "run", "show.py"))


@pytest.mark.parametrize("name", [".python-version", "pylock.toml", "requirements.txt"])
def test_an_input_that_was_not_there_goes_the_slow_way(home: ClientHome, shell: list[str], name: str) -> None:
    (home.project / name).write_text("")
    assert is_slow(launch(home, shell, "run", "show.py"))


def test_an_input_that_is_gone_goes_the_slow_way(home: ClientHome, shell: list[str]) -> None:
    (home.project / "pyproject.toml").unlink()
    assert is_slow(launch(home, shell, "run", "show.py"))


def test_a_project_in_the_project_goes_the_slow_way(home: ClientHome, shell: list[str]) -> None:
    """It may be a member of a workspace, with an environment of its own."""
    deep = home.project / "one" / "src"
    deep.mkdir(parents=True)
    (deep / "show.py").write_text(SHOW)
    assert not is_slow(launch(home, shell, "run", "show.py", cwd=deep))
    (home.project / "one" / "pyproject.toml").touch()
    assert is_slow(launch(home, shell, "run", "show.py", cwd=deep))
    assert is_slow(launch(home, shell, "run", "one/src/show.py"))
    assert not is_slow(launch(home, shell, "run", "show.py"))


def test_a_nearer_lock_file_goes_the_slow_way(home: ClientHome, shell: list[str]) -> None:
    sub = home.project / "sub"
    sub.mkdir()
    (sub / "pylock.toml").write_text("")
    (sub / "show.py").write_text(SHOW)
    assert is_slow(launch(home, shell, "run", "sub/show.py"))


def test_the_search_ends_where_git_does(home: ClientHome, shell: list[str]) -> None:
    sub = home.project / "vendored"
    (sub / ".git").mkdir(parents=True)
    (sub / "show.py").write_text(SHOW)
    assert is_slow(launch(home, shell, "run", "show.py", cwd=sub))


def test_the_search_ends_at_home(home: ClientHome, shell: list[str]) -> None:
    link = home.root / "home-link"
    link.symlink_to(home.project)
    (home.project / "sub").mkdir()
    done = launch(home, shell, "run", "-c", "pass", cwd=home.project / "sub", HOME=str(link / "sub"))
    assert is_slow(done)


@pytest.mark.parametrize(
    "arguments",
    [
        ("warm",),
        (),
        ("run", "-p", "3.12", "show.py"),
        ("run", ""),
        ("run", "-m"),
        ("run", "-m", "-q", "show"),
        ("run", "-u", "greet"),
        ("run", "-u", "-q", "show.py"),
        ("run", "missing.py"),
        ("run", "missing-command"),
        ("run", "link.py"),
        ("run", "--", "-show.py"),
        ("run", "-u", "--", "show.py"),
    ],
)
def test_the_unusual_goes_the_slow_way_with_its_arguments(
    home: ClientHome, shell: list[str], arguments: tuple[str, ...]
) -> None:
    (home.project / "link.py").symlink_to("show.py")
    assert launch(home, shell, *arguments).stdout == f"slow: {' '.join(arguments)}\n"


NOT_FOR_THE_LAUNCHER = {"UV_LOCKED", "UV_FROZEN", "UV_NO_SYNC", "UV_NO_ENV_FILE", "STORECTL_OFFLINE", "UV_OFFLINE"}
"""They change nothing as long as nothing has changed and no other variable is set."""


@pytest.mark.parametrize(
    "name", sorted({name for option in OPTIONS for name in option.variables} - NOT_FOR_THE_LAUNCHER)
)
def test_options_in_the_environment_go_the_slow_way(home: ClientHome, shell: list[str], name: str) -> None:
    assert is_slow(launch(home, shell, "run", "show.py", **{name: "x"}))


def test_an_environment_that_is_gone_goes_the_slow_way(home: ClientHome, shell: list[str]) -> None:
    shutil.rmtree(home.environment)
    assert is_slow(launch(home, shell, "run", "show.py"))


def test_a_store_of_one_s_own_is_used(home: ClientHome, shell: list[str]) -> None:
    own = home.root / "own"
    shutil.move(home.store, own)
    shown = json.loads(launch(home, shell, "run", "show.py", STORECTL_STORE=str(own)).stdout)
    assert shown["prefix"] == str(home.environment)
    shutil.move(own, home.root / "data" / "storectl")
    shown = json.loads(launch(home, shell, "run", "show.py", XDG_DATA_HOME=str(home.root / "data")).stdout)
    assert shown["prefix"] == str(home.environment)


def test_names_with_spaces_and_quotes_work(home: ClientHome, shell: list[str]) -> None:
    environment = make_environment(home.root / "an 'odd' $name")
    home.write_record(environment=environment)
    odd = home.project / "a folder" / "it's"
    odd.mkdir(parents=True)
    (odd / "the $script.py").write_text(SHOW)
    shown = json.loads(launch(home, shell, "run", "a folder/it's/the $script.py", "*").stdout)
    assert shown["argv"] == ["a folder/it's/the $script.py", "*"]
    assert shown["prefix"] == str(environment)


def test_a_linked_launcher_finds_the_command_line_behind_the_link(home: ClientHome, shell: list[str]) -> None:
    (home.root / "local").mkdir()
    (home.root / "local" / "first").symlink_to("../bin/storectl")
    (home.root / "local" / "storectl").symlink_to("first")
    done = subprocess.run(
        [*shell, str(home.root / "local" / "storectl"), "warm"],
        cwd=home.project,
        env=home.program_environ(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "slow: warm\n"


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_the_hot_path_starts_no_other_process(home: ClientHome, shell: list[str]) -> None:
    trace = home.root / "trace"
    command = ["strace", "-f", "-e", "trace=execve,fork,vfork,clone,clone3", "-o", str(trace)]
    done = subprocess.run(
        [*command, *shell, str(home.bin / "storectl"), "run", "greet"],
        cwd=home.project,
        env=home.program_environ(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.stdout != "greet \n":
        pytest.skip("strace may not trace here")
    calls = [line.split(None, 1)[1] for line in trace.read_text().splitlines() if "(" in line]
    assert [call.partition("(")[0] for call in calls] == ["execve", "execve"]


@pytest.mark.parametrize(
    ("head", "slow"),
    [
        ("# /// script\n# ///\n", True),
        ("#!/usr/bin/env python3\n\n# about\n# /// script\n# ///\n", True),
        ("# /// script\r\n# ///\r\n", True),
        ("# /// other\n", False),
        ("# about", False),
        ("x = 1\n# /// script\n# ///\n", False),
        ('"""What it does."""\n# /// script\n# ///\n', True),
        ('"""What\n\nit = does\n"""\n\n# /// script\n# ///\n', True),
        ("#!/usr/bin/env python3\nr'''What\nit does'''\n# /// script\n# ///\n", True),
        ('"What it does."\n# /// script\n# ///\n', True),
        ('"""What it does."""\nx = 1\n# /// script\n# ///\n', False),
        ('"""What\nit does\n"""\nimport os\n# /// script\n', False),
        ("\ufeff# /// script\n# ///\n", True),
        ('\ufeff"""What it does."""\n# /// script\n# ///\n', True),
        ("\ufeff# about\n\r\n  \n# /// script\n# ///\n", True),
        ('"""What it does."""\r# /// script\r# ///\r', True),
    ],
)
def test_a_script_with_a_block_in_its_head_is_handed_over(
    home: ClientHome, shell: list[str], head: str, *, slow: bool
) -> None:
    (home.project / "own.py").write_bytes((head + ("\n" if head.endswith("\n") else "")).encode())
    assert is_slow(launch(home, shell, "run", "own.py")) == slow


# --- what not every project has -----------------------------------------------------------------------------------------


class Further:
    """Inputs outside of the project, in a folder whose name has what a shell would trip over."""

    def __init__(self, home: ClientHome) -> None:
        self.home = home
        self.folder = home.home / "li b's $(x) ü"
        self.folder.mkdir()
        self.file = self.folder / "pyproject.toml"
        self.file.write_text("one")
        (self.folder / "src").mkdir()
        for path in (self.file, self.folder):
            age(path)
        self.record()

    def record(self, **variables: str) -> None:
        """Written by the store's own writer."""
        usual = {self.home.project / name: read_state(self.home.project / name) for name in INPUTS}
        further = {
            self.file: read_state(self.file),
            self.folder / "setup.py": None,
            self.folder / "src": read_state(self.folder / "src", "place"),
            self.folder: read_state(self.folder, "names"),
        }
        assert write_record(
            StoreLayout(self.home.store),
            self.home.project,
            key="default",
            environment=self.home.environment,
            lock_file=self.home.project / "uv.lock",
            inputs=usual | further,
            now_ns=time.time_ns(),
            variables=variables,
        )
        assert (self.home.fast / "environment").exists() == all(digest == UNSET for digest in variables.values())

    def touch(self, name: str, text: str) -> None:
        """Change an input and leave its folder's time as it was."""
        time_before = self.folder.stat().st_mtime_ns
        (self.folder / name).write_text(text)
        os.utime(self.folder, ns=(time_before, time_before))


@pytest.fixture
def further(home: ClientHome) -> Further:
    return Further(home)


def test_a_project_whose_other_inputs_are_unchanged_is_started_at_once(further: Further, shell: list[str]) -> None:
    assert not is_slow(launch(further.home, shell, "run", "show.py"))


@pytest.mark.parametrize(
    "change",
    [
        lambda f: f.touch("pyproject.toml", "two"),
        lambda f: os.utime(f.file, ns=(1, 1)),
        lambda f: f.file.unlink(),
        lambda f: f.touch("setup.py", ""),
        lambda f: (f.folder / "src").rmdir(),
        lambda f: (f.folder / "new.c").touch(),
        lambda f: (f.home.fast / "stamp.1").unlink(),
    ],
)
def test_a_change_of_any_other_input_is_seen_without_a_daemon(
    further: Further, shell: list[str], change: Callable[[Further], None]
) -> None:
    change(further)
    assert is_slow(launch(further.home, shell, "run", "show.py"))


def test_a_variable_that_a_build_looked_for_is_seen(further: Further, shell: list[str]) -> None:
    further.record(CFLAGS=UNSET, LDFLAGS=UNSET)
    assert not is_slow(launch(further.home, shell, "run", "show.py", OTHER="x"))
    assert is_slow(launch(further.home, shell, "run", "show.py", LDFLAGS=""))


def test_what_an_option_sets_for_storectl_counts_as_set(further: Further, shell: list[str]) -> None:
    further.record(UV_OFFLINE=UNSET)
    assert not is_slow(launch(further.home, shell, "run", "show.py"))
    for options, variables in ((["--offline"], {}), ([], {"STORECTL_OFFLINE": "1"}), ([], {"UV_OFFLINE": "1"})):
        assert is_slow(launch(further.home, shell, "run", *options, "show.py", **variables))


def test_the_value_of_a_variable_is_left_to_the_command_line(further: Further, shell: list[str]) -> None:
    further.record(CFLAGS="0" * 64)
    assert is_slow(launch(further.home, shell, "run", "show.py", CFLAGS="-O2"))


def test_nothing_of_this_reaches_the_program(further: Further, shell: list[str]) -> None:
    shown = json.loads(launch(further.home, shell, "run", "show.py").stdout)
    assert shown["argv"] == ["show.py"]
    assert not [name for name in shown["environ"] if name.startswith("_storectl")]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("foreign", ["", "uv.lock", "pyproject.toml"])
def test_what_another_user_owns_is_left_to_the_command_line(home: ClientHome, shell: list[str], foreign: str) -> None:
    home.write_input("pyproject.toml", "")
    home.write_record()
    assert not is_slow(launch(home, shell, "run", "show.py"))
    os.chown(home.project / foreign, 54321, -1)
    assert is_slow(launch(home, shell, "run", "show.py"))


@pytest.mark.parametrize("name", ["own.py", "./own"])
def test_a_script_with_a_lock_file_beside_it_is_handed_over(home: ClientHome, shell: list[str], name: str) -> None:
    (home.project / name).write_text("x = 1\n\n# /// script\n# ///\n")
    assert not is_slow(launch(home, shell, "run", name))
    (home.project / f"{name}.lock").touch()
    assert is_slow(launch(home, shell, "run", name))
