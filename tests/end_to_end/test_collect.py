"""What `storectl store collect`, `store why` and `env pin` print, and their exit codes."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from storectl.commands.documents import DOCUMENTS
from support.collecting import OWN
from support.index import LoopbackIndex
from support.json_page import differences
from support.machine import Machine
from support.project import lock_file_text, write_project
from support.wheels import make_wheel

TEXT = "".join(f"def f{n}(): return {n}\n" for n in range(500))
BOTH = make_wheel("both", files={"both.py": TEXT})
OLD, NEW = (make_wheel("changed", version, files={"changed.py": f"V = {version}\n{OWN}{TEXT}"}) for version in "12")
NOW = {
    "STORECTL_COLLECT_ANY_GRACE": "1",
    "STORECTL_COLLECT_GRACE": "0",
    "STORECTL_COLLECT_KEEP_DAYS": "0",
    "STORECTL_COLLECT_KEEP_GENERATIONS": "1",
}
"""Nothing is kept for having been made or used lately."""


@pytest.fixture
def site(machine: Machine, index: LoopbackIndex) -> Path:
    """A project that had an environment with ``changed`` 1, and has one with ``changed`` 2."""
    index.add(NEW)
    site = write_project(machine.home / "site", index, [BOTH, OLD])
    machine.ok("warm", cwd=site)
    machine.ok("env", "pin", "before", cwd=site)
    (site / "uv.lock").write_text(lock_file_text("uv.lock", index, [BOTH, NEW]))
    machine.ok("warm", cwd=site)
    return site


def document(machine: Machine, *command: str) -> Any:
    found = json.loads(machine.ok(*command, "--json", env=NOW))
    assert not list(differences(found, DOCUMENTS[" ".join(command[:2])]))
    return found


def test_the_life_of_a_store_on_the_command_line(machine: Machine, site: Path) -> None:
    assert "nothing would go" in machine.ok("store", "collect", "--dry-run", env=NOW)
    (pinned,) = (each for each in document(machine, "store", "why", "changed") if each["version"] == "1")
    assert {reason["detail"] for reason in pinned["reasons"] if reason["kind"] == "pin"} == {'pin "before"'}
    assert re.search(r"before +[0-9a-f]{32} .*/site +\d+ s +there", machine.ok("env", "pins"))
    machine.ok("env", "unpin", "before")

    doctor = machine.run("doctor", env=NOW).stdout
    assert re.search(r"ok +collect: 1 environment and 1 entry \(.* kB\) could go; `storectl store collect", doctor)
    assert "ok     collect: the daemon takes nothing by itself yet: the first time it only reports" in doctor
    told = machine.ok("store", "collect", "-n", env=NOW).splitlines()
    assert re.fullmatch(r"would free \d.* kB, \d+ inodes: 1 environment, 1 entry  \(kept: 0 leases, .*\)", told[0])
    assert re.fullmatch(r"  changed 1 and 1 environment \(.* kB\) of .*, last used \d+ s ago", told[1])
    assert machine.ok("store", "collect", env=NOW).startswith("freed ")
    assert "changed 1" not in machine.ok("store", "why", "changed")
    assert "  ~/site: uv.lock, current" in machine.ok("store", "why", "changed")
    assert machine.ok("run", "--offline", "-c", "import changed; print(changed.V)", cwd=site) == "2\n"

    check_what_goes_wrong(machine, site)


def check_what_goes_wrong(machine: Machine, site: Path) -> None:
    """Each mistake has a line and an exit code."""
    assert document(machine, "store", "collect", "--max-size", "1 GB")["enough"]
    done = machine.run("store", "collect", "--max-size", "1k", env=NOW)
    assert (done.returncode, done.stdout.splitlines()[0].startswith("nothing went")) == (3, True)
    done = machine.run("store", "collect", "--max-size", "big")
    assert (done.returncode, "'big' is no size such as 20G" in done.stderr) == (2, True)
    done = machine.run("store", "collect", env={"STORECTL_COLLECT_KEEP_DAYS": "some"})
    assert (done.returncode, "E_SETTINGS: STORECTL_COLLECT_KEEP_DAYS is 'some'" in done.stderr) == (1, True)
    done = machine.run("store", "collect", env={"STORECTL_COLLECT_GRACE": "1"})
    assert (done.returncode, "too short" in done.stderr) == (1, True)
    assert machine.run("env", "pin", "a/b", cwd=site).returncode == 2
    assert "E_UNKNOWN_PIN" in machine.run("env", "unpin", "a").stderr
    (machine.store / "roots" / "broken").write_text("?")
    done = machine.run("store", "collect", env=NOW)
    assert (done.returncode, "storectl env unpin broken" in done.stderr) == (1, True)
    assert re.search(r"WRONG +collect: .*broken is no pin", machine.run("doctor").stdout)
