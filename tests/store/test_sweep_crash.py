"""A sweep that is killed at any of its calls leaves a store that recovery makes whole; the second recovery is a no-op."""

from pathlib import Path
from typing import Any

from support.stores import run_python

# Makes a store in argv[1]. Then, for every call by which a collect changes the disk, it has a child collect a copy of
# that store and kill itself before that call, recovers the copy, and looks at all of it. Of the calls that empty the
# trash, it takes every tenth.
KILL_AT_EVERY_CALL = """
import itertools, json, os, shutil, signal, sys
from pathlib import Path
from storectl_store.collecting.belt import Seen
from storectl_store.collecting.guards import Guards
from storectl_store.collecting.holds import Holds
from storectl_store.collecting.inventory import read_inventory
from storectl_store.collecting.leftovers import sweep_leftovers
from storectl_store.collecting.mark import mark
from storectl_store.collecting.roots import Root
from storectl_store.collecting.sweep import Sweep
from storectl_store.digest import EnvironmentId
from storectl_store.entries.recovery import Recovered
from storectl_store.entries.trash import empty_trash
from storectl_store.environments.made_by import environment_folders, shown_digests
from support.collected import published, side_manifest
from support.stores import digest, tree, visible_tree, written_store
from support.wheels import make_wheel

CHANGING = ("rename", "replace", "unlink", "remove", "rmdir", "chmod", "fchmod", "mkdir", "fsync", "link", "symlink")
root, whole = Path(sys.argv[1], "store"), Path(sys.argv[1], "whole")
one, two, three, newer = (make_wheel(*spec) for spec in (("one",), ("two",), ("three",), ("one", "2.0")))

with written_store(root) as written:
    layout = written.store.layout
    live = published(written, one)
    dead = [published(written, *wheels) for wheels in ((one, two), (two, three))]
    written.commit(newer)
    written.store.catalogue.close()
    for wheel in (one, three, newer):
        side_manifest(written, wheel)
    layout.packs.mkdir()
    for folder in (live, *dead):
        layout.pack(EnvironmentId(folder.name)).write_text("")
    before = {folder.name: tree(folder) for folder in (live, *dead)}
root.rename(whole)

def collect(written):
    roots = [Root(kind="pin", environment=EnvironmentId(live.name))]
    found = mark(read_inventory(written.store), roots, now=9e9, grace=0)
    sweep = Sweep(written.store, Holds(), Guards(seen=Seen))
    sweep.environments([each.id for each in found.dead_environments])
    sweep.entries(found.dead_entries)
    sweep_leftovers(written.store)
    emptying.append(itertools.count())
    empty_trash(written.store.layout)
    emptying.clear()
    sweep_leftovers(written.store)

emptying = []

def count_calls(last):
    calls = itertools.count(1)
    def counted(call):
        def changing(*arguments, **options):
            if not (emptying and next(emptying[0]) % 10) and next(calls) == last:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **options)
        return changing
    for name in CHANGING:
        setattr(os, name, counted(getattr(os, name)))

def killed_at(last):
    child = os.fork()
    if not child:
        with written_store(root) as written:
            count_calls(last)
            collect(written)
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def problems(written):
    layout = written.store.layout
    for folder in environment_folders(layout):
        if tree(folder) != before[folder.name] or folder.stat().st_mode & 0o7777 != 0o555:
            yield f"the environment {folder.name} is another"
    yield from (f"{digest} is gone" for digest in shown_digests(layout) if written.store.usable_manifest(digest) is None)
    yield from (finding.message for finding in written.findings())
    if not (layout.environments / live.name).exists():
        yield "the live environment is gone"

def look():
    with written_store(root) as written:
        shown = lambda: shown_digests(written.store.layout)
        recovered = written.recover(shown)
        found = list(problems(written))
        if written.recover(shown) != Recovered():
            found.append("the second recovery found something")
        collect(written)
        left = visible_tree(written.store)
        if len(os.listdir(written.store.layout.environments)) != 1 or os.listdir(written.store.layout.trash):
            found.append("the next collect does not end it")
        found += problems(written)
    return recovered.halves + recovered.manifests + recovered.sealed, found, left

told, left = {"killed": 0, "recovered": [], "problems": []}, []
for last in itertools.count(1):
    shutil.copytree(whole, root, symlinks=True)
    code = killed_at(last)
    recovered, found, after = look()
    told["killed"] += code == -signal.SIGKILL
    told["recovered"] += recovered
    told["problems"] += [f"{last}: {problem}" for problem in found]
    left.append(after)
    for parent, folders, _ in os.walk(root):
        for name in folders:
            if not os.path.islink(os.path.join(parent, name)):
                os.chmod(os.path.join(parent, name), 0o700)
    shutil.rmtree(root)
    if code == 0:
        break
told["same"] = all(each == left[0] for each in left)
print(json.dumps(told))
"""


def test_a_collect_that_is_killed_at_any_call_leaves_nothing_broken(tmp_path: Path) -> None:
    told: Any = run_python(KILL_AT_EVERY_CALL, str(tmp_path))
    assert told["problems"] == []
    assert told["same"]
    assert told["killed"] > 50
    assert len(told["recovered"]) > 5  # if not, nothing was ever half done, and this shows nothing
