"""What every implementation of ``storectl_store.entries.readable.Readable`` must do: one suite for all of them.

A module of tests subclasses ``ReadableConformance``, and says how what it tests shows the store in a folder::

    class TestAnImage(ReadableConformance):
        @contextmanager
        def shown(self, root: Path) -> Iterator[Readable]:
            yield Image.of(Store.open(root))
"""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from storectl_store.digest import Digest, digest_of_hex, prefix_of
from storectl_store.entries.layout import UNPUBLISHED, StoreLayout
from storectl_store.entries.manifest import Manifest, encode_manifest
from storectl_store.entries.readable import Readable
from storectl_store.environments.environment_record import read_environment
from storectl_store.environments.publish import publish_environment
from storectl_store.errors import StoreFormatError
from support.environments import made_up_interpreter, plan_of
from support.stores import tree, written_store
from support.wheels import make_wheel

WHEELS = [
    make_wheel("alpha", files={"alpha/__init__.py": "A = 1\n", "alpha-1.0.data/scripts/go": "#!python\n"}),
    make_wheel("beta", files={"beta/__init__.py": "", "beta/späť.txt": "data\n"}, requires_dist=("alpha",)),
]
ABSENT = digest_of_hex("ab" * 32)


@dataclass(frozen=True, kw_only=True)
class Committed:
    """A store in a folder: the manifests of its entries, and the id of the one environment, which shows all of them."""

    root: Path
    manifests: tuple[Manifest, ...]
    environment: str

    @property
    def layout(self) -> StoreLayout:
        return StoreLayout(self.root)

    def break_manifest(self, digest: Digest, content: bytes) -> None:
        path = self.layout.manifest(digest)
        path.chmod(0o644)
        path.write_bytes(content)


class ReadableConformance:
    """The suite. Each test gets a store of its own, and opens what is tested when the store is as it wants it."""

    @contextmanager
    def shown(self, root: Path) -> Iterator[Readable]:
        """What is tested, showing what the store in this folder holds."""
        raise NotImplementedError

    @pytest.fixture
    def committed(self, tmp_path: Path) -> Committed:
        with written_store(tmp_path / "store") as written:
            manifests = tuple(entry.manifest for entry in written.commit(*WHEELS))
            plan = plan_of(manifests, made_up_interpreter(), written.store.layout)
            publish_environment(written.store, plan)
        return Committed(root=tmp_path / "store", manifests=manifests, environment=plan.id)

    def test_what_was_committed_is_there_as_it_was_committed(self, committed: Committed) -> None:
        with self.shown(committed.root) as readable:
            assert [readable.has(manifest.digest) for manifest in committed.manifests] == [True, True]
            assert tuple(readable.manifest(manifest.digest) for manifest in committed.manifests) == committed.manifests

    def test_what_was_never_committed_is_not_there(self, committed: Committed) -> None:
        with self.shown(committed.root) as readable:
            assert not readable.has(ABSENT)
            assert readable.manifest(ABSENT) is None

    def test_the_folder_of_an_entry_holds_the_files_of_its_manifest_and_no_other(self, committed: Committed) -> None:
        with self.shown(committed.root) as readable:
            for manifest in committed.manifests:
                found = tree(readable.entry_folder(manifest))
                files = {path: content for path, (mode, content) in found.items() if mode.startswith("-")}
                sums = {path: (len(content), hashlib.sha256(content).hexdigest()) for path, content in files.items()}
                assert sums == {f"{file.part}/{file.path}": (file.size, file.sha256) for file in manifest.files}

    def test_nobody_may_write_into_an_entry(self, committed: Committed) -> None:
        with self.shown(committed.root) as readable:
            for manifest in committed.manifests:
                modes = [mode for mode, _ in tree(readable.entry_folder(manifest)).values()]
                assert not [mode for mode in modes if "w" in mode]

    def test_an_entry_without_a_manifest_is_not_there(self, committed: Committed) -> None:
        first, second = committed.manifests
        committed.layout.manifest(first.digest).unlink()
        with self.shown(committed.root) as readable:
            assert (readable.has(first.digest), readable.has(second.digest)) == (False, True)
            assert readable.manifest(first.digest) is None

    def test_an_entry_is_not_taken_for_another_that_has_its_address(self, committed: Committed) -> None:
        first, _ = committed.manifests
        twin = digest_of_hex(prefix_of(first.digest) + "0" * 32)
        with self.shown(committed.root) as readable:
            assert not readable.has(twin)
            assert readable.manifest(twin) is None

    @pytest.mark.parametrize("content", [b"", b"{", b'{"format": 99}', b"\xff"])
    def test_a_broken_manifest_is_an_error_with_a_hint(self, committed: Committed, content: bytes) -> None:
        first, second = committed.manifests
        committed.break_manifest(first.digest, content)
        with self.shown(committed.root) as readable:
            with pytest.raises(StoreFormatError) as caught:
                readable.manifest(first.digest)
            assert caught.value.hint
            assert readable.manifest(second.digest) == second

    def test_a_manifest_about_another_entry_is_an_error(self, committed: Committed) -> None:
        first, _ = committed.manifests
        committed.break_manifest(first.digest, encode_manifest(replace(first, digest=ABSENT)))
        with self.shown(committed.root) as readable, pytest.raises(StoreFormatError, match="it is about abab"):
            readable.manifest(first.digest)

    def test_a_published_environment_shows_the_files_of_its_entries(self, committed: Committed) -> None:
        with self.shown(committed.root) as readable:
            folder = readable.environment(committed.environment)
            assert folder is not None
            record = read_environment(folder)
            assert record.id == committed.environment
            assert record.digests == tuple(sorted(manifest.digest for manifest in committed.manifests))
            (modules,) = folder.glob("lib/python*/site-packages")
            entry = readable.entry_folder(committed.manifests[0])
            assert (modules / "alpha/__init__.py").samefile(entry / "site-packages/alpha/__init__.py")

    @pytest.mark.parametrize("name", ["0" * 32, "", ".", "..", "../meta", f"{UNPUBLISHED}x", "0" * 31 + "\0"])
    def test_what_is_no_published_environment_is_none(self, committed: Committed, name: str) -> None:
        (committed.layout.environments / f"{UNPUBLISHED}x").mkdir()
        with self.shown(committed.root) as readable:
            assert readable.environment(name) is None

    def test_answering_changes_nothing(self, committed: Committed) -> None:
        with self.shown(committed.root) as readable:
            before = tree(committed.root)
            for manifest in committed.manifests:
                assert readable.has(manifest.digest)
                assert readable.manifest(manifest.digest)
                assert readable.entry_folder(manifest).is_dir()
            assert readable.environment(committed.environment)
            assert tree(committed.root) == before

    def test_threads_share_it(self, committed: Committed) -> None:
        with self.shown(committed.root) as readable, ThreadPoolExecutor(8) as threads:
            digests = [manifest.digest for manifest in committed.manifests] * 20
            assert tuple(threads.map(readable.manifest, digests)) == committed.manifests * 20
