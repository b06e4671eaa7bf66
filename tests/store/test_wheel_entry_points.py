import importlib.metadata
from typing import NoReturn

import pytest

from storectl_store.wheel.checked import EntryPoint
from storectl_store.wheel.entry_points import parse_entry_points
from storectl_store.wheel.remarks import Remarks

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


def scripts(text: str, remarks: Remarks | None = None) -> tuple[EntryPoint, ...]:
    return parse_entry_points(text.encode(), MEMBER, remarks or Remarks())


def test_scripts_keep_their_order_and_case() -> None:
    assert scripts(TEXT) == (
        EntryPoint(name="Sample", module="sample", attribute="main"),
        EntryPoint(name="sample-dev", module="sample.dev", attribute="Tool.run"),
        EntryPoint(name="sample.x", module="sample", attribute="x"),
        EntryPoint(name="window", module="sample.gui", attribute="main", gui=True),
    )


def test_scripts_are_those_that_the_standard_library_sees() -> None:
    theirs = Sample().entry_points
    ours = scripts(TEXT)
    declared = [e for e in theirs if e.group in ("console_scripts", "gui_scripts")]
    assert [(e.name, e.module, e.attr) for e in declared] == [(e.name, e.module, e.attribute) for e in ours]


@pytest.mark.parametrize("text", ["", "\n\n", "[console_scripts]\n", "# only a comment"])
def test_there_may_be_none(text: str) -> None:
    assert scripts(text) == ()


@pytest.mark.parametrize("name", ["python", "PYTHON3", "python3.13t", "pythonw", "python.exe"])
def test_no_script_takes_the_place_of_the_interpreter_and_the_others_are_made(name: str) -> None:
    remarks = Remarks()
    assert [script.name for script in scripts(f"[console_scripts]\n{name} = sample:main\nb = b:c\n", remarks)] == ["b"]
    (line,) = remarks.lines()
    assert line.startswith(f"W_SCRIPT_INTERPRETER: '{name}'")


@pytest.mark.parametrize("name", ["a/b", "..", ".", "a\\b", "a\x1bb", "a\u202eb", "a" * 256])
def test_a_name_that_no_command_can_have_costs_that_script_alone(name: str) -> None:
    remarks = Remarks()
    assert [script.name for script in scripts(f"[console_scripts]\n{name} = sample:main\nb = b:c\n", remarks)] == ["b"]
    (line,) = remarks.lines()
    assert line.startswith("W_SCRIPT_NAME: ")
    assert line.isprintable()


@pytest.mark.parametrize("name", ["a+b", "a b", "a@b", "\u00fcn\u00ef", "a:b", "a."])
def test_every_other_name_is_that_of_a_command(name: str) -> None:
    remarks = Remarks()
    (script,) = scripts(f"[console_scripts]\n{name} = sample:main\n", remarks)
    assert (script.name, remarks.lines()) == (name, ())


def test_names_that_differ_in_case_are_two_scripts() -> None:
    assert [script.name for script in scripts("[console_scripts]\na = x:y\nA = x:z\n")] == ["a", "A"]


@pytest.mark.parametrize(
    "text",
    [
        "[console_scripts]\na = first:x\na = last:x\n",
        "[console_scripts]\na = first:x\n[gui_scripts]\na = last:x\n",
        "[gui_scripts]\na = last:x\n[console_scripts]\na = first:x\n",
    ],
    ids=["twice", "gui after console", "gui before console"],
)
def test_of_two_scripts_of_one_name_the_one_is_made_that_pip_writes_last(text: str) -> None:
    remarks = Remarks()
    (script,) = scripts(text, remarks)
    assert script.module == "last"
    assert [line.partition(":")[0] for line in remarks.lines()] == ["W_SCRIPT_REPEATED"]


@pytest.mark.parametrize("name", ["python-config", "ipython3", "pythonista", "python_x", "bpython"])
def test_scripts_that_only_resemble_the_interpreter_are_fine(name: str) -> None:
    (script,) = scripts(f"[console_scripts]\n{name} = sample:main\n")
    assert script.name == name
