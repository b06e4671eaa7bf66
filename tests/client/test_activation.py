"""`storectl.activate`: an environment in an interpreter that runs already, as if it had been there from the start."""

import io
import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from storectl_shim.asked import place_and_requirements
from support.index import LoopbackIndex, serve_index
from support.machine import STORECTL, Machine, base_python, pyenv_python
from support.notebooks import code_of, execute, kernels, run_cells
from support.project import write_project
from support.wheels import WheelBytes, make_wheel

ALPHA = make_wheel(
    "alpha",
    "1.0",
    files={
        "alpha/__init__.py": "from alpha.core import value\n",
        "alpha/core.py": "value = 42\n",
        "alpha/main.py": "def main():\n    print('alpha')\n",
        "alpha_extra.py": "",
        "alpha.pth": "import sys; sys.alpha_was_here = True\n",
    },
    entry_points="[console_scripts]\nalpha-cli = alpha.main:main\n[group]\nname = alpha.core:value\n",
)
NEWER_ALPHA = make_wheel("alpha", "2.0", files={"alpha/__init__.py": "value = 43\n", "alpha/core.py": ""})
BETA = make_wheel("beta", "1.0")
GAMMA = make_wheel("gamma", "3.0")
SITE_PACKAGES = sysconfig.get_path("purelib")
ERROR = "try:\n    {}\nexcept storectl.ActivationError as error:\n    show([error.code, error.message, error.hint])\n"


@pytest.fixture(scope="module")
def index() -> Iterator[LoopbackIndex]:
    with serve_index() as served:
        yield served


class Project:
    """A project whose lock file can change; `relock` is the cell that changes it."""

    def __init__(self, folder: Path, index: LoopbackIndex) -> None:
        self.folder, self._index = folder, index

    def lock(self, *wheels: WheelBytes) -> Path:
        return write_project(self.folder, self._index, list(wheels))

    def relock(self, *wheels: WheelBytes) -> str:
        """A cell that puts another lock file in the place of the one that is there."""
        other = write_project(self.folder.with_name(f"{self.folder.name}-later"), self._index, list(wheels))
        return f"import shutil; shutil.copy({str(other / 'uv.lock')!r}, {str(self.folder / 'uv.lock')!r})"


@pytest.fixture
def project(machine: Machine, index: LoopbackIndex, tmp_path: Path) -> Project:
    made = Project(tmp_path / "project", index)
    made.lock(ALPHA, BETA)
    return made


@pytest.mark.parametrize("python", kernels())
def test_the_locked_packages_are_as_in_a_virtual_environment(machine: Machine, project: Project, python: str) -> None:
    before, after, alpha, finder, version, names, ran, variables = run_cells(
        machine,
        project.folder,
        "show(sys.path)",
        "made = storectl.activate()",
        "show(sys.path)",
        "import alpha; show([alpha.__file__, alpha.value])",
        "show(type(sys.path_importer_cache[made.site_packages]).__module__)",
        "import importlib.metadata as metadata; show(metadata.version('Alpha'))",
        "show([e.name for e in metadata.distribution('alpha').entry_points])",
        "import subprocess; show(subprocess.check_output(['alpha-cli']).decode())",
        "show([os.environ['VIRTUAL_ENV'], os.environ['PATH'].split(':')[0], made.path, sys.alpha_was_here])",
        python=python,
    )
    root = Path(variables[0])
    view = f"{root}/lib/{Path(alpha[0]).parts[-4]}/site-packages"
    assert alpha == [f"{view}/alpha/__init__.py", 42]
    assert (finder, version, names, ran) == ("_storectl", "1.0", ["alpha-cli", "name"], "alpha\n")
    assert variables == [str(root), f"{root}/bin", str(root), True]
    own = next(i for i, entry in enumerate(before) if entry.endswith("site-packages"))
    assert after == [*before[:own], view, *before[own:]]


def test_a_second_activation_with_the_same_lock_file_changes_nothing(machine: Machine, project: Project) -> None:
    first, second = run_cells(
        machine,
        project.folder,
        "def state():\n    return [sys.path, dict(os.environ), list(map(repr, [*sys.path_hooks, *sys.meta_path]))]",
        "storectl.activate(); show(state())",
        "storectl.activate(); show(state())",
    )
    assert first == second


@pytest.mark.parametrize("python", kernels())
def test_a_changed_lock_file_replaces_the_environment(machine: Machine, project: Project, python: str) -> None:
    found, path, again = run_cells(
        machine,
        project.folder,
        "import importlib.util\nfirst = storectl.activate(); import beta",
        project.relock(BETA, NEWER_ALPHA, GAMMA),
        "second = storectl.activate(); import alpha, gamma",
        "show([first.path != second.path, alpha.value, gamma.__version__, importlib.util.find_spec('alpha_extra')])",
        "show([first.path in text for text in [*sys.path, os.environ['PATH'], *sys.path_importer_cache]])",
        "show(sum(hasattr(hook, 'storectl_view') for hook in sys.path_hooks))",
        python=python,
    )
    assert found == [True, 43, "3.0", None]
    assert not any(path)
    assert again == 1


def test_a_loaded_module_of_another_version_is_named_and_nothing_is_changed(machine: Machine, project: Project) -> None:
    problem, modules, same = run_cells(
        machine,
        project.folder,
        "storectl.activate(); import alpha; before = [*sys.path], dict(os.environ), [*sys.path_hooks]",
        project.relock(NEWER_ALPHA, BETA),
        ERROR.format("storectl.activate()") + "    show(error.facts['modules'])",
        "show(before == ([*sys.path], dict(os.environ), [*sys.path_hooks]) and alpha.core.value)",
    )
    assert problem[:2] == ["E_CONFLICT", "alpha 1.0 is loaded, the lock file has 2.0"]
    assert "restart the interpreter" in problem[2]
    assert modules == ["alpha", "alpha.core"]
    assert same == 42


def test_a_conflict_can_be_a_warning(machine: Machine, project: Project) -> None:
    warned, beta = run_cells(
        machine,
        project.folder,
        "storectl.activate(); import alpha, warnings",
        project.relock(NEWER_ALPHA, GAMMA),
        "with warnings.catch_warnings(record=True) as caught:\n    storectl.activate(on_conflict='warn')",
        "show([[str(w.message), w.category.__name__, w.filename] for w in caught])",
        "import gamma; show([gamma.__version__, alpha.value])",
    )
    assert warned == [
        ["alpha 1.0 is loaded, the lock file has 2.0: restart the interpreter", "ActivationWarning", "<string>"]
    ]
    assert beta == ["3.0", 42]


def test_modules_of_one_wheel_in_two_environments_are_the_same(machine: Machine, project: Project) -> None:
    assert run_cells(
        machine,
        project.folder,
        "storectl.activate(); import alpha, alpha_extra, beta",
        project.relock(ALPHA, GAMMA, BETA),
        "storectl.activate(); import gamma; show(gamma.__version__)",
    ) == ["3.0"]


def test_the_interpreters_own_packages_conflict_by_their_distribution(
    machine: Machine, index: LoopbackIndex, tmp_path: Path
) -> None:
    """A module of the same name from another project, and the same version from elsewhere: the import map tells, no guess."""
    project = Project(tmp_path / "project", index)
    other = make_wheel("other-parts", "5.0", files={"parts/__init__.py": "", "parts/more.py": ""})
    project.lock(other, make_wheel("same", "1.0"))
    own = tmp_path / "own"
    for name, version in (("parts", "1.5"), ("same", "1.0")):
        dist_info = own / f"{name}-{version}.dist-info"
        (own / name).mkdir(parents=True)
        (own / name / "__init__.py").write_text("")
        dist_info.mkdir()
        (dist_info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (dist_info / "RECORD").write_text(f"{name}/__init__.py,,\n")
    (problem,) = run_cells(
        machine,
        project.folder,
        f"sys.path.append({str(own)!r}); import parts, same",
        ERROR.format("storectl.activate()"),
    )
    assert problem[1] == (
        "parts of parts 1.5 is loaded, the lock file has it of other-parts 5.0; "
        f"same 1.0 is loaded from {own}, not from the environment"
    )


def test_the_same_distribution_from_elsewhere_is_no_conflict(
    machine: Machine, index: LoopbackIndex, tmp_path: Path
) -> None:
    """By name, version and the hashes in RECORD: of a package, of a module alone, and of another spelling of the name."""
    wheels = [BETA, make_wheel("one-file", files={"one_file.py": "value = 1\n"})]
    project = Project(tmp_path / "project", index)
    project.lock(*wheels)
    own = tmp_path / "own"
    for wheel in wheels:
        zipfile.ZipFile(io.BytesIO(wheel.data)).extractall(own)
    metadata = own / "one_file-1.0.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text().replace("one-file", "One.File"))
    start = f"sys.path.append({str(own)!r}); import beta, one_file"
    (file,) = run_cells(machine, project.folder, start, "storectl.activate(); import beta; show(beta.__file__)")
    assert file == str(own / "beta" / "__init__.py")
    record = own / "beta-1.0.dist-info" / "RECORD"
    record.write_text(record.read_text().replace("beta/__init__.py,sha256=", "beta/__init__.py,sha256=0"))
    (problem,) = run_cells(machine, project.folder, start, ERROR.format("storectl.activate()"))
    assert problem[1] == f"beta 1.0 is loaded from {own}, not from the environment"


def test_what_comes_earlier_on_the_path_is_no_conflict(machine: Machine, index: LoopbackIndex, tmp_path: Path) -> None:
    project = Project(tmp_path / "project", index)
    folder = project.lock(
        make_wheel("mine"), make_wheel("dataclasses", files={"dataclasses.py": ""}), make_wheel("onpath")
    )
    (folder / "mine.py").write_text("")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "onpath.py").write_text("")
    (files,) = run_cells(
        machine,
        folder,
        "import mine, onpath, dataclasses; storectl.activate()",
        "import importlib; show([importlib.reload(m).__file__ for m in (mine, onpath, dataclasses)])",
        PYTHONPATH=str(tmp_path / "more"),
    )
    assert files[:2] == [str(folder / "mine.py"), str(tmp_path / "more" / "onpath.py")]
    assert "site-packages" not in files[2]


def test_in_an_environment_of_the_same_project_nothing_is_changed(machine: Machine, project: Project) -> None:
    code = code_of(
        "before = [*sys.path], dict(os.environ); made = storectl.activate()",
        "show([before == ([*sys.path], dict(os.environ)), made.path == sys.prefix])",
        python="another",
    )
    done = execute(machine, ["storectl", "run", "-c", code], project.folder)
    assert (done.stdout, done.stderr) == ("[true, true]\n", "")


def test_in_an_environment_of_another_project_it_is_replaced(
    machine: Machine, project: Project, index: LoopbackIndex, tmp_path: Path
) -> None:
    other = write_project(tmp_path / "other", index, [GAMMA])
    code = code_of(
        "import importlib.util",
        f"storectl.activate({str(other)!r}); import gamma",
        "show([gamma.__version__, importlib.util.find_spec('beta'), sys.prefix in os.environ['PATH']])",
        python="another",
    )
    done = execute(machine, ["storectl", "run", "-c", code], project.folder)
    assert (done.stdout, done.stderr) == ('["3.0", null, false]\n', "")


def test_local_code_comes_right_behind_the_environment_and_goes_with_it(
    machine: Machine, project: Project, index: LoopbackIndex, tmp_path: Path
) -> None:
    folder = project.lock(BETA)
    lock = (folder / "uv.lock").read_text().replace('{ virtual = "." }', '{ editable = "." }')
    (folder / "uv.lock").write_text(lock)
    pyproject = (folder / "pyproject.toml").read_text().partition("[tool.uv]")[0]
    (folder / "pyproject.toml").write_text(
        f'{pyproject}\n[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
    )
    (folder / "src" / "project").mkdir(parents=True)
    (folder / "src" / "project" / "__init__.py").write_text("")
    other = write_project(tmp_path / "other", index, [GAMMA])
    place, file, left = run_cells(
        machine,
        tmp_path,
        f"made = storectl.activate({str(folder)!r}); import project",
        "show(sys.path[sys.path.index(made.site_packages) + 1])",
        "show(project.__file__)",
        f"storectl.activate({str(other)!r}); show([p for p in sys.path if 'src' in p and {str(folder)!r} in p])",
    )
    assert place == str(folder / "src")
    assert file == str(folder / "src" / "project" / "__init__.py")
    assert left == []


def test_nothing_but_the_standard_library_and_storectl_itself_is_loaded(machine: Machine, project: Project) -> None:
    (loaded,) = run_cells(
        machine,
        project.folder,
        "storectl.activate()",
        f"show([name for name, m in sys.modules.items() if {SITE_PACKAGES!r} in (getattr(m, '__file__', '') or '')])",
    )
    (ours,) = run_cells(machine, project.folder, "storectl.activate(); show(sorted(sys.modules))")
    assert [name for name in loaded if not name.startswith("_") and not name.startswith("storectl")] == []
    assert {name for name in ours if name.startswith("storectl")} == {
        "storectl",
        "storectl_shim",
        "storectl_shim._storectl",
        "storectl_shim.activation",
        "storectl_shim.activation_errors",
        "storectl_shim.asked",
        "storectl_shim.conflicts",
        "storectl_shim.environment",
        "storectl_shim.leases",
        "storectl_shim.locations",
        "storectl_shim.project_record",
        "storectl_shim.requirements_files",
        "storectl_shim.trust",
    }


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks at open files in /proc")
def test_an_environment_is_held_once_however_often_it_is_activated(machine: Machine, project: Project) -> None:
    ends = "[os.readlink(path) for path in glob.glob('/proc/self/fd/*') if os.path.exists(path)]"
    path, again, held = run_cells(
        machine,
        project.folder,
        "import glob, os; show(storectl.environment().path)",
        "show([storectl.activate().path for _ in range(3)])",
        f"show([path for path in {ends} if path.endswith('/pyvenv.cfg')])",
    )
    assert again == [path] * 3
    assert held == [f"{path}/pyvenv.cfg"]


def test_an_environment_says_what_it_offers_and_changes_nothing(machine: Machine, project: Project) -> None:
    scripts, modules, same = run_cells(
        machine,
        project.folder,
        "before = [*sys.path]; made = storectl.environment(python=sys.executable)",
        "show([made.scripts, made.python, made.lock_file, made.project])",
        "show({name: os.path.relpath(file, made.site_packages) for name, file in made.import_map.items()})",
        "show([before == sys.path, made == storectl.environment('pyproject.toml', python=sys.executable)])",
    )
    assert list(scripts[0]) == ["alpha-cli"]
    assert os.access(scripts[0]["alpha-cli"], os.X_OK)
    assert os.access(scripts[1], os.X_OK)
    assert scripts[2:] == [str(project.folder / "uv.lock"), str(project.folder)]
    assert modules == {
        "alpha": "alpha/__init__.py",
        "alpha.core": "alpha/core.py",
        "alpha.main": "alpha/main.py",
        "alpha_extra": "alpha_extra.py",
        "beta": "beta/__init__.py",
    }
    assert same == [True, True]


def test_the_notebooks_folder_goes_before_the_current_one(machine: Machine, project: Project, tmp_path: Path) -> None:
    notebook = project.folder / "analysis" / "plots.ipynb"
    notebook.parent.mkdir()
    notebook.write_text("{}")
    by_jupyter = run_cells(machine, tmp_path, "show(storectl.activate().project)", JPY_SESSION_NAME=str(notebook))
    by_code = run_cells(machine, tmp_path, f"__vsc_ipynb_file__ = {str(notebook)!r}\nshow(storectl.activate().project)")
    assert by_jupyter == by_code == [str(project.folder)]


def test_what_the_daemon_says_of_a_lock_file_reaches_the_caller(machine: Machine, project: Project) -> None:
    (project.folder / "uv.lock").write_text("version = [\n")
    ((code, message, hint),) = run_cells(machine, project.folder, ERROR.format("storectl.activate()"))
    assert code.startswith("E_LOCK")
    assert "uv.lock" in message
    assert hint is None or hint


def test_a_folder_without_a_lock_file_is_told_as_such(machine: Machine, tmp_path: Path) -> None:
    ((code, message, hint),) = run_cells(machine, tmp_path, ERROR.format("storectl.activate()"))
    assert code == "E_NO_LOCK"
    assert str(tmp_path) in message
    assert "uv lock" in hint


def test_another_interpreter_cannot_be_asked_for(machine: Machine, project: Project) -> None:
    cells = (
        ERROR.format("storectl.activate(python='2.7')"),
        "storectl.activate(python='%d.%d' % sys.version_info[:2])",
    )
    ((code, message, _),) = run_cells(machine, project.folder, *cells)
    assert code == "E_INTERPRETER"
    assert "not 2.7" in message


@pytest.mark.skipif(pyenv_python("3.12") is None, reason="needs another interpreter")
def test_the_import_map_of_another_interpreters_environment_is_refused(machine: Machine, project: Project) -> None:
    other = pyenv_python("3.12")
    ((code, _, _),) = run_cells(
        machine, project.folder, ERROR.format(f"storectl.environment(python={other!r}).import_map")
    )
    assert code == "E_INTERPRETER"


def test_a_broken_import_map_stops_the_activation(machine: Machine, index: LoopbackIndex, tmp_path: Path) -> None:
    folder = write_project(tmp_path / "project", index, [make_wheel("solitary", "1.0")])
    made = Path(machine.json("warm", folder, "--json", "-p", base_python())["path"])
    made.chmod(0o755)
    (made / "import-map").chmod(0o644)
    (made / "import-map").write_bytes(b"storectl import map 1 nothing\n")
    done = execute(machine, [sys.executable, "-c", code_of(ERROR.format("storectl.activate()"))], folder)
    assert "E_IMPORT_MAP" in done.stdout, done.stderr


VERSIONS = "import importlib.metadata as m; show(sorted(d.metadata['Name'] + '==' + d.version for d in m.distributions(path=[made.site_packages])))"


@pytest.fixture
def bare(index: LoopbackIndex, tmp_path: Path) -> Path:
    """A folder without a project, and an index with two packages in two versions."""
    index.add(ALPHA, NEWER_ALPHA, BETA, make_wheel("needy", "1.0", requires_dist=("beta",)))
    return tmp_path


@pytest.mark.parametrize("python", kernels())
def test_requirements_are_locked_once_for_this_interpreter(
    machine: Machine, index: LoopbackIndex, bare: Path, python: str
) -> None:
    cells = ('made = storectl.activate("alpha<2", "needy")', "import alpha, needy; show(alpha.value)", VERSIONS)
    locked = [42, ["alpha==1.0", "beta==1.0", "needy==1.0"]]
    assert run_cells(machine, bare, *cells, python=python, UV_DEFAULT_INDEX=index.url) == locked
    index.add(make_wheel("alpha", "1.5"))
    assert run_cells(machine, bare, *cells, python=python, UV_DEFAULT_INDEX="http://127.0.0.1:9/simple") == locked
    del index.wheels["alpha-1.5-py3-none-any.whl"]


def test_versions_stay_when_something_is_added_later(machine: Machine, index: LoopbackIndex, bare: Path) -> None:
    cells = (
        'made = storectl.activate("needy")',
        "import needy, beta; show(beta.__version__)",
        "sys.stdout.flush(); input()",
        'made = storectl.activate("alpha")',
        "import alpha; show([alpha.value, beta.__version__])",
        VERSIONS,
        'show(storectl.activate("alpha").path == made.path)',
    )
    newer = make_wheel("beta", "9.0")
    command = [sys.executable, "-c", code_of(*cells)]
    environ = {"UV_DEFAULT_INDEX": index.url}
    shown = _with_input_between(machine, command, bare, lambda: index.add(newer), environ)
    del index.wheels[newer.filename]
    assert shown == ["1.0", [43, "1.0"], ["alpha==2.0", "beta==1.0", "needy==1.0"], True]


def test_what_is_loaded_in_another_version_is_a_conflict(machine: Machine, index: LoopbackIndex, bare: Path) -> None:
    answers = run_cells(
        machine,
        bare,
        'made = storectl.activate("alpha==1.0")',
        "import alpha",
        ERROR.format('storectl.activate("alpha==2.0")'),
        VERSIONS,
        UV_DEFAULT_INDEX=index.url,
    )
    (code, message, _), versions = answers
    assert (code, message) == ("E_CONFLICT", "alpha 1.0 is loaded, the lock file has 2.0")
    assert versions == ["alpha==1.0"]


def test_requirements_come_on_top_of_the_project_that_is_active(
    machine: Machine, index: LoopbackIndex, project: Project, bare: Path
) -> None:
    answers = run_cells(
        machine,
        project.folder,
        "storectl.activate()",
        'made = storectl.activate("needy")',
        VERSIONS,
        f"made = storectl.activate('needy', project={str(project.folder)!r})",
        VERSIONS,
        UV_DEFAULT_INDEX=index.url,
    )
    assert answers == [["alpha==1.0", "beta==1.0", "needy==1.0"]] * 2


def test_what_cannot_be_locked_is_an_error_and_changes_nothing(
    machine: Machine, index: LoopbackIndex, bare: Path
) -> None:
    cells = ("show(list(sys.path))", ERROR.format('storectl.activate("nowhere-at-all")'), "show(sys.path)")
    done = execute(machine, [sys.executable, "-c", code_of(*cells)], bare, UV_DEFAULT_INDEX=index.url)
    before, (code, message, hint), after = map(json.loads, done.stdout.splitlines())
    assert (code, message, hint) == ("E_REQUIREMENTS", "uv cannot lock nowhere-at-all", "what it says is above")
    assert before == after
    assert "nowhere-at-all" in done.stderr


def test_one_path_is_a_project_and_everything_else_a_requirement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").mkdir()
    (tmp_path / "numpy").mkdir()
    (tmp_path / "demo" / "uv.lock").touch()
    (tmp_path / "notebook.ipynb").touch()
    for place in (".", "..", "./numpy", "demo", "notebook.ipynb", tmp_path):
        assert place_and_requirements([place], None) == (place, ())
    for text in ("numpy", "numpy>=1.21", "x @ git+https://host/x", "git+https://host/x", "./x-1.0-py3-none-any.whl"):
        assert place_and_requirements([text], "demo") == ("demo", (text,))
    with pytest.raises(TypeError, match="one project, or requirements"):
        place_and_requirements(["demo", "numpy"], None)
    with pytest.raises(TypeError, match="one project, or requirements"):
        place_and_requirements(["demo"], "other")


def _with_input_between(
    machine: Machine, command: list[str], folder: Path, between: Callable[[], None], variables: dict[str, str]
) -> list[object]:
    """What the cells show; ``between`` is called before they get their line of input."""
    process = subprocess.Popen(
        command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=machine.environ | {"PATH": f"{STORECTL.parent}:{machine.environ['PATH']}"} | variables,
    )  # fmt: skip
    assert process.stdout is not None
    first = process.stdout.readline()
    between()
    rest, _ = process.communicate("go on\n", timeout=120)
    return [json.loads(line) for line in [first, *rest.splitlines()]]
