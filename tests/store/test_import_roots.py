"""Import roots of local projects."""

from pathlib import Path

import pytest
from packaging.utils import NormalizedName

from storectl_store.errors import EnvironmentBuildError
from storectl_store.projects.import_roots import import_roots
from storectl_store.selection.pin import LocalProject


def project(folder: Path, pyproject: str = "", *files: str, packaged: bool = True) -> LocalProject:
    folder.mkdir(exist_ok=True)
    (folder / "pyproject.toml").write_text(pyproject)
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    return LocalProject(name=NormalizedName("app"), path=str(folder), kind="root", packaged=packaged)


def roots(folder: Path, pyproject: str = "", *files: str) -> list[str]:
    """The import roots, relative to the project."""
    return [str(Path(root).relative_to(folder)) for root in import_roots(project(folder, pyproject, *files))]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["src/app/__init__.py"], "src"),
        (["src/app.py"], "src"),
        (["src/company/team/app/__init__.py"], "src"),
        (["app/__init__.py"], "."),
        (["src/main.c", "src/data-files/x.py", "app.py"], "."),
        (["src/app.egg-info/PKG-INFO", "app.py"], "."),
        (["src/__init__.py"], "."),
        ([], "."),
    ],
)
def test_without_settings_it_is_src_where_that_holds_code(tmp_path: Path, files: list[str], expected: str) -> None:
    assert roots(tmp_path, "", *files) == [expected]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ('[tool.setuptools.packages.find]\nwhere = ["lib", "more"]', ["lib", "more"]),
        ('[tool.setuptools]\npackage-dir = {"" = "lib"}', ["lib"]),
        ('[tool.setuptools]\npackage-dir = {"a.b" = "lib/a/b"}', ["lib"]),
        ('[tool.hatch.build.targets.wheel]\npackages = ["lib/app", "more/app", "lib/b"]', ["lib", "more"]),
        ('[tool.hatch.build.targets.wheel]\npackages = ["app"]', ["."]),
        ('[tool.hatch.build.targets.wheel]\nsources = ["lib"]', ["lib"]),
        ('[tool.hatch.build.targets.wheel.sources]\n"lib/app" = "app"', ["lib"]),
        (
            '[tool.hatch.build]\ndev-mode-dirs = ["lib"]\n[tool.hatch.build.targets.wheel]\npackages = ["more/app"]',
            ["lib"],
        ),
        ('[tool.poetry]\npackages = [{include = "app", from = "lib"}, {include = "b"}]', ["lib", "."]),
        ('[tool.uv.build-backend]\nmodule-root = "lib"', ["lib"]),
        ('[tool.uv.build-backend]\nmodule-root = ""', ["."]),
        ('[tool.pdm.build]\npackage-dir = "lib"', ["lib"]),
        ('[tool.maturin]\npython-source = "lib"', ["lib"]),
    ],
)
def test_settings_of_the_build_backend_are_honoured(tmp_path: Path, settings: str, expected: list[str]) -> None:
    files = ["lib/app/__init__.py", "more/app/x.py", "src/app/__init__.py", "app/__init__.py"]
    assert roots(tmp_path, settings, *files) == expected


@pytest.mark.parametrize(
    "settings",
    [
        "not toml",
        "tool = 3",
        "[tool]\nsetuptools = 1\npoetry = 2",
        "[tool.poetry]\npackages = [1]",
        '[tool.setuptools.packages.find]\nwhere = "src"',
        '[tool.setuptools.packages.find]\nwhere = ["nowhere"]',
        '[tool.setuptools]\npackage-dir = {"app" = "other/name"}',
    ],
)
def test_settings_that_say_nothing_usable_are_passed_over(tmp_path: Path, settings: str) -> None:
    assert roots(tmp_path, settings, "src/app/__init__.py") == ["src"]


def test_a_virtual_project_adds_nothing(tmp_path: Path) -> None:
    assert import_roots(project(tmp_path, "", "src/app.py", packaged=False)) == ()


@pytest.mark.parametrize("name", ["new\nline", "trailing "])
def test_a_folder_that_cannot_be_a_line_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(EnvironmentBuildError):
        import_roots(project(tmp_path / name))


def test_a_project_that_is_gone_is_refused(tmp_path: Path) -> None:
    gone = LocalProject(name=NormalizedName("app"), path=str(tmp_path / "gone"), kind="path", packaged=True)
    with pytest.raises(EnvironmentBuildError, match="gone"):
        import_roots(gone)
