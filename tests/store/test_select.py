"""Selection: one function for every kind of lock file, pure, and deaf to no kind of nonsense."""

import subprocess
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packaging.markers import Marker
from uv import find_uv_bin

from storectl_store.errors import LockFileError, SelectionError, TargetError
from storectl_store.selection.lock_file import LockFile, LockKind
from storectl_store.selection.pin import Selection
from storectl_store.selection.python_version import check_requires_python
from storectl_store.selection.reading import read_lock_file
from storectl_store.selection.requires_python import requires_python_of
from storectl_store.selection.select import SELECTORS, select
from support.index import serve_index
from support.lock_files import pyproject_text
from support.project import lock_file_text
from support.targets import make_interpreter, make_target
from support.wheels import make_wheel

KINDS: dict[LockKind, str] = {
    "uv": "uv.lock",
    "pylock": "pylock.toml",
    "poetry": "poetry.lock",
    "pdm": "pdm.lock",
    "pipfile": "Pipfile.lock",
    "requirements": "requirements.txt",
}
WHEELS = (make_wheel("a"), make_wheel("b_b", "2.0"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one lock file of each kind, all saying the same."""
    with serve_index(*WHEELS) as index:
        (tmp_path / "pyproject.toml").write_text(pyproject_text(["a", "b-b"]))
        for name in KINDS.values():
            (tmp_path / name).write_text(lock_file_text(name, index, WHEELS))
    return tmp_path


def lock_of(kind: LockKind, content: bytes, *, pyproject: bytes | None = None) -> LockFile:
    project = Path("/project")
    path = project / KINDS[kind]
    return LockFile(kind=kind, path=path, content=content, digest="", project=project, pyproject=pyproject)


def test_there_is_a_selector_for_every_kind() -> None:
    assert SELECTORS.keys() == set(get_args(LockKind))


def test_every_kind_selects_the_same(project: Path) -> None:
    expected = {(wheel.name.replace("_", "-"), wheel.version, frozenset({wheel.digest})) for wheel in WHEELS}
    for name in KINDS.values():
        selection = select(read_lock_file(project / name), make_target())
        pins = {(pin.name, pin.version, frozenset({pin.wheel.digest})) for pin in selection.pins}
        assert pins | {(pin.name, pin.version, pin.digests) for pin in selection.index_pins} == expected, name


@pytest.mark.parametrize("name", KINDS.values())
def test_selection_reads_nothing_but_the_lock_file(project: Path, name: str) -> None:
    lock_file = read_lock_file(project / name)
    before = select(lock_file, make_target())
    for path in project.iterdir():
        path.unlink()
    assert select(lock_file, make_target()) == before


def test_the_python_that_a_lock_file_is_for_is_known_before_a_target(project: Path) -> None:
    assert requires_python_of(read_lock_file(project / "uv.lock")) == ">=3.9"
    assert requires_python_of(read_lock_file(project / "pylock.toml")) is None
    assert requires_python_of(read_lock_file(project / "requirements.txt")) == ">=3.9"
    pylock = lock_of("pylock", b'lock-version = "1.0"\nrequires-python = "~=3.12"\n')
    assert requires_python_of(pylock) == "~=3.12"
    assert requires_python_of(lock_of("requirements", b"")) is None
    with pytest.raises(LockFileError, match="`requires-python` must be a string"):
        requires_python_of(lock_of("uv", b"requires-python = 3"))


@pytest.mark.parametrize(
    ("specifiers", "version", "allowed"),
    [
        (">=3.11,<3.13", "3.12.9", True),
        (">=3.11,<3.13", "3.13.0", False),
        ("==3.12.*", "3.12.0", True),
        (">=3.14", "3.14.0rc1", True),
        (">=3.13", "3.13.0+", True),
        (">3.12", "3.12.0", False),
        (None, "3.9.0", True),
    ],
)
def test_requires_python_is_checked_as_installers_do(specifiers: str | None, version: str, *, allowed: bool) -> None:
    interpreter = make_interpreter(version)
    if allowed:
        check_requires_python(specifiers, interpreter, "uv.lock")
    else:
        with pytest.raises(TargetError, match="this is Python"):
            check_requires_python(specifiers, interpreter, "uv.lock")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0",
        b"\xff\xfe",
        b"<<<<<<< HEAD\n",
        b"[" * 100_000,
        b"x = " + b"{a=" * 5000,
        b"a = 1\na = 2\n",
        b"\\\n",
        b"#",
        b"a" + b" " * 500_000 + b"b",
        b"-e " + b"[" * 500_000,
        b"./a" + b" ;" * 200_000,
        b"./a" + b"[x]" * 200_000,
        b" " * 2_000_000 + b"#",
        b"a==1 \\\n" * 300_000,
        b"a==1 --hash='" + b"x" * 500_000,
    ],
    ids=range(16),
)
def test_nonsense_is_a_selection_error_or_nothing_selected(kind: LockKind, content: bytes) -> None:
    try:
        assert select(lock_of(kind, content), make_target()) == Selection()
    except SelectionError as error:
        assert error.message.startswith("/project/")  # noqa: PT017 # an empty requirements file is no error


def test_more_packages_than_any_lock_file_has_are_refused() -> None:
    many = 20_001
    for kind, content in (
        ("uv", b"version = 1\npackage = [" + b"{}," * many + b"]"),
        ("pylock", b"packages = [" + b"{}," * many + b"]"),
        ("requirements", b"a\n" * many),
    ):
        with pytest.raises(LockFileError, match="20001 packages, more than 20000"):
            select(lock_of(kind, content), make_target())  # type: ignore[arg-type]


VALUES = st.recursive(
    st.one_of(
        st.integers(),
        st.booleans(),
        st.sampled_from(
            ["", "a", "1.0", ".", "x-1.0-py3-none-any.whl", "https://x.invalid/a-1.0-py3-none-any.whl", "\0"]
        ),
        st.sampled_from(["sys_platform == 'linux'", "extra == 'extra-1-a-x'", "'a' in extras", "sha256:" + "a" * 64]),
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "url", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = st.sampled_from(
    [
        "version", "lock-version", "created-by", "requires-python", "package", "packages", "manifest", "conflicts",
        "supported-markers", "environments", "extras", "default-groups", "dependency-groups",
        "name", "source", "dependencies", "optional-dependencies", "dev-dependencies", "metadata", "marker", "wheels",
        "sdist", "archive", "directory", "vcs", "hashes", "hash", "url", "path", "size", "index", "registry", "virtual",
        "editable", "members", "requirements", "extra", "group", "resolution-markers",
    ]
)  # fmt: skip
TABLES = st.recursive(
    st.dictionaries(KEYS, VALUES, max_size=5),
    lambda inner: st.dictionaries(KEYS, inner | st.lists(inner, max_size=3) | VALUES, max_size=6),
    max_leaves=12,
)


def toml(value: object) -> str:
    """A value as inline TOML."""
    match value:
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case str():
            return '"' + "".join(f"\\u{ord(c):04x}" if c in '"\\' or ord(c) < 32 else c for c in value) + '"'
        case list():
            return f"[{', '.join(map(toml, value))}]"
        case dict():
            return "{" + ", ".join(f"{toml(key)} = {toml(item)}" for key, item in value.items()) + "}"
    raise TypeError(value)


@pytest.mark.parametrize("kind", ["uv", "pylock"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tables=st.dictionaries(KEYS, TABLES | VALUES, max_size=8), valid=st.booleans())
def test_any_table_is_a_selection_or_its_error(kind: LockKind, tables: dict[str, object], *, valid: bool) -> None:
    if valid:
        tables = {**tables, "version": 1, "lock-version": "1.0", "created-by": "x"}
    content = "".join(f"{key} = {toml(value)}\n" for key, value in tables.items()).encode()
    try:
        select(lock_of(kind, content, pyproject=content), make_target(groups=None))
    except SelectionError as error:
        assert error.message  # noqa: PT017 # success is as good


@settings(max_examples=60, deadline=None)
@given(
    words=st.lists(
        st.sampled_from(
            ["a", "==1.0", " ", ";", "@", "-e", "-r", "--hash", "=", "sha256:", "0" * 64, "\n", "\\\n", "#", "'", "https://x",
             "[", ".whl", "./", "-1.0-py3-none-any", "file:", "${A}", "-c", "\0", "extra"]
        ),
        max_size=25,
    )
)  # fmt: skip
def test_any_requirements_are_a_selection_or_their_error(words: list[str]) -> None:
    try:
        select(lock_of("requirements", "".join(words).encode()), make_target())
    except SelectionError as error:
        assert error.message  # noqa: PT017 # success is as good


@pytest.mark.network
@pytest.mark.parametrize("version", ["3.11.7", "3.12.1"])
def test_a_real_project_selects_the_same_in_every_format(tmp_path: Path, version: str) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "data"\nversion = "0"\nrequires-python = ">=3.11,<3.13"\n'
        'dependencies = ["numpy", "pandas", "matplotlib", "tqdm"]\n[tool.uv]\npackage = false\n'
    )
    run_uv(tmp_path, "lock")
    run_uv(tmp_path, "export", "--frozen", "--format", "pylock.toml", "-o", "pylock.toml")
    run_uv(tmp_path, "export", "--frozen", "--format", "requirements.txt", "-o", "requirements.txt")
    exported = run_uv(tmp_path, "export", "--frozen", "--no-hashes", "--no-header", "--no-annotate").splitlines()
    target = make_target(version)
    names = ("uv.lock", "pylock.toml", "requirements.txt")
    uv, pylock, requirements = (select(read_lock_file(tmp_path / name), target) for name in names)
    assert uv.pins == pylock.pins
    assert [(pin.name, pin.version) for pin in uv.pins] == [(pin.name, pin.version) for pin in requirements.index_pins]
    assert all(pin.wheel.digest in by.digests for pin, by in zip(uv.pins, requirements.index_pins, strict=True))
    lines = [line.partition(" ; ") for line in exported]
    markers = dict(target.interpreter.markers)
    assert {f"{pin.name}=={pin.version}" for pin in uv.pins} == {
        what for what, _, marker in lines if not marker or Marker(marker).evaluate(markers)
    }


def run_uv(folder: Path, *arguments: str) -> str:
    command = [find_uv_bin(), *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
