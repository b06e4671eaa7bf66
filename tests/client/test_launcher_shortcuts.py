"""The launcher and shortcuts: which one it takes for a command line, when it does not, and what the program gets."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from storectl_shim.project_record import options_key
from storectl_shim.shortcuts import TOOLS, quoted, shortcut_content, shortcut_path, stamp_path
from support.client_project import LAUNCHER, ClientHome, age, client_home, make_environment, write_program

SHELLS = [shell for shell in ("dash", "bash") if shutil.which(shell)]
SHOW = "import json, os, sys; print(json.dumps([sys.argv, sys.prefix, sys.flags.dev_mode, dict(os.environ)]))\n"
KEY = options_key(extras=["a"])


class Place:
    """A project whose options ``--extra a`` have an environment of their own, and a launcher run by one shell."""

    def __init__(self, home: ClientHome, shell: Sequence[str]) -> None:
        self.home = home
        self.shell = shell
        self.other = make_environment(home.root / "other")
        write_program(self.other / "bin" / "greet", '#!/bin/sh\necho "other $*, $VIRTUAL_ENV"\n')
        home.write_record(KEY, environment=self.other)
        (home.project / "show.py").write_text(SHOW)

    def shortcut(
        self, start: Path | str, spelling: str, *calls: str, project: Path | None = None, key: str = KEY
    ) -> Path:
        """One that leads to the project and the options of this key, under these conditions."""
        path = Path(shortcut_path(str(self.home.store), str(start), spelling))
        path.parent.mkdir(parents=True, exist_ok=True)
        last = f"_storectl_to {quoted(str(project or self.home.project))} {key}"
        path.write_bytes(shortcut_content([*calls, last]))
        return path

    def run(self, *arguments: str, cwd: Path | None = None, **variables: str) -> str:
        done = subprocess.run(
            [*self.shell, str(self.home.bin / "storectl"), *arguments],
            cwd=cwd or self.home.project,
            env=self.home.program_environ(**variables),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stderr == ""
        return done.stdout

    def prefix(self, *arguments: str, cwd: Path | None = None, **variables: str) -> str:
        """The environment that a program runs in."""
        shown: str = json.loads(self.run(*arguments, cwd=cwd, **variables))[1]
        return shown

    def is_slow(self, *arguments: str, cwd: Path | None = None, **variables: str) -> bool:
        return self.run(*arguments, cwd=cwd, **variables).startswith("slow: ")


@pytest.fixture(params=SHELLS)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    with client_home() as home:
        write_program(home.bin / "storectl", LAUNCHER.read_text())
        write_program(home.bin / "storectl-python", '#!/bin/sh\necho "slow: $*"\n')
        yield Place(home, [request.param, *(["--posix"] if request.param == "bash" else [])])


def test_options_lead_to_their_own_environment(place: Place) -> None:
    other = str(place.other)
    assert place.is_slow("run", "--extra", "a", "show.py")
    place.shortcut(place.home.project, "extras=a")
    assert place.prefix("run", "--extra=a", "show.py") == other
    assert place.prefix("run", "--offline", "--extra", "a", "--", "show.py") == other
    assert place.run("run", "--extra", "a", "greet", "me") == f"other me, {other}\n"
    assert place.prefix("run", "show.py") == str(place.home.environment)
    assert place.is_slow("run", "--extra", "b", "show.py")
    assert place.is_slow("run", "--extra", "a", "show.py", STORECTL_PYTHON="3.11")
    place.shortcut(place.home.project, "STORECTL_EXTRAS=a")
    assert place.prefix("run", "-m", "show", STORECTL_EXTRAS="a") == other


def test_the_program_gets_its_arguments_and_python_its_options(place: Place) -> None:
    place.shortcut(place.home.project, "extras=a")
    argv, _, dev_mode, environ = json.loads(
        place.run("run", "--extra", "a", "-X", "dev", "-u", "show.py", "--extra", "b", "a  b")
    )
    assert (argv, dev_mode) == (["show.py", "--extra", "b", "a  b"], True)
    assert environ["VIRTUAL_ENV"] == str(place.other)
    assert not [name for name in environ if name.startswith("_storectl") or name == "OLDPWD"]


def test_a_shortcut_decides_nothing_about_the_environment(place: Place) -> None:
    place.shortcut(place.home.project, "extras=a")
    age(place.home.project / "uv.lock")
    assert place.is_slow("run", "--extra", "a", "show.py")


@pytest.mark.parametrize("content", ["", "_storectl_to '/elsewhere' default\n", "false\n", "_storectl_to 'x", "("])
def test_a_shortcut_that_leads_nowhere_is_none(place: Place, content: str) -> None:
    place.shortcut(place.home.project, "extras=a").write_text(content)
    assert place.is_slow("run", "--extra", "a", "show.py")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_shortcut_of_another_user_is_none(place: Place) -> None:
    os.chown(place.shortcut(place.home.project, "extras=a"), 54321, -1)
    assert place.is_slow("run", "--extra", "a", "show.py")


def test_each_condition_must_hold(place: Place) -> None:
    script, home = place.home.project / "show.py", str(place.home.home)
    here, absent = quoted(str(script)), quoted(str(script.with_name("none")))
    (place.home.project / "link").symlink_to("show.py")
    same = quoted(str(place.home.project / "link"))
    for call, holds in (
        (f"_storectl_there {here}", True),
        (f"_storectl_there {here} {absent}", False),
        (f"_storectl_absent {absent}", True),
        (f"_storectl_absent {absent} {here}", False),
        (f"_storectl_leads_to {same} {here}", True),
        (f"_storectl_leads_to {absent} {here}", False),
        (f"_storectl_value HOME {quoted(home)}", True),
        ("_storectl_value HOME '/else'", False),
        ("_storectl_value XDG_STATE_HOME ''", True),
    ):
        place.shortcut(place.home.project, "extras=a", call)
        assert place.is_slow("run", "--extra", "a", "show.py") is not holds, call


def test_a_file_must_be_as_it_was(place: Place) -> None:
    lock_file = place.home.project / "uv.lock"
    at = lock_file.stat().st_mtime_ns
    path = place.shortcut(place.home.project, "package=x", f"_storectl_as_before {quoted(str(lock_file))} +{at}")
    assert place.is_slow("run", "--package", "x", "show.py")
    stamp = Path(stamp_path(str(path), at))
    stamp.touch()
    assert place.is_slow("run", "--package", "x", "show.py")
    os.utime(stamp, ns=(at, at))
    assert place.prefix("run", "--package", "x", "show.py") == str(place.other)


def test_a_script_with_a_block_has_one_of_its_own(place: Place) -> None:
    outside = place.home.home / "scripts"
    outside.mkdir()
    script = outside / "own.py"
    script.write_text(f"# /// script\n# dependencies = []\n# ///\n{SHOW}")
    assert place.is_slow("run", str(script))
    place.shortcut(script, "plain")
    for arguments, cwd in ((["own.py"], outside), (["./own.py"], outside), ([str(script)], None)):
        assert place.prefix("run", *arguments, cwd=cwd) == str(place.other)
    (outside / "own.py.lock").touch()
    assert place.prefix("run", "own.py", cwd=outside) == str(place.other)
    assert place.is_slow("run", "-p", "3.11", "own.py", cwd=outside)


def test_a_member_of_a_workspace_has_one_of_its_own(place: Place) -> None:
    member = place.home.project / "packages" / "one"
    (member / "src").mkdir(parents=True)
    (member / "pyproject.toml").touch()
    (member / "src" / "show.py").write_text(SHOW)
    assert place.is_slow("run", "greet", cwd=member)
    place.shortcut(member, "plain")
    assert place.run("run", "greet", cwd=member) == f"other , {place.other}\n"
    assert place.prefix("run", "packages/one/src/show.py") == str(place.other)
    assert place.is_slow("run", "--extra", "a", "greet", cwd=member)
    (member / "src" / "pyproject.toml").touch()
    assert place.is_slow("run", "packages/one/src/show.py")


def test_a_project_in_between_is_another_one(place: Place) -> None:
    member = place.home.project / "packages" / "one"
    member.mkdir(parents=True)
    (member / "pyproject.toml").touch()
    place.shortcut(member, "plain")
    assert not place.is_slow("run", "greet", cwd=member)
    (place.home.project / "packages" / "uv.lock").touch()
    assert place.is_slow("run", "greet", cwd=member)


@pytest.mark.parametrize("by", ["option", "variable"])
def test_a_named_environment_is_found_from_everywhere(place: Place, by: str) -> None:
    named = place.home.home / ".local/state/storectl/named/data"
    named.mkdir(parents=True)
    (named.parent / "default").symlink_to("data")
    options = ["-e", "data"] if by == "option" else []
    variables = {"STORECTL_ENV": "data"} if by == "variable" else {}
    assert place.is_slow("run", *options, "greet", cwd=place.home.home, **variables)
    place.shortcut(named, "plain")
    for cwd in (place.home.home, place.home.project):
        assert place.run("run", *options, "greet", cwd=cwd, **variables) == f"other , {place.other}\n"
    assert place.run("run", "-e", "default", "greet", cwd=place.home.root) == f"other , {place.other}\n"
    assert place.is_slow("run", "-e", "else", "greet")
    assert place.is_slow("run", "-e", "..", "greet")


def test_outside_of_projects_the_default_environment_may_follow_a_lock_file(place: Place) -> None:
    named = place.home.home / ".local/state/storectl/named/data"
    named.mkdir(parents=True)
    (named.parent / "default").symlink_to("data")
    outside = place.home.home
    assert place.is_slow("run", "greet", cwd=outside)
    place.shortcut(named, "plain")
    place.shortcut(named, "python=3.11")
    assert place.run("run", "greet", cwd=outside) == f"other , {place.other}\n"
    assert place.is_slow("run", "-p", "3.11", "greet", cwd=outside)
    assert place.is_slow("run", "greet", cwd=outside, VIRTUAL_ENV="/active")


def test_a_tool_has_its_caller_s_virtual_env(place: Place) -> None:
    assert place.is_slow("tool", "run", "greet")
    place.shortcut(f"{TOOLS}/greet", "plain")
    place.shortcut(f"{TOOLS}/greet@1.2", "with=more+UV_PYTHON=3.11")
    assert place.run("tool", "run", "-q", "greet", "--help", VIRTUAL_ENV="/mine") == "other --help, /mine\n"
    assert place.run("tool", "run", "-wmore", "greet@1.2", UV_PYTHON="3.11") == "other , \n"
    assert place.is_slow("tool", "run", "greet@1.2")
    assert place.is_slow("tool", "run", "--refresh", "greet")
    assert place.is_slow("tool", "list")


def test_a_tool_without_its_command_is_handed_over(place: Place) -> None:
    place.shortcut(f"{TOOLS}/none", "plain")
    (place.home.project / "none").mkdir()
    (place.home.project / "none" / "__main__.py").touch()
    assert place.is_slow("tool", "run", "none")


def test_a_folder_of_code_is_run_if_the_environment_has_no_command_of_that_name(place: Place) -> None:
    place.shortcut(place.home.project, "extras=a")
    (place.home.project / "code").mkdir()
    (place.home.project / "code" / "__main__.py").write_text(SHOW)
    assert place.prefix("run", "--extra", "a", "code") == str(place.other)
    assert place.is_slow("run", "--extra", "a", "nothing")


def test_the_python_of_another_project_is_not_that_of_a_shortcut(place: Place) -> None:
    """Its folder is a link now: the record that would count is another's."""
    moved = place.home.home / "moved"
    place.shortcut(place.home.project / "own.py", "plain")
    (place.home.project / "own.py").write_text(f"# /// script\n# ///\n{SHOW}")
    assert not place.is_slow("run", str(place.home.project / "own.py"))
    place.home.project.rename(moved)
    place.home.project.symlink_to(moved)
    place.shortcut(moved / "own.py", "plain")
    assert place.is_slow("run", "own.py", cwd=moved)
