"""What a tool's configuration says of builds: read as that tool reads it, or refused by its name."""

import tomllib
from pathlib import Path

import pytest
from packaging.utils import NormalizedName

from storectl_daemon.building.build_options import BuildOptions, BuildOptionsError
from storectl_daemon.building.failure import BuildFailedError
from storectl_daemon.building.project_options import build_options_of
from storectl_daemon.building.recipe import PLAIN, Recipe
from storectl_daemon.building.uv_sources import sourced
from storectl_store.selection.pin import LocalProject
from storectl_store.selection.reading import read_lock_file

DEMO = NormalizedName("demo")
LOCKS = {
    "uv.lock": "version = 1\n",
    "poetry.lock": "package = []\n",
    "pdm.lock": "[metadata]\n",
    "requirements.txt": "",
}


def options(folder: Path, lock: str = "uv.lock", pyproject: str = "", **variables: str) -> BuildOptions:
    (folder / lock).write_text(LOCKS[lock])
    if pyproject:
        (folder / "pyproject.toml").write_text(pyproject)
    environ = {"HOME": str(folder / "home"), "XDG_CONFIG_DIRS": str(folder / "etc"), **variables}
    return build_options_of(read_lock_file(folder / lock, variables=environ), environ)


def recipe(folder: Path, *given: str, **variables: str) -> Recipe:
    return recipe_in(options(folder, *given, **variables))


def recipe_in(found: BuildOptions) -> Recipe:
    return found.recipe_of(LocalProject(name=DEMO, path="/demo", kind="path", packaged=True), {})


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_without_configuration_a_recipe_says_nothing(tmp_path: Path) -> None:
    for lock in ("pdm.lock", "requirements.txt"):
        assert recipe(tmp_path, lock) == PLAIN
    assert PLAIN.digest == ""


def test_a_recipe_is_what_it_was_behind_json() -> None:
    made = Recipe(constraints=("a<2",), requires=("b",), variables={"C": "1"}, config_settings={"d": ["1", "2"]})
    assert Recipe.decode(made.encode()) == made
    assert made.digest != Recipe(constraints=("a<3",)).digest


def test_lists_and_tables_of_all_files_of_uv_count_together(tmp_path: Path) -> None:
    user = 'config-settings = { a = "user", b = "user" }\n[extra-build-dependencies]\ndemo = ["of-user"]\n'
    put(tmp_path / "home/.config/uv/uv.toml", user)
    text = (
        '[tool.uv]\nbuild-constraint-dependencies = ["x<2"]\nconfig-settings = { a = "own" }\n'
        'config-settings-package = { demo = { a = "demo" } }\nextra-build-variables = { demo = { V = "1" } }\n'
        'extra-build-dependencies = { demo = ["of-project"] }\n'
    )
    made = recipe(tmp_path, "uv.lock", text)
    assert made.config_settings == {"a": ["demo", "own", "user"], "b": "user"}
    assert made.requires == ("of-project", "of-user")
    assert (made.constraints, made.variables) == (("x<2",), {"V": "1"})


def test_beside_a_uv_toml_only_constraints_are_taken_from_the_pyproject(tmp_path: Path) -> None:
    put(tmp_path / "uv.toml", 'config-settings = { a = "toml" }\nbuild-constraint-dependencies = ["y"]\n')
    text = '[tool.uv]\nbuild-constraint-dependencies = ["x<2"]\nconfig-settings = { a = "pyproject" }\n'
    made = recipe(tmp_path, "uv.lock", text)
    assert (made.config_settings, made.constraints) == ({"a": "toml"}, ("x<2",))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("config-settings = { a = 1 }", "`config-settings`: the value of `a`"),
        ("extra-build-variables = { demo = { V = 1 } }", "`extra-build-variables`: the value of `V`"),
        ('extra-build-dependencies = { demo = ["=="] }', "is no requirement"),
        (
            'extra-build-dependencies = { demo = [{ requirement = "a>1", match-runtime = true }] }',
            "`match-runtime` takes a name without a version",
        ),
    ],
)
def test_an_odd_value_of_uv_is_named(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(BuildOptionsError) as caught:
        options(tmp_path, "uv.lock", f"[tool.uv]\n{line}\n")
    assert said in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("lock", "pyproject", "variables"),
    [
        ("uv.lock", "", {"UV_NO_BUILD_ISOLATION": "1"}),
        ("uv.lock", '[tool.uv]\nno-build-isolation-package = ["Demo"]\n', {}),
        ("pdm.lock", "", {"PDM_BUILD_ISOLATION": "0"}),
        ("requirements.txt", "", {"PIP_NO_BUILD_ISOLATION": "0"}),
    ],
)
def test_each_tool_has_a_way_to_build_without_isolation(
    tmp_path: Path, lock: str, pyproject: str, variables: dict[str, str]
) -> None:
    assert DEMO not in options(tmp_path, lock).unisolated
    assert DEMO in options(tmp_path, lock, pyproject, **variables).unisolated


def test_pip_has_constraints_for_builds(tmp_path: Path) -> None:
    put(tmp_path / "build.txt", "# for builds\nsetuptools<75  # older\n\nwheel==0.40\n")
    conf = tmp_path / "home/.config/pip/pip.conf"
    put(conf, "[install]\nbuild-constraint = build.txt\nconfig-settings = a=1\n")
    found = options(tmp_path, "requirements.txt")
    made = recipe_in(found)
    assert (made.constraints, made.config_settings) == (("setuptools<75", "wheel==0.40"), {"a": "1"})
    assert {conf, tmp_path / "build.txt"} <= set(found.files)
    (tmp_path / "build.txt").unlink()
    with pytest.raises(BuildOptionsError, match=r"build\.txt: the file of `build-constraint`"):
        options(tmp_path, "requirements.txt")


def test_poetry_has_constraints_for_the_builds_of_one_project(tmp_path: Path) -> None:
    text = '[tool.poetry.build-constraints]\nDemo = { setuptools = "^70.1", cython = { version = "<3" } }\nother = { a = "*" }\n'
    made = recipe(tmp_path, "poetry.lock", text)
    assert made.default_backend == "poetry"
    assert [constraint.split("<")[0] for constraint in made.constraints] == ["setuptools", "cython"]
    assert "cython<3" in made.constraints
    assert ">=70.1" in made.constraints[0]


def test_what_poetry_says_that_pip_cannot_is_refused(tmp_path: Path) -> None:
    text = '[tool.poetry.build-constraints]\ndemo = { setuptools = "<70 || >=75" }\n'
    with pytest.raises(BuildOptionsError, match="`setuptools` cannot be taken as one range"):
        options(tmp_path, "poetry.lock", text)


def test_the_nearest_of_poetrys_settings_for_a_build_counts(tmp_path: Path) -> None:
    table = '[installer.build-config-settings.demo]\na = "{}"\n'
    put(tmp_path / "home/.config/pypoetry/config.toml", table.format("user"))
    assert recipe(tmp_path, "poetry.lock").config_settings == {"a": "user"}
    put(tmp_path / "poetry.toml", table.format("project"))
    assert recipe(tmp_path, "poetry.lock").config_settings == {"a": "project"}
    variables = {"POETRY_INSTALLER_BUILD_CONFIG_SETTINGS_DEMO": '{"a": "variable"}'}
    assert recipe(tmp_path, "poetry.lock", **variables).config_settings == {"a": "variable"}
    with pytest.raises(BuildOptionsError, match="is no JSON"):
        recipe(tmp_path, "poetry.lock", POETRY_INSTALLER_BUILD_CONFIG_SETTINGS_DEMO="a=1")


SOURCES = """
[tool.uv.sources]
tool = { path = "../tool.whl" }
Addressed = { url = "https://host/a-1.tar.gz", subdirectory = "b" }
cloned = { git = "https://host/c", tag = "v1" }
elsewhere = { index = "corp" }
conditional = [{ path = "a", marker = "sys_platform == 'linux'" }]
"""


@pytest.mark.parametrize(
    ("requirement", "sourced_as"),
    [
        ("plain>=1", "plain>=1"),
        ("tool[x]>=1 ; python_version > '3'", 'tool[x] @ file:///work/tool.whl ; python_version > "3"'),
        ("addressed", "addressed @ https://host/a-1.tar.gz#subdirectory=b"),
        ("cloned<2", "cloned @ git+https://host/c@v1"),
        ("tool @ https://other/tool.whl", "tool @ https://other/tool.whl"),
    ],
)
def test_uv_takes_build_requirements_from_their_sources(requirement: str, sourced_as: str) -> None:
    assert sourced([requirement], tomllib.loads(SOURCES), Path("/work/demo")) == [sourced_as]


@pytest.mark.parametrize("requirement", ["elsewhere", "conditional"])
def test_a_source_that_pip_cannot_be_told_of_is_refused(requirement: str) -> None:
    with pytest.raises(BuildFailedError, match=f"`{requirement}` has a source"):
        sourced([requirement], tomllib.loads(SOURCES), Path("/work/demo"))
