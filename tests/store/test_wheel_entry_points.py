import importlib.metadata
from typing import NoReturn

import pytest

from storectl_store.errors import WheelError
from storectl_store.wheel.checked import EntryPoint
from storectl_store.wheel.entry_points import parse_entry_points

MEMBER = "sample-1.0.dist-info/entry_points.txt"

TEXT = """\
# made by hand
[console_scripts]
Sample = sample:main
  sample-dev=sample.dev : Tool.run   [dev, test]
sample.x = sample:x

[pytest11]
any name at all = sample.plugin
[gui_scripts]
window = sample.gui:main
"""


class Sample(importlib.metadata.Distribution):
    """The same text, for the standard library to read."""

    def read_text(self, filename: str) -> str | None:
        return {"entry_points.txt": TEXT}.get(filename)

    def locate_file(self, path: object) -> NoReturn:
        raise AssertionError(path)


def test_scripts_keep_their_order_and_case() -> None:
    assert parse_entry_points(TEXT.encode(), MEMBER) == (
        EntryPoint(name="Sample", module="sample", attribute="main"),
        EntryPoint(name="sample-dev", module="sample.dev", attribute="Tool.run"),
        EntryPoint(name="sample.x", module="sample", attribute="x"),
        EntryPoint(name="window", module="sample.gui", attribute="main", gui=True),
    )


def test_scripts_are_those_that_the_standard_library_sees() -> None:
    theirs = Sample().entry_points
    ours = parse_entry_points(TEXT.encode(), MEMBER)
    scripts = [e for e in theirs if e.group in ("console_scripts", "gui_scripts")]
    assert [(e.name, e.module, e.attr) for e in scripts] == [(e.name, e.module, e.attribute) for e in ours]


@pytest.mark.parametrize("text", ["", "\n\n", "[console_scripts]\n", "# only a comment"])
def test_there_may_be_none(text: str) -> None:
    assert parse_entry_points(text.encode(), MEMBER) == ()


@pytest.mark.parametrize("name", ["python", "PYTHON3", "python3.13t", "pythonw", "python.exe"])
def test_no_script_takes_the_place_of_the_interpreter(name: str) -> None:
    with pytest.raises(WheelError, match=r"E_ENTRYPOINT.*interpreter"):
        parse_entry_points(f"[console_scripts]\n{name} = sample:main\n".encode(), MEMBER)


@pytest.mark.parametrize("name", ["python-config", "ipython3", "pythonista", "python_x", "bpython"])
def test_scripts_that_only_resemble_the_interpreter_are_fine(name: str) -> None:
    (script,) = parse_entry_points(f"[console_scripts]\n{name} = sample:main\n".encode(), MEMBER)
    assert script.name == name
