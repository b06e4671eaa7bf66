"""Golden bytes of what programs and the launcher read and write too: project records, packs, records of imports."""

import json
import os
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

from storectl_shim import _storectl_pack
from storectl_shim._storectl_pack import PACK_MAGIC, RECORD_MAGIC
from storectl_shim.project_record import UNSET, read_notices, read_ready
from storectl_store.digest import EnvironmentId, digest_of_hex
from storectl_store.entries.layout import StoreLayout
from storectl_store.environments.environment_record import EnvironmentRecord
from storectl_store.environments.pack import packed_modules, parse_imports, write_pack
from storectl_store.projects import project_record
from storectl_store.projects.input_state import PLACE, InputState
from storectl_store.projects.project_record import record_problem, recorded_inputs, write_record
from support.client_project import LAUNCHER, ClientHome, client_home, make_environment, write_program
from support.golden import GOLDEN, check_golden
from support.views import MAP_READER, Python, every_python

RECORD = "project-record.v3"
"""The folder as a whole. Its ``ready`` files, which name the version that they have, are those of version 2."""
OLDER_RECORD = "project-record.v2"
"""It had its part for the launcher beside the rest, for the default options alone."""
PACK = f"pack.v{PACK_MAGIC.decode().rpartition(' ')[2]}"
IMPORTS = f"imports.v{RECORD_MAGIC.decode().rpartition(' ')[2]}"

ROOT = Path("/golden")
"""Stands for a folder of the reader: paths in a record are absolute."""

PROJECT, LIBRARY = ROOT / "project", ROOT / "it's späť"
SECOND = 1_000_000_000
AT = 1_700_000_000 * SECOND + 123_456_789
FILES = {
    PROJECT / "uv.lock": (b"version = 1\n", AT),
    PROJECT / "pyproject.toml": (b'[project]\nname = "sample"\n', AT + SECOND),
    LIBRARY / "pyproject.toml": (b"[build-system]\n", AT + 2 * SECOND),
}
NAMES = (b"a.py", b"b.py")
INPUT_STATES = {
    PROJECT / ".python-version": None,
    **{
        path: InputState(sha256=sha256(data).hexdigest(), mtime_ns=at, size=len(data))
        for path, (data, at) in FILES.items()
    },
    LIBRARY / "src": InputState(sha256=sha256(b"\0".join(NAMES)).hexdigest(), mtime_ns=AT + 3 * SECOND, kind="names"),
    LIBRARY / "there": PLACE,
    LIBRARY / "setup.py": None,
}
KEY = b"a key of 32 bytes, fixed forever"
OTHER_OPTIONS, PLAIN_OPTIONS = "0123456789abcdef", "fedcba9876543210"
NOTICES = ("the lock file is\n  older than the project",)
CC = sha256(KEY + b"CC=gcc").hexdigest()


def write_all(layout: StoreLayout, project: Path) -> Path:
    """The records of three sets of options, of which two have a part for the launcher; the folder that they are in."""
    for key, notices, variables in (
        ("default", (), {"CFLAGS": UNSET}),
        (OTHER_OPTIONS, NOTICES, {"CC": CC}),
        (PLAIN_OPTIONS, (), {}),
    ):
        assert write_record(
            layout, project, key=key, environment=ROOT / "environment", lock_file=PROJECT / "uv.lock",
            inputs=INPUT_STATES, now_ns=AT + 60 * SECOND, notices=notices, variables=variables,
        )  # fmt: skip
    return layout.project_record(project)


def stamps_of(folder: Path) -> bytes:
    stamps = [path for path in _files_below(folder) if path.name.startswith("stamp.")]
    return "".join(f"{path.relative_to(folder)} {path.stat().st_mtime_ns}\n" for path in stamps).encode()


def _files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def golden_record(folder: Path, root: Path = ROOT, version: str = RECORD) -> Path:
    """The golden record in this folder; its paths lead below ``root``. All files but the stamps have one time."""
    folder.mkdir(parents=True)
    for file in _files_below(GOLDEN / version):
        if file.name != "stamps":
            copy = folder / file.relative_to(GOLDEN / version)
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(_below(root, file.read_bytes()))
            os.utime(copy, ns=(AT, AT))
    for line in (GOLDEN / version / "stamps").read_text().splitlines():
        name, at = line.split(" ")
        (folder / name).touch()
        os.utime(folder / name, ns=(int(at), int(at)))
    return folder


def make_inputs(root: Path) -> None:
    """The inputs of the golden record, as it says that they are."""
    for path, (data, at) in FILES.items():
        file = root / path.relative_to(ROOT)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        os.utime(file, ns=(at, at))
    library = root / LIBRARY.relative_to(ROOT)
    (library / "src").mkdir()
    for name in NAMES:
        (library / "src" / os.fsdecode(name)).touch()
    (library / "there").touch()
    os.utime(library / "src", ns=(AT + 3 * SECOND,) * 2)


def _below(root: Path, data: bytes) -> bytes:
    return data.replace(os.fsencode(f"{ROOT}/"), os.fsencode(f"{root}/"))


def test_the_writer_writes_the_golden_record(tmp_path: Path) -> None:
    folder = write_all(StoreLayout(tmp_path), PROJECT)
    files = {str(path.relative_to(folder)) for path in _files_below(folder) if not path.name.startswith("stamp.")}
    golden = GOLDEN / RECORD
    assert files == {str(path.relative_to(golden)) for path in _files_below(golden)} - {"stamps"}
    for name in files - {"sums"}:
        check_golden(f"{RECORD}/{name}", (folder / name).read_bytes())
    check_golden(f"{RECORD}/stamps", stamps_of(folder))


def test_sums_of_the_golden_record_are_the_golden_ones(tmp_path: Path) -> None:
    folder = golden_record(tmp_path / "record")
    assert record_problem(folder) is None
    check_golden(f"{RECORD}/sums", project_record._sums(folder))


def test_a_record_of_the_older_version_is_left_to_the_command_line_until_it_is_written_again(tmp_path: Path) -> None:
    layout = StoreLayout(tmp_path)
    folder = golden_record(layout.project_record(PROJECT), version=OLDER_RECORD)
    assert record_problem(folder) is None
    write_all(layout, PROJECT)
    assert {path.name for path in folder.iterdir()} == {path.name for path in (GOLDEN / RECORD).iterdir()} - {"stamps"}
    assert record_problem(folder) is None


@pytest.mark.parametrize("version", [RECORD, OLDER_RECORD])
def test_the_daemon_reads_the_golden_record(tmp_path: Path, version: str) -> None:
    layout = StoreLayout(tmp_path)
    golden_record(layout.project_record(PROJECT), version=version)
    expected = {path: state.kind if state else "file" for path, state in INPUT_STATES.items()}
    assert recorded_inputs(layout, PROJECT, "default") == expected
    assert recorded_inputs(layout, PROJECT, OTHER_OPTIONS) == expected


@pytest.mark.parametrize("version", [RECORD, OLDER_RECORD])
def test_the_command_line_reads_the_golden_record(tmp_path: Path, version: str) -> None:
    layout, project = StoreLayout(tmp_path / "store"), str(tmp_path / "project")
    golden_record(layout.project_record(Path(project)), tmp_path, version)
    make_inputs(tmp_path)
    make_environment(tmp_path / "environment")
    layout.variables_key.write_bytes(KEY)
    store, environment = str(layout.root), str(tmp_path / "environment")
    assert read_ready(store, project, "default", {}) == environment
    assert read_ready(store, project, "default", {"CFLAGS": "-O2"}) is None
    assert read_ready(store, project, OTHER_OPTIONS, {"CC": "gcc"}) == environment
    assert read_ready(store, project, OTHER_OPTIONS, {"CC": "clang"}) is None
    assert read_notices(store, project, OTHER_OPTIONS) == ["the lock file is older than the project"]


@pytest.mark.parametrize("version", [RECORD, OLDER_RECORD])
@pytest.mark.parametrize("changed", ["", "project/uv.lock", "it's späť/pyproject.toml", "it's späť/src"])
def test_the_launcher_reads_the_golden_record_and_leaves_the_older_one_alone(changed: str, version: str) -> None:
    with client_home() as home:
        shutil.rmtree(home.record)
        home.environment.rename(home.home / "environment")
        golden_record(home.record, home.home, version)
        make_inputs(home.home)
        write_program(home.bin / "storectl", LAUNCHER.read_text())
        write_program(home.bin / "storectl-python", '#!/bin/sh\necho "slow: $*"\n')
        if changed:
            os.utime(home.home / changed)
        assert _launched(home) == ("slow: run greet" if changed or version == OLDER_RECORD else "greet")


def _launched(home: ClientHome) -> str:
    command = ["sh", str(home.bin / "storectl"), "run", "greet"]
    done = subprocess.run(
        command, cwd=home.project, env=home.program_environ(), capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


PACKED = ("sample/one.py", "sample/__init__.py")
PIECES = [b"\xcb\r\r\n\x01\0\0\0" + b"8 bytes." + code for code in (b"code of one", b"code of the package")]


def test_the_writer_writes_the_golden_pack(tmp_path: Path) -> None:
    layout = StoreLayout(tmp_path / "store")
    modules = layout.entries / "sample" / ("0f" * 16) / "site-packages" / "sample"
    (modules / "__pycache__").mkdir(parents=True)
    for module, piece in zip(PACKED, PIECES, strict=True):
        name = Path(module).stem
        (modules / f"{name}.py").touch()
        (modules / f"__pycache__/{name}.cpython-312.pyc").write_bytes(piece)
    view = layout.environment(EnvironmentId("golden")) / "lib/python3.12/site-packages"
    view.mkdir(parents=True)
    (view / "sample").symlink_to(modules)
    layout.tmp.mkdir()
    record = EnvironmentRecord(
        id=EnvironmentId("golden"),
        executable="/usr/bin/python3.12",
        version="3.12.1",
        cache_tag="cpython-312",
        interpreter_identity="",
        digests=(digest_of_hex("0f" * 32),),
    )
    assert write_pack(layout, record, PACKED, tmp=layout.tmp) == PACKED
    check_golden(PACK, layout.pack(EnvironmentId("golden")).read_bytes())


def test_the_daemon_reads_the_golden_pack(tmp_path: Path) -> None:
    layout = StoreLayout(tmp_path)
    layout.packs.mkdir()
    layout.pack(EnvironmentId("golden")).write_bytes((GOLDEN / PACK).read_bytes())
    assert packed_modules(layout, EnvironmentId("golden")) == PACKED


READ = """
import json, runpy, sys
reader, packs = map(runpy.run_path, sys.argv[1:3])
pack = packs["Pack"](sys.argv[3], reader["opened"], reader["decode"])
print(json.dumps({name: bytes(pack.piece(*place)).decode("latin-1") for name, place in pack.places.items()}))
"""


@pytest.mark.parametrize("python", every_python())
def test_every_version_reads_the_golden_pack(tmp_path: Path, python: Python) -> None:
    """But for the cache tag, by which each version knows its own packs."""
    golden = (GOLDEN / PACK).read_bytes().replace(b"cpython-312", python.cache_tag.encode(), 1)
    (tmp_path / "golden").write_bytes(golden)
    (tmp_path / "golden").chmod(0o444)
    modules = [str(MAP_READER), _storectl_pack.__file__]
    done = subprocess.run(
        [python.executable, "-I", "-B", "-c", READ, *modules, str(tmp_path / "golden")],
        capture_output=True,
        text=True,
        check=True,
    )
    pieces = {name: piece.encode("latin-1") for name, piece in json.loads(done.stdout).items()}
    assert pieces == dict(zip(PACKED, PIECES, strict=True))


IMPORTED = ("sample/one.py", "späť.py")


def test_a_program_writes_the_golden_record_of_its_imports(tmp_path: Path) -> None:
    root, view = "/golden/environments/golden", "/golden/view"
    sources = {f"{view}/{name}": False for name in IMPORTED}
    _storectl_pack.write_records(str(tmp_path), os.getpid(), {root: view}, sources, {root}, packed=(), fewest=1)
    check_golden(IMPORTS, Path(f"{tmp_path}{root}").read_bytes())


def test_the_daemon_reads_the_golden_record_of_imports() -> None:
    assert parse_imports((GOLDEN / IMPORTS).read_bytes()) == IMPORTED
