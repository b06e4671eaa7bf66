"""Everything that has the face of a store passes one suite; and a store that is only read is left as it is."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from storectl_store.entries.read_only import ReadOnlyStore
from storectl_store.entries.readable import Readable
from storectl_store.entries.store import Store
from storectl_store.errors import StoreError, StoreFormatError
from support.conformance import ReadableConformance
from support.mounts import mounted
from support.stores import digest, run_python, tree, written_store
from support.wheels import make_wheel

SAMPLE = make_wheel("sample")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts file systems and becomes another user")


class TestStore(ReadableConformance):
    @contextmanager
    def shown(self, root: Path) -> Iterator[Readable]:
        store = Store.open(root)
        yield store
        store.close()


class TestReadOnlyStore(ReadableConformance):
    @contextmanager
    def shown(self, root: Path) -> Iterator[Readable]:
        yield ReadOnlyStore.open(root)


class TestReadOnlyFileSystem(ReadableConformance):
    """Here even what root tries to write is an error."""

    pytestmark = [pytest.mark.system, needs_root]  # noqa: RUF012

    @contextmanager
    def shown(self, root: Path) -> Iterator[Readable]:
        with mounted("--bind", "-o", "ro", str(root), str(root)):
            with pytest.raises(OSError, match="Read-only file system"):
                (root / "probe").touch()
            yield ReadOnlyStore.open(root)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    with written_store(tmp_path / "store") as written:
        written.commit(SAMPLE)
    return tmp_path / "store"


def test_a_store_that_is_there_is_opened_and_nothing_is_made(root: Path) -> None:
    for folder in ("links", "urls", "tmp", "trash"):
        (root / folder).rmdir()
    before = tree(root)
    assert list(ReadOnlyStore.open(root).digests()) == [digest(SAMPLE)]
    assert tree(root) == before


def test_a_folder_that_is_no_store_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    for folder in (tmp_path, tmp_path / "gone"):
        with pytest.raises(StoreFormatError, match="is not a store") as caught:
            ReadOnlyStore.open(folder)
        assert caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_store_of_another_version_is_refused(root: Path) -> None:
    (root / "VERSION").write_text("storectl store 2\n")
    with pytest.raises(StoreFormatError, match="storectl store 2"):
        ReadOnlyStore.open(root)


@pytest.mark.parametrize("damaged", ["", "torn", "storectl stnre 1\n"])
def test_a_damaged_version_is_no_reason_not_to_read(root: Path, damaged: str) -> None:
    (root / "VERSION").write_text(damaged)
    assert ReadOnlyStore.open(root).has(digest(SAMPLE))
    assert (root / "VERSION").read_text() == damaged


def test_a_version_that_cannot_be_read_is_told(root: Path) -> None:
    (root / "VERSION").unlink()
    (root / "VERSION").mkdir()
    with pytest.raises(StoreError, match="cannot open the store"):
        ReadOnlyStore.open(root)


READ = """
import json, os, sys

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
HARMLESS = ("os.listdir", "os.scandir", "os.walk")
noted = []


def hook(event, arguments):
    if event == "open":
        if arguments[2] & WRITES:
            noted.append([event, str(arguments[0])])
    elif event.split(".")[0] in ("os", "sqlite3", "fcntl", "shutil", "socket") and event not in HARMLESS:
        noted.append([event, str(arguments)])


from pathlib import Path
from storectl_store.digest import digest_of_hex
from storectl_store.entries.read_only import ReadOnlyStore

sys.addaudithook(hook)
store = ReadOnlyStore.open(Path(sys.argv[1]))
names = [manifest.name for manifest in store.manifests()]
folders = [str(store.entry_folder(manifest)) for manifest in store.manifests()]
missing = [store.has(digest_of_hex("ab" * 32)), store.environment("0" * 32), store.empty]
print(json.dumps([names, folders, missing, noted]))
"""


def test_reading_writes_locks_and_makes_nothing_and_opens_no_database(root: Path) -> None:
    names, folders, missing, noted = run_python(READ, str(root))
    assert names == ["sample"]
    assert Path(folders[0], "site-packages/sample/__init__.py").is_file()
    assert missing == [False, None, False]
    assert noted == []


AS_NOBODY = """
import json, os, sys
from pathlib import Path
from storectl_store.entries.read_only import ReadOnlyStore

os.setgroups([])
os.setgid(65534)
os.setuid(65534)
store = ReadOnlyStore.open(Path(sys.argv[1]))
(manifest,) = store.manifests()
module = store.entry_folder(manifest) / "site-packages/sample/__init__.py"
print(json.dumps([store.has(manifest.digest), module.read_text()]))
"""


@needs_root
def test_a_store_that_is_open_to_all_is_read_by_another_user() -> None:
    with tempfile.TemporaryDirectory() as shared:
        root = Path(shared, "store")
        with written_store(root) as written:
            written.commit(SAMPLE)
        for path, mode in {root.parent: 0o755, root: 0o755, root / "VERSION": 0o644}.items():
            path.chmod(mode)
        before = tree(root)
        assert run_python(AS_NOBODY, str(root)) == [True, "__version__ = '1.0'\n"]
        assert tree(root) == before
