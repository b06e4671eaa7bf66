"""`run --with`: packages on top of a project's environment, in versions that fit it, locked once."""

from pathlib import Path

import pytest

from support.index import LoopbackIndex
from support.machine import Machine, pyenv_python
from support.project import git, write_project
from support.sources import source_files, tiny_backend
from support.wheels import make_wheel

GUESTS = True  # the tests do not disturb one another: one daemon serves them all

SHOW = "import importlib.metadata as m; print(*sorted(f'{d.name}=={d.version}' for d in m.distributions()))"
EXTRA = make_wheel("extra", "1.0", requires_dist=("alpha",))


@pytest.fixture
def folder(machine: Machine, index: LoopbackIndex) -> Path:
    """A project with alpha 1.0; the index has a newer one, and what could be wanted on top."""
    made = write_project(machine.home / "demo", index, [make_wheel("alpha", "1.0")])
    index.add(make_wheel("alpha", "2.0"), EXTRA, make_wheel("greedy", "1.0", requires_dist=("alpha>=2",)))
    return made


def test_what_comes_on_top_fits_the_project_and_is_locked_once(
    machine: Machine, index: LoopbackIndex, folder: Path
) -> None:
    environ = {"UV_DEFAULT_INDEX": index.url, "UV_PYTHON_DOWNLOADS": "never"}
    done = machine.run("run", "--with", "extra", "-c", SHOW, cwd=folder, env=environ)
    assert done.stdout == "alpha==1.0 extra==1.0\n", done.stderr
    index.add(make_wheel("extra", "2.0"))
    machine.ok("daemon", "stop")
    nowhere = {"UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple"}
    again = machine.run("run", "--with", "extra", "-c", SHOW, cwd=folder, env=nowhere)
    assert (again.stdout, again.stderr) == ("alpha==1.0 extra==1.0\n", "")
    assert machine.run("daemon", "status").returncode == 3
    assert machine.ok("run", "-c", SHOW, cwd=folder) == "alpha==1.0\n"
    newer = machine.run("run", "--with=extra", "--refresh", "-c", SHOW, cwd=folder, env=environ)
    assert newer.stdout == "alpha==1.0 extra==2.0\n", newer.stderr


def test_it_is_locked_anew_for_another_lock_file(machine: Machine, index: LoopbackIndex, folder: Path) -> None:
    environ = {"UV_DEFAULT_INDEX": index.url, "UV_PYTHON_DOWNLOADS": "never"}
    machine.run("run", "--with", "extra", "-c", SHOW, cwd=folder, env=environ)
    write_project(folder, index, [make_wheel("alpha", "2.0"), make_wheel("beta", "1.0")])
    done = machine.run("run", "--with", "extra", "-c", SHOW, cwd=folder, env=environ)
    assert done.stdout == "alpha==2.0 beta==1.0 extra==1.0\n", done.stderr


def test_what_cannot_fit_is_said_and_nothing_runs(machine: Machine, index: LoopbackIndex, folder: Path) -> None:
    environ = {"UV_DEFAULT_INDEX": index.url, "UV_PYTHON_DOWNLOADS": "never"}
    done = machine.run("run", "--with", "greedy", "-c", SHOW, cwd=folder, env=environ)
    assert (done.returncode, done.stdout) == (125, "")
    assert "alpha" in done.stderr
    assert "E_REQUIREMENTS: uv cannot lock greedy" in done.stderr
    assert "Traceback" not in done.stderr


def test_it_comes_from_the_project_s_own_indexes(machine: Machine, index: LoopbackIndex, folder: Path) -> None:
    text = (folder / "pyproject.toml").read_text()
    marked = f'\ufeff{text}\n[[tool.uv.index]]\nurl = "{index.url}"\ndefault = true\n'  # as editors on Windows save it
    (folder / "pyproject.toml").write_text(marked, encoding="utf-8")
    done = machine.run("run", "--with", "extra", "-c", SHOW, cwd=folder, env={"UV_PYTHON_DOWNLOADS": "never"})
    assert done.stdout == "alpha==1.0 extra==1.0\n", done.stderr


def test_a_script_without_a_project_has_what_it_is_given(machine: Machine, index: LoopbackIndex) -> None:
    index.add(EXTRA, make_wheel("alpha", "2.0"))
    environ = {"UV_DEFAULT_INDEX": index.url, "UV_PYTHON_DOWNLOADS": "never"}
    script = machine.home / "alone.py"
    script.write_text(SHOW)
    done = machine.run("run", "--with", "extra", str(script), cwd=machine.home, env=environ)
    assert done.stdout == "alpha==2.0 extra==1.0\n", done.stderr
    assert machine.run("run", str(script), cwd=machine.home).returncode == 0
    refused = machine.run("run", "-p", "/nowhere/python", "--with", "extra", str(script), cwd=machine.home)
    assert refused.returncode == 125
    assert refused.stderr.startswith("storectl: E_TARGET: /nowhere/python: no such interpreter\nhint: ")


@pytest.mark.skipif(not (pyenv_python("3.10") and pyenv_python("3.12")), reason="needs Python 3.10 and 3.12")
def test_it_is_there_under_each_python(machine: Machine, index: LoopbackIndex, folder: Path) -> None:
    pyenv = str(pyenv_python("3.10")).partition("/versions/")[0]
    environ = {"UV_DEFAULT_INDEX": index.url, "UV_PYTHON_DOWNLOADS": "never", "PYENV_ROOT": pyenv}
    done = machine.run("run", "-p", "3.10", "-p", "3.12", "--with", "extra", "-c", SHOW, cwd=folder, env=environ)
    assert done.stdout == "alpha==1.0 extra==1.0\n" * 2, done.stderr


@pytest.fixture
def library(machine: Machine, index: LoopbackIndex) -> Path:
    """The folder of a project, under git, and its backend in the index."""
    index.add(tiny_backend())
    made = machine.home / "my-library"
    for name, text in source_files("library").items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(text.replace('dynamic = ["version"]', 'version = "1.0"\ndependencies = []'))
    git(made, "init", "-q")
    git(made, "add", ".")
    git(made, "commit", "-q", "-m", "one")
    return made


def test_a_folder_a_wheel_and_a_commit_may_come_on_top(
    machine: Machine, index: LoopbackIndex, folder: Path, library: Path
) -> None:
    environ = {"UV_DEFAULT_INDEX": index.url, "UV_PYTHON_DOWNLOADS": "never"}
    (folder / EXTRA.filename).write_bytes(EXTRA.data)
    for wanted, expected in [
        ("../my-library", "alpha==1.0 library==1.0\n"),
        (str(library), "alpha==1.0 library==1.0\n"),
        (f"git+file://{library}", "alpha==1.0 library==1.0\n"),
        (f"./{EXTRA.filename}", "alpha==1.0 extra==1.0\n"),
    ]:
        done = machine.run("run", "--with", wanted, "-c", SHOW, cwd=folder, env=environ)
        assert done.stdout == expected, (wanted, done.stderr)


def test_a_folder_whose_project_changed_is_locked_anew(
    machine: Machine, index: LoopbackIndex, folder: Path, library: Path
) -> None:
    environ = {"UV_DEFAULT_INDEX": index.url, "UV_PYTHON_DOWNLOADS": "never"}
    assert machine.run("run", "--with", library, "-c", SHOW, cwd=folder, env=environ).returncode == 0
    text = (library / "pyproject.toml").read_text()
    (library / "pyproject.toml").write_text(text.replace("dependencies = []", 'dependencies = ["extra"]'))
    done = machine.run("run", "--with", library, "-c", SHOW, cwd=folder, env=environ)
    assert done.stdout == "alpha==1.0 extra==1.0 library==1.0\n", done.stderr


def test_a_login_in_an_address_is_refused_and_written_nowhere(machine: Machine, folder: Path) -> None:
    for asked in (
        ["run", "--with", "x @ https://me:sesame@127.0.0.1:9/x.whl", "-c", ""],
        ["tool", "run", "--from", "git+https://me:sesame@127.0.0.1:9/x", "x"],
    ):
        done = machine.run(*asked, cwd=folder)
        assert done.returncode != 0
        assert "has a login in it" in done.stderr
        assert "sesame" not in done.stdout + done.stderr
    written = [path for path in machine.root.rglob("*") if path.is_file() and b"sesame" in path.read_bytes()]
    assert written == []


def test_what_is_no_requirement_is_said_in_one_line(machine: Machine, folder: Path) -> None:
    machine.ok("warm", folder)
    done = machine.run("run", "--with", "x=>1", "-c", SHOW, cwd=folder)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 2
    assert done.stderr.startswith("storectl: E_USAGE: 'x=>1' is no requirement: ")


SHOW_PYTHON = "import sys; print('%d.%d' % sys.version_info[:2])"
OTHERS = [version for version in ("3.10", "3.12") if pyenv_python(version)]


@pytest.mark.skipif(len(OTHERS) < 2, reason="needs Python 3.10 and 3.12")
def test_without_a_project_the_python_is_the_pinned_one_else_the_first_on_path(
    machine: Machine, index: LoopbackIndex
) -> None:
    index.add(make_wheel("alpha", "1.0"))
    older, newer = (Path(str(pyenv_python(version))).parent for version in OTHERS)
    environ = {"UV_DEFAULT_INDEX": index.url, "UV_PYTHON_DOWNLOADS": "never"}

    def shown(*arguments: str, **variables: str) -> str:
        done = machine.run("run", *arguments, "--with", "alpha", "-c", SHOW_PYTHON, env={**environ, **variables})
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    rest = machine.environ["PATH"]
    assert shown(PATH=f"{older}:{newer}:{rest}") == "3.10"
    assert shown(PATH=f"{newer}:{older}:{rest}") == "3.12"
    assert shown(PATH=f"{newer}:{rest}", UV_PYTHON=str(older / "python")) == "3.10"
    assert shown("-p", "3.12", PATH=f"{older}:{rest}", PYENV_ROOT=str(newer.parents[2])) == "3.12"
    (machine.home / ".python-version").write_text("3.10\n")
    assert shown(PATH=f"{newer}:{older}:{rest}") == "3.10"
