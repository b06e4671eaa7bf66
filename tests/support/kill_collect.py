"""A collect is killed before each of its system calls that change the disk. For ``scripts/kill-collect``.

strace stops the process: what Python or SQLite do beneath their functions counts, too. After each kill the store is
recovered twice and looked at, and a program runs in each environment that is there.
"""

import itertools
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.trash import delete_tree, empty_trash
from storectl_store.environments.environment_record import read_environment
from storectl_store.environments.made_by import environment_folders
from support.collected import broken, collect, made_store
from support.environments import ask_interpreter, interpreters
from support.stores import written_store

CHANGING = (
    "chmod", "fchmod", "fchmodat", "fdatasync", "fsync", "ftruncate", "link", "linkat", "mkdir", "mkdirat", "pwrite64",
    "rename", "renameat", "renameat2", "rmdir", "symlink", "symlinkat", "syncfs", "unlink", "unlinkat", "write",
)  # fmt: skip
KILLED = 137  # of strace, whose child was killed


def killed(root: Path, live: str, call: str, number: int) -> bool:
    """Collect the store in a process that is killed before this call. Whether it came so far."""
    inject = f"--inject={call}:signal=KILL:when={number}"
    tracing = ["strace", "-f", "-o", "/dev/null", "-e", f"trace={call}", inject]
    command = [*tracing, sys.executable, "-m", "support.kill_collect", str(root), live]
    done = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True)
    assert done.returncode in {0, -9, KILLED}, done.stderr
    return done.returncode != 0


def problems(root: Path, live: str) -> Iterator[str]:
    """What is wrong after recovery, and with programs in the environments that are there."""
    yield from broken(root, live)
    for folder in environment_folders(StoreLayout(root)):
        names = dict(_names(root))
        modules = [names[digest] for digest in read_environment(folder).digests if digest in names]
        done = subprocess.run([folder / "bin/python", "-c", f"import {', '.join(modules)}"], check=False)
        if done.returncode or len(modules) != len(read_environment(folder).digests):
            yield f"a program in {folder.name} cannot import {modules}"


def _names(root: Path) -> Iterator[tuple[str, str]]:
    with written_store(root) as written:
        yield from ((manifest.digest, manifest.name) for manifest in written.store.manifests())


def main() -> None:
    """Kill at every call, and print how often, and what was broken."""
    kills: Counter[str] = Counter()
    found: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        root, whole = Path(folder, "store"), Path(folder, "whole")
        live = made_store(root, ask_interpreter(interpreters()[0]))
        root.rename(whole)
        for call in CHANGING:
            for number in itertools.count(1):
                shutil.copytree(whole, root, symlinks=True)
                goes_on = killed(root, live, call, number)
                found += [f"{call} {number}: {problem}" for problem in problems(root, live)]
                delete_tree(root)
                if not goes_on:
                    break
                kills[call] += 1
        delete_tree(whole)
    print(f"{kills.total()} kills: {', '.join(f'{count} {call}' for call, count in kills.items())}")
    print(f"broken: {len(found)}", *found, sep="\n")
    sys.exit(bool(found))


def collect_one(root: Path, live: str) -> None:
    """What is killed: a whole collect, to the end of the trash."""
    with written_store(root) as written:
        collect(written, live)
        empty_trash(written.store.layout)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        collect_one(Path(sys.argv[1]), sys.argv[2])
    else:
        main()
