"""What `--json` really prints is what docs/json.md says of it."""

import json
from pathlib import Path

import pytest

from storectl.commands.documents import DOCUMENTS
from support.index import LoopbackIndex
from support.json_page import differences
from support.machine import Machine
from support.project import write_project
from support.wheels import make_wheel

ALPHA = make_wheel("alpha", "1.0", files={"alpha/__init__.py": "X = 1\n", "alpha/more.py": "Y = 2\n"})
OLDER = make_wheel("alpha", "0.9", files={"alpha/__init__.py": "X = 0\n"})
ARGUMENTS = {
    "env diff": ("1", "1"),
    "env bisect": ("--", "python", "-c", "import alpha, sys; sys.exit(alpha.X)"),
    "env export": ("exported",),
    "image build": ("-o", "image"),
    "image show": ("image",),
    "image stage": ("--to", ".", "image"),
    "store show": ("alpha",),
    "store why": ("alpha",),
}


def printed(machine: Machine, name: str, *more: str, cwd: Path, codes: tuple[int, ...] = (0,)) -> object:
    """The document that a command prints, which must be as the page says."""
    done = machine.run(*name.split(), "--json", *more, cwd=cwd)
    assert done.returncode in codes, done.stderr
    document: object = json.loads(done.stdout)
    assert list(differences(document, DOCUMENTS[name])) == []
    return document


def test_every_document_is_as_the_page_says(machine: Machine, index: LoopbackIndex) -> None:
    folder = write_project(machine.home / "project", index, [OLDER])
    assert printed(machine, "daemon status", cwd=folder, codes=(3,)) == {"status": "not running"}
    machine.ok("warm", cwd=folder)
    write_project(folder, index, [ALPHA])
    machine.ok("warm", cwd=folder)
    machine.ok("link", cwd=folder)
    machine.ok("kernel", "install", cwd=folder)
    machine.ok("env", "pin", "course", cwd=folder)
    for name in DOCUMENTS:
        codes = (0, 1) if name == "doctor" else (0,)
        assert printed(machine, name, *ARGUMENTS.get(name, ()), cwd=folder, codes=codes)


@pytest.mark.parametrize("more", [(), ("--repair",), ("--repair", "--offline")])
def test_findings_are_as_the_page_says(machine: Machine, index: LoopbackIndex, more: tuple[str, ...]) -> None:
    folder = write_project(machine.home / "project", index, [ALPHA])
    machine.ok("warm", cwd=folder)
    file = machine.store / "store/alpha" / ALPHA.hexdigest[:32] / "site-packages/alpha/more.py"
    file.parent.chmod(0o755)
    file.unlink()
    document = printed(machine, "store verify", *more, cwd=folder, codes=(0, 1))
    assert isinstance(document, dict)
    assert document["findings"]
    assert not more or document["mended"] or document["left"]


def test_a_project_that_failed_is_as_the_page_says(machine: Machine, index: LoopbackIndex) -> None:
    folder = write_project(machine.home / "project", index, [ALPHA])
    (folder / "uv.lock").write_text("version = 99\n")
    machine.run("warm", cwd=folder)
    for name in ("env show", "watch list"):
        printed(machine, name, cwd=folder)
