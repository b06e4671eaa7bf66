"""Stores with environments that nobody uses, for what collects them."""

import json
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from storectl_store.collecting.belt import Seen
from storectl_store.collecting.guards import Guards
from storectl_store.collecting.holds import Holds
from storectl_store.collecting.inventory import read_inventory
from storectl_store.collecting.leftovers import sweep_leftovers
from storectl_store.collecting.mark import mark
from storectl_store.collecting.roots import Root
from storectl_store.collecting.sweep import Sweep
from storectl_store.digest import Digest, EnvironmentId
from storectl_store.entries.bytecode_files import BYTECODE_FORMAT
from storectl_store.entries.recovery import Recovered
from storectl_store.entries.sealed import sealed
from storectl_store.environments.made_by import environment_folders, shown_digests
from storectl_store.environments.publish import publish_environment
from storectl_store.selection.target import Interpreter
from support.environments import made_up_interpreter, plan_of
from support.stores import WrittenStore, digest, written_store
from support.wheels import WheelBytes, make_wheel


def published(written: WrittenStore, *wheels: WheelBytes, interpreter: Interpreter | None = None) -> Path:
    """The environment of these wheels, committed and published."""
    manifests = [committed.manifest for committed in written.commit(*wheels)]
    plan = plan_of(manifests, interpreter or made_up_interpreter(), written.store.layout)
    return publish_environment(written.store, plan)


def side_manifest(written: WrittenStore, wheel: WheelBytes, cache_tag: str = "cpython-312") -> Path:
    """A side manifest of this entry, which lists no bytecode."""
    path = written.store.layout.bytecode_manifest(digest(wheel), cache_tag)
    value = {"format": BYTECODE_FORMAT, "digest": digest(wheel), "cache_tag": cache_tag, "files": {}}
    path.write_bytes(sealed(json.dumps(value).encode() + b"\n"))
    return path


def made_store(root: Path, interpreter: Interpreter | None = None) -> str:
    """A store with a live environment, dead ones that share entries, and an entry of nobody. The id of the live one."""
    one, two, three, newer = (make_wheel(*spec) for spec in (("one",), ("two",), ("three",), ("one", "2.0")))
    with written_store(root) as written:
        layout = written.store.layout
        live, *dead = (
            published(written, *wheels, interpreter=interpreter) for wheels in ((one,), (one, two), (two, three))
        )
        written.commit(newer)
        layout.packs.mkdir()
        for folder in (live, *dead):
            layout.pack(EnvironmentId(folder.name)).write_text("")
        for wheel in (one, three, newer):
            side_manifest(written, wheel)
    return live.name


def collect(written: WrittenStore, live: str) -> None:
    """Take away all but this environment and its entries. What is in the trash then stays there."""
    roots = [Root(kind="pin", environment=EnvironmentId(live))]
    found = mark(read_inventory(written.store), roots, now=9e9, grace=0)
    sweep = Sweep(written.store, Holds(), Guards(seen=lambda _store: Seen()))
    sweep.environments([each.id for each in found.dead_environments])
    sweep.entries(found.dead_entries)
    sweep_leftovers(written.store)


def broken(root: Path, live: str | None = None) -> Iterator[str]:
    """What is wrong with a store once it has been recovered, which this does."""
    with written_store(root) as written:
        layout = written.store.layout
        shown = shown_digests(layout)
        written.recover(lambda: shown)
        if written.recover(lambda: shown) != Recovered():
            yield "the second recovery found something"
        if live is not None and not (layout.environments / live).exists():
            yield "the live environment is gone"
        yield from ("an environment shows an entry that is gone" for each in shown if not is_whole(written, each))
        for folder in environment_folders(layout):
            if stat.S_IMODE(folder.stat().st_mode) != 0o555:
                yield "an environment can be written"
            if any(path.is_symlink() and not path.exists() for path in folder.glob("lib/*/site-packages/*")):
                yield "an environment has a link that leads nowhere"
        if any(stat.S_IMODE(entry.stat().st_mode) != 0o555 for entry in layout.entries.glob("*/*")):
            yield "an entry can be written"
        yield from (finding.message for finding in written.findings())


def is_whole(written: WrittenStore, digest: Digest) -> bool:
    """Whether the entry is visible, and its folder there."""
    return written.store.usable_manifest(digest) is not None


def aged(paths: Iterable[Path], time: float) -> None:
    """Let these files and folders be of this time."""
    for path in paths:
        os.utime(path, (time, time))
