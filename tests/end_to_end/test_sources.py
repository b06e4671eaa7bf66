"""Everything that is no ready wheel: source distributions, commits, local projects, the project itself."""

import json
import subprocess
from pathlib import Path

import pytest
from uv import find_uv_bin

from support.index import LoopbackIndex
from support.machine import Machine, base_python, pyenv_python
from support.project import git
from support.sources import make_sdist, source_files, tiny_backend
from support.wheels import WheelBytes, make_wheel

GUESTS = True  # the tests do not disturb one another: one daemon serves them all

ALPHA = make_wheel("alpha", "1.0")
TELL = (
    "import importlib.metadata as m, json;"
    "print(json.dumps({d.name: [d.version, json.loads(d.read_text('direct_url.json') or 'null'),"
    " sorted(f'{e.name}={e.value}' for e in d.entry_points)] for d in m.distributions()}))"
)
PYTHONS = [version for version in ("3.9", "3.12") if pyenv_python(version)]


def put(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def uv(machine: Machine, index: LoopbackIndex, folder: Path, *arguments: str, **variables: str) -> None:
    environ = machine.environ | {"UV_DEFAULT_INDEX": index.url, "UV_PYTHON_DOWNLOADS": "never", **variables}
    done = subprocess.run(
        [find_uv_bin(), *arguments], cwd=folder, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def project(dependencies: str, rest: str = "") -> dict[str, str]:
    head = f'[project]\nname = "demo"\nversion = "3"\nrequires-python = ">=3.9"\ndependencies = [{dependencies}]\n'
    return {"pyproject.toml": head + (rest or "[tool.uv]\npackage = false\n")}


def locked(machine: Machine, index: LoopbackIndex, folder: Path, files: dict[str, str]) -> Path:
    """The project, locked by uv, with the loopback index in the user's configuration."""
    put(machine.home / ".config/pip", {"pip.conf": f"[global]\nindex-url = {index.url}\n"})
    put(folder, files)
    uv(machine, index, folder, "lock", "-q", "--python", base_python())
    return folder


def assert_like_uv(machine: Machine, index: LoopbackIndex, folder: Path, python: str) -> None:
    """The same distributions, from the same places, with the same entry points as in a venv that uv makes."""
    venv = machine.home / f"venv-{len(list(machine.home.iterdir()))}"
    uv(machine, index, folder, "sync", "-q", "--frozen", UV_PROJECT_ENVIRONMENT=str(venv), UV_PYTHON=python)
    theirs = subprocess.run([venv / "bin/python", "-c", TELL], capture_output=True, text=True, check=True, cwd=folder)
    ours = machine.ok("run", "-p", python, "-c", TELL, cwd=folder)
    assert json.loads(ours) == json.loads(theirs.stdout)


@pytest.mark.parametrize("python", PYTHONS)
def test_a_source_distribution_is_built_for_the_interpreter_once(
    machine: Machine, index: LoopbackIndex, python: str
) -> None:
    sdist = make_sdist("from-source", script="go = from_source:main", more="alpha")
    index.add(sdist, tiny_backend(), ALPHA)
    folder = locked(machine, index, machine.home / "demo", project('"from-source"'))
    executable = pyenv_python(python) or ""
    program = "import from_source.built_by as b, sys; print(b.PYTHON == sys.version_info[:2], b.PREFIX != sys.prefix)"
    done = machine.run("run", "-p", executable, "-c", program, cwd=folder)
    assert (done.returncode, done.stdout) == (0, "True True\n"), done.stderr
    assert "storectl: warning: building from-source 1.0 from source, in isolation" in done.stderr
    assert machine.ok("run", "-p", executable, "go", cwd=folder) == "main of 1.0\n"
    before = index.requests.total()
    (folder / "uv.lock").write_text((folder / "uv.lock").read_text() + "\n# another time\n")
    assert machine.ok("run", "-p", executable, "go", cwd=folder) == "main of 1.0\n"
    assert index.requests.total() == before
    if python != "3.9":
        assert_like_uv(machine, index, folder, executable)


def test_provenance_says_what_an_entry_was_built_from(machine: Machine, index: LoopbackIndex) -> None:
    sdist = make_sdist("told-source")
    index.add(sdist, tiny_backend())
    folder = locked(machine, index, machine.home / "demo", project('"told-source"'))
    machine.ok("warm", cwd=folder)
    (entry,) = [entry for entry in machine.json("store", "list", "--json") if entry["name"] == "told-source"]
    (shown,) = machine.json("store", "show", entry["prefix"], "--json")
    (build,) = shown["builds"]
    assert build["source"] == sdist.digest
    assert build["backend"] == "tiny_backend"
    assert build["build_requires"] == ["tiny-backend"]
    assert "tiny-backend==1.0" in build["installed"]


@pytest.mark.parametrize("subdirectory", ["", "python/here"])
def test_a_commit_of_a_repository_is_built(machine: Machine, index: LoopbackIndex, subdirectory: str) -> None:
    index.add(tiny_backend())
    repository = machine.home / "repository"
    put(repository / subdirectory, source_files("from-git"))
    git(machine.home, "init", "-q", str(repository))
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "one")
    where = f', subdirectory = "{subdirectory}"' if subdirectory else ""
    files = project(
        '"from-git"',
        f'[tool.uv]\npackage = false\n[tool.uv.sources]\nfrom-git = {{ git = "{repository.as_uri()}"{where} }}\n',
    )
    folder = locked(machine, index, machine.home / "demo", files)
    put(repository / subdirectory, source_files("from-git", "9.9"))
    git(repository, "commit", "-qam", "two")
    assert machine.ok("run", "-c", "import from_git; print(from_git.VERSION)", cwd=folder) == "1.0\n"
    assert_like_uv(machine, index, folder, base_python())


def test_local_projects_are_imported_from_their_folders(machine: Machine, index: LoopbackIndex) -> None:
    index.add(tiny_backend(), ALPHA)
    backend = '[build-system]\nrequires = ["uv_build>=0.5"]\nbuild-backend = "uv_build"\n'
    rest = (
        '[project.scripts]\ndemo-go = "demo:main"\n[project.entry-points.plugins]\nx = "demo:main"\n'
        '[tool.uv.workspace]\nmembers = ["member"]\n[tool.uv.sources]\n'
        'member = { workspace = true }\nhooked = { path = "hooked", editable = true }\n' + backend
    )
    files = project('"alpha", "member", "hooked"', rest) | {
        "src/demo/__init__.py": "def main():\n    print('demo')\n",
        "member/pyproject.toml": f'[project]\nname = "member"\nversion = "2"\nrequires-python = ">=3.9"\n{backend}',
        "member/src/member/__init__.py": "WHERE = __file__\n",
    }
    files |= {f"hooked/{name}": text for name, text in source_files("hooked", script="hooked-go = hooked:main").items()}
    folder = locked(machine, index, machine.home / "demo", files)
    assert machine.ok("run", "demo-go", cwd=folder) == "demo\n"
    assert machine.ok("run", "hooked-go", cwd=folder) == "main of 1.0\n"
    shown = machine.ok(
        "run", "-c", "import member, importlib.metadata as m; print(member.WHERE, m.version('demo'))", cwd=folder
    )
    assert shown == f"{folder / 'member/src/member/__init__.py'} 3\n"
    (folder / "hooked/hooked/__init__.py").write_text("def main():\n    print('edited')\n")
    assert machine.ok("run", "hooked-go", cwd=folder) == "edited\n"
    text = (folder / "pyproject.toml").read_text()
    (folder / "pyproject.toml").write_text(text.replace("demo-go =", "other-go ="))
    assert machine.ok("run", "other-go", cwd=folder) == "demo\n"


def test_a_static_project_is_like_the_one_its_backend_installs(machine: Machine, index: LoopbackIndex) -> None:
    """uv_build comes with uv, so that uv can build it without an index."""
    rest = (
        '[project.scripts]\ndemo-go = "demo:main"\n[project.entry-points."a.b"]\nx = "demo"\n'
        '[build-system]\nrequires = ["uv_build>=0.5"]\nbuild-backend = "uv_build"\n'
    )
    files = project("\"alpha; python_version > '3'\"", rest) | {"src/demo/__init__.py": ""}
    index.add(ALPHA)
    folder = locked(machine, index, machine.home / "demo", files)
    assert_like_uv(machine, index, folder, base_python())


def test_a_build_that_fails_says_why_in_one_line_and_where_the_rest_is(machine: Machine, index: LoopbackIndex) -> None:
    index.add(make_sdist("from-source", fail="no compiler today"), tiny_backend())
    lock = _lock_of(index, "from-source")
    folder = put(machine.home / "demo", project("") | {"uv.lock": lock})
    put(machine.home / ".config/pip", {"pip.conf": f"[global]\nindex-url = {index.url}\n"})
    done = machine.run("run", "-c", "pass", cwd=folder, env={"UV_NO_PROGRESS": "1"})
    assert done.returncode == 125
    lines = [line for line in done.stderr.splitlines() if "warning" not in line]
    assert (
        lines[0]
        == "storectl: E_BUILD: from-source 1.0 cannot be built: its build backend failed: tiny_backend: no compiler today"
    )
    assert lines[1].startswith("hint: its log is ")
    assert "no compiler today" in Path(lines[1].removeprefix("hint: its log is ")).read_text()
    assert not list((machine.store / "tmp").glob("*/build*"))


def test_without_the_network_what_is_missing_is_said_at_once(machine: Machine, index: LoopbackIndex) -> None:
    missing = make_wheel("early"), make_wheel("late")  # which no other test has fetched
    index.add(make_sdist("from-source"), tiny_backend(), *missing)
    folder = put(machine.home / "demo", project("") | {"uv.lock": _lock_of(index, "from-source", *missing)})
    before = index.requests.total()
    done = machine.run("warm", "--offline", cwd=folder)
    assert done.returncode == 1
    assert "E_OFFLINE" in done.stderr
    assert "early 1.0, late 1.0" in done.stderr
    assert index.requests.total() == before
    put(machine.home / ".config/pip", {"pip.conf": f"[global]\nindex-url = {index.url}\n"})
    machine.ok("warm", cwd=folder)
    machine.ok("warm", "--offline", cwd=folder)


def _lock_of(index: LoopbackIndex, sdist: str, *wheels: WheelBytes) -> str:
    """A uv.lock that pins the one source distribution of the index, and wheels."""
    (source,) = [file for file in index.wheels.values() if file.name == sdist]
    packages = [(file, "wheels", "[{}]") for file in wheels] + [(source, "sdist", "{}")]
    text = 'version = 1\nrevision = 3\nrequires-python = ">=3.9"\n'
    for file, key, form in packages:
        value = form.format(f'{{ url = "{index.file_url(file)}", hash = "{file.digest}" }}')
        text += f'[[package]]\nname = "{file.name}"\nversion = "{file.version}"\nsource = {{ registry = "{index.url}" }}\n{key} = {value}\n'
    names = ", ".join(f'{{ name = "{file.name}" }}' for file, _, _ in packages)
    return text + f'[[package]]\nname = "demo"\nversion = "3"\nsource = {{ virtual = "." }}\ndependencies = [{names}]\n'


def test_build_requirements_that_no_index_has_are_named(machine: Machine, index: LoopbackIndex) -> None:
    index.add(make_sdist("from-source", more="never"), tiny_backend())
    folder = put(machine.home / "demo", project("") | {"uv.lock": _lock_of(index, "from-source")})
    put(machine.home / ".config/pip", {"pip.conf": f"[global]\nindex-url = {index.url}\n"})
    done = machine.run("warm", cwd=folder)
    assert done.returncode == 1
    assert "E_BUILD: from-source 1.0 cannot be built: its build requirements (never) cannot be installed" in done.stderr


FLAT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[tool.storectl]
flat-source = true
"""


def test_a_flat_source_folder_is_the_package_of_the_project_s_name(machine: Machine, index: LoopbackIndex) -> None:
    index.add(ALPHA)
    files = {"src/__init__.py": "from . import sub\nX = 1\n", "src/sub.py": "import alpha, demo\n"}
    folder = locked(machine, index, machine.home / "demo", project('"alpha"', FLAT) | files)
    show = "import demo, demo.sub, importlib.metadata as m; print(demo.X, demo.__file__, m.version('demo'))"
    x, file, version = machine.ok("run", "-c", show, cwd=folder).split()
    assert (x, version) == ("1", "3")
    assert Path(file).samefile(folder / "src/__init__.py")
    put(folder, {"src/__init__.py": "X = 2\n"})
    assert machine.ok("run", "-c", "import demo; print(demo.X)", cwd=folder) == "2\n"
    assert machine.run("run", "-c", "import src", cwd=machine.home, env={"UV_PROJECT": str(folder)}).returncode == 1
    machine.ok("store", "verify")
    for command in (("link",), ("env", "export", "exported")):
        machine.ok(*command, cwd=folder)
    for venv in (".venv", "exported"):
        python = folder / venv / "bin/python"
        done = subprocess.run([python, "-c", show], capture_output=True, text=True, check=True, cwd=machine.home)
        assert done.stdout.split()[0] == "2"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"src/__init__.py": None}, "src/__init__.py is to be the package demo"),
        ({"pyproject.toml": ('version = "3"', 'dynamic = ["version"]')}, "says name and version itself"),
    ],
    ids=["no package", "dynamic"],
)
def test_a_flat_source_that_cannot_be_is_told(
    machine: Machine, index: LoopbackIndex, change: dict[str, tuple[str, str] | None], told: str
) -> None:
    folder = locked(machine, index, machine.home / "demo", project("", FLAT) | {"src/__init__.py": ""})
    for name, edit in change.items():
        text = (folder / name).read_text()
        (folder / name).unlink() if edit is None else (folder / name).write_text(text.replace(*edit))
    done = machine.run("warm", cwd=folder)
    assert done.returncode == 1
    assert (told in done.stderr, "hint: " in done.stderr) == (True, True), done.stderr
