"""The arguments of `storectl tool run`: our options, the tool's name, and its arguments, which stay as they are."""

from __future__ import annotations

from storectl.run_arguments import parts_of_option, taken_option
from storectl.run_options import BY_NAME, OPTIONS, Asked, Option

TYPE_CHECKING = False  # typing and collections.abc take longer to import than all of a run
if TYPE_CHECKING:
    from collections.abc import Mapping

TOOL_OPTIONS = (
    Option("--from", takes="REQUIREMENT", sets="from", text="the project that has the command; default: its name"),
    Option("-w", "--with", "--with-editable", takes="REQUIREMENT", sets="with", text="one more; may be repeated"),
    Option("--with-requirements", takes="FILE", sets="files", text="what the file requires, too"),
    Option("--env-file", takes="FILE", sets="env_files", text="variables for the tool; may be repeated"),
    Option("--no-env-file", sets="no_env_file", text="no variables from files"),
    Option("-p", "--python", takes="VERSION|PATH", sets="python", text="the interpreter"),
    Option("--refresh", sets="refresh", text="lock it anew"),
    Option("--offline", sets="offline", text="never touch the network; say what is missing"),
)
"""The options of its own. It has those of `run` that set a variable, too, and those that change nothing."""

ONCE = frozenset({"from", "python"})
"""What may be set once."""

TOOL_BY_NAME = {
    name: option
    for option in (*TOOL_OPTIONS, *(each for each in OPTIONS if each.sets.partition("=")[0].isupper() or not each.sets))
    for name in option.names
}


class ToolRequest:
    """Which tool is to run with which arguments, and what options ask for. Not to be changed; no dataclass either."""

    __slots__ = ("arguments", "asked", "name")

    def __init__(self, name: str, arguments: tuple[str, ...], asked: Asked) -> None:
        self.name = name
        self.arguments = arguments
        self.asked = asked


def parse_tool_run(arguments: list[str], environ: Mapping[str, str]) -> ToolRequest | None:
    """What the arguments after `storectl tool run` ask for; None if click has to read them.

    These are help, --directory and its variables, and what is wrong.
    """
    asked = Asked()
    index = 0
    if any(environ.get(name) for name in BY_NAME["--directory"].variables):
        return None
    while index < len(arguments) and arguments[index].startswith("-"):
        taken = tool_option(arguments, index)
        if taken is None:
            return None
        option, value, following = taken
        wrong = option.takes is not None and not value
        if wrong or (option.sets in ONCE and option.sets in asked):
            return None
        asked.add(option, arguments[index], value if option.takes is not None else None)
        index = following
    if index == len(arguments) or not arguments[index]:
        return None
    return ToolRequest(arguments[index], tuple(arguments[index + 1 :]), asked)


def tool_option(arguments: list[str], index: int) -> tuple[Option, str, int] | None:
    """The option that the argument at this index is, as ``taken_option`` says it."""
    name, equals, value = parts_of_option(arguments[index], [])
    return taken_option(arguments, index, TOOL_BY_NAME.get(name), equals=equals, value=value)
