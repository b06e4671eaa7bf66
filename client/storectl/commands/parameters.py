"""The parameters that several commands share, as decorators, and the options that they ask for."""

import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

import click

from storectl.errors import FileAccessError, UsageError
from storectl.options import Options
from storectl.run_options import BY_NAME, OPTIONS, Asked, Option
from storectl.tool_arguments import TOOL_OPTIONS

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

Command = TypeVar("Command", bound=Callable[..., Any])

PASS_ON = {"ignore_unknown_options": True, "allow_interspersed_args": False}
"""The settings of a command whose arguments are another program's: every option after the first is that program's."""

ELSEWHERE: Mapping[str, str] = {
    "sync": "storectl warm makes the environment ready; storectl run needs no sync before it",
    "install": "storectl warm makes the environment ready; storectl run needs nothing before it",
    "venv": "storectl link makes .venv; storectl run needs none",
    "shell": "storectl link makes .venv, which a shell can activate; storectl run needs none",
    "pip": "packages come from the lock file; storectl run --with REQUIREMENT adds one for a run",
    "x": "storectl tool run NAME",
    "exec": "storectl run COMMAND",
    "python": "storectl run python; storectl run -p VERSION chooses which",
    "export": "storectl env export DIR copies an environment; the tool that locks the project exports lock files",
    "update": "storectl upgrade locks newer versions",
    "cache": "storectl store list shows what is kept",
    **dict.fromkeys(
        ("init", "new", "tree", "version", "build", "publish", "auth", "format", "self", "show"),
        "the tool that locks the project does it",
    ),
}
"""Commands of uv, Poetry, PDM and pipx, and what does that here."""

_SELECTION = frozenset({
    "python", "extras", "all_extras", "no_extras", "groups", "all_groups", "no_groups", "only_groups", "dev", "no_dev",
    "only_dev", "no_default_groups", "package", "all_packages", "lock", "offline", "locked",
    "frozen",
})  # fmt: skip
_OWN, _PROJECT = f"{__name__}.own", f"{__name__}.project"
_SINGLE = frozenset({"python", "package", "from"})


def _parameter(option: Option) -> Callable[[Command], Command]:
    """The option of `run` for another command, with the name of what it sets."""
    multiple = option.takes is not None and option.sets not in _SINGLE
    return click.option(*_names(option), option.sets, multiple=multiple, **_shown(option))


def _setting(option: Option) -> Callable[[Command], Command]:
    """The same for an option that sets a variable for this command, or that changes nothing."""
    multiple = option.takes is not None
    callback = partial(_set, option)
    return click.option(*_names(option), multiple=multiple, expose_value=False, callback=callback, **_shown(option))


def _names(option: Option) -> list[str]:
    return [name for name in option.names if len(name) == 2 or name.startswith("--")]


def _shown(option: Option) -> dict[str, Any]:
    text = f"{option.help[:1].upper()}{option.help[1:]}."
    return {"metavar": option.takes, "is_flag": option.takes is None, "help": text, "hidden": not option.help}


def _set(option: Option, context: click.Context, _parameter: click.Parameter, value: Any) -> None:
    if value:
        asked = Asked()
        for each in (None,) if value is True else value:
            asked.add(option, option.names[0], each)
        context.meta.setdefault(_OWN, dict(os.environ))
        os.environ.update(asked.variables)


def own_variables(context: click.Context) -> Mapping[str, str]:
    """The variables as the user has them, without those that options set for storectl."""
    own: Mapping[str, str] = context.meta.get(_OWN, os.environ)
    return own


def _go_to(_context: click.Context, _parameter: click.Parameter, folder: str | None) -> None:
    folder = folder or next(filter(None, map(os.environ.get, BY_NAME["--directory"].variables)), None)
    if folder:
        try:
            os.chdir(folder)
        except OSError as error:
            raise FileAccessError(
                f"cannot go to {folder}: {error.strerror}", hint="--directory takes the path of an existing folder"
            ) from None


def _remember_project(context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    context.meta[_PROJECT] = value or os.environ.get("UV_PROJECT")


def project_asked(context: click.Context) -> str:
    """The folder of --project or its variable; without them, the current one."""
    return context.meta.get(_PROJECT) or "."


def _folder_or_project(context: click.Context, _parameter: click.Parameter, value: str) -> str:
    return project_asked(context) if value == "." else value


folder = click.argument("folder", metavar="[DIR]", default=".", callback=_folder_or_project)
project = click.option(
    "--project", metavar="DIR", is_eager=True, expose_value=False, callback=_remember_project,
    help="The project at or above this folder, as DIR.",
)  # fmt: skip
as_json = click.option("--json", "json", is_flag=True, help="Print JSON, for scripts.")
offline = click.option("--offline", is_flag=True, help="Never touch the network; say what is missing.")
python = click.option("-p", "--python", metavar="VERSION|PATH", help="The interpreter.")
directory = click.option(
    "--directory",
    metavar="DIR",
    is_eager=True,
    expose_value=False,
    callback=_go_to,
    help="Change to this folder first.",
)

SETTINGS = tuple(_setting(option) for option in OPTIONS if option.sets.partition("=")[0].isupper() or not option.sets)
_TARGET = (*(_parameter(option) for option in OPTIONS if option.sets in _SELECTION), directory, project, *SETTINGS)
_SAME_LOCK_FILE = frozenset({"lock", "locked", "frozen"})


class Group(click.Group):
    """A group of commands. Its help shows the whole first sentence of each command's.

    ``lazy`` are commands whose module is imported when they are run, or their help is asked for, by name:
    ``module:attribute`` of ``storectl.commands``, and the first sentence of the help.
    """

    def __init__(self, *arguments: Any, lazy: Mapping[str, tuple[str, str]] | None = None, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._lazy = lazy or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands: the lazy ones in their own order."""
        return [*self._lazy, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name; None if there is none."""
        if cmd_name not in self._lazy:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = self._lazy[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(f"storectl.commands.{module}"), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first argument names. UsageError with the nearest name if there is none."""
        if not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            from difflib import get_close_matches  # noqa: PLC0415 - only an error pays for it

            near = get_close_matches(args[0], self.list_commands(ctx), n=1)
            meant = (ELSEWHERE.get(args[0]) if ctx.parent is None else None) or (f"is {near[0]} meant?" if near else "")
            said = f"{ctx.command_path} has no command {args[0]}"
            raise UsageError(said, hint=meant or f"see {ctx.command_path} --help")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands."""
        rows = [(name, self.sentence(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([row for row in rows if row[1]])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem[str]]":
        """The commands that begin like this, and the options."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - only a completion needs it

        names = [(name, self.sentence(ctx, name)) for name in self.list_commands(ctx) if name.startswith(incomplete)]
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [*(CompletionItem(name, help=text) for name, text in names if text), *options]

    def sentence(self, ctx: click.Context, name: str) -> str:
        """The first sentence of a command's help; empty for a hidden command. It imports no module."""
        if name in self._lazy:
            return self._lazy[name][1]
        command = self.get_command(ctx, name)
        return "" if command is None or command.hidden else command.get_short_help_str(limit=200)


def decorated(command: Command, decorators: Iterable[Callable[[Command], Command]]) -> Command:
    """The command with these parameters, shown in their order."""
    for decorator in reversed([*decorators]):
        command = decorator(command)
    return command


def target(command: Command) -> Command:
    """Give a command every option of ``options_of``, and those that set a variable for it."""
    return decorated(command, _TARGET)


def target_of_project(command: Command) -> Command:
    """Give a command the same options without those for the lock file: it is about the project's own."""
    kept = (option for option in OPTIONS if option.sets in _SELECTION - _SAME_LOCK_FILE)
    return decorated(command, (*map(_parameter, kept), directory, project, *SETTINGS))


def settings(command: Command) -> Command:
    """Give a command the options of `run` that set a variable for it."""
    return decorated(command, (directory, *SETTINGS))


def options_of_tools(command: Command) -> Command:
    """Give a command the options of `tool run`."""
    return decorated(command, map(_parameter, TOOL_OPTIONS))


def asked_by(options: Iterable[Option], values: Mapping[str, Any]) -> Asked:
    """What the values of these parameters ask for, by what their options set."""
    counted = Asked()
    for option in options:
        value = values.get(option.sets)
        for each in value if isinstance(value, tuple) else (value,) if value else ():
            counted.add(option, option.names[-1], None if each is True else each)
    return counted


def options_of(**asked: Any) -> Options:
    """The options that these parameters ask for; variables count for those that are not given, as for `run`."""
    complete = asked_by(OPTIONS, asked).complete(os.environ)
    return complete.options(complete.one("python"))
