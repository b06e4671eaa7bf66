"""Small random programs: wheels that overlap and shadow each other, a script's folder that shadows them, and what to import.

A hypothesis strategy draws them from few names, so that collisions are the rule. Sources are a fixed list, so that the
bytecode of each, and one extension module that answers to every name, are made once for an interpreter.
"""

import itertools
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st

from support.wheels import WheelBytes, make_wheel

TOPS = ("alpha", "beta", "gamma", "colorsys", "Upper")
"""Top-level names; one is of the standard library, which comes first but for the script's folder."""
TAILS = (*TOPS, "deep", "\u00f1u", "class", "with-dash", "bare.folder")
MISSING = ("alpha.none", "beta.alpha.none", "nothing", "upper")
MOST_ORDERS = 6
MOST_SUBMODULES = 9
LOCAL = "@local@"
"""Stands for the folder of local code in ``.pth`` files, which is known once it is there."""
EXTENSION = ".@extension@"
"""Stands for the suffix of extension modules that is an interpreter's own."""

SOURCES: Mapping[str, bytes] = {
    "empty": b"",
    "value": b"VALUE = __name__\n",
    "again": b"VALUE = __name__ + '!'\nOTHER = 2\n",
    "tells": b"import os\nHERE = [__file__, __package__, __spec__.parent, os.path.isfile(__file__)]\n",
    "fails": b"VALUE = 1\n\ndef inner():\n    raise LookupError(__name__, __file__)\n\ninner()\n",
    "imports nothing": b"import nothing_here\n",
    "imports beta": b"import beta.alpha\nGOT = beta.__name__\n",
    "imports beside": b"from . import beta, deep\nGOT = [beta.__name__, deep.__name__]\n",
    "imports below": b"from .alpha import VALUE as GOT\n",
    "imports above": b"from .. import gamma\nfrom ..beta import VALUE as GOT\n",
    "imports all": b"from alpha import *\n",
    "is no syntax": b"VALUE = 1\ndef f(:\n",
    "has a null": b"VALUE = 1\0\n",
    "has no coding": b"# -*- coding: nonsense -*-\n",
    "is latin": b"# -*- coding: latin-1 -*-\nTEXT = '\xe9'\n",
    "is not utf-8": b"TEXT = '\xe9'\n",
    "extends": b"import pkgutil\n__path__ = pkgutil.extend_path(__path__, __name__)\n",
    "reads": b"import pkgutil\nDATA = pkgutil.get_data(__name__, 'table.txt').decode()\n",
    "opens": b"import os\nDATA = sorted(n for n in os.listdir(os.path.dirname(__file__)) if n == 'table.txt')\n",
    "lists": (
        b"from importlib import resources\n"
        b"NAMES = sorted(e.name for e in resources.files(__package__).iterdir() if e.name[:4] not in ('__py', '_sto'))\n"
    ),
    "widens sys.path": b"import os, sys\nsys.path.append(os.path.join(os.path.dirname(__file__), 'deep'))\n",
    "goes first": b"import os, sys\nsys.path.insert(0, os.path.join(os.path.dirname(__file__), 'alpha'))\n",
    "widens itself": b"import os\n__path__.append(os.path.join(os.path.dirname(__path__[0]), 'gamma'))\n",
    "replaces itself": b"import sys, types\nsys.modules[__name__] = types.SimpleNamespace(VALUE='replaced')\n",
    "leaves": b"import sys\ndel sys.modules[__name__]\n",
    "is lazy": b"def __getattr__(name):\n    import importlib\n    return importlib.import_module('.' + name, __name__)\n",
    "forgets": b"import importlib, sys\nimportlib.invalidate_caches()\nsys.path_importer_cache.clear()\n",
    "looks": (
        b"from importlib.util import find_spec\n"
        b"FOUND = [s and s.origin for s in map(find_spec, ('alpha', 'beta', 'colorsys', 'deep'))]\n"
    ),
}

DATA: Mapping[str, bytes] = {"table.txt": b"a table", "py.typed": b"", "notes.json": b"{}", "alpha.pyi": b"A: int\n"}

PTH_LINES = (
    "alpha",
    "beta/deep",
    "gamma",
    "not-there",
    LOCAL,
    "# a comment",
    "import sys; sys.from_pth = getattr(sys, 'from_pth', 0) + 1",
    "import alpha",
    "import beta.alpha",
    "import sys; sys.path.insert(0, sys.path.pop())",
    "import sys; sys.modules.setdefault('gamma', type(sys)('gamma'))",
)
PTH_NAMES = ("000.pth", "Early.pth", "_storecti.pth", "alpha.pth", "zzz.pth", ".hidden.pth")

ENTRY_POINTS = (
    "[console_scripts]\nrun-it = alpha:main\n",
    "[plugins]\na = alpha\nb = beta.alpha:Thing [extra]\n",
    "[plugins]\na = gamma:other\n[Other.Group]\nx = alpha\n",
)

PROJECTS = ("one", "Two.Pkg", "three_x", "four")


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """What a module's file is to be filled with for an interpreter: one of SOURCES; extensions have none."""

    source: str


Content = Module | bytes | str
"""A module, or data; a text may hold ``LOCAL``. The suffix of a module's path tells its kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A wheel to be built for an interpreter. ``files`` are by their path in site-packages."""

    name: str
    version: str
    files: Mapping[str, Content]
    entry_points: str
    requires: tuple[str, ...]
    data_folder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Wheels, what stands in the script's folder and in a folder that ``.pth`` files name, and orders of imports."""

    recipes: tuple[Recipe, ...]
    beside_script: Mapping[str, Content]
    local: Mapping[str, Content]
    orders: tuple[tuple[str, ...], ...]
    compiled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolchain:
    """What fills files for one interpreter. ``extension`` is None where there is no compiler."""

    bytecode: Mapping[str, bytes]
    extension: bytes | None
    extension_suffix: str

    def files(self, files: Mapping[str, Content], local: Path) -> dict[str, bytes]:
        """Paths with their real suffixes, and contents."""
        return {
            path.replace(EXTENSION, self.extension_suffix): self._fill(path, content, local)
            for path, content in files.items()
        }

    def wheel(self, recipe: Recipe, local: Path) -> WheelBytes:
        """The finished wheel; half of a recipe with a data folder goes through it."""
        files = self.files(recipe.files, local)
        if recipe.data_folder:
            stem = f"{recipe.name.lower().replace('.', '_')}-{recipe.version}"
            moved = sorted(files)[::2]
            files = {f"{stem}.data/{recipe.data_folder}/{p}" if p in moved else p: d for p, d in files.items()}
        return make_wheel(
            recipe.name, recipe.version, files=files, entry_points=recipe.entry_points, requires_dist=recipe.requires
        )

    def _fill(self, path: str, content: Content, local: Path) -> bytes:
        if isinstance(content, bytes):
            return content
        if isinstance(content, str):
            return content.replace(LOCAL, str(local)).encode()
        if path.endswith(".py"):
            return SOURCES[content.source]
        if path.endswith(".pyc"):
            return self.bytecode[content.source]
        return self.extension if self.extension is not None else b"not a library"


PRECOMPILE = """
import importlib._bootstrap_external as e, json, sys
done = {}
for name, text in json.load(sys.stdin).items():
    try:
        code = compile(bytes.fromhex(text), name + ".py", "exec", dont_inherit=True)
        done[name] = e._code_to_timestamp_pyc(code, 0, 0).hex()
    except (SyntaxError, ValueError):
        done[name] = ""
print(json.dumps(done))
"""

_EXTENSION = """
#include <Python.h>
static int executed = 0;
static int execute(PyObject *module) { return PyModule_AddIntConstant(module, "EXECUTED", ++executed); }
static PyModuleDef_Slot slots[] = {{Py_mod_exec, execute}, {0, NULL}};
#define MODULE(name) \\
    static PyModuleDef def_##name = {PyModuleDef_HEAD_INIT, #name, NULL, 0, NULL, slots, NULL, NULL, NULL}; \\
    PyMODINIT_FUNC PyInit_##name(void) { return PyModuleDef_Init(&def_##name); }
"""


def extension_source() -> str:
    """C of a library that is a module under each of the names that C can spell, and counts how often it is executed."""
    names = dict.fromkeys(name for name in (*TAILS, "__init__") if name.isascii() and name.isidentifier())
    return _EXTENSION + "\n".join(f"MODULE({name})" for name in names)


def compile_extension(include: Path, folder: Path) -> bytes | None:
    """The library, or None where it cannot be made here."""
    source, library = folder / "extension.c", folder / "extension.so"
    source.write_text(extension_source())
    command = ["cc", "-shared", "-fPIC", f"-I{include}", "-o", str(library), str(source)]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        return None
    return library.read_bytes() if done.returncode == 0 else None


_MODULE_SUFFIXES = (".py", ".py", ".py", ".py", ".py", ".py", ".pyc", EXTENSION, ".abi3.so", ".so")
_SOURCE_NAMES = st.sampled_from(sorted(SOURCES)) | st.sampled_from(["empty", "value", "again", "tells"])
_FOLDERS = st.lists(st.sampled_from(TOPS), min_size=1, max_size=1).flatmap(
    lambda top: st.lists(st.sampled_from(TAILS), max_size=2).map(lambda below: [*top, *below])
)


@st.composite
def _tree(draw: st.DrawFn, most: int, suffixes: Sequence[str]) -> dict[str, Content]:
    """Modules and data by path. Of two files of one path the later one stays."""
    files: dict[str, Content] = {}
    for _ in range(draw(st.integers(1, most))):
        folders = draw(st.just([]) | _FOLDERS | _FOLDERS)
        if not folders or draw(st.integers(0, 4)):
            tail = draw(st.sampled_from(TOPS) if not folders else st.sampled_from(["__init__", "__init__", *TAILS]))
            suffix = draw(st.sampled_from(suffixes))
            if "." not in tail:
                files["/".join([*folders, tail]) + suffix] = Module(source=draw(_SOURCE_NAMES))
        else:
            name = draw(st.sampled_from(sorted(DATA)))
            files["/".join([*folders, name])] = DATA[name] + draw(st.sampled_from([b"", b"\n"]))
    return files


@st.composite
def _recipe(draw: st.DrawFn, name: str, others: Sequence[str]) -> Recipe:
    files = draw(_tree(8, _MODULE_SUFFIXES))
    if not draw(st.integers(0, 3)):
        lines = draw(st.lists(st.sampled_from(PTH_LINES), min_size=1, max_size=3))
        files[draw(st.sampled_from(PTH_NAMES))] = "\n".join([*lines, ""])
    return Recipe(
        name=name,
        version=draw(st.sampled_from(["1.0", "2.5.1"])),
        files=files,
        entry_points=draw(st.just("") | st.sampled_from(ENTRY_POINTS)),
        requires=tuple(draw(st.lists(st.sampled_from(others), max_size=1))) if others else (),
        data_folder=draw(st.sampled_from(["", "", "", "purelib", "platlib"])),
    )


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """A whole program."""
    names = PROJECTS[: draw(st.integers(1, len(PROJECTS)))]
    recipes = tuple(draw(_recipe(name, [other for other in names if other != name])) for name in names)
    beside = draw(st.just({}) | _tree(3, (".py",)))
    local = draw(_tree(2, (".py",)))
    trees = [beside, local, *(recipe.files for recipe in recipes)]
    return Program(
        recipes=recipes,
        beside_script=beside,
        local=local,
        orders=tuple(_orders(sorted({name for tree in trees for name in _modules(tree)}), draw)),
        compiled=draw(st.booleans()),
    )


def _modules(files: Mapping[str, Content]) -> Iterator[str]:
    """Every dotted name that a file or folder of the tree may be imported by."""
    for path, content in files.items():
        *folders, name = path.split("/")
        yield from (".".join(folders[:depth]) for depth in range(1, len(folders) + 1))
        tail = name.partition(".")[0]
        if isinstance(content, Module) and tail != "__init__":
            yield ".".join([*folders, tail])


def _orders(names: Sequence[str], draw: st.DrawFn) -> Iterator[tuple[str, ...]]:
    """Permutations of the top-level names, all of them where they are few; submodules come at once or at the end."""
    tops = [name for name in names if "." not in name]
    below = draw(st.permutations([name for name in names if "." in name]))[:MOST_SUBMODULES]
    permutations: list[Sequence[str]] = list(itertools.permutations(tops)) if len(tops) < 4 else []
    for number in range(min(len(permutations), MOST_ORDERS) or MOST_ORDERS):
        order = permutations[number] if permutations else draw(st.permutations(tops))
        if number % 2:
            yield (*order, *below, *MISSING)
        else:
            inside = {top: [name for name in below if name.startswith(f"{top}.")] for top in order}
            yield (*itertools.chain.from_iterable((top, *inside[top]) for top in order), *MISSING)
