"""Just run: what has no lock file is locked by its first run, once, and then runs without a resolver or the network."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from uv import find_uv_bin

from support.index import LoopbackIndex
from support.machine import STORECTL, Machine, base_python, pyenv_python
from support.sources import tiny_backend
from support.wheels import make_wheel

GUESTS = True  # the tests do not disturb one another: one daemon serves them all

SHOW = "import importlib.metadata as m; print(*sorted(f'{d.name}=={d.version}' for d in m.distributions()))"
NOWHERE = {"UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple", "PIP_INDEX_URL": "http://127.0.0.1:9/simple"}


@pytest.fixture(autouse=True)
def wheels(index: LoopbackIndex) -> None:
    index.add(*(make_wheel(name, version) for name in ("alpha", "beta") for version in ("1.0", "2.0")), tiny_backend())


@pytest.fixture
def environ(index: LoopbackIndex) -> dict[str, str]:
    return {"UV_DEFAULT_INDEX": index.url, "PIP_INDEX_URL": index.url, "UV_PYTHON_DOWNLOADS": "never"}


@pytest.fixture
def folder(machine: Machine) -> Path:
    made = machine.home / "folder"
    made.mkdir()
    return made


def shown(machine: Machine, folder: Path, environ: Mapping[str, str], *arguments: str) -> tuple[str, list[str]]:
    """What the program prints, and the lines that storectl says beside it."""
    done = machine.run("run", *(arguments or ("-c", SHOW)), cwd=folder, env=environ)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr.splitlines()


def test_plain_requirements_are_locked_once_and_that_is_said(
    machine: Machine, index: LoopbackIndex, folder: Path, environ: dict[str, str]
) -> None:
    (folder / "requirements.txt").write_text("alpha<2\nbeta\n")
    out, said = shown(machine, folder, environ)
    assert out == "alpha==1.0 beta==2.0"
    assert [line for line in said if "is locked for Python" in line] == [
        f"storectl: requirements.txt is locked for Python {version()} by uv, once: --refresh locks it anew"
    ]
    index.add(make_wheel("beta", "3.0"))
    machine.ok("daemon", "stop")
    assert shown(machine, folder, NOWHERE) == ("alpha==1.0 beta==2.0", [])
    assert machine.run("daemon", "status").returncode == 3
    assert sorted(path.name for path in folder.iterdir()) == ["requirements.txt"]
    assert shown(machine, folder, environ, "--refresh", "-c", SHOW)[0] == "alpha==1.0 beta==3.0"


def test_versions_stay_when_a_line_is_added_and_come_back_with_the_earlier_file(
    machine: Machine, index: LoopbackIndex, folder: Path, environ: dict[str, str]
) -> None:
    (folder / "requirements.txt").write_text("beta\n")
    assert shown(machine, folder, environ)[0] == "beta==2.0"
    index.add(make_wheel("beta", "3.0"))
    (folder / "requirements.txt").write_text("beta\nalpha\n")
    assert shown(machine, folder, environ)[0] == "alpha==2.0 beta==2.0"
    (folder / "requirements.txt").write_text("beta\n")
    assert shown(machine, folder, NOWHERE) == ("beta==2.0", [])


def test_a_file_of_includes_is_what_it_includes(machine: Machine, folder: Path, environ: dict[str, str]) -> None:
    (folder / "requirements.txt").write_text("-r more/base.txt  # all of it\n-c limits.txt\n")
    (folder / "limits.txt").write_text("alpha<2\n")
    (folder / "more").mkdir()
    (folder / "more" / "base.txt").write_text("alpha\n")
    assert shown(machine, folder, environ)[0] == "alpha==1.0"
    (folder / "more" / "base.txt").write_text("alpha\nbeta\n")
    assert shown(machine, folder, environ)[0] == "alpha==1.0 beta==2.0"


def test_a_file_of_includes_with_hashes_is_a_lock_file(
    machine: Machine, index: LoopbackIndex, folder: Path, environ: dict[str, str]
) -> None:
    alpha = index.wheels["alpha-1.0-py3-none-any.whl"]
    (folder / "requirements.txt").write_text("-r base.txt\n")
    (folder / "base.txt").write_text(f"alpha==1.0 --hash={alpha.digest}\n")
    out, said = shown(machine, folder, environ)
    assert out == "alpha==1.0"
    assert not [line for line in said if "is locked" in line]


def test_a_project_in_a_folder_is_installed_as_the_file_says(
    machine: Machine, folder: Path, environ: dict[str, str]
) -> None:
    (folder / "requirements.txt").write_text("-e .\n")
    project = (
        '[project]\nname = "here"\nversion = "1.0"\ndependencies = ["alpha<2"]\n'
        '[build-system]\nrequires = ["tiny-backend"]\nbuild-backend = "tiny_backend"\n'
        '[tool.tiny]\nname = "here"\nversion = "1.0"\n'
    )
    (folder / "pyproject.toml").write_text(project)
    (folder / "here.py").write_text("where = __file__\n")
    out, _ = shown(machine, folder, environ, "-c", f"import here; print(here.where); {SHOW}")
    assert out.splitlines() == [str(folder / "here.py"), "alpha==1.0 here==1.0"]
    (folder / "pyproject.toml").write_text(project.replace("alpha<2", "beta"))
    assert shown(machine, folder, environ)[0] == "beta==2.0 here==1.0"


def test_locked_forbids_the_first_time_only(machine: Machine, folder: Path, environ: dict[str, str]) -> None:
    (folder / "requirements.txt").write_text("alpha\n")
    refused = machine.run("run", "--locked", "-c", SHOW, cwd=folder, env=environ)
    assert (refused.returncode, refused.stdout) == (125, "")
    assert refused.stderr == (
        f"storectl: E_NOT_LOCKED: {folder}/requirements.txt is not locked yet, and --locked or --frozen forbids to lock it\n"
        "hint: run it once without that option\n"
    )
    shown(machine, folder, environ)
    assert shown(machine, folder, environ, "--locked", "-c", SHOW)[0] == "alpha==2.0"


def test_what_cannot_be_locked_is_said_and_nothing_is_kept(
    machine: Machine, folder: Path, environ: dict[str, str]
) -> None:
    (folder / "requirements.txt").write_text("alpha\nnowhere-at-all\n")
    done = machine.run("run", "-c", SHOW, cwd=folder, env=environ)
    assert (done.returncode, done.stdout) == (125, "")
    assert "E_REQUIREMENTS: uv cannot lock requirements.txt" in done.stderr
    (folder / "requirements.txt").write_text("alpha\n")
    assert shown(machine, folder, environ)[0] == "alpha==2.0"


def test_the_launcher_knows_what_was_locked_once(machine: Machine, folder: Path, environ: dict[str, str]) -> None:
    (folder / "requirements.txt").write_text("-r more.txt\n")
    (folder / "more.txt").write_text("alpha\n")
    for path in folder.iterdir():
        os.utime(path, (1_700_000_000, 1_700_000_000))
    shown(machine, folder, environ)
    machine.wait_for_state(folder, lambda state: (machine.record(folder) / "fast.default/environment").exists())
    assert b"more.txt" in (machine.record(folder) / "fast.default/environment").read_bytes()


BLOCK = '# /// script\n# dependencies = ["alpha<2"]\n# ///\n'


def test_a_script_with_a_block_is_locked_once(
    machine: Machine, index: LoopbackIndex, folder: Path, environ: dict[str, str]
) -> None:
    script = folder / "tool"
    script.write_text(f'"""What it does."""\n\n{BLOCK}{SHOW}\n')
    out, said = shown(machine, folder, environ, "tool")
    assert out == "alpha==1.0"
    assert [line for line in said if "is locked" in line] == [
        f"storectl: {script} is locked for Python {version()} by uv, once: --refresh locks it anew"
    ]
    index.add(make_wheel("alpha", "1.5"))
    machine.ok("daemon", "stop")
    assert shown(machine, folder, NOWHERE, "tool") == ("alpha==1.0", [])
    assert machine.run("daemon", "status").returncode == 3
    assert [path.name for path in folder.iterdir()] == ["tool"]
    assert shown(machine, folder, environ, "--refresh", "tool")[0] == "alpha==1.5"
    script.write_text(script.read_text().replace("alpha<2", "beta"))
    assert shown(machine, folder, environ, "tool")[0] == "beta==2.0"


def test_what_a_script_says_to_uv_counts(machine: Machine, folder: Path, environ: dict[str, str]) -> None:
    wheel = make_wheel("gamma", "1.0")
    (folder / "wheels").mkdir()
    (folder / "wheels" / wheel.filename).write_bytes(wheel.data)
    (folder / "tool.py").write_text(
        '# /// script\n# dependencies = ["gamma"]\n# [tool.uv.sources]\n'
        f'# gamma = {{ path = "wheels/{wheel.filename}" }}\n# ///\n{SHOW}\n'
    )
    assert shown(machine, machine.home, environ, "folder/tool.py")[0] == "gamma==1.0"


def test_a_block_without_dependencies_leaves_the_script_alone_as_with_uv(
    machine: Machine, folder: Path, environ: dict[str, str]
) -> None:
    (folder / "requirements.txt").write_text("alpha\n")
    (folder / "tool.py").write_text(f'# /// script\n# requires-python = ">=3.9"\n# ///\n{SHOW}\n')
    assert shown(machine, folder, environ, "tool.py") == ("", [])
    on_top = shown(machine, folder, environ, "--with", "beta", "tool.py")
    assert on_top[0] == "beta==2.0"


PROJECT = '[project]\nname = "app"\nversion = "0"\nrequires-python = ">=3.9"\ndependencies = ["alpha"]\n'


def test_a_project_without_a_lock_file_is_locked_by_its_own_tool(
    machine: Machine, folder: Path, environ: dict[str, str]
) -> None:
    (folder / "pyproject.toml").write_text(PROJECT)
    for option in ("--locked", "--frozen"):
        refused = machine.run("run", option, "-c", SHOW, cwd=folder, env=environ)
        assert "E_NOT_LOCKED" in refused.stderr
    out, said = shown(machine, folder, environ)
    assert out == "alpha==2.0"
    assert said[0] == f"storectl: uv lock ({folder} has no lock file, pyproject.toml names no tool)"
    assert sorted(path.name for path in folder.iterdir()) == ["pyproject.toml", "uv.lock"]
    assert shown(machine, folder, NOWHERE) == ("alpha==2.0", [])


def test_a_project_whose_tool_fails_is_said(machine: Machine, folder: Path, environ: dict[str, str]) -> None:
    (folder / "pyproject.toml").write_text(PROJECT.replace("alpha", "nowhere-at-all"))
    done = machine.run("run", "-c", SHOW, cwd=folder, env=environ)
    assert (done.returncode, done.stdout) == (125, "")
    assert "storectl: E_LOCKER: uv lock ended with exit code 1\nhint: what it says is above\n" in done.stderr


@pytest.mark.parametrize("told", ["", "[tool.ruff]\n"])
def test_requirements_count_before_a_project_that_names_no_tool(
    machine: Machine, folder: Path, environ: dict[str, str], told: str
) -> None:
    (folder / "pyproject.toml").write_text(told or PROJECT)
    (folder / "requirements.txt").write_text("beta\n")
    assert shown(machine, folder, environ)[0] == "beta==2.0"


def test_a_lock_file_above_counts_before_requirements_below(
    machine: Machine, folder: Path, environ: dict[str, str]
) -> None:
    (folder / "pyproject.toml").write_text(PROJECT + "[tool.uv]\n")
    shown(machine, folder, environ)
    (folder / "docs").mkdir()
    (folder / "docs" / "requirements.txt").write_text("beta\n")
    assert shown(machine, folder / "docs", environ)[0] == "alpha==2.0"


def test_a_named_requirements_file_needs_no_hashes(machine: Machine, folder: Path, environ: dict[str, str]) -> None:
    (folder / "dev.txt").write_text("alpha<2\n")
    assert shown(machine, folder, environ, "--lock", "dev.txt", "-c", SHOW)[0] == "alpha==1.0"
    assert shown(machine, folder, NOWHERE, "--lock", "dev.txt", "-c", SHOW) == ("alpha==1.0", [])


@pytest.mark.skipif(not (pyenv_python("3.10") and pyenv_python("3.12")), reason="needs Python 3.10 and 3.12")
def test_each_python_has_a_lock_of_its_own(
    machine: Machine, index: LoopbackIndex, folder: Path, environ: dict[str, str]
) -> None:
    """The pinned Python without -p; what the script or the project requires if nothing is pinned."""
    older, newer = (str(pyenv_python(version)) for version in ("3.10", "3.12"))
    environ = environ | {"PATH": f"{Path(older).parent}:{Path(newer).parent}:/usr/bin:/bin"}
    code = f"import sys; print('%d.%d' % sys.version_info[:2]); {SHOW}"
    (folder / "requirements.txt").write_text("alpha; python_version < '3.12'\nbeta\n")
    both = "3.10\nalpha==2.0 beta==2.0"
    assert shown(machine, folder, environ, "-c", code)[0] == both
    assert shown(machine, folder, environ, "-p", "3.12", "-c", code)[0] == "3.12\nbeta==2.0"
    (folder / ".python-version").write_text("3.12\n")
    assert shown(machine, folder, environ, "-c", code)[0] == "3.12\nbeta==2.0"
    (folder / ".python-version").unlink()
    assert shown(machine, folder, NOWHERE | {"PATH": environ["PATH"]}, "-c", code) == (both, [])
    (folder / "tool.py").write_text(f'# /// script\n# requires-python = ">=3.11"\n# ///\n{code}\n')
    assert shown(machine, folder, environ, "tool.py")[0] == "3.12"
    (folder / ".python-version").write_text("3.10\n")
    assert shown(machine, folder, environ, "tool.py")[0] == "3.12"
    (folder / "tool.py").write_text(f'# /// script\n# requires-python = ">=3.9"\n# ///\n{code}\n')
    assert shown(machine, folder, environ, "tool.py")[0] == "3.10"


def test_a_link_follows_requirements(machine: Machine, folder: Path, environ: dict[str, str]) -> None:
    (folder / "requirements.txt").write_text("alpha<2\n")
    machine.ok("link", folder, env=environ)
    command = [str(folder / ".venv" / "bin" / "python"), "-c", SHOW]
    assert subprocess.check_output(command, text=True) == "alpha==1.0\n"
    (folder / "requirements.txt").write_text("alpha\nbeta\n")
    machine.ok("warm", folder, env=environ)
    machine.wait_for_state(folder, lambda _: subprocess.check_output(command, text=True) == "alpha==1.0 beta==2.0\n")


def test_quiet_says_nothing_of_it(machine: Machine, folder: Path, environ: dict[str, str]) -> None:
    (folder / "requirements.txt").write_text("alpha\n")
    assert shown(machine, folder, environ, "--quiet", "-c", SHOW) == ("alpha==2.0", [])


def test_first_runs_at_the_same_time_all_run(machine: Machine, folder: Path, environ: dict[str, str]) -> None:
    (folder / "requirements.txt").write_text("alpha\n")
    command = [str(STORECTL), "run", "-q", "-c", SHOW]
    runs = [
        subprocess.Popen(command, cwd=folder, env=machine.environ | environ, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    assert [run.communicate(timeout=120)[0] for run in runs] == ["alpha==2.0\n"] * 4


def test_several_files_with_hashes_count_together_as_for_pip(
    machine: Machine, index: LoopbackIndex, folder: Path, environ: dict[str, str]
) -> None:
    alpha, beta = (index.wheels[f"{name}-1.0-py3-none-any.whl"] for name in ("alpha", "beta"))
    for name, wheel in (("requirements.txt", alpha), ("my requirements dev.txt", beta)):
        (folder / name).write_text(f"{wheel.name}==1.0 --hash={wheel.digest}\n")
    both = ("--lock", "requirements.txt", "--lock", "my requirements dev.txt")
    assert shown(machine, folder, environ, *both, "-c", SHOW)[0] == "alpha==1.0 beta==1.0"
    assert shown(machine, folder, environ, "--lock", "requirements.txt", "-c", SHOW)[0] == "alpha==1.0"
    (folder / "my requirements dev.txt").write_text(f"alpha==2.0 --hash={beta.digest}\n")
    refused = machine.run("run", *both, "-c", SHOW, cwd=folder, env=environ)
    assert "`alpha` is required a second time, and differently" in refused.stderr


def test_several_files_without_hashes_are_locked_together(
    machine: Machine, folder: Path, environ: dict[str, str]
) -> None:
    (folder / "a.txt").write_text("alpha\n")
    (folder / "b.txt").write_text("beta\nalpha<2\n")
    both = ("--lock", "a.txt", "--lock", "b.txt")
    assert shown(machine, folder, environ, *both, "-c", SHOW)[0] == "alpha==1.0 beta==2.0"


def test_lock_files_of_other_kinds_do_not_count_together(
    machine: Machine, folder: Path, environ: dict[str, str]
) -> None:
    for name in ("uv.lock", "requirements.txt"):
        (folder / name).write_text("alpha==1.0 --hash=sha256:00\n")
    refused = machine.run("run", "--lock", "uv.lock", "--lock", "requirements.txt", "-c", SHOW, cwd=folder, env=environ)
    assert refused.returncode == 125
    assert "hint: only requirements files count together" in refused.stderr


@pytest.fixture
def venv(folder: Path) -> Iterator[Path]:
    made = folder / ".venv"
    subprocess.run([base_python(), "-m", "venv", "--without-pip", made], check=True)
    yield made
    shutil.rmtree(made)


def test_outside_of_projects_the_interpreter_is_that_of_uv_run(
    machine: Machine, folder: Path, environ: dict[str, str], venv: Path
) -> None:
    """The virtual environment that is active, else a .venv here or above, else the first Python on PATH."""
    other = folder / "other"
    subprocess.run([base_python(), "-m", "venv", "--without-pip", other], check=True)
    (folder / "below").mkdir()
    (machine.home / "loose").mkdir()
    path = f"{Path(base_python()).parent}:/usr/bin:/bin"
    code = "import os, sys; print(os.path.realpath(sys.prefix), os.environ['PATH'].split(':')[0])"
    for place, variables in [("folder/below", {}), ("loose", {}), ("loose", {"VIRTUAL_ENV": str(other)})]:
        own = {**environ, **variables, "PATH": path}
        uv = subprocess.run(
            [find_uv_bin(), "run", "--no-project", "python", "-c", code],
            cwd=machine.home / place, env={**machine.environ, **own}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        ours, said = shown(machine, machine.home / place, own, "python", "-c", code)
        assert (ours, said) == (uv.stdout.strip(), []), place
        assert shown(machine, machine.home / place, own, "-c", code)[0] == ours


def test_outside_of_projects_what_only_they_have_is_refused(machine: Machine, folder: Path) -> None:
    done = machine.run("run", "--extra", "x", "-c", "pass", cwd=folder)
    assert done.returncode == 125
    assert "E_NO_LOCK" in done.stderr


def version() -> str:
    done = subprocess.run(["python3", "-c", SHOW_VERSION], capture_output=True, text=True, check=True)
    return done.stdout.strip()


SHOW_VERSION = "import sys; print('%d.%d' % sys.version_info[:2])"
