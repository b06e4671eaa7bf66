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
from storectl_store.collecting.leftovers import sweep_leftovers
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.trash import delete_tree, empty_trash
from storectl_store.environments.made_by import environment_folders, shown_digests
from support.collected import broken, collect, made_store
from support.stores import tree, visible_tree, written_store

CHANGING = ("rename", "replace", "unlink", "remove", "rmdir", "chmod", "fchmod", "mkdir", "fsync", "link", "symlink")
root, whole = Path(sys.argv[1], "store"), Path(sys.argv[1], "whole")
live = made_store(root)
before = {folder.name: tree(folder) for folder in root.joinpath("environments").iterdir()}
root.rename(whole)
emptying = []

def collect_all(written):
    collect(written, live)
    emptying.append(itertools.count())
    empty_trash(written.store.layout)
    emptying.clear()
    sweep_leftovers(written.store)

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
            collect_all(written)
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def recovered():
    with written_store(root) as written:
        found = written.recover(lambda: shown_digests(written.store.layout))
        return found.halves + found.manifests + found.sealed

def problems():
    yield from broken(root, live)
    for folder in environment_folders(StoreLayout(root)):
        if tree(folder) != before[folder.name]:
            yield f"the environment {folder.name} is another"

def ended():
    "The collect is tried again, and ends."
    with written_store(root) as written:
        collect_all(written)
        return visible_tree(written.store), os.listdir(root / "environments"), os.listdir(root / "trash")

told, ends = {"killed": 0, "recovered": [], "problems": []}, []
for last in itertools.count(1):
    shutil.copytree(whole, root, symlinks=True)
    code = killed_at(last)
    told["killed"] += code == -signal.SIGKILL
    told["recovered"] += recovered()
    told["problems"] += [f"{last}: {problem}" for problem in problems()]
    ends.append(ended())
    delete_tree(root)
    if code == 0:
        break
told["ends alike"] = all(end == ends[0] for end in ends) and ends[0][1:] == ([live], [])
print(json.dumps(told))
"""


def test_a_collect_that_is_killed_at_any_call_leaves_nothing_broken(tmp_path: Path) -> None:
    told: Any = run_python(KILL_AT_EVERY_CALL, str(tmp_path))
    assert told["problems"] == []
    assert told["ends alike"]
    assert told["killed"] > 50
    assert len(told["recovered"]) > 5  # if not, nothing was ever half done, and this shows nothing
