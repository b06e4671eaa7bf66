"""The parameters that several commands share."""

import os
from typing import Annotated

import typer

from storectl.options import Options, combined_groups, options_of_environment

Folder = Annotated[str, typer.Argument(metavar="DIR", help="A folder of the project.", show_default="the current one")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Python = Annotated[str | None, typer.Option("-p", "--python", metavar="VERSION|PATH", help="The interpreter.")]
Extras = Annotated[list[str] | None, typer.Option("--extra", metavar="NAME", help="An extra; may be repeated.")]
Groups = Annotated[list[str] | None, typer.Option("--group", metavar="NAME", help="A group; may be repeated.")]
NoDefaultGroups = Annotated[bool, typer.Option("--no-default-groups", help="Without the default groups.")]
OnlyGroups = Annotated[
    list[str] | None, typer.Option("--only-group", metavar="NAME", help="This group alone, without the project.")
]
AllExtras = Annotated[bool, typer.Option("--all-extras", help="Every extra of the project.")]
Offline = Annotated[bool, typer.Option("--offline", help="Never touch the network; say what is missing.")]
LockFile = Annotated[str | None, typer.Option("--lock", metavar="FILE", help="This lock file.")]


def options_of(
    *,
    python: str | None,
    extras: list[str] | None,
    all_extras: bool,
    groups: list[str] | None,
    only_groups: list[str] | None,
    no_default_groups: bool,
    lock: str | None,
    offline: bool,
) -> Options:
    """The options that these parameters ask for; variables count for those that are not given, as for `run`."""
    ambient = options_of_environment(os.environ)
    return Options(
        python=python or ambient.python,
        extras=tuple(extras or ambient.extras),
        all_extras=all_extras,
        groups=combined_groups(groups or [], only_groups or [], ambient),
        default_groups=not no_default_groups and ambient.default_groups,
        only_groups=bool(only_groups),
        lock_file=lock,
        offline=offline or ambient.offline,
    )
