"""The parameters that several commands share, as decorators, and the options that they ask for."""

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from storectl.options import Options, combined_groups, lock_check_of, options_of_environment

Command = TypeVar("Command", bound=Callable[..., Any])

PASS_ON = {"ignore_unknown_options": True, "allow_interspersed_args": False}
"""The settings of a command whose arguments are another program's: every option after the first is that program's."""

folder = click.argument("folder", metavar="[DIR]", default=".")
as_json = click.option("--json", "json", is_flag=True, help="Print JSON, for scripts.")
offline = click.option("--offline", is_flag=True, help="Never touch the network; say what is missing.")
python = click.option("-p", "--python", metavar="VERSION|PATH", help="The interpreter.")

_TARGET = (
    python,
    click.option("--extra", "extras", metavar="NAME", multiple=True, help="An extra; may be repeated."),
    click.option("--all-extras", is_flag=True, help="Every extra of the project."),
    click.option("--group", "groups", metavar="NAME", multiple=True, help="A group; may be repeated."),
    click.option(
        "--only-group", "only_groups", metavar="NAME", multiple=True, help="This group alone, without the project."
    ),
    click.option("--no-default-groups", is_flag=True, help="Without the default groups."),
    click.option("--lock", metavar="FILE", help="This lock file."),
    offline,
    click.option("--locked", is_flag=True, help="Fail if the lock file is older than the project."),
    click.option("--frozen", is_flag=True, help="Do not ask whether the lock file is older than the project."),
)


class Group(click.Group):
    """A group whose help shows the whole first sentence of each command's."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands."""
        rows = [(name, self.sentence(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([row for row in rows if row[1]])

    def sentence(self, ctx: click.Context, name: str) -> str:
        """The first sentence of a command's help; empty for a hidden command."""
        command = self.get_command(ctx, name)
        return "" if command is None or command.hidden else command.get_short_help_str(limit=200)


def target(command: Command) -> Command:
    """Give a command every option of ``options_of``."""
    for option in reversed(_TARGET):
        command = option(command)
    return command


def options_of(
    *,
    python: str | None,
    extras: tuple[str, ...],
    all_extras: bool,
    groups: tuple[str, ...],
    only_groups: tuple[str, ...],
    no_default_groups: bool,
    lock: str | None,
    offline: bool,
    locked: bool,
    frozen: bool,
) -> Options:
    """The options that these parameters ask for; variables count for those that are not given, as for `run`."""
    ambient = options_of_environment(os.environ)
    return Options(
        python=python or ambient.python,
        extras=extras or tuple(ambient.extras),
        all_extras=all_extras,
        groups=combined_groups(groups, only_groups, ambient),
        default_groups=not no_default_groups and ambient.default_groups,
        only_groups=bool(only_groups),
        lock_file=lock,
        offline=offline or ambient.offline,
        lock_check=lock_check_of(locked=locked, frozen=frozen, ambient=ambient),
    )
