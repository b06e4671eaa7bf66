"""`storectl add`, `remove` and `upgrade`: edit the project with its own tool, and make the new environment."""

import os
from collections.abc import Callable
from typing import Any

import click

from storectl.commands.output import print_lines
from storectl.commands.parameters import Command, decorated, directory
from storectl.frozen import check_not_frozen
from storectl.locks.edit import edit
from storectl.locks.edit_words import Asked, Verb
from storectl.options import is_true

_PASS_ON = {"ignore_unknown_options": True}
_PLACE = (
    click.option("--dev", is_flag=True, help="In the group dev."),
    click.option("--group", metavar="NAME", help="In this group."),
    click.option("--optional", metavar="EXTRA", help="In this extra of the project."),
    click.option("--script", metavar="FILE", help="In the block of this script (PEP 723)."),
)
_PROJECT = (click.option("--project", metavar="DIR", help="The project at or above this folder."), directory)


def _place(command: Command) -> Command:
    return decorated(command, _PLACE)


def _project(command: Command) -> Command:
    return decorated(command, _PROJECT)


def _arguments(metavar: str) -> Callable[[Command], Command]:
    return click.argument("arguments", metavar=metavar, nargs=-1, type=click.UNPROCESSED)


@click.command(context_settings=_PASS_ON)
@_arguments("REQUIREMENT...")
@_place
@click.option("--extra", "extras", metavar="NAME", multiple=True, help="With this extra of what is added.")
@click.option("--editable", is_flag=True, help="Editable, from its folder.")
@click.option("-r", "--requirements", "files", metavar="FILE", multiple=True, help="What this file requires.")
@_project
def add(**asked: Any) -> None:
    """Add requirements to a project with its own tool, and make the new environment.

    Other options are the tool's own. The exit code is the tool's.
    """
    _edit("add", **asked)


@click.command(context_settings=_PASS_ON)
@_arguments("NAME...")
@_place
@_project
def remove(**asked: Any) -> None:
    """Remove requirements from a project with its own tool, and make the new environment.

    Other options are the tool's own. The exit code is the tool's.
    """
    _edit("remove", **asked)


@click.command(context_settings=_PASS_ON)
@_arguments("[NAME]...")
@click.option("--script", metavar="FILE", help="Of the block of this script (PEP 723).")
@_project
def upgrade(**asked: Any) -> None:
    """Lock newer versions with the project's own tool, and make the new environment.

    Of all projects that are locked, or of those that are named. Other options are the tool's own. The exit code is the
    tool's.
    """
    _edit("upgrade", **asked)


def _edit(verb: Verb, *, project: str | None, **asked: Any) -> None:
    check_not_frozen(f"{verb} anything", os.environ)
    project = project or os.environ.get("UV_PROJECT")
    frozen = is_true(os.environ.get("UV_FROZEN"))
    edited = edit(Asked(verb=verb, directory=os.getcwd(), project=project, frozen=frozen, **asked), os.environ)
    if edited.code:
        raise click.exceptions.Exit(edited.code)
    print_lines(edited.changes or "nothing is locked otherwise than before")
