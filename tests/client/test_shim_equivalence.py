"""With the shim and without it, a program gets the same answers from its environment."""

import contextlib
import importlib.machinery
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storectl_store.digest import EnvironmentId
from storectl_store.environments.import_map import encode_import_map, index_paths
from support.views import Python, View, build_view, every_python, hook_of, pythons, write_files
from support.wheels import make_wheel

EVERY_PYTHON = pytest.mark.parametrize("python", every_python())

WHEELS = [
    make_wheel(
        "alpha",
        "1.5",
        files={
            "alpha/__init__.py": "from . import sub\nVALUE = 1\ndef f():\n    raise LookupError('x')\n",
            "alpha/sub/__init__.py": "from .deep import leaf\n",
            "alpha/sub/deep/leaf.py": "# -*- coding: latin-1 -*-\nTEXT = 'é'\n".encode("latin-1"),
            "alpha/data/table.txt": "a table",
            "alpha/broken.py": "def f(:\n",
            "alpha/failing.py": "import alpha.missing\n",
            "alpha/py.typed": "",
            "single.py": "NAME = __name__\n",
            "_cext.so": b"not a library",
            "bare.folder/x.py": "",
            "both.py": "WHICH = 'module'\n",
            "both/inner.py": "",
            "Upper.py": "",
            "alpha.libs/libz.so.1": b"",
        },
        entry_points="[console_scripts]\nalpha = alpha:f\n[plugins]\na = alpha.sub\n",
    ),
    make_wheel("cloud-a", files={"cloud/a/__init__.py": "A = 1\n", "cloud/a/text.txt": "of a"}),
    make_wheel("cloud-b", files={"cloud/b/__init__.py": "B = 1\n", "cloud/b/deeper/c.py": "C = 1\n"}),
    make_wheel("split-core", files={"split/__init__.py": "", "split/core/x.py": ""}),
    make_wheel("split-more", files={"split/more.py": "", "split/core/y.py": ""}),
]

NAMES = [
    "alpha",
    "alpha.sub",
    "alpha.sub.deep",
    "alpha.sub.deep.leaf",
    "alpha.data",
    "alpha.broken",
    "alpha.failing",
    "alpha.missing",
    "alpha.__init__",
    "alpha.py",
    "alpha.__pycache__",
    "alpha.data.table",
    "single",
    "single.x",
    "_cext",
    "bare",
    "bare.folder",
    "both",
    "both.inner",
    "upper",
    "Upper",
    "ALPHA",
    "cloud",
    "cloud.a",
    "cloud.b",
    "cloud.b.deeper.c",
    "cloud.none",
    "split",
    "split.core.x",
    "split.core.y",
    "split.more",
    "alpha.libs",
    "alpha-1",
    "nothing",
]

PROGRAM = """
import importlib, importlib.metadata, importlib.util, json, pkgutil, sys
from importlib import resources
report = {}
def spec_of(spec):
    if spec is None:
        return None
    places = spec.submodule_search_locations
    return [spec.name, type(spec.loader).__name__, spec.origin, spec.cached, spec.has_location, spec.parent,
            None if places is None else [type(places).__name__, list(places)], isinstance(spec.loader, importlib.machinery.SourceFileLoader)]
for name in sys.argv[1:]:
    try:
        found = spec_of(importlib.util.find_spec(name))
    except BaseException as error:
        found = [type(error).__name__, str(error), getattr(error, "name", None), getattr(error, "path", None)]
    try:
        module = importlib.import_module(name)
        imported = [repr(module) if "object at" not in repr(module) else "", getattr(module, "__file__", None),
                    list(getattr(module, "__path__", [])), getattr(module, "__cached__", None), module.__name__,
                    module.__package__, spec_of(module.__spec__), module.__spec__ is not importlib.reload(module).__spec__]
    except BaseException as error:
        imported = [type(error).__name__, str(error), getattr(error, "name", None), getattr(error, "path", None)]
    report[name] = [found, imported]
import alpha, cloud, inspect
site = [entry for entry in sys.path if entry.endswith("site-packages")]
report["code"] = [alpha.f.__code__.co_filename, inspect.getsource(alpha), alpha.__loader__.get_data(alpha.__file__).decode()]
report["iter"] = sorted([m.name, m.ispkg] for m in pkgutil.iter_modules(site) if m.name != "_storectl")
report["iter_all"] = sorted(m.name for m in pkgutil.iter_modules() if m.name != "_storectl")
report["walk"] = sorted(m.name for m in pkgutil.walk_packages(cloud.__path__, "cloud."))
report["get_data"] = pkgutil.get_data("alpha", "data/table.txt").decode()
report["metadata"] = sorted([d.metadata["Name"], d.version] for d in importlib.metadata.distributions())
report["files"] = sorted(map(str, importlib.metadata.files("alpha")))
points = importlib.metadata.entry_points()
report["points"] = sorted(map(str, points.select(group="plugins") if hasattr(points, "select") else points["plugins"]))
report["resources"] = [(resources.files("alpha") / "data" / "table.txt").read_text()]
report["resources"].append((resources.files("cloud.a") / "text.txt").read_text())
report["path_finder"] = spec_of(importlib.machinery.PathFinder.find_spec("alpha"))
report["path_finder_path"] = spec_of(importlib.machinery.PathFinder.find_spec("alpha.sub", alpha.__path__))
report["finders"] = [type(sys.path_importer_cache[site[0]]).__name__,
                     isinstance(sys.path_importer_cache[site[0]], importlib.machinery.FileFinder)]
report["flags"] = [sys.flags.optimize, __debug__]
print(json.dumps(report))
"""


def report_of(view: View, *flags: str) -> dict[str, object]:
    done = view.run(*flags, "-c", PROGRAM, *NAMES)
    assert done.returncode == 0, done.stderr
    report: dict[str, object] = json.loads(done.stdout.replace(str(view.root), "<root>"))
    return report


@EVERY_PYTHON
@pytest.mark.parametrize("flags", [(), ("-OO",), ("-I", "-B")], ids=["plain", "-OO", "-I"])
def test_imports_metadata_and_resources_are_those_of_the_plain_view(
    tmp_path: Path, python: Python, flags: tuple[str, ...]
) -> None:
    hooked = report_of(build_view(tmp_path / "hooked", WHEELS, python), *flags)
    plain = report_of(build_view(tmp_path / "plain", WHEELS, python, shim=False), *flags)
    for name, answer in plain.items():
        assert hooked[name] == answer, name
    assert hooked.keys() == plain.keys()


def test_imports_are_those_of_a_plain_folder(tmp_path: Path) -> None:
    hooked = build_view(tmp_path / "hooked", WHEELS, pythons()[0])
    plain = build_view(tmp_path / "plain", [], pythons()[0], shim=False)
    for entry in sorted(hooked.root.with_name("hooked.store").iterdir()):
        files = {str(p.relative_to(entry)): p.read_bytes() for p in entry.rglob("*") if p.is_file()}
        write_files(plain.site_packages, files)
    assert report_of(hooked) == report_of(plain)


@EVERY_PYTHON
@pytest.mark.parametrize("module", ["alpha.broken", "alpha.failing", "null"])
def test_a_traceback_is_that_of_the_plain_view(tmp_path: Path, python: Python, module: str) -> None:
    wheels = [*WHEELS, make_wheel("null", files={"null.py": "x = 1\0\n"})]
    told = [
        view.run("-c", f"import {module}").stderr.replace(str(view.root), "<root>")
        for view in (
            build_view(tmp_path / "hooked", wheels, python),
            build_view(tmp_path / "plain", wheels, python, shim=False),
        )
    ]
    assert told[0] == told[1] != ""


def test_a_prefix_for_bytecode_is_honoured(tmp_path: Path) -> None:
    view = build_view(tmp_path / "view", WHEELS, pythons()[0])
    program = "import alpha, json; print(json.dumps([alpha.__cached__, alpha.__spec__.cached]))"
    bytecode = tmp_path / "bytecode"
    environ = {"PYTHONPYCACHEPREFIX": str(bytecode), "PYTHONDONTWRITEBYTECODE": ""}
    cached = view.json(program, environ=environ)
    assert isinstance(cached, list)
    assert Path(cached[0]).is_file()
    assert Path(cached[0]).is_relative_to(bytecode)
    assert view.json(program, environ=environ) == cached


def test_a_program_never_writes_bytecode_into_the_store(tmp_path: Path) -> None:
    view = build_view(tmp_path / "view", WHEELS, pythons()[0])
    view.json("import alpha, cloud.b.deeper.c, single; print(1)", environ={"PYTHONDONTWRITEBYTECODE": ""})
    assert not list(tmp_path.joinpath("view.store").rglob("__pycache__"))
    assert [path.name for path in view.site_packages.glob("__pycache__/*")] == [
        f"_storectl.{view.python.cache_tag}.pyc"  # by the stock loader, before the shim is there
    ]


def test_a_module_added_by_hand_is_found_after_the_caches_were_invalidated(tmp_path: Path) -> None:
    view = build_view(tmp_path / "view", WHEELS, pythons()[0])
    program = """
import importlib, json, pathlib, sys
site = pathlib.Path([entry for entry in sys.path if entry.endswith("site-packages")][0])
try:
    import added
except ImportError:
    (site / "added.py").write_text("")
importlib.invalidate_caches()
import added
print(json.dumps(added.__file__))
"""
    assert view.json(program) == str(view.site_packages / "added.py")


SUFFIXES = tuple(importlib.machinery.EXTENSION_SUFFIXES)
TAILS = ["a", "b", "B", "__init__", "c-d", ""]
FOLDERS = st.lists(st.sampled_from(["a", "b", "B", "c-d", "a.py", "b.c", "__pycache__"]), max_size=3).map(tuple)
FILES = st.tuples(
    st.sampled_from([*TAILS, "a.b"]), st.sampled_from([*SUFFIXES, ".py", ".pyc", ".txt", ".cpython-00.so", ""])
)


@settings(max_examples=60, deadline=None)
@given(st.sets(st.tuples(FOLDERS, FILES), max_size=14))
def test_a_finder_finds_in_any_tree_what_the_stock_finder_finds(
    tree: set[tuple[tuple[str, ...], tuple[str, str]]],
) -> None:
    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stderr(io.StringIO()) as stderr:
        root = Path(name).resolve()
        view = root / "lib" / "python3" / "site-packages"
        view.mkdir(parents=True)
        paths = _write_tree(view, sorted(tree))
        (root / "import-map").write_bytes(encode_import_map(EnvironmentId(root.name), index_paths(paths, SUFFIXES)))
        standard = importlib.machinery.FileFinder.path_hook(*_stock_loaders())
        hook = hook_of(view, standard)
        for folder in [view, *(path for path in view.rglob("*") if path.is_dir())]:
            finder, stock = hook(str(folder)), standard(str(folder))
            for tail in [*TAILS, "__pycache__", "a/b", "a.py", "b.c.a", "..", "a\0"]:
                assert _outcome(finder, f"x.{tail}") == _outcome(stock, f"x.{tail}"), (folder, tail)
        assert not stderr.getvalue()


@settings(max_examples=60, deadline=None)
@given(st.sets(st.tuples(FOLDERS, FILES), max_size=14))
def test_every_folder_below_the_view_that_the_map_does_not_know_is_empty_for_imports(
    tree: set[tuple[tuple[str, ...], tuple[str, str]]],
) -> None:
    with tempfile.TemporaryDirectory() as name:
        view = Path(name).resolve()
        known = index_paths(_write_tree(view, sorted(tree)), SUFFIXES)
        for folder in view.rglob("*"):
            relative = str(folder.relative_to(view))
            if folder.is_dir() and relative not in known and "." not in relative and "__pycache__" not in relative:
                stock = importlib.machinery.FileFinder(str(folder), *_stock_loaders())
                assert not any(stock.find_spec(tail) for tail in TAILS)


def _write_tree(view: Path, tree: list[tuple[tuple[str, ...], tuple[str, str]]]) -> list[str]:
    """Write what does not contradict what is there; the files' paths in the view."""
    paths = []
    for folders, (tail, suffix) in tree:
        path = view.joinpath(*folders, tail + suffix)
        if tail + suffix and not path.exists() and not any(parent.is_file() for parent in path.parents):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
            paths.append(str(path.relative_to(view)))
    return paths


def _stock_loaders() -> list[tuple[type, list[str]]]:
    machinery = importlib.machinery
    return [
        (machinery.ExtensionFileLoader, machinery.EXTENSION_SUFFIXES),
        (machinery.SourceFileLoader, machinery.SOURCE_SUFFIXES),
        (machinery.SourcelessFileLoader, machinery.BYTECODE_SUFFIXES),
    ]


def _outcome(finder: Any, fullname: str) -> object:
    spec = finder.find_spec(fullname)
    if spec is None:
        return None
    loader = None if spec.loader is None else (type(spec.loader).__name__, vars(spec.loader))
    return spec.name, loader, spec.origin, spec.cached, spec.submodule_search_locations, spec.has_location
