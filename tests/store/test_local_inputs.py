"""What the editable wheel of a local project is made from: every change of it is seen, and no change of anything else."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from storectl_store.errors import EnvironmentBuildError, MissingProjectError
from storectl_store.projects.git_refs import git_folder, git_state, index_lock
from storectl_store.projects.local_inputs import LocalInputs, local_inputs
from support.project import git

HATCHLING = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
SETUPTOOLS = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
PROJECT = '[project]\nname = "sample"\nversion = "1"\n'


class Project:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def write(self, name: str, text: str = "") -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    @property
    def inputs(self) -> LocalInputs:
        return local_inputs(self.folder)

    def watches(self, name: str) -> str | None:
        return self.inputs.watched.get(self.folder / name)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "project")


def test_a_project_is_made_from_its_table_and_what_its_backend_looks_for(project: Project) -> None:
    project.write("pyproject.toml", PROJECT + HATCHLING)
    assert project.inputs.watched == {
        project.folder / "pyproject.toml": "file",
        project.folder / "hatch_build.py": "file",
        project.folder / "src": "place",
    }


def test_a_backend_that_nobody_knows_may_look_for_anything(project: Project) -> None:
    project.write("pyproject.toml", PROJECT + '[build-system]\nrequires = ["maturin"]\nbuild-backend = "maturin"\n')
    assert {"setup.py", "Cargo.toml", "CMakeLists.txt"} <= {path.name for path in project.inputs.files}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (HATCHLING + '[tool.hatch.version]\npath = "sample/v.py"\n', "sample/v.py"),
        (HATCHLING + '[tool.hatch.metadata.hooks.requirements_txt]\nfiles = ["in.txt"]\n', "in.txt"),
        (HATCHLING + '[tool.hatch.build.targets.wheel.hooks.custom]\npath = "hook.py"\n', "hook.py"),
        (SETUPTOOLS + '[tool.setuptools.dynamic]\nversion = { file = "VERSION" }\n', "VERSION"),
        (SETUPTOOLS + '[tool.setuptools.dynamic]\nversion = { attr = "sample.v.V" }\n', "sample/v.py"),
        (SETUPTOOLS + '[tool.setuptools.dynamic]\nversion = { attr = "sample.V" }\n', "src/sample/__init__.py"),
        (SETUPTOOLS + '[tool.setuptools.dynamic.optional-dependencies]\nx = { file = ["x.txt"] }\n', "x.txt"),
        ('[tool.pdm.version]\nsource = "file"\npath = "sample/v.py"\n', "sample/v.py"),
        ('[tool.poetry.build]\nscript = "make.py"\n', "make.py"),
        ('[build-system]\nrequires = []\nbuild-backend = "be:x"\nbackend-path = ["tools"]\n', "tools/be.py"),
        ('[build-system]\nrequires = ["flit_core"]\nbuild-backend = "flit_core.buildapi"\n', "src/sample/__init__.py"),
    ],
)
def test_a_file_that_a_field_is_read_from_is_one_of_them(project: Project, text: str, name: str) -> None:
    project.write("pyproject.toml", '[project]\nname = "sample"\ndynamic = ["version"]\n' + text)
    project.write(name, "one")
    before = project.inputs.contents()
    assert project.watches(name) == "file"
    project.write(name, "two")
    assert project.inputs.contents() != before


@pytest.mark.parametrize(
    "text",
    ["version = file: VERSION", "version = attr: VERSION.V", "description = x\nlong_description = file: a, VERSION"],
)
def test_a_file_that_setup_cfg_names_is_one_of_them(project: Project, text: str) -> None:
    project.write("setup.py", "import setuptools; setuptools.setup()")
    project.write("setup.cfg", f"[metadata]\n{text}\n")
    project.write("VERSION" if "attr" not in text else "VERSION.py", "1")
    assert project.watches("VERSION" if "attr" not in text else "VERSION.py") == "file"


def test_a_readme_and_licences_count_if_storectl_writes_the_metadata(project: Project) -> None:
    text = PROJECT + 'readme = "README.md"\nlicense-files = ["LICEN*"]\n'
    project.write("LICENSE")
    project.write("pyproject.toml", text + HATCHLING)
    assert project.watches("README.md") == project.watches("LICENSE") == "file"
    project.write("pyproject.toml", text + '[build-system]\nrequires = ["maturin"]\nbuild-backend = "maturin"\n')
    assert project.watches("README.md") is None


def with_keys(project: Project, keys: str) -> None:
    project.write("pyproject.toml", f"{PROJECT}{HATCHLING}[tool.uv]\ncache-keys = [{keys}]\n")


@pytest.mark.parametrize(
    ("keys", "change"),
    [
        ('{ file = "native/*.c" }', lambda p: p.write("native/new.c")),
        ('{ file = "native/*.c" }', lambda p: p.write("native/deep/new.c")),
        ('{ file = "native/*.c" }', lambda p: p.write("native/old.c", "two")),
        ('{ file = "native/*.c" }', lambda p: (p.folder / "native" / "old.c").unlink()),
        ('{ file = "**/*.{c,h}" }', lambda p: p.write("include/new.h")),
        ('"VERSION"', lambda p: p.write("VERSION")),
        ('{ file = "../outside.txt" }', lambda p: p.write("../outside.txt")),
        ('{ file = "native" }', lambda p: p.write("native/other.txt")),
        ('{ dir = "made" }', lambda p: (p.folder / "made").mkdir()),
    ],
)
def test_what_cache_keys_name_counts(project: Project, keys: str, change: Callable[[Project], None]) -> None:
    with_keys(project, keys)
    project.write("native/old.c", "one")
    before = project.inputs
    contents = before.contents()
    change(project)
    assert project.inputs.contents() != contents


def test_folders_that_a_pattern_was_looked_for_in_are_watched_for_new_names(project: Project) -> None:
    with_keys(project, '{ file = "native/**/*.c" }')
    project.write("native/deep/old.c")
    project.write("native/.git/x")
    project.write("native/venv/pyvenv.cfg")
    project.write("native/__pycache__/x.pyc")
    listed = {path.relative_to(project.folder).as_posix() for path in project.inputs.listed}
    assert listed == {"native", "native/deep"}


def test_a_name_that_matches_nothing_changes_no_build(project: Project) -> None:
    with_keys(project, '{ file = "native/*.c" }, { dir = "native" }')
    project.write("native/old.c")
    before = project.inputs.contents()
    project.write("native/notes.txt")
    project.write("other.c")
    assert project.inputs.contents() == before


def test_a_pattern_that_stands_for_half_the_disk_is_refused_by_name(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storectl_store.projects.local_inputs._MOST_FOUND", 3)
    with_keys(project, '{ file = "**/*.c" }')
    for number in range(4):
        project.write(f"{number}.c")
    with pytest.raises(EnvironmentBuildError, match=r"cache-keys.*\*\*/\*\.c"):
        _ = project.inputs


def test_variables_of_cache_keys_are_named(project: Project) -> None:
    with_keys(project, '{ env = "CFLAGS" }')
    assert project.inputs.variables == ("CFLAGS",)


@pytest.fixture
def checkout(project: Project) -> Project:
    with_keys(project, "{ git = { commit = true, tags = true } }")
    git(project.folder, "init", "-q")
    commit(project.folder, "first")
    return project


def commit(folder: Path, text: str) -> None:
    (folder / "notes.txt").write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", text)


@pytest.mark.parametrize("change", [lambda f: commit(f, "second"), lambda f: git(f, "tag", "v1")])
def test_the_commit_and_the_tags_count_if_cache_keys_say_so(checkout: Project, change: Callable[[Path], None]) -> None:
    before = checkout.inputs.git
    change(checkout.folder)
    assert checkout.inputs.git != before


def test_packing_refs_changes_nothing(checkout: Project) -> None:
    git(checkout.folder, "tag", "-a", "v1", "-m", "one")
    before = checkout.inputs.git
    git(checkout.folder, "pack-refs", "--all")
    assert checkout.inputs.git == before
    assert git(checkout.folder, "rev-parse", "HEAD").strip() in before


def test_a_worktree_has_the_commit_of_its_own(checkout: Project) -> None:
    tree = checkout.folder.parent / "tree"
    git(checkout.folder, "worktree", "add", "-q", str(tree))
    before = git_state(tree, commit=True, tags=False).text
    assert git(tree, "rev-parse", "HEAD").strip() in before
    commit(tree, "second")
    assert git_state(tree, commit=True, tags=False).text != before
    assert checkout.inputs.git.split("\n")[0] == before


def test_git_cannot_change_the_checkout_while_its_index_is_locked(checkout: Project) -> None:
    lock = index_lock(checkout.folder)
    assert lock is not None
    lock.touch()
    with pytest.raises(subprocess.CalledProcessError):
        commit(checkout.folder, "second")


@pytest.mark.parametrize("target", ["x" * 5000, "\0", "/root-only/x", ""])
def test_a_git_file_that_leads_nowhere_is_no_checkout(tmp_path: Path, target: str) -> None:
    (tmp_path / ".git").write_text(f"gitdir: {target}\n")
    assert git_folder(tmp_path) is None


def test_a_folder_without_a_project_has_no_digest(project: Project) -> None:
    with pytest.raises(MissingProjectError, match=r"neither a pyproject\.toml nor a setup\.py"):
        project.inputs.contents()
    project.write("setup.py")
    assert project.inputs.contents().startswith("sha256:")
