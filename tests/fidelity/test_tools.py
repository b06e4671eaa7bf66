"""Tools find in an environment what they find in a venv: type checkers, debuggers, installers, makers of environments."""

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from uv import find_uv_bin

from fidelity.twins import Twins, locked_twins, whom_modes_stop

pytestmark = [pytest.mark.network, pytest.mark.whole]

REQUIREMENTS = (
    "build", "coverage", "debugpy", "flask", "ipykernel", "jedi", "mypy", "nox", "pip", "pre-commit", "pytest",
    "pytest-cov", "pytest-xdist", "tox",
)  # fmt: skip
HEAVY_REQUIREMENTS = ("basedpyright", "flask", "pyinstaller", "pylint", "ty")
THING = "import click\nimport flask\n\n\ndef f(x: int) -> str:\n    return flask.Flask(str(x)).nothing + click.style\n"
INSIDE = "import importlib.util as u, sys; print({0!r}, sys.prefix, u.find_spec('flask'))"


@pytest.fixture(scope="module")
def twins() -> Iterator[Twins]:
    with locked_twins(*REQUIREMENTS) as made:
        (made.scratch / "thing.py").write_text(THING)
        (made.scratch / "test_thing.py").write_text(
            "import subprocess\nimport sys\n\nimport thing\n\n\n"
            "def test_in_a_child():\n"
            "    code = 'import thing, pytest\\nwith pytest.raises(AttributeError): thing.f(1)'\n"
            "    subprocess.run([sys.executable, '-c', code], check=True)\n\n\n"
            "def test_here(request):\n    assert request.config.pluginmanager.hasplugin('xdist')\n"
        )
        yield made


@pytest.fixture(scope="module")
def heavy() -> Iterator[Twins]:
    with locked_twins(*HEAVY_REQUIREMENTS) as made:
        (made.scratch / "thing.py").write_text(THING)
        yield made


# Type checkers and editors


def test_mypy_reads_types_from_the_environment(twins: Twins) -> None:
    expected, found = (twins.run(root, "mypy", "--cache-dir", os.devnull, "thing.py") for root in twins.roots)
    assert found.stdout == expected.stdout
    assert '"Flask" has no attribute "nothing"' in found.stdout


def test_pylint_infers_through_third_party_code(heavy: Twins) -> None:
    command = ("pylint", "--disable=all", "--enable=E", "--score=n", "--persistent=n", "thing.py")
    expected, found = (heavy.run(root, *command) for root in heavy.roots)
    assert (found.returncode, found.stdout) == (expected.returncode, expected.stdout)
    assert "no-member" in found.stdout


def test_pyright_reads_types_from_the_environment(heavy: Twins) -> None:
    """In its distribution without npm: it runs under the Node.js of a wheel, and cannot run import hooks."""
    command = ("basedpyright", "--outputjson", "--pythonpath", "{root}/bin/python", "thing.py")
    shown = []
    for root in heavy.roots:
        report = json.loads(heavy.run(root, *command).stdout)
        shown.append([(found["rule"], found["message"]) for found in report["generalDiagnostics"]])
    assert shown[0] == shown[1]
    assert any("nothing" in message for _, message in shown[1])
    assert not any(rule == "reportMissingImports" for rule, _ in shown[1])


def test_ty_reads_types_from_the_environment(heavy: Twins) -> None:
    command = ("ty", "check", "--python", "{root}", "--output-format", "concise", "thing.py")
    expected, found = (heavy.run(root, *command) for root in heavy.roots)
    assert (found.returncode, found.stdout) == (expected.returncode, expected.stdout)
    assert "no attribute `nothing`" in found.stdout
    assert "import" not in found.stdout


def test_jedi_completes_and_goes_to_definitions(twins: Twins) -> None:
    shown = twins.python(
        "import jedi; code = 'import flask; flask.Fl'\n"
        "print([c.name for c in jedi.Script(code).complete()])\n"
        "print([str(n.module_path) for n in jedi.Script('import flask; flask.Flask').goto(1, 22, follow_imports=True)])\n"
        "import sys; print(jedi.Script(code, environment=jedi.create_environment(sys.prefix)).complete()[0].name)"
    )
    assert "Flask" in shown
    assert "<prefix>/lib/python" in shown


def test_an_editor_sees_a_venv(twins: Twins) -> None:
    """What VS Code, PyCharm, pyright and pipenv ask a folder before they offer it: configuration, interpreter, paths."""
    shown = twins.python(
        "import json, os, site, sys, sysconfig\n"
        "cfg = dict(line.split(' = ', 1) for line in open(sys.prefix + '/pyvenv.cfg') if ' = ' in line)\n"
        "print(json.dumps([cfg['home'], cfg['include-system-site-packages'], cfg['version_info'], sys.executable,\n"
        "    sys.prefix != sys.base_prefix, site.getsitepackages(), sysconfig.get_paths(), site.ENABLE_USER_SITE,\n"
        "    [os.path.isdir(p) for p in sys.path if 'site-packages' in p]]))"
    )
    assert '"<prefix>/bin/python"' in shown


# Debugging and coverage


def test_coverage_leaves_third_party_code_out(twins: Twins) -> None:
    shown = []
    for root in twins.roots:
        data = f"--data-file={twins.scratch / 'data'}"
        twins.output(root, "coverage", "run", data, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_thing.py")
        shown.append(twins.output(root, "coverage", "report", data))
    assert shown[0] == shown[1]
    assert "flask" not in shown[1]
    assert "thing.py" in shown[1]


def test_coverage_of_pytest_reaches_its_workers(twins: Twins) -> None:
    command = ("pytest", "-q", "-p", "no:cacheprovider", "-n", "2", "--cov=.", "--cov-report=json:{root}.json")
    found = []
    for root in twins.roots:
        twins.output(root, *[word.replace("{root}", str(twins.scratch / root.parent.parent.name)) for word in command])
        report = json.loads((twins.scratch / f"{root.parent.parent.name}.json").read_text())
        found.append({name: file["summary"] for name, file in report["files"].items()})
    assert found[0] == found[1]
    assert set(found[1]) == {"thing.py", "test_thing.py"}


def test_coverage_measures_a_library_that_is_asked_for(twins: Twins) -> None:
    shown = []
    for root in twins.roots:
        data = f"--data-file={twins.scratch / 'library'}"
        twins.output(root, "coverage", "run", data, "--source=flask", "-m", "flask", "--version")
        report = twins.output(root, "coverage", "report", data)
        shown.append(re.findall(r"site-packages/(flask/\S+) +(\d+ +\d+)", report))
    assert shown[0] == shown[1]
    assert len(shown[1]) > 10


def test_the_debugger_takes_the_environment_for_library_code(twins: Twins) -> None:
    shown = twins.python(
        "import debugpy._vendored.force_pydevd\n"
        "from _pydevd_bundle.pydevd_filtering import FilesFiltering\n"
        "import flask.app, click, json, sys\n"
        "mine = FilesFiltering().in_project_roots\n"
        "code = [flask.app.Flask.run.__code__, click.echo.__code__, json.dumps.__code__]\n"
        "print([mine(c.co_filename) for c in code], mine(sys.argv[1]))",
        twins.scratch / "thing.py",
        env={"PYDEVD_DISABLE_FILE_VALIDATION": "1"},
    )
    assert shown.endswith("[False, False, False] True\n")


# Installers


def test_pip_lists_shows_and_checks_what_is_there(twins: Twins) -> None:
    listed = json.loads(twins.same("{root}/bin/python", "-m", "pip", "list", "--format", "json"))
    assert {"flask", "pip", "mypy"} <= {entry["name"].lower() for entry in listed}
    twins.same("pip", "freeze")
    twins.same("pip", "check")
    expected, found = (twins.output(root, "pip", "show", "-f", "flask") for root in twins.roots)
    assert _without_records(found) == _without_records(expected)


def _without_records(shown: str) -> list[str]:
    """But for the records of the installing tool."""
    return [line for line in shown.splitlines() if not re.search(r"INSTALLER|REQUESTED|uv_(build|cache)\.json", line)]


@pytest.mark.parametrize("arguments", [("install", "iniconfig==1.0"), ("uninstall", "-y", "flask")])
def test_pip_refuses_to_change_the_environment(twins: Twins, arguments: tuple[str, ...]) -> None:
    before = _tree(twins.environment)
    for command in (("pip",), ("{root}/bin/python", "-m", "pip")):
        done = twins.run(twins.environment, *command, *arguments)
        assert done.returncode == 1
        assert "storectl made it from a lock file" in done.stderr
        assert "uv add --no-sync NAME" in done.stderr
        assert "--break-system-packages" not in done.stderr
    assert _tree(twins.environment) == before


def test_pip_may_write_elsewhere(twins: Twins) -> None:
    twins.output(
        twins.environment, "pip", "install", "-q", "--no-deps", "--target", twins.scratch / "target", "iniconfig"
    )
    assert (twins.scratch / "target/iniconfig").is_dir()


def test_uv_sees_what_is_installed(twins: Twins) -> None:
    for command in (("list",), ("freeze",), ("check",)):
        runs = [
            twins.run(root, find_uv_bin(), "pip", *command, "--python", "{root}/bin/python") for root in twins.roots
        ]
        assert runs[0].stdout == runs[1].stdout, command
        assert runs[1].returncode == 0, runs[1].stderr


def test_uv_finds_nothing_to_do_in_a_linked_project(twins: Twins) -> None:
    twins.machine.ok("link", cwd=twins.project)
    before, user = _tree(twins.environment), whom_modes_stop()  # for anybody else uv leaves a file to lock by behind
    options: dict[str, Any] = {"cwd": twins.project, "env": {"UV_PYTHON": sys.executable, "VIRTUAL_ENV": ""}}
    planned = twins.run(twins.environment, *user, find_uv_bin(), "sync", "--dry-run", **options)
    assert "Would make no changes" in planned.stderr
    program = ("python", "-c", "import flask, sys; print(sys.prefix)")
    assert (
        twins.output(twins.environment, *user, find_uv_bin(), "run", *program, **options) == f"{twins.project}/.venv\n"
    )
    assert _tree(twins.environment) == before


def test_whom_modes_stop_changes_nothing_by_any_tool(twins: Twins) -> None:
    """pip told to override, another environment's pip, and uv, which takes every venv for its own."""
    before = _tree(twins.environment)
    user = whom_modes_stop()
    for command in (
        ("pip", "uninstall", "-y", "--break-system-packages", "click"),
        ("pip", "install", "--break-system-packages", "--no-deps", "iniconfig==1.0"),
        (sys.executable, "-m", "pip", "--python", "{root}/bin/python", "uninstall", "-y", "click"),
        (find_uv_bin(), "pip", "uninstall", "--python", "{root}/bin/python", "click"),
        (find_uv_bin(), "pip", "install", "--python", "{root}/bin/python", "cowsay"),
    ):
        assert twins.run(twins.environment, *user, *command).returncode != 0, command
    assert _tree(twins.environment) == before
    assert twins.machine.run("store", "verify").returncode == 0


def _tree(root: Path) -> list[tuple[str, int, str]]:
    """Every name of an environment with what it is."""
    found = []
    for folder, folders, names in os.walk(root):
        for name in (*folders, *names):
            path = Path(folder, name)
            target = os.readlink(path) if path.is_symlink() else ""
            found.append((str(path), path.lstat().st_ino, target))
    return sorted(found)


# Environments inside: none of them inherits ours


def test_a_venv_made_inside_does_not_inherit(twins: Twins) -> None:
    for root in twins.roots:
        inner = twins.scratch / f"inner-{root.parent.parent.name}"
        twins.output(root, "python", "-m", "venv", "--without-pip", inner)
        shown = twins.output(root, inner / "bin/python", "-c", INSIDE.format("venv"))
        assert shown == f"venv {inner} None\n"
        assert (inner / "bin/python").resolve() == (root / "bin/python").resolve()


def test_tox_nox_and_pre_commit_make_environments_of_their_own(twins: Twins) -> None:
    folder = twins.scratch / "own"
    folder.mkdir()
    code = INSIDE.replace('"', "'")
    (folder / "tox.toml").write_text(
        f'env_list = ["a"]\n[env_run_base]\nskip_install = true\ncommands = [["python", "-c", "{code.format("tox")}"]]\n'
    )
    (folder / "noxfile.py").write_text(
        f'import nox\n@nox.session\ndef a(session):\n    session.run("python", "-c", "{code.format("nox")}")\n'
    )
    (folder / ".pre-commit-config.yaml").write_text(
        "repos:\n- repo: local\n  hooks:\n  - {id: a, name: a, language: python, pass_filenames: false, "
        "always_run: true, verbose: true, entry: 'python code.py'}\n"
    )
    (folder / "code.py").write_text(INSIDE.format("pre-commit"))
    root = twins.environment
    twins.output(root, "git", "init", "-q", ".", cwd=folder)
    twins.output(root, "git", "add", "-A", cwd=folder)
    shown = twins.output(root, "tox", "-q", cwd=folder) + twins.output(root, "nox", cwd=folder)
    shown += twins.output(root, "pre-commit", "run", "-a", cwd=folder)
    inside = dict(re.findall(r"^(tox|nox|pre-commit) (\S+) None$", shown, re.MULTILINE))
    assert set(inside) == {"tox", "nox", "pre-commit"}, shown
    assert str(root) not in "".join(inside.values())


def test_builds_are_isolated(twins: Twins) -> None:
    """``build`` makes a venv for it; pip's isolated environments are folders of their own for the same interpreter."""
    folder, seen = twins.scratch / "built", twins.scratch / "seen"
    (folder / "src/built").mkdir(parents=True)
    (folder / "src/built/__init__.py").write_text("")
    (folder / "backend.py").write_text(
        "import importlib.util as u, os, sys\nfrom flit_core.buildapi import *\n"
        "print(sys.prefix, u.find_spec('flask'), file=open(os.environ['SEEN'], 'w'))\n"
    )
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["flit_core"]\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "built"\nversion = "1"\ndescription = "d"\n'
    )
    environ = {"SEEN": str(seen)}
    for root in twins.roots:
        twins.output(root, "python", "-m", "build", "-w", ".", cwd=folder, env=environ)
        prefix, found = seen.read_text().split()
        assert (prefix != str(root), found) == (True, "None")
        twins.output(root, "pip", "wheel", "-q", "--no-deps", "-w", twins.scratch / "wheels", folder, env=environ)
        assert seen.read_text().split() == [str(root), "None"]


# Freezing


def test_pyinstaller_collects_from_the_environment(heavy: Twins) -> None:
    (heavy.scratch / "frozen.py").write_text(
        "import click, importlib.metadata as m, markupsafe._speedups as s, sys\n"
        "print(sys.frozen, click.style('x', fg='red')[-3], s.__name__)\n"
    )
    command = ("pyinstaller", "--log-level=ERROR", "--distpath={root}/dist", "--workpath={root}/work", "frozen.py")
    shown = []
    for root in heavy.roots:
        place = str(heavy.scratch / root.parent.parent.name)
        heavy.output(root, *[word.replace("{root}", place) for word in command])
        shown.append(heavy.output(root, f"{place}/dist/frozen/frozen", env={"PATH": "/nowhere"}))
        assert not list(Path(place, "dist").rglob("_storectl*"))
    assert shown[0] == shown[1]


# Notebooks


def test_a_kernel_specification_works_from_outside(twins: Twins) -> None:
    for root in twins.roots:
        prefix = twins.scratch / f"kernels-{root.parent.parent.name}"
        twins.output(root, "python", "-m", "ipykernel", "install", "--prefix", prefix, "--name", "here")
        command = json.loads((prefix / "share/jupyter/kernels/here/kernel.json").read_text())["argv"]
        assert command[0] == str(root / "bin/python")
        done = twins.run(root, command[0], "-c", "import flask; print(flask.__name__)", env={"PATH": "/nowhere"})
        assert done.stdout == "flask\n"


def test_pip_in_a_notebook_is_refused_like_any_other(twins: Twins) -> None:
    program = (
        "from IPython import start_ipython; start_ipython(['--quick', '--no-banner', '-c', '%pip install cowsay'])"
    )
    done = twins.run(twins.environment, "python", "-c", program)
    assert "storectl made it from a lock file" in done.stdout + done.stderr
