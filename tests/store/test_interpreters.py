"""Interpreters: found, asked, remembered and chosen."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest

from storectl_store.entries.sealed import opened, sealed
from storectl_store.errors import LockFileError, TargetError
from storectl_store.interpreters import book as interpreters
from storectl_store.interpreters import probe
from storectl_store.interpreters.book import InterpreterBook
from storectl_store.interpreters.facts import interpreter_of
from storectl_store.interpreters.search import find_interpreters
from storectl_store.selection.target import Interpreter

RUNNING = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
VERSION = ".".join(map(str, sys.version_info[:3]))
FEATURE = ".".join(map(str, sys.version_info[:2]))


def other_pythons() -> list[str]:
    """CPythons from 3.9 on that this machine happens to have, one of each version."""
    found = {}
    for path in find_interpreters(os.environ):
        done = subprocess.run([path, "-I", "-S", "-V"], capture_output=True, text=True, check=False)
        name, _, version = done.stdout.strip().partition(" ")
        numbers = version.split(".")
        if done.returncode == 0 and name == "Python" and numbers[0] == "3" and int(numbers[1]) >= 9:
            found[version] = path
    return list(found.values())


@pytest.fixture
def book(tmp_path: Path) -> InterpreterBook:
    return InterpreterBook(tmp_path / "interpreters")


@pytest.fixture
def running(book: InterpreterBook) -> Interpreter:
    return book.inspect(sys.executable)


def program(folder: Path, name: str, content: str = "") -> Path:
    """An executable that calls itself Python. It is no script, so it is found; it is nothing else either, so it fails."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"\n{content}\n")
    path.chmod(0o755)
    return path


def chosen(
    book: InterpreterBook,
    request: str | None,
    environ: dict[str, str],
    *,
    requires_python: str | None = None,
    pinned: str | None = None,
) -> Interpreter:
    return book.choose(request, requires_python=requires_python, pinned=pinned, environ=environ)


def test_what_an_interpreter_says_of_itself(running: Interpreter) -> None:
    assert running.executable == RUNNING
    assert (running.version.rstrip("+"), running.implementation) == (VERSION, "cpython")
    assert (running.cache_tag, running.base_prefix) == (sys.implementation.cache_tag, sys.base_prefix)
    assert (running.abiflags, running.platlibdir) == (sys.abiflags, sys.platlibdir)
    assert running.markers["python_version"] == FEATURE
    assert running.markers["sys_platform"] == sys.platform
    assert len(running.markers) == 11
    assert any(suffix == ".so" for suffix in running.extension_suffixes)


def test_every_python_from_3_9_on_is_taken_whatever_packaging_is_installed(book: InterpreterBook) -> None:
    for python in other_pythons():
        interpreter = book.inspect(python)
        assert interpreter.tags, python
        assert interpreter.tag_rank


def test_nothing_of_ours_is_imported_by_another_interpreter(tmp_path: Path) -> None:
    for python in other_pythons():
        done = subprocess.run(
            [python, "-I", "-S", "-v", probe.__file__], capture_output=True, text=True, check=True, cwd="/"
        )
        origins = [line.split(" # ")[0] for line in done.stderr.splitlines() if line.startswith("# code object from")]
        assert not [line for line in origins if "site-packages" in line or "packaging" in line], python


def test_a_probe_that_is_too_old_for_us_still_says_its_version(book: InterpreterBook) -> None:
    for version in ("3.6", "3.7", "3.8"):
        for python in Path.home().glob(f".pyenv/versions/{version}.*/bin/python"):
            with pytest.raises(TargetError, match=rf"is cpython {version}\.\d+, which is too old: CPython 3\.9 is the"):
                book.inspect(str(python))


def test_the_python_of_a_virtual_environment_is_its_base(
    book: InterpreterBook, tmp_path: Path, running: Interpreter
) -> None:
    venv.create(tmp_path / "linked", symlinks=True)
    venv.create(tmp_path / "copied", symlinks=False)
    for name in ("linked", "copied"):
        inspected = book.inspect(str(tmp_path / name / "bin" / "python"))
        assert (inspected.executable, inspected.identity) == (running.executable, running.identity)


def test_a_virtual_environment_of_a_virtual_environment_has_the_same_base(
    book: InterpreterBook, tmp_path: Path
) -> None:
    venv.create(tmp_path / "first", symlinks=True)
    first = str(tmp_path / "first" / "bin" / "python")
    subprocess.run([first, "-m", "venv", "--copies", "--without-pip", str(tmp_path / "second")], check=True)
    assert book.inspect(str(tmp_path / "second" / "bin" / "python")).executable == RUNNING


def test_an_interpreter_is_asked_once(tmp_path: Path, running: Interpreter) -> None:
    again = InterpreterBook(tmp_path / "interpreters", timeout=0.0)  # It could not answer in no time at all.
    assert again.inspect(sys.executable) == running
    assert len(list((tmp_path / "interpreters").iterdir())) == 1


def test_an_interpreter_that_has_not_changed_is_one_object(book: InterpreterBook) -> None:
    assert book.inspect(sys.executable) is book.inspect(sys.executable)


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "[]",
        '{"format": 99}',
        '{"format": 3, "facts": {"executable": "/gone"}}',
        '{"format": 3, "facts": {"executable": "/bin/sh", "markers": 1}}',
    ],
)
def test_a_damaged_record_is_made_anew_after_a_restart(
    book: InterpreterBook, tmp_path: Path, running: Interpreter, damage: str
) -> None:
    (record,) = (tmp_path / "interpreters").iterdir()
    good = record.read_bytes()
    record.write_text(damage)
    assert InterpreterBook(tmp_path / "interpreters").inspect(sys.executable) == running
    assert record.read_bytes() == good


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert InterpreterBook(tmp_path / "file").inspect(sys.executable).executable == RUNNING


def test_a_changed_interpreter_is_asked_again(book: InterpreterBook, tmp_path: Path) -> None:
    path = tmp_path / "python3"
    fake_python(path, version="3.12.1")
    assert book.inspect(str(path)).version == "3.12.1"
    fake_python(path, version="3.12.22")
    assert book.inspect(str(path)).version == "3.12.22"


def test_the_identity_is_that_of_what_environments_look_like(book: InterpreterBook, tmp_path: Path) -> None:
    fake_python(tmp_path / "python3", version="3.12.1")
    facts = [book.inspect(str(tmp_path / "python3"))]
    for changed in (
        {"markers": {**ANSWER["markers"], "platform_release": "another kernel"}},
        {"version": "3.12.2"},
        {"glibc": "2.40"},
    ):
        fake_python(tmp_path / "python3", **{"version": "3.12.1", **changed})
        facts.append(book.inspect(str(tmp_path / "python3")))
    assert facts[0].identity == facts[1].identity
    assert len({interpreter.identity for interpreter in facts}) == 3


ANSWER: dict[str, Any] = {
    "executable": "",
    "version": "3.12.1",
    "implementation": "cpython",
    "cache_tag": "cpython-312",
    "base_prefix": "/usr",
    "platlibdir": "lib",
    "abiflags": "",
    "free_threaded": False,
    "debug": False,
    "extension_suffixes": [".so"],
    "markers": {
        "sys_platform": "linux",
        "platform_release": "6.1",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
    },
    "platform": "linux-x86_64",
    "pointer_bits": 64,
    "glibc": "2.36",
    "musl": "",
    "macos": "",
    "elf_header": "",
    "manylinux_refused": [],
}


def fake_python(path: Path, **facts: object) -> Path:
    """An executable that answers the probe with these facts, and is not the same file as before."""
    answer = {**ANSWER, "executable": str(path), **facts}
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name("new")
    new.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(answer)}\nEND\n")
    new.chmod(0o755)
    new.replace(path)
    return path


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"implementation": "pypy"}, "is pypy 3.12.1; only CPython is supported"),
        ({"version": "3.8.18"}, "is cpython 3.8.18, which is too old: CPython 3.9 is the oldest"),
        ({"extension_suffixes": 1}, "did not say what it is"),
        ({"elf_header": "no hex"}, "did not say what it is"),
        ({"platform": None}, "did not say what it is"),
        ({"version": 3}, "did not say what it is"),
        ({"markers": []}, "did not say what it is"),
        ({"markers": {"a": 1}}, "did not say what it is"),
        ({"version": "nonsense"}, "is not a version of Python"),
    ],
)
def test_what_environments_cannot_be_made_for_is_refused(
    book: InterpreterBook, tmp_path: Path, facts: dict[str, object], message: str
) -> None:
    fake_python(tmp_path / "python3", **facts)
    with pytest.raises(TargetError, match=message):
        book.inspect(str(tmp_path / "python3"))


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("#!/bin/sh\necho 'Unknown option: -I' >&2; exit 2", "no working Python 3: Unknown option: -I"),
        ("#!/bin/sh\necho 'Unknown option: -I\nTry -h' >&2; exit 2", "no working Python 3: Unknown option: -I"),
        ("#!/bin/sh\nexit 3", "no working Python 3: exit code 3"),
        ("#!/bin/sh\necho hello", "did not say what it is"),
        ("#!/bin/sh\necho '[]'", "did not say what it is"),
        ("#!/nowhere/sh\n", "cannot be run"),
    ],
)
def test_what_is_broken_is_an_error_where_it_is_named(
    book: InterpreterBook, tmp_path: Path, script: str, message: str
) -> None:
    path = tmp_path / "python3"
    path.write_text(script)
    path.chmod(0o755)
    with pytest.raises(TargetError, match=message) as caught:
        book.inspect(str(path))
    assert caught.value.hint


def test_one_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "python3"
    os.mkfifo(tmp_path / "never")
    path.write_text(f"#!/bin/sh\nexec cat '{tmp_path / 'never'}'\n")
    path.chmod(0o755)
    with pytest.raises(TargetError, match=r"within 0\.2 s"):
        InterpreterBook(tmp_path / "interpreters", timeout=0.2).inspect(str(path))


def test_a_missing_interpreter_is_named(book: InterpreterBook, tmp_path: Path) -> None:
    for path in (str(tmp_path / "gone"), "/a\0b"):
        with pytest.raises(TargetError, match="no such interpreter"):
            book.inspect(path)


def test_the_probe_tells_facts(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-I", "-S", probe.__file__], capture_output=True, check=True)
    facts = json.loads(done.stdout)
    assert facts["executable"] == RUNNING
    assert (facts["glibc"] or facts["musl"] or facts["macos"]).count(".") >= 1
    assert facts["manylinux_refused"] == []


def test_the_distributor_may_refuse_wheels(book: InterpreterBook, tmp_path: Path) -> None:
    """PEP 600: a module `_manylinux` in the standard library has a say; here of an interpreter with one of its own."""
    policy = tmp_path / "_manylinux.py"
    policy.write_text("def manylinux_compatible(major, minor, machine):\n    return False if minor > 20 else None\n")
    code = "import json, sys; sys.path[:0] = sys.argv[1:]; import probe; print(json.dumps(probe.facts()))"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, str(Path(probe.__file__).parent), str(tmp_path)],
        capture_output=True,
        check=True,
    )
    facts: dict[str, Any] = json.loads(done.stdout)
    if not facts["glibc"]:
        pytest.skip("manylinux is for the GNU C library")
    assert "2.21" in facts["manylinux_refused"]
    assert "2.20" not in facts["manylinux_refused"]
    tags = interpreter_of(facts).tags
    assert not [tag for tag in tags if "manylinux_2_21_" in tag]
    assert [tag for tag in tags if "manylinux_2_20_" in tag]


def test_the_search_follows_path_then_managers_of_versions_then_uv(tmp_path: Path) -> None:
    wanted = [
        program(tmp_path / "one", "python3"),
        program(tmp_path / "one", "python"),
        program(tmp_path / "one", "python3.12"),
        program(tmp_path / "one", "python3.9"),
        program(tmp_path / "two", "python3.11"),
        program(tmp_path / "pyenv" / "versions" / "3.12.10" / "bin", "python3"),
        program(tmp_path / "pyenv" / "versions" / "3.12.9" / "bin", "python3"),
        program(tmp_path / "asdf" / "installs" / "python" / "3.12.8" / "bin", "python3"),
        program(tmp_path / "mise" / "installs" / "python" / "3.12.7" / "bin", "python3"),
        program(tmp_path / "rye" / "py" / "cpython@3.12.6" / "bin", "python3"),
        program(tmp_path / "data" / "uv" / "python" / "cpython-3.13.1-x" / "bin", "python3.13"),
    ]
    program(tmp_path / "one", "python3-config")
    program(tmp_path / "one", "python2")
    program(tmp_path / "one", "ipython3")
    (tmp_path / "two" / "python3").write_text("not executable")
    (tmp_path / "two" / "python").symlink_to(wanted[0])
    environ = {
        "PATH": os.pathsep.join([str(tmp_path / "one"), "relative", "", str(tmp_path / "gone"), str(tmp_path / "two")]),
        "PYENV_ROOT": str(tmp_path / "pyenv"),
        "ASDF_DATA_DIR": str(tmp_path / "asdf"),
        "MISE_DATA_DIR": str(tmp_path / "mise"),
        "RYE_HOME": str(tmp_path / "rye"),
        "XDG_DATA_HOME": str(tmp_path / "data"),
    }
    found = list(find_interpreters(environ))
    assert found[:-1] == [str(path) for path in wanted]
    assert os.path.realpath(found[-1]) == RUNNING


MANAGED = ".pyenv/versions .asdf/installs/python .local/share/mise/installs/python .rye/py .local/share/uv/python"


@pytest.mark.parametrize("managed", MANAGED.split())
def test_managers_of_versions_keep_them_below_home(tmp_path: Path, managed: str) -> None:
    python = program(tmp_path / managed / "3.12.1" / "bin", "python3")
    assert next(find_interpreters({"HOME": str(tmp_path)})) == str(python)
    assert str(python) not in find_interpreters({"HOME": os.path.relpath(tmp_path)})


@pytest.mark.parametrize(
    ("variables", "order"),
    [
        ({}, "path uv ours"),
        ({"UV_PYTHON_PREFERENCE": "system"}, "path uv ours"),
        ({"UV_PYTHON_PREFERENCE": "managed"}, "uv path ours"),
        ({"UV_PYTHON_PREFERENCE": "only-managed"}, "uv"),
        ({"UV_PYTHON_PREFERENCE": "only-system"}, "path ours"),
        ({"UV_MANAGED_PYTHON": "1"}, "uv"),
        ({"UV_NO_MANAGED_PYTHON": "true"}, "path ours"),
        ({"UV_NO_MANAGED_PYTHON": "0"}, "path uv ours"),
    ],
)
def test_uv_s_preference_for_its_own_interpreters_counts(tmp_path: Path, variables: dict[str, str], order: str) -> None:
    places = {
        str(program(tmp_path / "bin", "python3")): "path",
        str(program(tmp_path / "uv" / "cpython-3.12" / "bin", "python3")): "uv",
    }
    environ = {"PATH": str(tmp_path / "bin"), "UV_PYTHON_INSTALL_DIR": str(tmp_path / "uv"), **variables}
    assert " ".join(places.get(path, "ours") for path in find_interpreters(environ)) == order


def known_python(tmp_path: Path, path: Path, version: str, abiflags: str = "") -> Path:
    """A program that could not be run, but is remembered to have said that it is this version."""
    program(path.parent, path.name, f"{version}{abiflags}")
    facts = {**ANSWER, "executable": str(path), "version": version, "abiflags": abiflags}
    record = tmp_path / "interpreters" / f"{interpreters._key(str(path))}.json"
    record.parent.mkdir(exist_ok=True)
    record.write_text(json.dumps({"format": 3, "facts": facts}))
    return path


def pyenv(tmp_path: Path, *versions: str, chosen_version: str = "") -> dict[str, str]:
    """A pyenv with these versions, one of them chosen, and its shims on PATH, which tell when they are run."""
    root = tmp_path / "pyenv"
    for version in versions:
        known_python(tmp_path, root / "versions" / version / "bin" / "python", version)
        (root / "versions" / version / "bin" / "python3").symlink_to("python")
    (root / "shims").mkdir(parents=True)
    (root / "versions").mkdir(exist_ok=True)
    for name in ("python3", "python", "python3.12"):
        (root / "shims" / name).write_text('#!/bin/sh\ntouch "$0.was-run"\n')
        (root / "shims" / name).chmod(0o755)
    (root / "version").write_text(f"{chosen_version}\n")
    return {"PATH": str(root / "shims"), "PYENV_ROOT": str(root)}


def test_shims_are_never_run(book: InterpreterBook, tmp_path: Path) -> None:
    environ = pyenv(tmp_path, "3.11.9", "3.12.1", chosen_version="3.11.9")
    assert chosen(book, None, environ).version == "3.11.9"
    shim = str(tmp_path / "pyenv" / "shims" / "python3")
    assert chosen(book, shim, environ).version == "3.11.9"
    assert chosen(book, shim, {**environ, "PYENV_VERSION": "gone:3.12.1"}).version == "3.12.1"
    with pytest.raises(TargetError, match="shim of pyenv"):
        chosen(book, f"{shim}.12", environ)
    assert not list((tmp_path / "pyenv" / "shims").glob("*.was-run"))


def test_scripts_are_no_interpreters_in_a_search(book: InterpreterBook, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").write_text('#!/bin/sh\ntouch "$0.was-run"\n')
    (tmp_path / "bin" / "python3").chmod(0o755)
    assert chosen(book, None, {"PATH": str(tmp_path / "bin")}).executable == RUNNING
    assert not (tmp_path / "bin" / "python3.was-run").exists()


def test_a_pyenv_environment_can_be_pinned_by_its_name(book: InterpreterBook, tmp_path: Path) -> None:
    environ = pyenv(tmp_path)
    known_python(tmp_path, tmp_path / "pyenv" / "versions" / "my-project" / "bin" / "python", "3.10.1")
    assert chosen(book, None, environ, pinned="# ours\n\nmy-project\n").version == "3.10.1"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """3.11.2, 3.12.1 and a free-threaded 3.99 on PATH in this order; elsewhere 3.10.5, 3.12.9, and the running one."""
    known_python(tmp_path, tmp_path / "a" / "python3", "3.11.2")
    known_python(tmp_path, tmp_path / "b" / "python3", "3.12.1")
    known_python(tmp_path, tmp_path / "c" / "python3", "3.99.0", "t")
    known_python(tmp_path, tmp_path / "uv" / "cpython-3.10.5" / "bin" / "python3", "3.10.5")
    known_python(tmp_path, tmp_path / "uv" / "cpython-3.12.9" / "bin" / "python3", "3.12.9")
    return {
        "PATH": os.pathsep.join(str(tmp_path / folder) for folder in "abc"),
        "UV_PYTHON_INSTALL_DIR": str(tmp_path / "uv"),
    }


@pytest.mark.parametrize(
    ("request_", "version"),
    [
        (None, "3.11.2"),
        ("", "3.11.2"),
        ("python", "3.11.2"),
        ("3", "3.11.2"),
        ("3.12", "3.12.1"),
        ("3.12.9", "3.12.9"),
        ("python3.12", "3.12.1"),
        ("cpython-3.12", "3.12.1"),
        ("cpython@3.12", "3.12.1"),
        ("cpython-3.12.9-linux-x86_64-gnu", "3.12.9"),
        (">=3.12,<3.13", "3.12.1"),
        ("~=3.12.5", "3.12.9"),
        ("<3.11", "3.10.5"),
        ("3.99t", "3.99.0"),
    ],
)
def test_the_first_on_path_that_fits_is_chosen_then_the_newest_elsewhere(
    book: InterpreterBook, environ: dict[str, str], request_: str | None, version: str
) -> None:
    assert chosen(book, request_, environ).version == version


def test_the_project_decides_where_nothing_is_asked_for(book: InterpreterBook, environ: dict[str, str]) -> None:
    assert chosen(book, None, environ, requires_python=">=3.12,<3.13").version == "3.12.1"
    assert chosen(book, None, environ, requires_python=">=3.10,<3.11").version == "3.10.5"
    assert chosen(book, None, environ, pinned="3.12.9\n").version == "3.12.9"
    assert chosen(book, "3.11", environ, pinned="3.12.9\n").version == "3.11.2"


def test_a_path_is_taken_as_it_is(book: InterpreterBook, environ: dict[str, str], tmp_path: Path) -> None:
    assert chosen(book, str(tmp_path / "c" / "python3"), environ).version == "3.99.0"
    venv.create(tmp_path / "env", symlinks=True)
    for path in (tmp_path / "env", tmp_path / "env" / "bin" / "python"):
        assert chosen(book, str(path), environ).executable == RUNNING
    with pytest.raises(TargetError, match=r"the project is for Python <3\.9; this is Python 3\.99\.0"):
        chosen(book, str(tmp_path / "c" / "python3"), environ, requires_python="<3.9")


@pytest.mark.parametrize(
    ("request_", "pinned", "requires_python", "message"),
    [
        ("3.98", None, None, "no interpreter found for 3.98; found: "),
        ("3.99", None, None, "no interpreter found for 3.99; found: .*3.99.0"),
        ("3.12", None, ">=3.13", "the project is for Python >=3.13, and 3.12 is not that"),
        (">=3.9,<3.11", None, ">=3.11", "the project is for Python >=3.11, and >=3.9,<3.11 is not that"),
        (None, "3.10", ">=3.11", r"the project is for Python >=3.11, and 3.10 \(of .python-version\) is not that"),
        ("3.12", None, ">=3.12.30", "no interpreter found for 3.12 that satisfies requires-python >=3.12.30"),
        (None, "3.98", None, r"no interpreter found for 3.98 \(of .python-version\)"),
        (None, None, ">=4", "no interpreter found for any Python that satisfies requires-python >=4"),
        ("3.8", None, None, r"3\.8 is too old: CPython 3\.9 is the oldest"),
        (None, "<3.9", None, r"<3\.9 \(of .python-version\) is too old"),
        ("pypy3.10", None, None, "only CPython is supported"),
        ("nonsense", None, None, "'nonsense' is not a version of Python"),
        (None, "nonsense", None, "'nonsense' is not a version of Python"),
        ("../../etc", None, None, "no such interpreter"),
    ],
)
def test_what_cannot_be_chosen_is_one_error(
    book: InterpreterBook,
    environ: dict[str, str],
    request_: str | None,
    pinned: str | None,
    requires_python: str | None,
    message: str,
) -> None:
    with pytest.raises(TargetError, match=message) as caught:
        chosen(book, request_, environ, pinned=pinned, requires_python=requires_python)
    assert caught.value.hint


def test_the_error_lists_what_was_found(book: InterpreterBook, environ: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(TargetError) as caught:
        chosen(book, "3.98", environ)
    assert f"3.11.2 ({tmp_path / 'a' / 'python3'})" in caught.value.message
    assert str(tmp_path / "uv" / "cpython-3.10.5" / "bin" / "python3") in caught.value.facts["found"]


def test_broken_ones_are_skipped_in_a_search(book: InterpreterBook, environ: dict[str, str], tmp_path: Path) -> None:
    program(tmp_path / "broken", "python3")
    environ["PATH"] = f"{tmp_path / 'broken'}{os.pathsep}{environ['PATH']}"
    assert chosen(book, None, environ).version == "3.11.2"


def test_malformed_requirements_of_a_project_are_its_error(book: InterpreterBook, environ: dict[str, str]) -> None:
    with pytest.raises(LockFileError, match="no list of version specifiers"):
        chosen(book, None, environ, requires_python="three")


def test_a_pre_release_is_asked_for_by_name_or_counts_as_its_release(
    book: InterpreterBook, environ: dict[str, str], tmp_path: Path
) -> None:
    known_python(tmp_path, tmp_path / "a" / "python3.98", "3.98.0rc1")
    for asked in ("3.98", "3.98.0", "3.98.0rc1", ">=3.98,<3.99"):
        assert chosen(book, asked, environ).version == "3.98.0rc1"
    with pytest.raises(TargetError, match="no interpreter found"):
        chosen(book, "3.98.0rc2", environ)


def elsewhere(folder: Path) -> Path:
    """The record of this interpreter, as one with another kernel has left it."""
    (record,) = folder.iterdir()
    value = json.loads(opened(record.read_bytes())[0])
    value["facts"]["markers"] |= {"platform_release": "1.0-other", "platform_version": "other"}
    moved = record.rename(folder / f"{'0' * 64}.json")
    moved.write_bytes(sealed(json.dumps(value).encode() + b"\n"))
    return moved


def test_who_runs_no_interpreter_takes_what_an_equal_one_said_under_another_kernel(tmp_path: Path) -> None:
    asked = InterpreterBook(tmp_path / "a").inspect(sys.executable)
    elsewhere(tmp_path / "a")
    before = sorted(tmp_path.rglob("*"))
    known = InterpreterBook(tmp_path / "b", others=[tmp_path / "a"], asks=False).inspect(sys.executable)
    assert known == asked
    assert known.markers["platform_release"] == os.uname().release
    assert sorted(tmp_path.rglob("*")) == before


def test_who_runs_no_interpreter_knows_no_other_one(tmp_path: Path) -> None:
    InterpreterBook(tmp_path / "a").inspect(sys.executable)
    record = elsewhere(tmp_path / "a")
    value = json.loads(opened(record.read_bytes())[0])
    value["of"]["size"] += 1
    record.write_bytes(sealed(json.dumps(value).encode() + b"\n"))
    with pytest.raises(TargetError, match="no store knows this interpreter"):
        InterpreterBook(tmp_path / "a", asks=False).inspect(sys.executable)
    assert list((tmp_path / "a").iterdir()) == [record]
