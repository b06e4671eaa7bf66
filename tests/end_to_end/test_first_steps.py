"""``docs/first-steps.md``: every transcript in it is run from a bare folder, and prints what stands there."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from uv import find_uv_bin

from support.index import LoopbackIndex
from support.machine import STORECTL, Machine
from support.tools import install_tool
from support.wheels import make_wheel

GUESTS = True  # the tests do not disturb one another: one daemon serves them all

DOC = Path(__file__).parents[2] / "docs" / "first-steps.md"
BLOCKS = dict(re.findall(r"(?m)^(\w[^\n]+):\n\n```console\n((?:.*\n)*?)```$", DOC.read_text()))
OF_OTHERS = {"A project of Poetry": "poetry", "A project of PDM": "pdm"}
VARYING = (
    (r"Using CPython .*\n", ""),
    (r"virtualenv \S*/storectl-\w+", "virtualenv /tmp/storectl-x"),
    (r"Python 3\.\d+", "Python 3.x"),
    (r"in [\d.]+m?s", "in no time"),
    (r"\d:\d\d:\d\d", "0:00:00"),
    (r"(?m) +$", ""),
    (r"storectl: \w+ \d+ of \d+ .*\n", ""),
    (r"storectl: warning: building .* from source.*\n", ""),
)
"""What is another on every machine, or is said only if something takes long."""


def test_every_transcript_is_run() -> None:
    assert len(BLOCKS) == DOC.read_text().count("```console")
    assert set(OF_OTHERS) < set(BLOCKS)


@pytest.mark.parametrize("title", [title for title in BLOCKS if title not in OF_OTHERS])
def test_a_transcript_is_what_a_user_sees(machine: Machine, index: LoopbackIndex, title: str) -> None:
    index.add(make_wheel("six", "1.17.0", files={"six.py": '__version__ = "1.17.0"\n'}))
    assert played(machine, BLOCKS[title], index.url, Path(find_uv_bin()).parent) == constant(BLOCKS[title])


@pytest.mark.network
@pytest.mark.parametrize("title", OF_OTHERS)
def test_a_transcript_of_another_tool_is_what_its_user_sees(
    machine: Machine, index: LoopbackIndex, tmp_path_factory: pytest.TempPathFactory, title: str
) -> None:
    tools = install_tool(tmp_path_factory.getbasetemp().parent, OF_OTHERS[title])
    assert played(machine, BLOCKS[title], index.url, tools) == constant(BLOCKS[title])


def played(machine: Machine, block: str, index: str, programs: Path) -> str:
    """The block with what its commands print now, in a home folder that holds nothing but the files they show."""
    folder = machine.home
    path = os.pathsep.join([str(STORECTL.parent), str(programs), machine.environ["PATH"]])
    environ = machine.environ | {
        "PATH": path,
        "UV_DEFAULT_INDEX": index,
        "UV_PYTHON_DOWNLOADS": "never",
        "PDM_CHECK_UPDATE": "0",
    }
    shown = ""
    for command, said in re.findall(r"(?m)^\$ (.*)\n((?:(?!\$ ).*\n)*)", block):
        if written := re.fullmatch(r"cat (\S+)", command):
            (folder / written[1]).write_text(said)
        done = subprocess.run(
            ["sh", "-c", f"exec 2>&1; {command}"],
            cwd=folder, env=environ, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        shown += f"$ {command}\n{done.stdout}"
    return constant(shown.replace(str(folder), "~"))


def constant(text: str) -> str:
    """The text without what varies."""
    for pattern, replacement in VARYING:
        text = re.sub(pattern, replacement, text)
    return text
