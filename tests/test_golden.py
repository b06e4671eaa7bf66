"""Every format with a version: its writer makes exactly the golden bytes, and its reader reads them."""

import os
import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
from packaging.utils import NormalizedName

from storectl.commands import quarantine as quarantine_command
from storectl.locks import named
from storectl_daemon.indexes.file import IndexFile
from storectl_daemon.indexes.page_store import PAGE_FORMAT, KeptPage, PageStore
from storectl_daemon.indexes.url_book import BOOK_FORMAT, UrlBook
from storectl_daemon.jobs.options import DEFAULT_OPTIONS, Options
from storectl_daemon.network.address import Address
from storectl_daemon.projects import book as project_book
from storectl_daemon.projects.book import Project, ProjectBook, RecordedEnvironment
from storectl_shim import shortcuts, store_daemon
from storectl_shim.store_daemon import StoreDaemon, daemon_file, read_store_daemon
from storectl_store.digest import EnvironmentId, digest_of_hex
from storectl_store.entries import catalogue
from storectl_store.entries.bytecode_files import (
    BYTECODE_FORMAT,
    CompiledEntry,
    CompiledFile,
    place_bytecode,
    read_side_manifest,
)
from storectl_store.entries.catalogue import Catalogue, summary_of
from storectl_store.entries.disk_use import use_of_wheel
from storectl_store.entries.layout import STORE_FORMAT, StoreLayout
from storectl_store.entries.manifest import MANIFEST_FORMAT, Manifest, ManifestFile, decode_manifest, encode_manifest
from storectl_store.entries.provenance import BUILD_FORMAT, Provenance, provenances, write_provenance
from storectl_store.entries.quarantine import QUARANTINE_FORMAT, Reason, set_aside
from storectl_store.entries.read_only import ReadOnlyStore
from storectl_store.entries.store import Store
from storectl_store.environments.environment_record import (
    RECORD_FORMAT,
    RECORD_NAME,
    EnvironmentRecord,
    encode_record,
    read_environment,
)
from storectl_store.environments.front import front_record
from storectl_store.environments.front.front_record import FrontRecord, read_front, write_front
from storectl_store.environments.identity import VIEW_FORMAT
from storectl_store.environments.outlines.outline import OUTLINE_FORMAT, decode_outline, encode_outline, outline_of
from storectl_store.images.image_head import FULL, IMAGE_FORMAT, ImageHead, decode_head, encode_head
from storectl_store.interpreters import book as interpreter_book
from storectl_store.interpreters.facts import interpreter_of
from storectl_store.projects.history import HISTORY_FORMAT
from storectl_store.projects.kept_inputs import KEPT_FORMAT
from storectl_store.projects.prefetched import (
    PREFETCHED,
    PREFETCHED_FORMAT,
    Prefetched,
    note_prefetched,
    read_prefetched,
)
from storectl_store.selection.pin import IndexPin
from storectl_store.wheel.checked import EntryPoint, Part
from support.environments import made_up_interpreter, plan_of
from support.golden import GOLDEN, GoldenFormat, check_golden

ELSEWHERE = {
    "import-map.v1", "openapi.json", "pack.v3", "imports.v2", "project-record.v2", "project-record.v3", "pin.v1", "ahead.v1.json",
    f"history.v{HISTORY_FORMAT}", f"kept-inputs.v{KEPT_FORMAT}", "node-root.v1",
}  # fmt: skip
"""Map: ``tests/store/test_import_map.py``; API: ``tests/daemon/test_api.py``; pin: ``tests/store/test_pins.py``;
root of a user: ``tests/store/test_node_roots.py``;
ahead: ``tests/daemon/test_ahead.py``; history and kept inputs: ``tests/store/test_history.py``; the others: ``test_golden_records.py``."""

DIGEST, OTHER = digest_of_hex("0f" * 32), digest_of_hex("a1" * 32)
NAME = NormalizedName("sample")
TAG = "cpython-312"
SUFFIXES = (f".{TAG}-x86_64-linux-gnu.so", ".abi3.so", ".so")
BYTECODE = "sample/__pycache__/__init__.cpython-312.pyc"
AT = 1_700_000_000.5
VERSION = re.compile(r"^(\w*(?:FORMAT\w*|API_VERSION|SCHEMA_VERSION|MAGIC)) = (.+)$", re.MULTILINE)

MANIFEST = Manifest(
    digest=DIGEST,
    filename="Sample-1.0-cp312-cp312-linux_x86_64.whl",
    name=NAME,
    version="1.0",
    wheel_size=1234,
    tags=("cp312-cp312-linux_x86_64",),
    root_is_purelib=False,
    dist_info="sample-1.0.dist-info",
    requires_dist=("idna>=3 ; extra == 'späť'",),
    entry_points=(EntryPoint(name="go", module="sample.main", attribute="run", gui=False),),
    escaping_libraries=("sample/native/_x.so",),
    files=(
        ManifestFile(Part.DATA, "share/späť.txt", 3, "01" * 32, False),
        ManifestFile(Part.HEADERS, "sample.h", 4, "02" * 32, False),
        ManifestFile(Part.SCRIPTS, "tool", 5, "03" * 32, True),
        ManifestFile(Part.SITE_PACKAGES, "sample-1.0.dist-info/METADATA", 6, "04" * 32, False),
        ManifestFile(Part.SITE_PACKAGES, "sample/__init__.py", 7, "05" * 32, False),
        ManifestFile(Part.SITE_PACKAGES, "sample/native/_x.so", 8, "06" * 32, True),
        ManifestFile(Part.SITE_PACKAGES, "single.py", 9, "07" * 32, False),
    ),
)
ENVIRONMENT = EnvironmentRecord(
    id=EnvironmentId("0123456789abcdef" * 2),
    executable="/usr/bin/python3.12",
    version="3.12.1",
    cache_tag=TAG,
    interpreter_identity="ab" * 32,
    digests=(DIGEST, OTHER),
    direct_urls={NAME: '{"url": "https://files.example/späť"}'},
    warnings=("two entries write sample/x.py",),
)
PROVENANCE = Provenance(
    key="cd" * 32,
    name=NAME,
    version="1.0",
    kind="wheel",
    source=OTHER,
    interpreter="ab" * 32,
    python="3.12.1",
    backend="hatchling.build",
    build_requires=("hatchling>=1.27",),
    installed=("hatchling==1.27.0",),
    variables={"CC": "ef" * 32, "CFLAGS": "-"},
    filename=MANIFEST.filename,
    digest=DIGEST,
)
OPTIONS = Options(python="3.12", extras=frozenset({"b", "a"}), overlay="/golden/overlay.txt", member="/golden/späť/one")
FRONT = FrontRecord(
    environment="/store/environments/ab", front=f"/golden/{os.fsdecode(bytes([0xE9]))}/.venv", whole=True,
    options=OPTIONS.encode(),
)  # fmt: skip
PROJECT = Project(
    path=Path("/golden/späť"),
    environments=(
        RecordedEnvironment(
            options=OPTIONS,
            lock_file="/golden/späť/uv.lock",
            inputs="12" * 32,
            environment=ENVIRONMENT.id,
            last_used=AT,
            notices=("the lock file is older than the project",),
            variables={"CFLAGS": "-"},
        ),
        RecordedEnvironment(options=DEFAULT_OPTIONS),
    ),
)
INDEX = "https://index.example/simple"
PIN = IndexPin(name=NAME, version="1.0", digests=frozenset({DIGEST}))
OFFERED = IndexFile(
    filename=MANIFEST.filename,
    url=f"https://files.example/{MANIFEST.filename}",
    digest=DIGEST,
    size=1234,
    requires_python=">=3.9",
    index=INDEX,
)
PAGE = KeptPage(
    url=f"{INDEX}/sample/",
    content_type="text/html",
    etag='"1"',
    last_modified="Tue, 14 Nov 2023 22:13:20 GMT",
    asked_at=AT,
    max_age=600,
)
IMAGE = ImageHead(
    environment=EnvironmentId("12" * 16),
    kind=FULL,
    executable="/usr/bin/python3.12",
    version="3.12.1",
    cache_tag="cpython-312",
    platform="linux-x86_64",
    lock=DIGEST,
    options=("extra test",),
    layers=(),
    entries=(),
    local=("/golden/src",),
    members=3,
    size=1000,
    tree=OTHER,
)
FACTS = {
    "executable": "/usr/bin/python3.12",
    "version": "3.12.1",
    "implementation": "cpython",
    "cache_tag": TAG,
    "base_prefix": "/usr",
    "platlibdir": "lib",
    "abiflags": "",
    "markers": {
        "implementation_name": "cpython",
        "implementation_version": "3.12.1",
        "os_name": "posix",
        "platform_machine": "x86_64",
        "platform_python_implementation": "CPython",
        "platform_release": "6.1.0",
        "platform_system": "Linux",
        "platform_version": "#1",
        "python_full_version": "3.12.1",
        "python_version": "3.12",
        "sys_platform": "linux",
    },
    "extension_suffixes": list(SUFFIXES),
    "free_threaded": False,
    "debug": False,
    "platform": "linux-x86_64",
    "pointer_bits": 64,
    "glibc": "2.36",
    "musl": "",
    "macos": "",
    "elf_header": "7f454c46020101000000000000000000",
    "manylinux_refused": [],
}


def write_side_manifest(folder: Path) -> bytes:
    layout, staged = StoreLayout(folder), folder / "tmp" / "1.pyc"
    site_packages = layout.entry(NAME, DIGEST) / Part.SITE_PACKAGES
    for made in (staged.parent, layout.meta, site_packages / "sample"):
        made.mkdir(parents=True)
    staged.write_bytes(b"bytecode")
    files = {BYTECODE: CompiledFile(staged=str(staged), sha256="08" * 32)}
    entry = CompiledEntry(digest=DIGEST, folder=site_packages, part=Part.SITE_PACKAGES, files=files)
    place_bytecode(layout, [entry], TAG, layout.tmp)
    return layout.bytecode_manifest(DIGEST, TAG).read_bytes()


def read_bytecode(folder: Path, data: bytes) -> object:
    return read_side_manifest(written(folder / "side.json", data), DIGEST, TAG)


def write_provenance_file(folder: Path) -> bytes:
    write_provenance(StoreLayout(folder), PROVENANCE)
    return only(folder / "builds")


def read_provenance(folder: Path, data: bytes) -> object:
    layout = StoreLayout(folder)
    written(layout.builds / f"{PROVENANCE.key}.{'0' * 16}.json", data)
    return provenances(layout, PROVENANCE.key)


def write_version(folder: Path) -> bytes:
    layout = Store.open(folder / "store").layout
    assert layout.version_file.read_bytes() == layout.version_copy.read_bytes()
    return layout.version_file.read_bytes()


def read_version(folder: Path, data: bytes) -> object:
    written(folder / "VERSION", data)
    return ReadOnlyStore.open(folder).layout.root


def write_why(folder: Path) -> bytes:
    layout = StoreLayout(folder)
    thing = written(layout.meta / "thing.json", b"")
    with mock.patch("storectl_store.entries.quarantine.time.time", return_value=AT):
        place = set_aside(layout, {"thing.json": thing}, Reason(what="entry sample 1.0", why=["späť", "it is torn"]))
    assert place is not None
    return (place / "why.json").read_bytes()


def read_why(folder: Path, data: bytes) -> object:
    written(folder / "quarantine" / "1" / "why.json", data)
    (line,) = quarantine_command.set_aside(folder)
    return re.sub(r"aside \d{4}-\d\d-\d\d \d\d:\d\d|, \d+ .*", "", line)


def write_front_record(folder: Path) -> bytes:
    write_front(folder, FRONT)
    return (folder / ".storectl/record").read_bytes()


def read_front_record(folder: Path, data: bytes) -> object:
    written(folder / ".storectl/record", data)
    return read_front(folder)


def write_projects(folder: Path) -> bytes:
    book = ProjectBook(folder / "projects.json")
    book.add(PROJECT.path)
    for recorded in reversed(PROJECT.environments):
        book.record(PROJECT.path, recorded)
    return only(folder)


def read_projects(folder: Path, data: bytes) -> object:
    return list(ProjectBook(written(folder / "projects.json", data)))


PREFETCHES = (
    Prefetched(at_ns=1_700_000_000_123_456_789, environment=EnvironmentId("0b" * 16), commit="c0" * 20, ref="main"),
    Prefetched(
        at_ns=1_700_000_001_000_000_000, environment=None, commit="c1" * 32, ref="späť/a b", digests=(DIGEST, OTHER)
    ),
)


def write_prefetches(folder: Path) -> bytes:
    layout = StoreLayout(folder)
    for made in PREFETCHES:
        note_prefetched(layout, PROJECT.path, made)
    return (layout.project_record(PROJECT.path) / PREFETCHED).read_bytes()


def read_prefetches(folder: Path, data: bytes) -> object:
    layout = StoreLayout(folder)
    written(layout.project_record(PROJECT.path) / PREFETCHED, data)
    return read_prefetched(layout, PROJECT.path)


def write_addresses(folder: Path) -> bytes:
    UrlBook(folder).record(PIN, [Address(INDEX)], [OFFERED])
    return only(folder)


def read_addresses(folder: Path, data: bytes) -> object:
    written(folder / "sample.json", data)
    return UrlBook(folder).recall(PIN, [Address(INDEX)])


def write_page(folder: Path) -> bytes:
    PageStore(folder).write(Address(PAGE.url), PAGE, b"<a>sp\xc3\xa4t\n")
    return only(folder)


def read_page(folder: Path, data: bytes) -> object:
    PageStore(folder).write(Address(PAGE.url), PAGE, b"")
    (path,) = folder.iterdir()
    path.write_bytes(data)
    return PageStore(folder).read(Address(PAGE.url))


OF = {"path": "/usr/bin/python3.12", "size": 8, "mtime_ns": 1, "machine": "x86_64", "libc": "glibc 2.36"}


def write_facts(folder: Path) -> bytes:
    interpreter_book._remember(folder / "facts.json", FACTS, OF)
    return only(folder)


def read_facts(folder: Path, data: bytes) -> object:
    facts = interpreter_book._remembered(written(folder / "facts.json", data))["facts"]
    assert facts is not None
    interpreter = interpreter_of(facts)
    return facts, interpreter.identity


def write_daemon(_: Path) -> bytes:
    return StoreDaemon(socket="/run/user/1000/späť.sock", pid=4321, identity="boot.987").text()


def read_daemon(folder: Path, data: bytes) -> object:
    written(Path(daemon_file(str(folder))), data)
    found = read_store_daemon(str(folder))
    assert found is not None
    return found.socket, found.pid, found.identity


NAMED = {"requirements": ("numpy>=1.21", "späť @ file:///golden/späť"), "lock_file": None, "python": "3.12"}
FOLLOWER = {"requirements": (), "lock_file": "/golden/späť/uv.lock", "python": None}


def write_named(_: Path) -> bytes:
    """What was asked for of two environments; a file has one of them."""
    return "".join(named.Named("/golden/data", **asked).text() for asked in (NAMED, FOLLOWER)).encode()


SHORTCUT = (
    "_storectl_as_before '/golden/.python-version' +1700000000123456789",
    "_storectl_absent '/golden/spät/.python-version'",
    "_storectl_to '/golden/it'\\''s spät' 0123456789abcdef",
)


def read_shortcut(folder: Path, data: bytes) -> object:
    file = written(folder / "plain", data)
    Path(shortcuts.stamp_path(str(file), 1_700_000_000_123_456_789)).touch()
    os.utime(shortcuts.stamp_path(str(file), 1_700_000_000_123_456_789), ns=(1_700_000_000_123_456_789,) * 2)
    return shortcuts.read_target(str(file))


def read_named(folder: Path, data: bytes) -> object:
    texts = data.split(named.FORMAT.encode())[1:]
    found = [named._read(str(written(folder / "asked", named.FORMAT.encode() + text).parent)) for text in texts]
    return [{slot: getattr(one, slot) for slot in NAMED} for one in found]


def write_catalogue(folder: Path) -> bytes:
    with closing(Catalogue(folder / "index.db", lambda: [MANIFEST])) as made:
        made.put("outline 1", {DIGEST: b"data"})
    with closing(sqlite3.connect(folder / "index.db")) as database:
        return "\n".join([*database.iterdump(), ""]).encode()


def read_catalogue(folder: Path, data: bytes, *, version: int = catalogue._SCHEMA_VERSION) -> object:
    with closing(sqlite3.connect(folder / "index.db")) as database:
        database.executescript(data.decode())
        database.execute(f"PRAGMA user_version = {version}")
    with closing(Catalogue(folder / "index.db", list)) as made:
        return made.summaries(), made.uses(), made.blobs()


def written(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def only(folder: Path) -> bytes:
    (path,) = folder.iterdir()
    return path.read_bytes()


FORMATS = [
    GoldenFormat(
        name=f"VERSION.v{STORE_FORMAT}",
        write=write_version,
        read=lambda folder, data: read_version(folder, data) == folder,
        value=True,
    ),
    GoldenFormat(
        name=f"manifest.v{MANIFEST_FORMAT}.json",
        write=lambda _: encode_manifest(MANIFEST),
        read=lambda _, data: decode_manifest(data),
        value=MANIFEST,
    ),
    GoldenFormat(name="manifest.v1.json", write=None, read=lambda _, data: decode_manifest(data), value=MANIFEST),
    GoldenFormat(
        name=f"bytecode-manifest.v{BYTECODE_FORMAT}.json",
        write=write_side_manifest,
        read=read_bytecode,
        value={f"site-packages/{BYTECODE}": "08" * 32},
    ),
    GoldenFormat(
        name="bytecode-manifest.v1.json",
        write=None,
        read=read_bytecode,
        value={f"site-packages/{BYTECODE}": "08" * 32},
    ),
    GoldenFormat(
        name=f"provenance.v{BUILD_FORMAT}.json",
        write=write_provenance_file,
        read=read_provenance,
        value=[PROVENANCE],
    ),
    GoldenFormat(
        name=f"why.v{QUARANTINE_FORMAT}.json",
        write=write_why,
        read=read_why,
        value="entry sample 1.0, set  (späť, and 1 findings more)",
    ),
    GoldenFormat(
        name=f"catalogue.v{catalogue._SCHEMA_VERSION}.sql",
        write=write_catalogue,
        read=read_catalogue,
        value=([summary_of(MANIFEST)], {DIGEST: {"": use_of_wheel(MANIFEST)}}, [(DIGEST, "outline 1", b"data")]),
    ),
    GoldenFormat(
        name="catalogue.v1.sql",
        write=None,
        read=lambda folder, data: read_catalogue(folder, data, version=1),
        value=([summary_of(MANIFEST)], {}, [(DIGEST, "outline 1", b"data")]),
    ),
    GoldenFormat(
        name=f"environment.v{RECORD_FORMAT}.json",
        write=lambda _: encode_record(ENVIRONMENT),
        read=lambda folder, data: read_environment(written(folder / RECORD_NAME, data).parent),
        value=ENVIRONMENT,
    ),
    GoldenFormat(
        name=f"outline.v{OUTLINE_FORMAT}",
        write=lambda _: encode_outline(outline_of(MANIFEST, SUFFIXES)),
        read=lambda _, data: decode_outline(DIGEST, data),
        value=outline_of(MANIFEST, SUFFIXES),
    ),
    GoldenFormat(
        name=f"store-daemon.v{store_daemon.FORMAT.rpartition(' ')[2]}",
        write=write_daemon,
        read=read_daemon,
        value=("/run/user/1000/späť.sock", 4321, "boot.987"),
    ),
    GoldenFormat(
        name=f"projects.v{project_book._FORMAT}.json", write=write_projects, read=read_projects, value=[PROJECT]
    ),
    GoldenFormat(name="projects.v1.json", write=None, read=read_projects, value=[PROJECT]),
    GoldenFormat(
        name=f"front.v{front_record._FORMAT}.json", write=write_front_record, read=read_front_record, value=FRONT
    ),
    GoldenFormat(name=f"addresses.v{BOOK_FORMAT}.json", write=write_addresses, read=read_addresses, value=(OFFERED,)),
    GoldenFormat(
        name=f"named.v{named.FORMAT.rpartition(' ')[2]}", write=write_named, read=read_named, value=[NAMED, FOLLOWER]
    ),
    GoldenFormat(
        name=f"shortcut.v{shortcuts.FORMAT.rpartition(' ')[2]}",
        write=lambda _: shortcuts.shortcut_content(SHORTCUT),
        read=read_shortcut,
        value=("/golden/it's spät", "0123456789abcdef"),
    ),
    GoldenFormat(
        name=f"prefetched.v{PREFETCHED_FORMAT}", write=write_prefetches, read=read_prefetches, value=PREFETCHES
    ),
    GoldenFormat(name=f"page.v{PAGE_FORMAT}", write=write_page, read=read_page, value=(PAGE, b"<a>sp\xc3\xa4t\n")),
    GoldenFormat(
        name=f"interpreter.v{interpreter_book._FORMAT}.json",
        write=write_facts,
        read=read_facts,
        value=(FACTS, "c049fd1d7536defd725ddef39cfee0bf4edfabba9ede530bc207d523cf02108e"),
    ),
    GoldenFormat(
        name=f"image-head.v{IMAGE_FORMAT}.json",
        write=lambda _: encode_head(IMAGE),
        read=lambda _, data: decode_head(data, "golden"),
        value=IMAGE,
    ),
]
WRITTEN = [golden for golden in FORMATS if golden.write]
VIEW = f"view.v{VIEW_FORMAT}.txt"
VERSIONS = {
    "ahead": {"AHEAD_FORMAT"},
    "_storectl_map": {"MAGIC"},
    "_storectl_pack": {"PACK_MAGIC", "RECORD_MAGIC"},
    "book": {"_FORMAT"},
    "bytecode_files": {"BYTECODE_FORMAT", "_FORMAT_WITHOUT_SEAL"},
    "catalogue": {"_SCHEMA_VERSION"},
    "client": {"API_VERSION"},
    "environment_record": {"RECORD_FORMAT"},
    "front_record": {"_FORMAT"},
    "examination": {"STORE_FORMAT"},
    "identity": {"VIEW_FORMAT"},
    "image_head": {"IMAGE_FORMAT"},
    "history": {"HISTORY_FORMAT"},
    "kept_inputs": {"KEPT_FORMAT"},
    "layout": {"STORE_FORMAT"},
    "manifest": {"MANIFEST_FORMAT", "_FORMAT_WITHOUT_SEAL"},
    "models": {"API_VERSION"},
    "named": {"FORMAT"},
    "outline": {"OUTLINE_FORMAT"},
    "page_store": {"PAGE_FORMAT"},
    "prefetched": {"PREFETCHED_FORMAT"},
    "project_record": {"RECORD_FORMAT"},
    "shortcuts": {"FORMAT"},
    "provenance": {"BUILD_FORMAT"},
    "quarantine": {"QUARANTINE_FORMAT"},
    "store_daemon": {"FORMAT"},
    "url_book": {"BOOK_FORMAT"},
}
"""The constants by which the packages name the versions of formats, by module. What is new here needs a golden file."""


@pytest.mark.parametrize("golden", WRITTEN, ids=lambda golden: golden.name)
def test_the_writer_writes_the_golden_bytes(tmp_path: Path, golden: GoldenFormat) -> None:
    assert golden.write is not None
    check_golden(golden.name, golden.write(tmp_path))


@pytest.mark.parametrize("golden", FORMATS, ids=lambda golden: golden.name)
def test_the_reader_reads_the_golden_bytes(tmp_path: Path, golden: GoldenFormat) -> None:
    assert golden.read(tmp_path, golden.data) == golden.value


def test_a_view_is_what_its_format_says() -> None:
    """One id, one view: whatever changes in a view of the same entries and interpreter is a new format of views."""
    other = replace(
        MANIFEST, digest=OTHER, filename="other-2.0-py3-none-any.whl", name=NormalizedName("other"), version="2.0",
        dist_info="other-2.0.dist-info", entry_points=(), requires_dist=(), escaping_libraries=(),
        files=tuple(
            ManifestFile(Part.SITE_PACKAGES, path, 1, "09" * 32, False)
            for path in ("other-2.0.dist-info/METADATA", "sample/added.py")
        ),
    )  # fmt: skip
    shim = {"site-packages/_storectl.py": b"the shim", "_storectl_map.py": b"its reader"}
    with (
        mock.patch("storectl_store.environments.identity.shim_digest", return_value=DIGEST),
        mock.patch("storectl_store.environments.planning.venv_files.shim_sources", return_value=shim),
    ):
        direct_urls = {other.name: '{"url": "https://files.example/other"}'}
        plan = plan_of([MANIFEST, other], made_up_interpreter(), StoreLayout(Path("/golden")), direct_urls=direct_urls)
    lines = [f"{plan.path}", *(f"folder {path}" for path in sorted(plan.folders))]
    lines += sorted(f"link {link.path} -> {link.target}" for link in plan.links)
    lines += sorted(f"same {same.path} = {same.target}" for same in plan.same_files)
    lines += sorted(f"script {script.path} = {script.source}" for script in plan.scripts)
    lines += sorted(f"file {file.path} {file.executable} {file.content.decode()!r}" for file in plan.files)
    check_golden(VIEW, "\n".join([*lines, ""]).encode())


def test_every_golden_file_has_its_tests() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == {golden.name for golden in FORMATS} | ELSEWHERE | {VIEW}


def test_every_version_of_a_format_is_known_here() -> None:
    found: dict[str, set[str]] = {}
    for module in GOLDEN.parents[1].glob("[csd]*/storectl*/**/*.py"):
        for name, value in VERSION.findall(module.read_text()):
            if value.isdigit() or "storectl" in value:
                found.setdefault(module.stem, set()).add(name)
    assert found == VERSIONS
