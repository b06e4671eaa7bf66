"""A writer that dies while folders of an entry are open leaves a note, and recovery closes them."""

import os
import signal
import stat
from pathlib import Path

import pytest

from storectl_store.entries.recovery import Recovered
from support.stores import WrittenStore, digest, run_python, start_python, tree, written_store
from support.wheels import make_wheel

SAMPLE = make_wheel("sample", files={"sample/__init__.py": "x = 1\n", "sample/sub/__init__.py": "y = 2\n"})

# In the store of argv[1], which has one entry, argv[2] names what is done. The process kills itself before call argv[3]
# of those that change folders; with 0 it says how many there are.
WORK_UNTIL_KILLED = """
import hashlib, itertools, os, signal, sys
from pathlib import Path
from storectl_store.entries.bytecode_files import CompiledEntry, CompiledFile, place_bytecode
from storectl_store.entries.mend import discard_bytecode, mend_in_place
from storectl_store.entries.quarantine import Reason
from storectl_store.entries.verify import Finding, verify
from support.stores import written_store

root, work, last = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
CACHES = ("sample/__pycache__", "sample/sub/__pycache__")

def place(written, manifest):
    files = {}
    for cache in CACHES:
        staged = written.writer.session / cache.replace("/", ".")
        staged.write_bytes(b"bytecode")
        staged.chmod(0o444)
        name = f"{cache}/__init__.cpython-312.pyc"
        files[name] = CompiledFile(staged=str(staged), sha256=hashlib.sha256(b"bytecode").hexdigest())
    folder = written.store.entry_folder(manifest) / "site-packages"
    entry = CompiledEntry(digest=manifest.digest, folder=folder, part="site-packages", files=files)
    place_bytecode(written.store.layout, [entry], "cpython-312", written.writer.session)

def discard(written, manifest):
    discard_bytecode(written.store, manifest.digest, {"cpython-312"}, written.writer.session)

def mend(written, manifest):
    findings = [found for found in verify(written.store) if isinstance(found, Finding)]
    mend_in_place(written.store, manifest.digest, findings, Reason(what="entry", why=[]), written.writer.session)

CHANGES = {"chmod", "rename", "replace", "mkdir", "unlink", "write"}
calls = itertools.count(1)

def count(_frame, event, function):
    if event == "c_call" and function.__name__ in CHANGES and next(calls) == last:
        os.kill(os.getpid(), signal.SIGKILL)

with written_store(root) as written:
    (found,) = written.store.digests()
    manifest = written.store.manifest(found)
    if work == "discard":
        place(written, manifest)
    sys.setprofile(count)
    {"place": place, "discard": discard, "mend": mend}[work](written, manifest)
    sys.setprofile(None)
print(next(calls))
"""


def open_folders(entry: Path) -> list[str]:
    return [str(Path(parent)) for parent, _, _ in os.walk(entry) if stat.S_IMODE(os.stat(parent).st_mode) != 0o555]


def prepare(written: WrittenStore, work: str) -> None:
    if work == "mend":
        folder = written.entry(SAMPLE) / "site-packages/sample"
        folder.chmod(0o755)
        (folder / "stranger.py").write_text("")
        folder.chmod(0o555)


def last_call(root: Path, work: str) -> int:
    """How many calls that change something this work takes, and one more."""
    with written_store(root) as written:
        written.commit(SAMPLE)
        prepare(written, work)
    return int(run_python(WORK_UNTIL_KILLED, str(root), work, "0"))


@pytest.mark.parametrize("work", ["place", "discard", "mend"])
def test_killed_before_any_call_of_what_opens_folders_recovery_closes_them(tmp_path: Path, work: str) -> None:
    total = last_call(tmp_path / "whole", work)
    found_open = 0
    for call in range(1, total):
        root = tmp_path / f"{work}{call}"
        with written_store(root) as written:
            written.commit(SAMPLE)
            prepare(written, work)
        with start_python(WORK_UNTIL_KILLED, str(root), work, str(call)) as process:
            assert process.wait(timeout=60) == -signal.SIGKILL
        with written_store(root) as written:
            entry = written.entry(SAMPLE)
            left = open_folders(entry)
            found_open += bool(left)
            assert bool(written.recover().closed) >= bool(left)
            assert open_folders(entry) == []
            assert written.recover() == Recovered()
    assert found_open > 1, "it was never killed at a moment that matters"


def test_a_note_closes_nothing_outside_its_entry_and_goes_with_its_session(tmp_path: Path) -> None:
    other = make_wheel("other")
    with written_store(tmp_path) as written:
        written.commit(SAMPLE, other)
        entry, beside = written.entry(SAMPLE), written.entry(other)
        before = tree(entry)
        (entry / "site-packages/sample").chmod(0o755)
        (beside / "site-packages").chmod(0o755)
        session = written.store.layout.tmp / "0123456789abcdef"
        session.mkdir(mode=0o700)
        line = entry.relative_to(written.store.layout.entries)
        (session / "opened.0123456789abcdef").write_text(f"{line}\ngone/{digest(SAMPLE)[7:39]}\n")
        recovered = written.recover()
        assert recovered.closed == (f"{line}/site-packages/sample",)
        assert recovered.sessions == (session.name,)
        assert tree(entry) == before
        assert open_folders(beside) == [str(beside / "site-packages")]
