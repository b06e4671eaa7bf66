"""Published environments, run by real interpreters."""

import json
import os
import py_compile
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from storectl_store.digest import parse_digest
from storectl_store.selection.target import Interpreter
from support.environments import StoreAt, add_entry, ask_interpreter, interpreters, publish, run, store_at
from support.wheels import WheelBytes, make_wheel


@pytest.fixture
def store(tmp_path: Path) -> StoreAt:
    return store_at(tmp_path.resolve() / "store")


@pytest.fixture(params=interpreters(), ids=lambda path: Path(path).name)
def interpreter(request: pytest.FixtureRequest) -> Interpreter:
    return ask_interpreter(request.param)


def python(environment: Path, program: str) -> str:
    return run([environment / "bin" / "python", "-c", program]).strip()


def test_it_is_a_virtual_environment_of_the_base_interpreter(store: StoreAt, interpreter: Interpreter) -> None:
    environment = publish(store, interpreter, make_wheel("sample"))
    program = (
        "import sys, site, sysconfig, json; print(json.dumps([sys.prefix, sys.base_prefix, sys.executable,"
        " sysconfig.get_path('purelib'), sysconfig.get_path('scripts'), sys.flags.no_user_site, site.ENABLE_USER_SITE]))"
    )
    prefix, base, executable, purelib, scripts, _, user_site = json.loads(python(environment, program))
    assert prefix == str(environment)
    assert base == interpreter.base_prefix
    assert executable == str(environment / "bin" / "python")
    assert purelib == str(environment / "lib" / interpreter.library_folder / "site-packages")
    assert scripts == str(environment / "bin")
    assert user_site is False


def test_packages_modules_and_data_are_found_by_their_view_path(store: StoreAt, interpreter: Interpreter) -> None:
    sample = make_wheel(
        "sample", files={"sample/__init__.py": "", "sample/sub/__init__.py": "", "sample/data.txt": "x"}
    )
    single = make_wheel("single", files={"single.py": "VALUE = 1\n"})
    environment = publish(store, interpreter, sample, single)
    program = (
        "import sample.sub, single, pkgutil; print(sample.sub.__file__); print(single.__file__);"
        "print(pkgutil.get_data('sample', 'data.txt').decode());"
        "print({'sample', 'single'} <= {m.name for m in pkgutil.iter_modules()})"
    )
    site = environment / "lib" / interpreter.library_folder / "site-packages"
    assert python(environment, program).splitlines() == [
        f"{site}/sample/sub/__init__.py",
        f"{site}/single.py",
        "x",
        "True",
    ]


def test_metadata_names_versions_files_and_entry_points(store: StoreAt, interpreter: Interpreter) -> None:
    wheel = make_wheel("Some.Name", "2.5", files={"some_name.py": ""}, entry_points="[plugins]\nx = some_name\n")
    environment = publish(store, interpreter, wheel, make_wheel("other", "0.1"))
    program = (
        "import importlib.metadata as m, json; d = m.distribution('some-name');"
        "print(json.dumps([sorted(x.metadata['Name'] for x in m.distributions()), d.version,"
        " all(f.locate().exists() for f in d.files), len(d.files), [e.name for e in d.entry_points]]))"
    )
    assert json.loads(python(environment, program)) == [["Some.Name", "other"], "2.5", True, 5, ["x"]]


def test_resources_of_a_regular_package_split_over_two_wheels(store: StoreAt, interpreter: Interpreter) -> None:
    init = "NAME = 'split'\n"
    left = make_wheel("left", files={"split/__init__.py": init, "split/left.txt": "L", "split/deep/a/x.py": "V = 1"})
    right = make_wheel("right", files={"split/__init__.py": init, "split/right.txt": "R", "split/deep/b/y.py": "V = 2"})
    environment = publish(store, interpreter, left, right)
    program = (
        "import importlib.resources as r, split.deep.a.x, split.deep.b.y;"
        "print(sorted(p.name for p in r.files('split').iterdir() if p.name.endswith('.txt')),"
        " r.files('split').joinpath('left.txt').read_text(), split.deep.a.x.V + split.deep.b.y.V)"
    )
    assert python(environment, program) == "['left.txt', 'right.txt'] L 3"
    split = environment / "lib" / interpreter.library_folder / "site-packages" / "split"
    assert not split.is_symlink()
    assert (split / "deep" / "a").is_symlink()


def test_namespaces_span_wheels_and_local_code(store: StoreAt, interpreter: Interpreter, tmp_path: Path) -> None:
    local = tmp_path / "project" / "src"
    (local / "company" / "own").mkdir(parents=True)
    (local / "company" / "own" / "__init__.py").write_text("PLACE = 'local'\n")
    first = make_wheel("company-first", files={"company/first/__init__.py": "PLACE = 'first'\n"})
    second = make_wheel("company-second", files={"company/second.py": "PLACE = 'second'\n"})
    own = make_wheel("own", files={"_editable_own.pth": f"{local}\n"})
    environment = publish(store, interpreter, first, second, own)
    program = (
        "import company.first, company.second, company.own, pkgutil;"
        "print(company.first.PLACE, company.second.PLACE, company.own.PLACE);"
        "print(sorted(m.name for m in pkgutil.iter_modules(company.__path__)))"
    )
    assert python(environment, program).splitlines() == ["first second local", "['first', 'own', 'second']"]


def test_scripts_run_by_name_and_by_module(store: StoreAt, interpreter: Interpreter) -> None:
    files = {
        "tool/__init__.py": "class Main:\n    @staticmethod\n    def go():\n        import sys; print('go', sys.argv)\n",
        "tool/__main__.py": "print('module')\n",
        "tool-1.0.data/scripts/rewritten": "#!pythonw -u\nimport sys, tool; print(sys.prefix)\n",
        "tool-1.0.data/scripts/shell.sh": "#!/bin/sh\necho shell\n",
    }
    wheel = make_wheel(
        "tool",
        files=files,
        executable=frozenset({"tool-1.0.data/scripts/rewritten", "tool-1.0.data/scripts/shell.sh"}),
        entry_points="[console_scripts]\nTool-Go = tool:Main.go\n[gui_scripts]\ntool-gui = tool:Main.go\n",
    )
    environment = publish(store, interpreter, wheel)
    binaries = environment / "bin"
    assert run([binaries / "Tool-Go", "a b"]) == f"go ['{binaries}/Tool-Go', 'a b']\n"
    assert run([binaries / "tool-gui"]) == f"go ['{binaries}/tool-gui']\n"
    assert run([binaries / "rewritten"]) == f"{environment}\n"
    assert run([binaries / "shell.sh"]) == "shell\n"
    assert run([binaries / "python", "-m", "tool"]) == "module\n"


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel of Linux")
def test_a_native_program_is_where_it_is_in_a_venv(store: StoreAt, interpreter: Interpreter) -> None:
    """It looks for its environment, and writes itself into hooks and configurations, by what the kernel says."""
    program = Path(shutil.which("readlink") or "").resolve().read_bytes()
    files = {"native-1.0.data/scripts/native": program, "native.py": ""}
    wheel = make_wheel("native", files=files, executable=frozenset({"native-1.0.data/scripts/native"}))
    command = publish(store, interpreter, wheel) / "bin/native"
    assert run([command, "/proc/self/exe"]) == f"{command}\n"


@pytest.mark.parametrize("folder", ["with space", "long" * 30])
def test_scripts_run_from_a_store_whose_path_no_kernel_takes(
    tmp_path: Path, folder: str, interpreter: Interpreter
) -> None:
    wheel = make_wheel(
        "tool",
        files={
            "tool.py": "def main():\n    import sys; print(sys.argv[1:])\n",
            "tool-1.0.data/scripts/rewritten": "#!python\nprint('rewritten')\n",
        },
        entry_points="[console_scripts]\ntool = tool:main\n",
    )
    environment = publish(store_at(tmp_path.resolve() / folder), interpreter, wheel)
    assert run([environment / "bin" / "tool", "a b", "$c"]) == "['a b', '$c']\n"
    assert run([environment / "bin" / "rewritten"]) == "rewritten\n"


def test_child_processes_find_the_same_environment(store: StoreAt, interpreter: Interpreter) -> None:
    environment = publish(store, interpreter, make_wheel("sample", files={"sample.py": "VALUE = 42\n"}))
    program = (
        "import subprocess, sys, multiprocessing as m\n"
        "print(subprocess.check_output([sys.executable, '-c', 'import sample; print(sample.VALUE)']).decode().strip())\n"
        "code = 'import os, sample; os._exit(0 if sample.VALUE == 42 else 3)'\n"
        "process = m.get_context('spawn').Process(target=exec, args=(code,)); process.start(); process.join()\n"
        "print(process.exitcode)\n"
    )
    assert python(environment, program).split() == ["42", "0"]


def test_bytecode_of_the_entry_is_used_in_packages_modules_and_merged_folders(
    store: StoreAt, interpreter: Interpreter, tmp_path: Path
) -> None:
    wheels = [
        make_wheel("single", files={"single.py": "VALUE = 'source'\n"}),
        make_wheel("left", files={"both/left.py": "VALUE = 'source'\n"}),
        make_wheel("right", files={"both/right.py": "VALUE = 'source'\n"}),
        make_wheel("package", files={"package/__init__.py": "VALUE = 'source'\n"}),
    ]
    for wheel in wheels:
        manifest = add_entry(store.layout, wheel)
        modules = [file.path for file in manifest.files if file.path.endswith(".py")]
        for module in modules:
            _compile_as_bytecode(interpreter, store.layout.entry(manifest.name, manifest.digest), module, tmp_path)
    program = "import single, both.left, both.right, package as p; print(single.VALUE, both.left.VALUE, both.right.VALUE, p.VALUE)"
    environment = publish(store, interpreter, *wheels)
    assert python(environment, program) == "bytecode bytecode bytecode bytecode"


def _compile_as_bytecode(interpreter: Interpreter, entry: Path, module: str, scratch: Path) -> None:
    """Bytecode that says something else than its source, so that a program tells which of them it runs."""
    source = scratch / "other.py"
    source.write_text("VALUE = 'bytecode'\n")
    place = entry / "site-packages" / module
    target = place.parent / "__pycache__" / f"{place.stem}.{interpreter.cache_tag}.pyc"
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    program = f"import py_compile as p; p.compile({str(source)!r}, {str(target)!r}, invalidation_mode=p.{mode})"
    run([interpreter.executable, "-c", program])


def test_an_entry_without_bytecode_is_imported_from_source(store: StoreAt, interpreter: Interpreter) -> None:
    environment = publish(store, interpreter, make_wheel("single", files={"single.py": "VALUE = 1\n"}))
    link = (
        environment
        / "lib"
        / interpreter.library_folder
        / f"site-packages/__pycache__/single.{interpreter.cache_tag}.pyc"
    )
    assert link.is_symlink()
    assert not link.exists()
    assert python(environment, "import single; print(single.VALUE)") == "1"


def test_data_and_headers_are_below_the_prefix(store: StoreAt, interpreter: Interpreter) -> None:
    site = f"lib/{interpreter.library_folder}/site-packages"
    one = make_wheel(
        "one",
        files={
            "one-1.0.data/data/share/jupyter/kernels/one/kernel.json": "{}",
            "one-1.0.data/data/etc/one.conf": "1",
            f"one-1.0.data/data/{site}/late.py": "VALUE = 'late'\n",
            "one-1.0.data/headers/one.h": "#define ONE 1\n",
        },
    )
    two = make_wheel("two", files={"two-1.0.data/data/share/jupyter/kernels/two/kernel.json": "{}"})
    environment = publish(store, interpreter, one, two)
    program = (
        "import os, sys, late; print(sorted(os.listdir(sys.prefix + '/share/jupyter/kernels')), late.VALUE,"
        " open(sys.prefix + '/etc/one.conf').read(),"
        " os.path.isfile(sys.prefix + '/include/site/python%d.%d/one/one.h' % sys.version_info[:2]))"
    )
    assert python(environment, program) == "['one', 'two'] late 1 True"


def test_a_script_folder_pythonpath_and_the_standard_library_come_first(
    store: StoreAt, interpreter: Interpreter, tmp_path: Path
) -> None:
    wheels = [make_wheel(name, files={f"{name}.py": "PLACE = 'wheel'\n"}) for name in ("mine", "given", "colorsys")]
    (tmp_path / "mine.py").write_text("PLACE = 'script'\n")
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "given.py").write_text("PLACE = 'path'\n")
    script = tmp_path / "main.py"
    script.write_text("import mine, given, colorsys; print(mine.PLACE, given.PLACE, hasattr(colorsys, 'PLACE'))\n")
    environment = publish(store, interpreter, *wheels)
    assert run([environment / "bin/python", script], PYTHONPATH=str(tmp_path / "path")) == "script path False\n"


def test_a_library_finds_another_wheels_library_beside_its_own_folder(
    store: StoreAt, interpreter: Interpreter, tmp_path: Path
) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc")
    user, base = _library_wheels(tmp_path)
    linked = publish(store_at(tmp_path.resolve() / "linked"), interpreter, user, base)
    program = "import ctypes, user; print(ctypes.CDLL(user.__path__[0] + '/lib/libuser.so').twice())"
    # The proof that the folders have to be real: with links the same program fails.
    assert subprocess.run([linked / "bin/python", "-c", program], capture_output=True, check=False).returncode != 0
    environment = publish(store, interpreter, user, base, escaping={"user": ["user/lib/libuser.so"]})
    assert python(environment, program) == "42"
    site = environment / "lib" / interpreter.library_folder / "site-packages"
    assert not (site / "user" / "lib").is_symlink()
    assert (site / "user" / "other").is_symlink()
    assert (site / "base").is_symlink()


def _library_wheels(folder: Path) -> tuple[WheelBytes, WheelBytes]:
    (folder / "base.c").write_text("int base(void) { return 21; }\n")
    (folder / "user.c").write_text("int base(void); int twice(void) { return 2 * base(); }\n")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", "libbase.so", "base.c"], cwd=folder, check=True)
    path = "-Wl,-rpath,$ORIGIN/../../base/lib"
    command = ["gcc", "-shared", "-fPIC", "-o", "libuser.so", "user.c", "-L.", "-lbase", path]
    subprocess.run(command, cwd=folder, check=True)
    user = {
        "user/__init__.py": "",
        "user/lib/libuser.so": (folder / "libuser.so").read_bytes(),
        "user/other/__init__.py": "",
    }
    base = {"base/__init__.py": "", "base/lib/libbase.so": (folder / "libbase.so").read_bytes()}
    return make_wheel("user", files=user), make_wheel("base", files=base)


def pip_installed(folder: Path, wheels: list[WheelBytes], *options: str) -> Path:
    """What pip makes of the same wheels in a virtual environment of the tests' interpreter."""
    pytest.importorskip("pip")
    (folder / "wheels").mkdir(parents=True)
    for wheel in wheels:
        (folder / "wheels" / wheel.filename).write_bytes(wheel.data)
    base = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    run([base, "-m", "venv", "--without-pip", folder / "venv"])
    pip: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        folder / "venv/bin/python",
        "--disable-pip-version-check",
        "-q",
    ]
    find: list[str | Path] = ["--no-index", "--find-links", folder / "wheels", "--no-compile"]
    run([*pip, "install", *find, *options, *(f"{wheel.name}=={wheel.version}" for wheel in wheels)])
    return folder / "venv"


# Which of the two forms it is depends on the length of the path, and so on where the tests run.
PYTHON_LINE = re.compile(rb"\A(#!/bin/sh\n'''exec' .*\n' '''|#!/.*/bin/python3?(\.\d+)?)\n")


def tree_of(prefix: Path, folder: str) -> dict[str, tuple[bytes, bool]]:
    """Every file that a program sees below a folder of an environment, links followed."""
    found = {}
    for parent, folders, names in os.walk(prefix / folder, followlinks=True):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in names:
            path = Path(parent, name)
            relative = str(path.relative_to(prefix))
            if not _is_of_the_installer(relative):
                data = PYTHON_LINE.sub(b"#!python\n", path.read_bytes())
                found[relative] = (data, bool(path.stat().st_mode & 0o111))
    return found


def _is_of_the_installer(path: str) -> bool:
    name = path.rpartition("/")[2]
    return name in {
        "INSTALLER",
        "RECORD",
        "REQUESTED",
        "direct_url.json",
        "EXTERNALLY-MANAGED",
        "pip",
    } or name.startswith(("_storectl", "python", "activate", "Activate"))


SAME_INIT = "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"
OVERLAPPING = [
    make_wheel(
        "alpha",
        files={
            "both/__init__.py": "WINNER = 'alpha'\n",
            "both/alpha.py": "",
            "same/__init__.py": SAME_INIT,
            "same/deep/__init__.py": SAME_INIT,
            "same/deep/a.py": "",
            "alpha-1.0.data/data/share/x/alpha.txt": "a",
            "alpha-1.0.data/data/share/x/common.txt": "alpha",
            "alpha-1.0.data/purelib/pure.py": "",
            "alpha-1.0.data/scripts/tool": "#!python\nprint('script')\n",
            "alpha-1.0.data/scripts/plain": "#!/bin/sh\necho alpha\n",
        },
        executable=frozenset({"alpha-1.0.data/scripts/tool", "alpha-1.0.data/scripts/plain"}),
    ),
    make_wheel(
        "beta",
        files={
            "both/__init__.py": "WINNER = 'beta'\n",
            "both/beta.py": "",
            "same/__init__.py": SAME_INIT,
            "same/deep/__init__.py": SAME_INIT,
            "same/deep/b.py": "",
            "beta-1.0.data/data/share/x/beta.txt": "b",
            "beta-1.0.data/data/share/x/common.txt": "beta",
            "beta-1.0.data/headers/beta.h": "",
            "beta-1.0.data/scripts/plain": "#!/bin/sh\necho beta\n",
        },
        executable=frozenset({"beta-1.0.data/scripts/plain"}),
    ),
]


@pytest.mark.parametrize("folder", ["lib", "share", "include"])
def test_a_program_sees_the_files_that_pip_would_have_installed(store: StoreAt, tmp_path: Path, folder: str) -> None:
    venv = pip_installed(tmp_path / "pip", OVERLAPPING, "--no-deps")
    environment = publish(store, ask_interpreter(interpreters()[0]), *OVERLAPPING)
    assert tree_of(environment, folder) == tree_of(venv, folder)
    assert len(tree_of(environment, "lib")) > 10


def test_scripts_are_those_that_pip_would_have_installed(store: StoreAt, tmp_path: Path) -> None:
    venv = pip_installed(tmp_path / "pip", OVERLAPPING, "--no-deps")
    environment = publish(store, ask_interpreter(interpreters()[0]), *OVERLAPPING)
    assert tree_of(environment, "bin") == tree_of(venv, "bin")
    assert run([environment / "bin/plain"]) == "alpha\n"


@pytest.mark.parametrize(
    "requirements",
    [{}, {"alpha": ("beta",)}, {"beta": ("alpha",)}, {"beta": ("gamma[x]",), "gamma": ('alpha; extra == "x"',)}],
    ids=["none", "alpha needs beta", "beta needs alpha", "beta needs alpha by an extra"],
)
def test_the_winner_of_a_conflict_is_that_of_pip(
    store: StoreAt, tmp_path: Path, requirements: dict[str, tuple[str, ...]]
) -> None:
    wheels = [_fighter(name, requirements.get(name, ())) for name in ("alpha", "beta", "gamma")]
    venv = pip_installed(tmp_path / "pip", wheels)
    environment = publish(store, ask_interpreter(interpreters()[0]), *wheels)
    program = "import fight; print(fight.WINNER)"
    assert python(environment, program) == python(venv, program)


def _fighter(name: str, requires: tuple[str, ...]) -> WheelBytes:
    """A wheel with the file that the others have, and an extra ``x``."""
    lines = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0", "Provides-Extra: x"]
    metadata = "\n".join([*lines, *(f"Requires-Dist: {requirement}" for requirement in requires), ""])
    return make_wheel(name, files={"fight.py": f"WINNER = {name!r}\n"}, extra_dist_info={"METADATA": metadata})


def test_nothing_in_a_published_environment_can_be_written(store: StoreAt) -> None:
    environment = publish(store, ask_interpreter(interpreters()[0]), *OVERLAPPING)
    for parent, folders, names in os.walk(environment):
        for name in [".", *folders, *names]:
            path = Path(parent, name)
            assert path.is_symlink() or path.stat().st_mode & 0o222 == 0, path


def test_the_record_names_what_the_environment_is_made_of(store: StoreAt, interpreter: Interpreter) -> None:
    environment = publish(store, interpreter, *OVERLAPPING)
    record = json.loads((environment / "environment.json").read_bytes())
    assert record["id"] == environment.name
    assert record["digests"] == sorted(parse_digest(wheel.digest) for wheel in OVERLAPPING)
    assert record["interpreter"]["executable"] == interpreter.executable
