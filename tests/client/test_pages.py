"""The pages that are made of the commands themselves: the manual page and docs/json.md."""

import shutil
import subprocess
import tomllib
from collections.abc import Iterator

import click
import pytest

from storectl.cli import root
from storectl.commands.documents import DOCUMENTS, Mended
from storectl.run_options import OPTIONS
from support.client_project import LAUNCHER
from support.json_page import differences
from support.pages import DOCS, PAGES

MANUAL = DOCS / "storectl.1"


def commands(group: click.Group = root, path: str = "storectl") -> Iterator[tuple[str, click.Command]]:
    """Every command that is not hidden, with the words that call it."""
    context = click.Context(group, info_name=path)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None and not command.hidden:
            yield f"{path} {name}", command
            if isinstance(command, click.Group):
                yield from commands(command, f"{path} {name}")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_as_it_is_made_now(name: str) -> None:
    assert (DOCS / name).read_text() == PAGES[name](), "it is made anew by scripts/pages"


def test_every_command_and_every_option_is_in_the_manual_page() -> None:
    shown = MANUAL.read_text().replace("\\-", "-")
    for path, command in commands():
        assert f'.SS "{path}' in shown
        section = shown.partition(f'.SS "{path}')[2].partition("\n.SS ")[0]
        options = [option for option in command.params if isinstance(option, click.Option) and not option.hidden]
        assert [name for option in options for name in option.opts if name not in section] == [], path
    assert all(f"\n.B {option.names[0]}" in shown for option in OPTIONS)


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_the_manual_page_is_sound() -> None:
    done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z", MANUAL], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_the_wheel_has_the_manual_page_and_the_completions_where_their_readers_look() -> None:
    pyproject = tomllib.loads((LAUNCHER.parents[2] / "pyproject.toml").read_text())
    data = pyproject["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
    assert all((LAUNCHER.parents[2] / source).is_file() for source in data)
    assert {target.split("/")[1] for target in data.values()} == {"man", "bash-completion", "zsh", "fish"}


def test_every_command_with_json_says_what_it_prints() -> None:
    with_json = {
        path.removeprefix("storectl ")
        for path, command in commands()
        if any("--json" in parameter.opts for parameter in command.params)
    }
    assert with_json == DOCUMENTS.keys()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({}, "document.kind is missing"),
        ({"kind": 1, "name": "", "prefix": "", "how": ""}, "document.kind is 1"),
        ({"kind": "", "name": "", "prefix": "", "how": "", "more": ""}, "document.more is in no type"),
        ([], "document is no object"),
    ],
)
def test_a_document_that_is_of_another_type_is_seen(value: object, said: str) -> None:
    assert said in list(differences(value, Mended))
