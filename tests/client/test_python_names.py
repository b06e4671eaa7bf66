"""The launcher by the name of a Python: which one it becomes, in every shell that is here."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.client_project import LAUNCHER, ClientHome, client_home, write_program
from support.fake_daemon import serve_daemon

SHELLS = [shell for shell in ("dash", "bash") if shutil.which(shell)]
VERSION = f"python{sys.version_info[0]}.{sys.version_info[1]}"
OTHER = "python3.99"
SHOW = "import json, os, sys; print(json.dumps([sys.argv, sys.executable, sys.prefix, dict(os.environ)]))"


@pytest.fixture(params=SHELLS)
def home(request: pytest.FixtureRequest) -> Iterator[ClientHome]:
    """The launcher is run by this shell; its names are in ``names``, the first folder of PATH."""
    with client_home() as home:
        options = " --posix" if request.param == "bash" else ""
        text = LAUNCHER.read_text().replace("#!/bin/sh", f"#!{shutil.which(request.param)}{options}", 1)
        write_program(home.bin / "storectl", text)
        write_program(home.bin / "storectl-python", '#!/bin/sh\necho "slow: $*"; echo "passed: $STORECTL_PASSED"\n')
        for name in ("python3", VERSION):
            (home.environment / "bin" / name).symlink_to("python")
        (home.root / "names").mkdir()
        for name in ("python", "python3", VERSION, OTHER):
            (home.root / "names" / name).symlink_to("../bin/storectl")
        (home.home / "outside").mkdir()
        (home.project / "show.py").write_text(SHOW)
        yield home


def run(
    home: ClientHome, name: str, *arguments: str, cwd: Path | None = None, path: str = "/usr/bin:/bin", **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [name, *arguments],
        executable=home.root / "names" / name if "/" not in name else name,
        cwd=cwd or home.project,
        env=home.program_environ(PATH=f"{home.root}/names:{path}", **variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def program(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    return write_program(folder / name, text)


def default_environment(home: ClientHome) -> None:
    """Make the environment of the project the user's default one."""
    folder = home.home / ".local/state/storectl/named/mine"
    folder.mkdir(parents=True)
    (folder.parent / "default").symlink_to("mine")
    record = home.store / "projects" / str(folder).lstrip("/") / "@storectl/fast.default"
    record.mkdir(parents=True)
    (record / "environment").write_text(f"_storectl_environment='{home.environment}'\n")


@pytest.mark.parametrize("name", ["python", "python3", VERSION])
def test_in_a_project_it_is_the_python_of_the_environment(home: ClientHome, name: str) -> None:
    argv, executable, prefix, environ = json.loads(run(home, name, "show.py", "-p", "x").stdout)
    assert argv == ["show.py", "-p", "x"]
    assert (executable, prefix) == (f"{home.environment}/bin/{name}", str(home.environment))
    assert environ["VIRTUAL_ENV"] == str(home.environment)
    assert environ["PATH"].startswith(f"{home.environment}/bin:")
    assert [variable for variable in environ if "STORECTL" in variable.upper()] == ["STORECTL_LEASE"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("-c", SHOW),
        ("-Ic", SHOW),
        ("-X", "dev", "-W", "error", "-u", "{project}/show.py"),
        ("-Xdev", "{project}/show.py"),
        ("-B", "--", "{project}/show.py"),
    ],
)
def test_its_arguments_are_those_of_python(home: ClientHome, arguments: tuple[str, ...]) -> None:
    given = [argument.replace("{project}", str(home.project)) for argument in arguments]
    inside = "-c" in arguments[0] or "-Ic" in arguments[0]
    done = run(home, "python", *given, cwd=None if inside else home.home / "outside")
    assert json.loads(done.stdout)[2] == str(home.environment), done


def test_a_script_of_the_project_is_in_it_from_everywhere(home: ClientHome) -> None:
    script = write_program(home.project / "tool", f"#!/usr/bin/env python3\n{SHOW}")
    done = run(home, str(script), cwd=home.home / "outside")
    assert json.loads(done.stdout)[2] == str(home.environment), done.stderr


def test_a_script_block_is_nothing_to_python(home: ClientHome) -> None:
    (home.project / "show.py").write_text(f"# /// script\n# dependencies = ['x']\n# ///\n{SHOW}")
    assert json.loads(run(home, "python", "show.py").stdout)[2] == str(home.environment)


@pytest.mark.parametrize(
    ("name", "arguments"), [(OTHER, ("show.py",)), ("python", ("-m", "pip", "list")), ("python", ("link.py",))]
)
def test_what_no_builtin_can_tell_is_handed_over_with_the_name(
    home: ClientHome, name: str, arguments: tuple[str, ...]
) -> None:
    (home.project / "link.py").symlink_to("show.py")
    said = run(home, name, *arguments).stdout.splitlines()
    assert said == [f"slow: as {home.root}/names/{name} {' '.join(arguments)}", "passed: "]


def test_a_changed_lock_file_is_handed_over(home: ClientHome) -> None:
    home.write_input("uv.lock", "version = 2\n")
    os.utime(home.project / "uv.lock")
    assert run(home, "python", "-V").stdout.startswith(f"slow: as {home.root}/names/python -V\n")


def test_elsewhere_it_is_the_default_environment_s(home: ClientHome) -> None:
    default_environment(home)
    outside = home.home / "outside"
    for name in ("python", VERSION):
        assert json.loads(run(home, name, "-c", SHOW, cwd=outside).stdout)[1] == f"{home.environment}/bin/{name}"
    program(home.root / "more", OTHER, "#!/bin/sh\necho other\n")
    assert run(home, OTHER, "-c", SHOW, cwd=outside, path=f"{home.root}/more").stdout == "other\n"
    (outside / "pyproject.toml").touch()
    assert json.loads(run(home, "python", "-c", SHOW, cwd=outside).stdout)[2] == str(home.environment)


def test_run_takes_the_default_environment_outside_of_projects_only(home: ClientHome) -> None:
    default_environment(home)
    outside = home.home / "outside"
    storectl = str(home.bin / "storectl")
    assert json.loads(run(home, storectl, "run", "-c", SHOW, cwd=outside).stdout)[2] == str(home.environment)
    assert run(home, storectl, "run", "greet", "me", cwd=outside).stdout == "greet me\n"
    for marks in ([], [".git"]):
        for name in ["pyproject.toml", *marks]:
            (outside / name).touch()
        assert run(home, storectl, "run", "-c", SHOW, cwd=outside).stdout.startswith("slow: run -c ")


def test_without_one_it_is_the_next_of_its_name_on_path(home: ClientHome) -> None:
    """Never itself: neither through links, nor as a copy, nor as the launcher of another storectl."""
    outside = home.home / "outside"
    folders = [home.root / name for name in ("linked", "copied", "plain", "real", "later")]
    for folder in folders:
        folder.mkdir()
    (folders[0] / "python3").symlink_to(home.root / "names" / "python3")
    write_program(folders[1] / "python3", LAUNCHER.read_text())
    (folders[2] / "python3").write_text("not executable")
    (folders[3] / "python3").symlink_to(os.path.realpath(sys.executable))
    program(folders[4], "python3", "#!/bin/sh\necho later\n")
    path = ":".join(["", "relative", *map(str, folders), str(home.root / "names")])
    argv, _, prefix, environ = json.loads(run(home, "python3", "-c", SHOW, "x y", cwd=outside, path=path).stdout)
    assert argv == ["-c", "x y"]
    assert prefix == sys.base_prefix
    assert environ["PATH"] == f"{home.root}/names:{path}"
    assert not {variable for variable in environ if "STORECTL" in variable.upper() or variable == "VIRTUAL_ENV"}


def test_what_is_behind_it_on_path_comes_first(home: ClientHome) -> None:
    before, behind = home.root / "before", home.root / "behind"
    program(before, "python", "#!/bin/sh\necho before\n")
    program(behind, "python", "#!/bin/sh\necho behind\n")
    outside, names = home.home / "outside", home.root / "names"
    for path, said in ((f"{before}:{names}:{behind}", "behind\n"), (f"{before}:{names}", "before\n")):
        done = subprocess.run(
            [names / "python"], cwd=outside, env=home.program_environ(PATH=f"{path}:/bin"), capture_output=True,
            text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.stdout == said


def test_a_shim_that_comes_back_ends_no_loop_at_all(home: ClientHome) -> None:
    """As pyenv's with the version `system`: it starts the first of PATH that is not its own."""
    shims, real = home.root / "shims", home.root / "real"
    program(shims, "python3", f'#!/bin/sh\nexec "{home.root}/names/python3" "$@"\n')
    real.mkdir()
    (real / "python3").symlink_to(os.path.realpath(sys.executable))
    outside = home.home / "outside"
    done = run(home, "python3", "-c", SHOW, cwd=outside, path=f"{shims}:{real}:/usr/bin:/bin")
    assert json.loads(done.stdout)[2] == sys.base_prefix, done.stderr
    (home.root / "tools").mkdir()
    (home.root / "tools" / "readlink").symlink_to(str(shutil.which("readlink")))
    done = run(home, "python3", "-c", SHOW, cwd=outside, path=f"{shims}:{home.root}/tools")
    assert done.stdout.splitlines()[0] == f"slow: as {home.root}/names/python3 -c {SHOW}"
    assert done.stdout.splitlines()[1].endswith(" none")


def test_what_makes_environments_has_plain_pythons(home: ClientHome) -> None:
    """In the project too, and so does what these start."""
    _, _, prefix, environ = json.loads(run(home, "python3", "-c", SHOW, STORECTL_PASSED="skip").stdout)
    assert prefix != str(home.environment)
    assert environ["STORECTL_PASSED"] == "skip"


def test_if_there_is_none_python_is_asked_to_find_one(home: ClientHome) -> None:
    done = run(home, OTHER, "-V", cwd=home.home / "outside")
    assert done.stdout.splitlines()[0] == f"slow: as {home.root}/names/{OTHER} -V"
    assert done.stdout.splitlines()[1].endswith(" none")


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_neither_way_starts_another_process(home: ClientHome) -> None:
    trace = home.root / "trace"
    command = ["strace", "-f", "-e", "trace=execve,fork,vfork,clone,clone3", "-o", str(trace)]
    for cwd in (home.project, home.home / "outside"):
        done = subprocess.run(
            [*command, home.root / "names" / "python3", "-S", "-c", "print('ran')"],
            cwd=cwd, env=home.program_environ(PATH=f"{home.root}/names:/usr/bin:/bin"), capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip
        if done.stdout != "ran\n":
            pytest.skip("strace may not trace here, or there is no python3")
        calls = [line.split(None, 1)[1] for line in trace.read_text().splitlines() if "(" in line]
        assert [call.partition("(")[0] for call in calls] == ["execve", "execve"]


# --- what the Python command line makes of it ---------------------------------------------------------------------------


def handed_over(home: ClientHome, name: str, *arguments: str, cwd: Path | None = None, **variables: str) -> str:
    """What it became, or its error. Its launcher tells if it was sent back there."""
    launcher = write_program(home.root / name, '#!/bin/sh\necho "back: $0 $*" "$STORECTL_PASSED"\n')
    done = home.storectl("as", str(launcher), *arguments, cwd=cwd, **variables)
    return done.stdout or done.stderr


def test_in_a_project_python_finds_the_environment_too(home: ClientHome) -> None:
    assert json.loads(handed_over(home, "python3", "show.py"))[1] == f"{home.environment}/bin/python3"
    (home.home / "outside" / "link.py").symlink_to(home.project / "show.py")
    done = handed_over(home, "python3", "link.py", cwd=home.home / "outside")
    assert json.loads(done)[1] == f"{home.environment}/bin/python3"


def test_another_version_is_that_of_p(home: ClientHome) -> None:
    with serve_daemon(home.socket) as daemon:
        home.write_daemon_file()
        daemon.warm_events = [{"event": "failed", "problem": {"code": "E_TARGET", "detail": "no 3.99", "hint": "x"}}]
        assert handed_over(home, OTHER, "show.py") == "storectl: E_TARGET: no 3.99\nhint: x\n"
        asked = [body["python"] for body in daemon.asked("POST", "/v1/warm") if body]
    assert asked == ["3.99"]


def test_a_version_in_the_name_counts_more_than_variables(home: ClientHome) -> None:
    done = handed_over(home, VERSION, "-c", SHOW, UV_PYTHON="3.99")
    assert json.loads(done)[1] == f"{home.environment}/bin/{VERSION}"


@pytest.mark.parametrize("arguments", [("-V",), ("--version",), ("-I", "-c", "print('Python 3.')"), ("-EIc", "1")])
def test_nothing_is_made_to_tell_what_python_this_is(home: ClientHome, arguments: tuple[str, ...]) -> None:
    home.write_input("uv.lock", "version = 2\n")  # a change that is not warm yet
    if arguments != ("-EIc", "1"):
        assert handed_over(home, "python", *arguments).startswith("Python 3.")
    assert handed_over(home, OTHER, *arguments).startswith(f"back: {home.root}/{OTHER} {arguments[0]}")
    shutil.rmtree(home.store)
    assert handed_over(home, "python", *arguments).startswith(f"back: {home.root}/python {arguments[0]}")


def test_pip_is_refused_where_it_is_not(home: ClientHome) -> None:
    assert handed_over(home, "python", "-m", "pip", "install", "x").startswith("storectl: E_PIP: ")
    pip = next(home.environment.glob("lib/*/site-packages")) / "pip"
    pip.mkdir()
    (pip / "__main__.py").write_text("print('pip')")
    assert handed_over(home, "python", "-m", "pip", "install", "x") == "pip\n"


def test_outside_it_sends_the_launcher_on(home: ClientHome) -> None:
    said = handed_over(home, "python", "-m", "pip", "list", cwd=home.home / "outside").split()
    assert said[:5] == ["back:", f"{home.root}/python", "-m", "pip", "list"]
    assert said[5].isdigit()
    assert said[6:] == ["next"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_project_of_another_user_is_none(home: ClientHome) -> None:
    for path in (home.project, home.project / "uv.lock"):
        os.chown(path, 54321, -1)
    assert handed_over(home, "python", "-V").startswith("back: ")
