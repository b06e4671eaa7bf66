"""What the shim tells tools that would be wrong about an environment whose files are those of a store."""

from pathlib import Path

import pytest

from support.views import Python, View, build_view, every_python, pythons
from support.wheels import WheelBytes, make_wheel

PIP = """
class ExternallyManagedEnvironment(Exception):
    note_stmt = "a note"
    hint_stmt = "a hint"
    @classmethod
    def from_config(cls, path):
        return cls(path)

def check_externally_managed():
    print("as pip does")
"""
REFUSED = """
import json, sys
from pip._internal.utils import misc
{before}
try:
    misc.check_externally_managed()
except misc.ExternallyManagedEnvironment as error:
    print(json.dumps([str(error), error.note_stmt, error.hint_stmt]))
"""
THIRD = "import coverage.inorout as c, json; paths = set(); c.{name}(paths); print(json.dumps(sorted(paths)))"


@pytest.fixture(params=every_python())
def python(request: pytest.FixtureRequest) -> Python:
    chosen: Python = request.param
    return chosen


def pip_wheel(misc: str) -> WheelBytes:
    folders = ("pip", "pip/_internal", "pip/_internal/utils")
    return make_wheel("pip", files={f"{f}/__init__.py": "" for f in folders} | {"pip/_internal/utils/misc.py": misc})


def coverage_wheel(inorout: str) -> WheelBytes:
    return make_wheel("coverage", files={"coverage/__init__.py": "", "coverage/inorout.py": inorout})


def view_of(folder: Path, python: Python, wheel: WheelBytes) -> View:
    return build_view(folder.resolve() / "environments" / "view", [wheel], python)


def test_pip_is_told_that_the_environment_is_looked_after(tmp_path: Path, python: Python) -> None:
    view = view_of(tmp_path, python, pip_wheel(PIP))
    marker = str(view.site_packages.parent / "EXTERNALLY-MANAGED")
    assert view.json(REFUSED.format(before="")) == [marker, None, None]


def test_pip_works_as_ever_where_another_environment_is_meant(tmp_path: Path) -> None:
    view = view_of(tmp_path, pythons()[0], pip_wheel(PIP))
    done = view.run("-c", REFUSED.format(before="sys.prefix = '/elsewhere'"))
    assert (done.stdout, done.stderr) == ("as pip does\n", "")


@pytest.mark.parametrize("name", ["_add_third_party_paths", "add_third_party_paths"])
def test_the_store_is_third_party_code_to_coverage(tmp_path: Path, python: Python, name: str) -> None:
    view = view_of(tmp_path, python, coverage_wheel(f"def {name}(paths):\n    paths.add('/site')\n"))
    assert view.json(THIRD.format(name=name)) == sorted(["/site", str(view.root.parent.parent / "store")])


def test_a_tool_that_has_changed_is_left_as_it_is(tmp_path: Path) -> None:
    for number, wheel in enumerate((pip_wheel("VALUE = 1\n"), coverage_wheel("VALUE = 1\n"))):
        view = view_of(tmp_path / str(number), pythons()[0], wheel)
        name = "pip._internal.utils.misc" if wheel.name == "pip" else "coverage.inorout"
        assert view.json(f"import {name} as m; print(m.VALUE)") == 1


def test_modules_beside_an_amended_one_are_as_they_were(tmp_path: Path) -> None:
    wheel = make_wheel("coverage", files={"coverage/__init__.py": "", "coverage/other.py": "V = 2\n"})
    view = view_of(tmp_path, pythons()[0], wheel)
    assert view.json("import coverage.other as m; print(m.V)") == 2
