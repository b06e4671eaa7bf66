"""A store with its writer in one folder, and wheels of the factory staged and committed into it."""

import json
import os
import secrets
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storectl_store.digest import Digest, digest_of_hex
from storectl_store.entries.commit import Committed, commit
from storectl_store.entries.recovery import Recovered, recover
from storectl_store.entries.stage import stage_wheel
from storectl_store.entries.staged import StagedEntry
from storectl_store.entries.store import Store
from storectl_store.entries.verify import Finding, verify
from storectl_store.entries.writer import Writer
from storectl_store.wheel.checked import Expectation
from support.wheels import WheelBytes


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenStore:
    """A store and the writer that this test is."""

    store: Store
    writer: Writer

    def stage(self, wheel: WheelBytes, *, folder: Path | None = None) -> StagedEntry:
        """The wheel in a stage of the session."""
        path = self.writer.session / f"{secrets.token_hex(8)}.whl"
        path.write_bytes(wheel.data)
        return stage_wheel(path, expect(wheel), folder or self.writer.session / secrets.token_hex(8))

    def commit(self, *wheels: WheelBytes) -> list[Committed]:
        """The wheels staged and committed as one batch."""
        return commit(self.store, [self.stage(wheel) for wheel in wheels])

    def entry(self, wheel: WheelBytes) -> Path:
        """The folder of the committed wheel."""
        manifest = self.store.manifest(digest(wheel))
        assert manifest is not None
        return self.store.entry_folder(manifest)

    def recover(self, shown: Callable[[], AbstractSet[Digest]] = frozenset) -> Recovered:
        return recover(self.store, self.writer, shown=shown)

    def findings(self) -> list[Finding]:
        """All that verify finds in the store."""
        return [found for found in verify(self.store) if isinstance(found, Finding)]


@contextmanager
def written_store(root: Path) -> Iterator[WrittenStore]:
    """A store in this folder, ours to write until the block ends."""
    store = Store.open(root)
    try:
        with Writer.acquire(store.layout) as writer:
            yield WrittenStore(store=store, writer=writer)
    finally:
        store.close()


def digest(wheel: WheelBytes) -> Digest:
    return digest_of_hex(wheel.hexdigest)


def expect(wheel: WheelBytes) -> Expectation:
    return Expectation(filename=wheel.filename, digests={"sha256": wheel.hexdigest}, size=len(wheel.data))


def unfinished(store: Path) -> list[Path]:
    """What writers have in ``tmp/``, but for folders of early bytecode, which stay as long as their daemon."""
    found = list(store.glob("tmp/*/*"))
    return [path for path in found if not path.name.startswith("early.")] + [
        file for path in found if path.name.startswith("early.") for file in path.rglob("*") if file.is_file()
    ]


def tree(root: Path) -> dict[str, tuple[str, bytes]]:
    """Everything below a folder: its mode as ``ls`` shows it, and its content (of a symlink: where it points)."""
    found = {}
    for parent, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(parent, name)
            mode = stat.filemode(path.lstat().st_mode)
            content = os.fsencode(path.readlink()) if mode[0] == "l" else b"" if mode[0] == "d" else path.read_bytes()
            found[str(path.relative_to(root))] = (mode, content)
    return found


def visible_tree(store: Store) -> dict[str, tuple[str, bytes]]:
    """The entries and manifests of a store, as ``tree``."""
    layout = store.layout
    return {
        **{f"store/{path}": what for path, what in tree(layout.entries).items()},
        **{f"meta/{path}": what for path, what in tree(layout.meta).items()},
    }


def start_python(script: str, *arguments: str) -> subprocess.Popen[str]:
    """Another interpreter running this script with what this one can import; its input and output are pipes."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def run_python(script: str, *arguments: str) -> Any:
    """What the script printed as JSON."""
    with start_python(script, *arguments) as process:
        output, _ = process.communicate()
    assert process.returncode == 0
    return json.loads(output)


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)
