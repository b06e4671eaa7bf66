"""Damage below the store: `store verify --repair` finds it and makes all of it right again.

``STORECTL_DAMAGES`` is how many damages there are outside the gate, and ``STORECTL_SEED`` which.
"""

import json
import os
import random
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from uv import find_uv_bin

from support.daemon import until
from support.damage import Damage, damage, files_by_kind, thing_of
from support.index import LoopbackIndex
from support.machine import Machine, base_python
from support.project import git, write_project
from support.sources import make_sdist, source_files, tiny_backend
from support.wheels import make_wheel

DAMAGES = int(os.environ.get("STORECTL_DAMAGES", "60"))
SEED = int(os.environ.get("STORECTL_SEED", "20260101"))
MOST_TRIES = 20
AT_ONCE = 30

MODULES = [f"m{number}" for number in range(20)]
WHEELS = [
    make_wheel(
        "many",
        "1.0",
        files={f"many/{m}.py": "X = 1\n" for m in MODULES} | {"many/__init__.py": f"__all__ = {MODULES}\n"},
    ),
    make_wheel(
        "parts",
        "2.0",
        files={
            "parts.py": "def main():\n    print('parts')\n",
            "space/one.py": "ONE = 1\n",
            "parts-2.0.data/scripts/own": "#!python\nprint('own')\n",
            "parts-2.0.data/scripts/plain": "#!/bin/sh\necho plain\n",
            "parts-2.0.data/data/share/doc/parts.txt": "words\n",
            "parts-2.0.data/headers/parts.h": "int x;\n",
        },
        entry_points="[console_scripts]\nparts = parts:main\n",
    ),
    make_wheel("other", "1.5", files={"space/two.py": "TWO = 2\n", "other.py": "Y = 3\n"}),
]
NAMED = [make_wheel("named", "1.0"), make_wheel("second", "1.0")]
PROGRAMS = {
    "locked": "import many, parts, other, space.one, space.two; from many import *; import many.m1, many.m19; print('ok')",
    "indexed": "import named, second; print('ok')",
    "built": "import from_source, from_git, own_code; print('ok')",
}


@pytest.fixture
def projects(machine: Machine, index: LoopbackIndex) -> dict[str, Path]:
    """Three projects that have every kind of thing made for them."""
    found = {
        "locked": write_project(machine.home / "locked", index, WHEELS),
        "indexed": write_project(machine.home / "indexed", index, NAMED, "requirements.txt"),
        "built": built_project(machine, index),
    }
    for name, folder in found.items():
        machine.ok("warm", folder)
        until((machine.record(folder) / "fast.default/environment").exists)
        assert machine.ok("run", "-c", PROGRAMS[name], cwd=folder) == "ok\n"
    until(lambda: any((machine.store / "packs").iterdir()) if (machine.store / "packs").exists() else False)
    return found


def built_project(machine: Machine, index: LoopbackIndex) -> Path:
    """A project with code of its own, a source distribution and a commit, locked by uv."""
    index.add(make_sdist("from-source"), tiny_backend())
    upstream = machine.home / "upstream"
    put(upstream, source_files("from-git"))
    git(upstream, "init", "-q")
    git(upstream, "add", "-A")
    git(upstream, "commit", "-qm", "first")
    folder = machine.home / "built"
    put(folder / "own", source_files("own-code"))
    text = (
        '[project]\nname = "built"\nversion = "1.0"\nrequires-python = ">=3.9"\n'
        'dependencies = ["from-source", "from-git", "own-code"]\n[tool.uv]\npackage = false\n[tool.uv.sources]\n'
        f'from-git = {{ git = "{upstream.as_uri()}" }}\nown-code = {{ path = "own", editable = true }}\n'
    )
    put(folder, {"pyproject.toml": text})
    put(machine.home / ".config/pip", {"pip.conf": f"[global]\nindex-url = {index.url}\n"})
    environ = machine.environ | {"UV_DEFAULT_INDEX": index.url, "UV_PYTHON_DOWNLOADS": "never"}
    command = [find_uv_bin(), "lock", "-q", "--python", base_python()]
    subprocess.run(command, cwd=folder, env=environ, check=True)
    return folder


def put(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def test_what_was_built_is_built_again_though_nothing_names_it_any_more(machine: Machine, index: LoopbackIndex) -> None:
    folder = built_project(machine, index)
    machine.ok("warm", folder)
    for environment in (machine.store / "environments").iterdir():
        environment.chmod(0o755)
        (environment / "environment.json").unlink()
    (manifest,) = (path for path in (machine.store / "meta").iterdir() if b'"name":"from-git"' in path.read_bytes())
    manifest.unlink()
    assert verify(machine, "--repair")["left"] == []
    assert machine.ok("run", "-c", PROGRAMS["built"], cwd=folder) == "ok\n"


@pytest.mark.parametrize("damages_in_all", [AT_ONCE, pytest.param(DAMAGES, marks=pytest.mark.whole)])
def test_damage_of_every_kind_is_found_and_mended(
    machine: Machine, projects: dict[str, Path], damages_in_all: int
) -> None:
    print(f"STORECTL_SEED={SEED}")
    chance = random.Random(SEED)
    done: Counter[str] = Counter()
    while done.total() < damages_in_all:
        damages = list(spread(machine.store, chance, min(AT_ONCE, damages_in_all - done.total())))
        report = verify(machine, "--repair")
        assert report["left"] == [], told({}, report, damages)
        for each in damages:
            came = outcome_of(each, report, machine.store)
            assert came != "lost", told({"lost": str(each)}, report, damages)
            assert not each.remains(machine.store), each
            done[f"{each.kind}, {'deleted' if each.content is None else 'flipped'}: {came}"] += 1
        again = verify(machine)
        assert again["findings"] == [], told(again, report, damages)
        print(f"{done.total()} of {damages_in_all}", flush=True)
    for name, folder in projects.items():
        assert machine.ok("run", "-c", PROGRAMS[name], cwd=folder) == "ok\n"
    log = machine.home / ".local/state/storectl"
    assert not any("Traceback" in path.read_text() for path in log.glob("*.log"))
    print("\n".join(f"{count:6} {kind}" for kind, count in sorted(done.items())))


def told(again: dict[str, Any], report: dict[str, Any], damages: list[Damage]) -> str:
    return json.dumps([again, report, [(each.path, each.how) for each in damages]], indent=1)


def outcome_of(damaged: Damage, report: dict[str, Any], store: Path) -> str:
    """Found; or gone with something that was made again; or one that nothing can tell; else lost."""
    found = {(f["kind"], f["prefix"] or ("" if f["kind"] == "store" else f["name"])) for f in report["findings"]}
    if thing_of(damaged.path) in found:
        return "found"
    if any(
        "made again for" in mended["how"] or "set aside: no project" in mended["how"] for mended in report["mended"]
    ):
        return "went with what was made again"
    if os.path.lexists(store / damaged.path) and not damaged.remains(store):
        return (
            "made anew meanwhile"  # the daemon writes records, and the next daemon warms; the second verify looks at it
        )
    return "lost" if damaged.has_to_be_found else "nothing to find"


def spread(store: Path, chance: random.Random, count: int) -> Iterator[Damage]:
    """So many damages, or as many as a small store has things; each kind of file as likely as any other, no two in one thing."""
    things: set[tuple[str, str]] = set()
    for _ in range(count * MOST_TRIES):
        if len(things) == count:
            return
        kinds = files_by_kind(store)
        path = chance.choice(kinds[chance.choice(sorted(kinds))])
        if thing_of(path) not in things and os.path.lexists(store / path):
            things.add(thing_of(path))
            yield damage(store, path, chance)


def verify(machine: Machine, *options: str) -> dict[str, Any]:
    done = machine.run("store", "verify", "--json", *options)
    assert "Traceback" not in done.stderr, done.stderr
    value: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == bool(value["left"] if "--repair" in options else value["findings"])
    return value
