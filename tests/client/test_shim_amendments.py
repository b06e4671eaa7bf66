"""What the shim tells tools that would be wrong about an environment whose files are those of a store."""

import io
import json
import subprocess
import zipfile
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


COPIES = """
import json, os, shutil, stat, sys
import made
source, target = os.path.dirname(made.__file__), sys.argv[1]
shutil.copytree(source + "/templates", target + "/tree")
shutil.copy(source + "/templates/env.ini", target + "/copy")
shutil.copy2(source + "/templates/env.ini", target + "/copy2")
open(target + "/mine", "w").close()
os.chmod(target + "/mine", 0o444)
shutil.copy(target + "/mine", target + "/copy of mine")
os.symlink(source + "/templates/env.ini", target + "/link")
shutil.copy2(target + "/link", target + "/copied link", follow_symlinks=False)
found = [os.path.join(folder, name) for folder, folders, names in os.walk(target) for name in (*folders, *names)]
print(json.dumps({os.path.relpath(p, target): "%o" % stat.S_IMODE(os.stat(p).st_mode) for p in found}))
"""
LOOKS = """
import inspect, json, py_compile, shutil
print(json.dumps([[f.__module__, f.__qualname__, f.__doc__ and f.__doc__[:20], str(inspect.signature(f))]
    for f in (shutil.copymode, shutil.copystat, py_compile.compile)]
    + [[type(m.__loader__).__name__, m.__loader__ is m.__spec__.loader] for m in (shutil, py_compile)]))
"""
MADE = make_wheel(
    "made",
    files={
        "made/__init__.py": "",
        "made/templates/env.ini": "",
        "made/templates/sub/x.py": "",
        "made/old.py": "print 1",
    },
)


def store_view(folder: Path, python: Python, *, shim: bool = True) -> View:
    """A view in a folder with the parts of a store, of read-only files."""
    store = folder.resolve() / "store"
    (store / "meta").mkdir(parents=True)
    (store / "VERSION").touch()
    view = build_view(store / "environments" / ("a" * 32), [MADE], python, shim=shim)
    for path in view.root.with_name(f"{view.root.name}.store").rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    return view


def test_a_copy_of_what_is_in_a_store_is_its_owner_s_to_write(tmp_path: Path, python: Python) -> None:
    view = store_view(tmp_path, python)
    (tmp_path / "target").mkdir()
    done = view.run("-c", COPIES, str(tmp_path / "target"))
    assert json.loads(done.stdout) == {
        "tree": "755",
        "tree/env.ini": "644",
        "tree/sub": "755",
        "tree/sub/x.py": "644",
        "copy": "644",
        "copy2": "644",
        "mine": "444",
        "copy of mine": "444",
        "link": "444",
        "copied link": "444",
    }


def test_compiling_what_is_in_a_store_writes_nothing_and_succeeds(tmp_path: Path, python: Python) -> None:
    view = store_view(tmp_path, python)
    made = view.site_packages / "made"
    assert view.run("-m", "compileall", "-q", f"{made}/templates", f"{made}/__init__.py").returncode == 0
    assert view.run("-m", "compileall", "-q", str(made)).returncode == 1  # a statement of Python 2, told as ever
    assert list(tmp_path.rglob("made/**/*.pyc")) == []
    (tmp_path / "mine.py").touch()
    assert view.run("-m", "compileall", "-q", str(tmp_path / "mine.py")).returncode == 0
    assert len(list(tmp_path.glob("__pycache__/mine.*.pyc"))) == 1


def test_what_is_amended_looks_as_in_a_venv(tmp_path: Path, python: Python) -> None:
    plain = store_view(tmp_path / "plain", python, shim=False)
    assert store_view(tmp_path / "view", python).json(LOOKS) == plain.json(LOOKS)


def test_the_pip_of_another_environment_is_told_too(tmp_path: Path) -> None:
    view = build_view(tmp_path.resolve() / "view", [MADE], pythons()[0])
    with zipfile.ZipFile(io.BytesIO(pip_wheel(PIP).data)) as archive:
        archive.extractall(tmp_path / "elsewhere")
    found = view.json(REFUSED.format(before=""), environ={"PYTHONPATH": str(tmp_path / "elsewhere")})
    assert found == [str(view.site_packages.parent / "EXTERNALLY-MANAGED"), None, None]


def test_a_copy_of_an_environment_runs_silently_and_keeps_pip_out(tmp_path: Path, python: Python) -> None:
    root = tmp_path.resolve() / "environments" / ("a" * 32)
    view = build_view(root, [MADE, pip_wheel(PIP)], python)
    copy = View(root=tmp_path.resolve() / "copy", python=python)
    subprocess.run(["cp", "-a", view.root, copy.root], check=True)
    found = copy.json("import json, sys, made; print(json.dumps([made.__file__, sys.prefix]))")
    assert found == [str(copy.site_packages / "made/__init__.py"), str(copy.root)]
    assert copy.json(REFUSED.format(before="")) == [str(copy.site_packages.parent / "EXTERNALLY-MANAGED"), None, None]
