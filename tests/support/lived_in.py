"""A store that is lived in: entries with bytecode, environments that share them, packs. And a walk that counts it."""

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from storectl_store.collecting.belt import Seen
from storectl_store.collecting.guards import Guards
from storectl_store.collecting.holds import Holds
from storectl_store.collecting.leftovers import sweep_leftovers
from storectl_store.collecting.sweep import Sweep
from storectl_store.digest import Digest, EnvironmentId
from storectl_store.disk.disk_size import DiskSize
from storectl_store.entries.bytecode.compile import compile_entries
from storectl_store.entries.provenance import Provenance, write_provenance
from storectl_store.entries.trash import empty_trash
from storectl_store.environments.environment_record import read_environment
from storectl_store.environments.pack import write_pack
from storectl_store.environments.publish import publish_environment
from storectl_store.selection.target import Interpreter
from support.environments import ask_interpreter, plan_of
from support.stores import WrittenStore, digest, written_store
from support.wheels import WheelBytes, make_wheel

STEM = "".join(f"def f{n}(): return {n}\n" for n in range(400))
WHEELS = {
    "alpha-1": make_wheel("alpha", "1.0", files={"alpha/__init__.py": STEM, "alpha/deep/down/__init__.py": ""}),
    "alpha-2": make_wheel("alpha", "2.0", files={"alpha/__init__.py": STEM, "alpha/data.bin": b"x" * 300_000}),
    "beta": make_wheel(
        "beta",
        files={"beta.py": "import alpha\n", "beta-1.0.data/scripts/beta": b"#!/bin/sh\necho beta\n"},
        executable=frozenset({"beta-1.0.data/scripts/beta"}),
    ),
    "gamma": make_wheel("gamma", files={"gamma/__init__.py": "", "gamma/words.txt": "word\n" * 9000}),
    "delta": make_wheel("delta", entry_points="[console_scripts]\ndelta = delta:main\n", files={"delta.py": STEM}),
}


@dataclass(frozen=True, kw_only=True)
class LivedIn:
    """A store and its one interpreter."""

    written: WrittenStore
    interpreter: Interpreter

    def publish(self, *wheels: WheelBytes) -> EnvironmentId:
        """An environment of these committed wheels."""
        layout = self.written.store.layout
        manifests = list(self.written.store.readable([Digest(f"sha256:{wheel.hexdigest}") for wheel in wheels]))
        return EnvironmentId(publish_environment(self.written.store, plan_of(manifests, self.interpreter, layout)).name)

    def compile(self, interpreter: Interpreter | None = None) -> None:
        """Bytecode for all entries."""
        store, tmp = self.written.store, self.written.writer.session
        compile_entries(store.layout, store.manifests(), interpreter or self.interpreter, processes=1, tmp=tmp)

    def pack(self, environment: EnvironmentId, *modules: str) -> None:
        """A pack of these modules."""
        layout = self.written.store.layout
        record = read_environment(layout.environment(environment))
        assert write_pack(layout, record, modules, tmp=self.written.writer.session) == modules

    def built(self, wheel: WheelBytes) -> None:
        """A record that the wheel was built here."""
        write_provenance(
            self.written.store.layout,
            Provenance(
                key=wheel.hexdigest, name=canonicalize_name(wheel.name), version=wheel.version, kind="wheel",
                source="a folder", interpreter="an interpreter", python="3.12.1", backend="flit_core",
                build_requires=(), installed=(), variables={}, filename=wheel.filename, digest=digest(wheel),
            ),
        )  # fmt: skip

    def collect(self, environments: Collection[EnvironmentId], entries: Collection[Digest]) -> None:
        """Have these go, as a collect does."""
        store = self.written.store
        sweep = Sweep(store, Holds(), Guards(seen=lambda _store: Seen()))
        assert set(sweep.environments(list(environments)).environments) == set(environments)
        assert set(sweep.entries(list(entries)).entries) == set(entries)
        empty_trash(store.layout)
        sweep_leftovers(store)


@contextmanager
def lived_in(root: Path, executable: str) -> Iterator[LivedIn]:
    """A store in this folder with the entries of ``WHEELS``, compiled for the interpreter."""
    with written_store(root) as written:
        written.commit(*WHEELS.values())
        place = LivedIn(written=written, interpreter=ask_interpreter(executable))
        place.compile()
        yield place


def walked(root: Path, *, without: Sequence[str] = ()) -> DiskSize:
    """What a folder takes up, as ``du`` counts; ``without`` these names at its top."""
    seen = {}
    for folder, folders, files in os.walk(root):
        if Path(folder) == root:
            folders[:], files[:] = [[each for each in some if each not in without] for some in (folders, files)]
        for path in (folder, *(os.path.join(folder, name) for name in (*folders, *files))):
            with suppress(FileNotFoundError):  # it was in the trash
                status = os.lstat(path)
                seen[status.st_ino] = status.st_blocks * 512
    return DiskSize(len(seen), sum(seen.values()))
