"""no-binary and no-build in the words of each tool: which file of a package is taken, and what is refused by name."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from storectl_store.errors import FormatRefusedError
from storectl_store.selection.pin import Selection
from storectl_store.selection.reading import read_lock_file
from storectl_store.selection.select import select
from support.index import LoopbackIndex, serve_index
from support.sources import make_sdist, tiny_backend
from support.targets import make_target
from support.uv_projects import UvProject
from support.wheels import make_wheel

BOTH = (make_wheel("both"), make_sdist("both"))
WHEEL_ONLY = make_wheel("wheelonly")
SDIST_ONLY = make_sdist("sdistonly")
BACKEND = '[build-system]\nrequires = ["tiny-backend"]\nbuild-backend = "tiny_backend"\n'
HASH = "sha256:" + "0" * 64


@pytest.fixture(scope="module")
def index() -> Iterator[LoopbackIndex]:
    with serve_index(*BOTH, WHEEL_ONLY, SDIST_ONLY, tiny_backend()) as served:
        yield served


def kinds(selection: Selection) -> dict[str, str]:
    """What is taken of each package: a wheel, or a source distribution."""
    found: dict[str, str] = {pin.name: "wheel" for pin in selection.pins}
    return found | {str(pin.name): "sdist" for pin in selection.source_pins}


def uv_project(folder: Path, index: LoopbackIndex, needs: list[str], settings: str, **files: str) -> UvProject:
    """A project locked without the settings, which are written afterwards: they must not decide what is locked."""
    plain = f'[project]\nname = "root"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = {json.dumps(needs)}\n'
    project = UvProject(folder, index, {"pyproject.toml": plain, **files})
    with (folder / "pyproject.toml").open("a") as file:
        file.write(settings)
    return project


CASES: dict[str, tuple[list[str], str, dict[str, str], dict[str, str] | None]] = {
    "nothing said": (["both", "sdistonly", "wheelonly"], "", {}, {"both": "wheel", "wheelonly": "wheel", "sdistonly": "sdist"}),
    "no-binary": (["both"], "[tool.uv]\nno-binary = true\n", {}, {"both": "sdist"}),
    "no-binary-package": (["both", "wheelonly"], '[tool.uv]\nno-binary-package = ["Both"]\n', {}, {"both": "sdist", "wheelonly": "wheel"}),
    "no-binary without a source distribution": (["wheelonly"], "[tool.uv]\nno-binary = true\n", {}, None),
    "no-build": (["both"], "[tool.uv]\nno-build = true\n", {}, {"both": "wheel"}),
    "no-build of what has no wheel": (["sdistonly"], "[tool.uv]\nno-build = true\n", {}, None),
    "no-build-package of what has no wheel": (["sdistonly"], '[tool.uv]\nno-build-package = ["sdistonly"]\n', {}, None),
    "no-build-package of another": (["sdistonly"], '[tool.uv]\nno-build-package = ["both"]\n', {}, {"sdistonly": "sdist"}),
    "both of everything": (["both"], "[tool.uv]\nno-build = true\nno-binary = true\n", {}, None),
    "a name counts more than everything": (["both", "sdistonly"], '[tool.uv]\nno-build = true\nno-binary-package = ["both", "sdistonly"]\n', {}, {"both": "sdist", "sdistonly": "sdist"}),
    "a wheel by name beside no-binary": (["both"], '[tool.uv]\nno-binary = true\nno-build-package = ["both"]\n', {}, {"both": "wheel"}),
    "UV_NO_BINARY": (["both"], "", {"UV_NO_BINARY": "1"}, {"both": "sdist"}),
    "UV_NO_BINARY off": (["both"], "[tool.uv]\nno-binary = true\n", {"UV_NO_BINARY": "false"}, {"both": "wheel"}),
    "UV_NO_BINARY_PACKAGE": (["both", "wheelonly"], "", {"UV_NO_BINARY_PACKAGE": "x both"}, {"both": "sdist", "wheelonly": "wheel"}),
    "UV_NO_BUILD": (["sdistonly"], "", {"UV_NO_BUILD": "1"}, None),
    "UV_NO_BUILD_PACKAGE": (["sdistonly"], "", {"UV_NO_BUILD_PACKAGE": "sdistonly"}, None),
    "the project itself": (["both"], f"{BACKEND}[tool.uv]\nno-build = true\n", {}, {"both": "wheel"}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_uv_takes_and_refuses_the_same(tmp_path: Path, index: LoopbackIndex, case: str) -> None:
    needs, settings, variables, expected = CASES[case]
    project = uv_project(tmp_path, index, needs, settings)
    assert project.may_sync(variables) == (expected is not None)
    lock_file = read_lock_file(project.path, variables=variables)
    if expected is None:
        with pytest.raises(FormatRefusedError) as caught:
            select(lock_file, make_target("3.11.7"))
        assert any(word in caught.value.message for word in ("no-b", "UV_NO_B")), caught.value.message
    else:
        assert kinds(select(lock_file, make_target("3.11.7"))) == expected


@pytest.mark.parametrize(("editable", "allowed"), [("", True), ('no-build-package = ["lib"]\n', False)])
def test_a_path_dependency_is_built_only_if_uv_may(
    tmp_path: Path, index: LoopbackIndex, editable: str, *, allowed: bool
) -> None:
    files = {"lib/pyproject.toml": f'[project]\nname = "lib"\nversion = "1"\n{BACKEND}'}
    text = '[project]\nname = "root"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["lib"]\n'
    text += f'[tool.uv.sources]\nlib = {{ path = "lib" }}\n[tool.uv]\n{editable}'
    project = UvProject(tmp_path, index, {"pyproject.toml": text, **files})
    assert project.may_sync({}) == allowed
    if allowed:
        assert [local.name for local in select(project.lock_file, make_target("3.11.7")).local_projects] == [
            "lib",
            "root",
        ]
    else:
        with pytest.raises(
            FormatRefusedError, match="`lib` 1 is a folder, which has to be built; `no-build-package` of"
        ):
            select(project.lock_file, make_target("3.11.7"))


@pytest.mark.parametrize("name", ["uv.toml", ".config/uv/uv.toml"])
def test_a_uv_toml_is_a_setting_and_an_input(tmp_path: Path, index: LoopbackIndex, name: str) -> None:
    project = uv_project(tmp_path, index, ["sdistonly"], "[tool.uv]\nno-build = false\n" if name == "uv.toml" else "")
    before = read_lock_file(project.path, variables={"HOME": str(tmp_path)})
    assert str(tmp_path / name) in before.absent
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("no-build = true\n")
    variables = {"HOME": str(tmp_path)}
    assert not project.may_sync({})
    lock_file = read_lock_file(project.path, variables=variables)
    assert str(tmp_path / name) in lock_file.included
    assert lock_file.digest != before.digest
    with pytest.raises(FormatRefusedError, match=r"`no-build` of .*uv\.toml"):
        select(lock_file, make_target("3.11.7"))
    unread = read_lock_file(project.path, variables={**variables, "UV_NO_CONFIG": "1"})
    assert (str(tmp_path / name) in unread.included) == (name == "uv.toml")


def test_what_decides_a_selection_is_part_of_its_digest(tmp_path: Path, index: LoopbackIndex) -> None:
    project = uv_project(tmp_path, index, ["both"], "")
    plain = read_lock_file(project.path, variables={"OTHER": "1"})
    assert plain.digest == project.lock_file.digest
    assert read_lock_file(project.path, variables={"UV_NO_BINARY": "1"}).digest != plain.digest


POETRY = """\
[metadata]
lock-version = "2.1"
python-versions = ">=3.11"
content-hash = "x"

[[package]]
name = "demo"
version = "1.0"
description = ""
optional = false
python-versions = "*"
groups = ["main"]
files = [{ file = "demo-1.0-py3-none-any.whl", hash = "HASH" }, { file = "demo-1.0.tar.gz", hash = "HASH" }]
""".replace("HASH", HASH)
PDM = """\
[metadata]
groups = ["default"]
strategy = ["inherit_metadata", "static_urls"]
lock_version = "4.5.0"

[[package]]
name = "demo"
version = "1.0"
groups = ["default"]
files = [
    { url = "http://127.0.0.1:9/demo-1.0-py3-none-any.whl", hash = "HASH" },
    { url = "http://127.0.0.1:9/demo-1.0.tar.gz", hash = "HASH" },
]
""".replace("HASH", HASH)


@pytest.mark.parametrize(
    ("file", "text", "variables", "formats"),
    [
        ("poetry.toml", "", {}, {"wheel", "sdist"}),
        ("poetry.toml", '[installer]\nno-binary = ["Demo"]\n', {}, {"sdist"}),
        ("poetry.toml", "[installer]\nonly-binary = true\n", {}, {"wheel"}),
        ("poetry.toml", '[installer]\nno-binary = ":all:"\nonly-binary = "demo"\n', {}, {"wheel"}),
        (".config/pypoetry/config.toml", '[installer]\nno-binary = ["demo"]\n', {}, {"sdist"}),
        ("poetry.toml", '[installer]\nno-binary = ["demo"]\n', {"POETRY_INSTALLER_NO_BINARY": ":none:"}, {"wheel", "sdist"}),
        ("poetry.toml", "", {"POETRY_INSTALLER_ONLY_BINARY": "a,Demo"}, {"wheel"}),
    ],
)  # fmt: skip
def test_poetry_says_it_in_its_configuration(
    tmp_path: Path, file: str, text: str, variables: Mapping[str, str], formats: set[str]
) -> None:
    (tmp_path / "poetry.lock").write_text(POETRY)
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(text)
    lock_file = read_lock_file(tmp_path / "poetry.lock", variables={"HOME": str(tmp_path), **variables})
    (pin,) = select(lock_file, make_target()).index_pins
    assert pin.formats == formats
    assert bool(pin.settings) == (formats != {"wheel", "sdist"})


@pytest.mark.parametrize(
    ("settings", "variables", "kind"),
    [
        ("", {}, "wheel"),
        ('no-binary = ["demo"]', {}, "sdist"),
        ('no-binary = "other, demo"', {}, "sdist"),
        ("", {"PDM_NO_BINARY": ":all:"}, "sdist"),
        ('no-binary = [":all:"]', {"PDM_ONLY_BINARY": "demo"}, "wheel"),
    ],
)
def test_pdm_says_it_where_it_says_how_to_resolve(
    tmp_path: Path, settings: str, variables: Mapping[str, str], kind: str
) -> None:
    (tmp_path / "pdm.lock").write_text(PDM)
    (tmp_path / "pyproject.toml").write_text(f"[tool.pdm.resolution]\n{settings}\n")
    assert kinds(select(read_lock_file(tmp_path / "pdm.lock", variables=variables), make_target())) == {"demo": kind}


@pytest.mark.parametrize(
    ("entry", "variables", "formats"),
    [({}, {}, {"wheel", "sdist"}), ({"no_binary": True}, {}, {"sdist"}), ({}, {"PIP_ONLY_BINARY": ":all:"}, {"wheel"})],
)
def test_pipenv_says_it_entry_by_entry_or_to_pip(
    tmp_path: Path, entry: dict[str, object], variables: Mapping[str, str], formats: set[str]
) -> None:
    lock = {"_meta": {"pipfile-spec": 6}, "default": {"demo": {"version": "==1.0", "hashes": [HASH], **entry}}}
    (tmp_path / "Pipfile.lock").write_text(json.dumps(lock))
    (pin,) = select(read_lock_file(tmp_path / "Pipfile.lock", variables=variables), make_target()).index_pins
    assert pin.formats == formats


def test_options_of_a_requirements_file_come_after_the_variables_of_pip(tmp_path: Path) -> None:
    text = f"--only-binary=demo\ndemo==1.0 --hash={HASH}\nother==1.0 --hash={HASH}\n"
    (tmp_path / "requirements.txt").write_text(text)
    lock_file = read_lock_file(tmp_path / "requirements.txt", variables={"PIP_NO_BINARY": ":all:"})
    pins = select(lock_file, make_target()).index_pins
    assert {pin.name: set(pin.formats) for pin in pins} == {"demo": {"wheel"}, "other": {"sdist"}}
