"""Code of the project and of its neighbours, imported from where it is written: as uv's editable installations do."""

import json
import os
from collections.abc import Iterator

import pytest
from uv import find_uv_bin

from fidelity.twins import Twins, locked_project, twins_of, use_index
from support.index import serve_index
from support.locked_day import as_of_that_day
from support.machine import new_machine
from support.wheels import make_wheel

UV_BUILD = '[build-system]\nrequires = ["uv_build>=0.5"]\nbuild-backend = "uv_build"\n'
HATCHLING = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
SETUPTOOLS = '[build-system]\nrequires = ["setuptools>=77"]\nbuild-backend = "setuptools.build_meta"\n'
ROOT = """
[project]
name = "root-project"
version = "3"
requires-python = ">=3.11"
dependencies = ["member", "flat", "mapped", "virtual"]
scripts = { Go-Root = "root_project:main" }
entry-points.plugins = { x = "root_project:main" }
[tool.uv.workspace]
members = ["member"]
[tool.uv.sources]
member = { workspace = true }
flat = { path = "flat", editable = true }
mapped = { path = "mapped", editable = true }
virtual = { path = "virtual", package = false }
"""
PLACES = """
import importlib.metadata as m, inspect, json, os, sys
import flat, mapped.inner, member, root_project
modules = (flat, mapped, mapped.inner, member, root_project)
print(json.dumps([[module.__file__, type(module.__spec__.loader).__mro__[-2].__name__] for module in modules]))
print(json.dumps([[d.name, d.version, bool(d.origin and d.origin.dir_info.editable) if hasattr(d, "origin") else None,
    json.loads(d.read_text("direct_url.json"))] for d in
    (m.distribution(name) for name in ("flat", "mapped", "member", "root_project"))], sort_keys=True))
print([(p.name, p.value) for p in m.entry_points(group="plugins")], inspect.getsource(member).strip())
"""


def _project(name: str, system: str, more: str = "") -> str:
    return f'[project]\nname = "{name}"\nversion = "1"\nrequires-python = ">=3.11"\n{more}{system}'


FILES = {
    "pyproject.toml": ROOT + UV_BUILD,
    "src/root_project/__init__.py": "import sys\ndef main(): print('root', sys.argv[1:])\n",
    "member/pyproject.toml": _project("member", UV_BUILD),
    "member/src/member/__init__.py": "WHERE = 'member'\n",
    "flat/pyproject.toml": _project("flat", HATCHLING),
    "flat/flat/__init__.py": "",
    "mapped/pyproject.toml": _project(
        "mapped", SETUPTOOLS, '[tool.setuptools.package-dir]\nmapped = "code"\n"mapped.inner" = "deep/inner"\n'
    ),
    "mapped/code/__init__.py": "",
    "mapped/deep/inner/__init__.py": "",
    "virtual/pyproject.toml": _project("virtual", ""),
}


@pytest.fixture(scope="module")
def editable() -> Iterator[Twins]:
    with new_machine() as machine:
        yield Twins(machine, locked_project(machine, FILES, **as_of_that_day()))


@pytest.fixture(scope="module")
def plain() -> Iterator[Twins]:
    wheel = make_wheel("alpha", files={"alpha/__init__.py": "VALUE = 'wheel'\n", "alpha/other.py": ""})
    with twins_of([wheel]) as made:
        yield made


@pytest.mark.network
def test_modules_metadata_and_origins_are_those_of_editable_installations(editable: Twins) -> None:
    """By a line of a path (uv_build, hatchling) and by a finder of the backend's (setuptools, whose folders have other names)."""
    shown = editable.python(PLACES).splitlines()
    home = editable.project
    assert [place for place, _ in json.loads(shown[0])] == [
        str(home / "flat/flat/__init__.py"),
        str(home / "mapped/code/__init__.py"),
        str(home / "mapped/deep/inner/__init__.py"),
        str(home / "member/src/member/__init__.py"),
        str(home / "src/root_project/__init__.py"),
    ]
    assert [name for name, *_ in json.loads(shown[1])] == ["flat", "mapped", "member", "root-project"]
    assert shown[2].startswith("[('x', 'root_project:main')]")


@pytest.mark.network
def test_scripts_of_the_project_run_from_anywhere(editable: Twins) -> None:
    assert editable.same("Go-Root", "a", cwd=editable.machine.root) == "root ['a']\n"


@pytest.mark.network
def test_an_edit_is_seen_by_the_next_run(editable: Twins) -> None:
    program = "import mapped, member; print(member.WHERE, hasattr(mapped, 'NEW'))"
    files = [editable.project / "member/src/member/__init__.py", editable.project / "mapped/code/__init__.py"]
    before = [file.read_text() for file in files]
    files[0].write_text("WHERE = 'edited'\n")
    files[1].write_text("NEW = 1\n")
    try:
        assert editable.python(program) == "edited True\n"
    finally:
        for file, text in zip(files, before, strict=True):
            file.write_text(text)


@pytest.mark.network
def test_installers_see_where_the_code_is(editable: Twins) -> None:

    for command in (("list", "--format", "json"), ("freeze",)):
        shown = editable.same(find_uv_bin(), "pip", *command, "--python", "{root}/bin/python")
        assert "member" in shown
        assert str(editable.project) in shown


def test_a_script_elsewhere_and_a_linked_one_have_their_real_folder_on_the_path(plain: Twins) -> None:
    """Neither the current folder, which is where the data is, nor the folder of the link."""
    code, links, data = (plain.scratch / name for name in ("code", "links", "data"))
    for folder in (code, links, data):
        folder.mkdir()
    (code / "beside.py").write_text("WHERE = __file__\n")
    (code / "main.py").write_text(
        "import alpha, beside, os, sys\nprint(alpha.VALUE, beside.WHERE, sys.path[0], os.getcwd())\n"
    )
    (links / "run").symlink_to(code / "main.py")
    for script in (code / "main.py", links / "run"):
        assert plain.same("python", script, cwd=data) == f"wheel {code}/beside.py {code} {data}\n"


@pytest.mark.parametrize("flags", [(), ("-P",), ("-I",)], ids=["plain", "-P", "-I"])
def test_local_code_on_pythonpath_comes_before_the_environment(plain: Twins, flags: tuple[str, ...]) -> None:
    """``PYTHONPATH=src`` of a project without a build backend; and what is left of it with ``-P`` and ``-I``."""
    source = plain.scratch / "source"
    (source / "alpha").mkdir(parents=True, exist_ok=True)
    (source / "alpha/__init__.py").write_text("VALUE = 'local'\n")
    shown = plain.same("python", *flags, "-c", "import alpha; print(alpha.VALUE)", env={"PYTHONPATH": str(source)})
    assert shown == ("wheel\n" if flags == ("-I",) else "local\n")


def test_children_elsewhere_keep_the_extras_of_the_run() -> None:
    """A child does not look for a project: it is of the environment that its parent was of."""
    wheels = [make_wheel("alpha"), make_wheel("beta")]
    pyproject = (
        '[project]\nname = "project"\nversion = "0"\nrequires-python = ">=3.11"\ndependencies = ["alpha"]\n'
        'optional-dependencies = { more = ["beta"] }\n[tool.uv]\npackage = false\n'
    )
    with new_machine() as machine, serve_index(*wheels) as index:
        use_index(machine, index)
        project = locked_project(machine, {"pyproject.toml": pyproject})
        child = "import alpha, beta, os; print(beta.__version__, os.getcwd())"
        program = (
            f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], cwd={os.sep!r}, check=True)"
        )
        assert machine.ok("run", "--extra", "more", "-c", program, cwd=project) == "1.0 /\n"
        named = f"import subprocess; subprocess.run(['python', '-c', {child!r}], cwd={os.sep!r}, check=True)"
        assert machine.ok("run", "--extra", "more", "-c", named, cwd=project) == "1.0 /\n"
