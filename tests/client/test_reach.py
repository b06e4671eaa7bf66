"""What modules import, by their text alone."""

import subprocess
import sys
from pathlib import Path

import pytest

from storectl.daemon.program_imports import MOST_MODULES, imports_of
from storectl_shim.reach import imported_names, in_order, reached
from support.views import Python, every_python, write_files

MODULE = b'''"""from nowhere import anything"""
import os, a.b as c  # and a comment
from pkg import (
    one,  # not, this
    two as three,
)
from . import near
from ..up import far; x = 1
try:
    import in_try
except ImportError:
    from fall import back
if TYPE_CHECKING:
    import for_checkers
else:
    import at_run
def f():
    import late
class C:
    import in_class
import after
if x:
    def g():
        import nested
'''


def test_what_runs_at_import_counts_in_its_order() -> None:
    assert imported_names(MODULE, "own.sub") == [
        "os", "a.b", "pkg", "pkg.one", "pkg.two", "own.sub", "own.sub.near", "own.up", "own.up.far", "in_try",
        "fall", "fall.back", "at_run", "after",
    ]  # fmt: skip


def test_dots_that_lead_out_of_every_package_lead_nowhere() -> None:
    assert imported_names(b"from ... import x\nfrom . import y\n", "top") == ["top", "top.y"]
    assert imported_names(b"from . import y\n", "") == []


@pytest.mark.parametrize("source", [b"", b"import", b"from import", b"import \xff\xfe, ,", b"from (", b"\0\n" * 9])
def test_nonsense_imports_nothing(source: bytes) -> None:
    assert [name for name in imported_names(source, "p") if name.isidentifier()] == []


FILES = {
    "top/__init__.py": "from top import b\nimport other\n",
    "top/a.py": "",
    "top/b.py": "from . import a\nimport space.inner\n",
    "top/unused.py": "import top.a\n",
    "space/inner/__init__.py": "from .. import inner\n",
    "other.py": "import top\n",
}


def test_what_is_reached_comes_in_the_order_of_a_program(tmp_path: Path) -> None:
    write_files(tmp_path, FILES)
    found = reached(str(tmp_path), ["top/__init__.py"])
    assert list(found) == ["top/__init__.py", "top/b.py", "top/a.py", "space/inner/__init__.py", "other.py"]
    assert found["top/b.py"] == ["top", "top.a", "space.inner"]
    assert list(reached(str(tmp_path), ["top/__init__.py"], most=2)) == ["top/__init__.py", "top/b.py"]
    assert reached(str(tmp_path), ["gone.py"]) == {"gone.py": []}


def test_the_order_across_entries_is_that_of_a_program(tmp_path: Path) -> None:
    write_files(tmp_path, {path: f"print(__name__)\n{text}" for path, text in FILES.items()})
    write_files(tmp_path, {"main.py": "import other\nimport top.unused\n"})
    imports = reached(str(tmp_path), ["main.py"])
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import other, top.unused"
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    expected = ["other", "top", "top.b", "top.a", "space.inner", "top.unused"]
    assert done.stdout.split() == expected
    names = [
        module[:-3].removesuffix("/__init__").replace("/", ".") for module in in_order(imports, ["other", "top.unused"])
    ]
    assert names == expected
    assert in_order(imports, ["unknown", "space"]) == []


@pytest.mark.parametrize("python", every_python())
def test_every_python_of_a_project_can_look(python: Python, tmp_path: Path) -> None:
    write_files(tmp_path, FILES)
    program = "import runpy, sys; print(list(runpy.run_path(sys.argv[1])['reached'](sys.argv[2], ['top/__init__.py'])))"
    reach = sys.modules[reached.__module__].__file__
    command = [python.executable, "-I", "-S", "-c", program, str(reach), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(list(reached(str(tmp_path), ["top/__init__.py"])))


def test_the_imports_of_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(
        tmp_path, {"app/main.py": "import numpy\nfrom helper import x\n", "app/helper.py": "import pandas.io\n"}
    )
    write_files(tmp_path, {"tool/__init__.py": "", "tool/__main__.py": "import click\n", "local.py": "import attr\n"})
    monkeypatch.chdir(tmp_path)
    assert imports_of([]) == []
    assert imports_of(["app/main.py"]) == ["__main__", "numpy", "helper", "helper.x", "pandas.io"]
    assert imports_of(["-c", "import local, yaml"]) == ["__main__", "local", "yaml", "attr"]
    assert imports_of(["-cimport yaml"]) == ["__main__", "yaml"]
    assert imports_of(["-m", "tool"]) == ["__main__", "tool", "tool.__main__", "click"]
    assert imports_of(["tool"]) == ["__main__", "click"]
    assert imports_of(["-c", "pass"]) == ["__main__"]
    assert imports_of(["-"]) == imports_of(["gone.py"]) == imports_of(["-m"]) == []


def test_a_large_program_is_read_in_part(tmp_path: Path) -> None:
    chain = {f"m{number}.py": f"import m{number + 1}, lib{number}\n" for number in range(MOST_MODULES + 10)}
    write_files(tmp_path, chain)
    names = imports_of([str(tmp_path / "m0.py")])
    assert "lib0" in names
    assert f"lib{MOST_MODULES + 5}" not in names
