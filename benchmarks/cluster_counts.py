"""``python -m benchmarks.cluster_counts WHEELS``: count again what a start asks of a slow file system, for ``cluster.py``.

A venv, and a store with view and pack, are mounted anew through a pass-through of FUSE that counts; entries are kept for
a minute, so that time plays no part. The interpreter and the script are elsewhere. It prints ``[[way]]`` tables.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.start import Started
from benchmarks.world import World, new_world
from support.slow_tree import Counted, slow_tree

KEPT_S = 60.0


def counted(world: World, tree: Path, python: Path, script: Path) -> Counted:
    """What a start of the script asks of a tree, which is shown at its own path."""
    real = tree.with_name(f"{tree.name}.real")
    tree.rename(real)
    try:
        with slow_tree(real, tree, metadata=0.0, kept=KEPT_S) as shown:
            subprocess.run([python, script], cwd=script.parent, env=world.environ, check=True)
        assert shown.report is not None
        return shown.report
    finally:
        tree.rmdir()
        real.rename(tree)


def way(name: str, found: Counted) -> Iterator[str]:
    """The table of a way."""
    calls = found.calls
    told = "; ".join(f"{kind} {calls.get(kind, 0):,}" for kind in ("getattr", "open", "readdir", "readlink"))
    yield "[[way]]"
    yield f'name = "{name}"'
    yield f"calls = {found.metadata}"
    yield f"again = {calls.get('open', 0)}"
    yield f"reads = {calls.get('read', 0)}"
    yield f"megabytes = {found.read_bytes / 1e6:.1f}"
    yield "unpack = 0.0"
    yield f'source = "{told}"'
    yield ""


def main() -> None:
    """Make both, count both."""
    with new_world(Path(sys.argv[1])) as world:
        started = Started(world)
        for script in (started.ours, started.theirs):
            world.do([started.venv, script / "heavy.py"], script)  # what matplotlib keeps in the home folder
        world.end_daemons()
        venv = started.venv.parent.parent
        print(*way("venv on the slow tree", counted(world, venv, started.venv, started.theirs / "heavy.py")), sep="\n")
        python = started.environment / "bin/python"
        found = counted(world, world.machine.store, python, started.ours / "heavy.py")
        print(*way("store, view and pack on it", found), sep="\n")


if __name__ == "__main__":
    main()
