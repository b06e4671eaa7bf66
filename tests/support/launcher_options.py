"""The lines of the launcher that say which options there are, made of the tables of the command line."""

from collections.abc import Iterator

import click

from storectl.commands.tool import run as tool_run
from storectl.run_options import OPTIONS, Option
from storectl.shortcuts import ENVIRONMENT, NO_WORD, WORDS
from support.client_project import LAUNCHER

BEGIN, END = "        # options\n", "        # end of options\n"
TOOL_WORDS = {"--from": "from=", "-w": "with=", "--with": "with="}
"""What the launcher knows of `tool run` beyond options that `run` has, too."""
TAKEN_BY_TOOLS = frozenset({"python", "", "offline", "STORECTL_QUIET=1", "UV_NO_PROGRESS=1"})


def launcher_text() -> str:
    """The launcher, with its options as they are now."""
    head, _, rest = LAUNCHER.read_text().partition(BEGIN)
    return f"{head}{BEGIN}{''.join(_lines())}{END}{rest.partition(END)[2]}"


def _lines() -> Iterator[str]:
    names: dict[str, list[str]] = {}
    for option in OPTIONS:
        for name in option.names:
            sets = _sets(option)
            if name != "-m" and (sets != "odd" or not name.startswith("--")):  # -m begins a program
                names.setdefault(sets, []).append(name)
    for name, sets in _tool_options():
        names.setdefault(sets, []).append(f"tool{name}")
    for sets, found in names.items():
        yield from _wrapped(found, f"_storectl_sets={sets} ;;")


def _sets(option: Option) -> str:
    value = "=" if option.takes is not None else ""
    if option.sets == "offline":
        return ":UV_OFFLINE"
    if option.sets in NO_WORD:
        variable, is_variable, _ = option.sets.partition("=")
        return f":{variable}" if is_variable else f"{option.sets or '-'}{value}"
    return f"{option.sets}{value}" if option.sets in WORDS | {ENVIRONMENT} else "odd"


def _tool_options() -> Iterator[tuple[str, str]]:
    taken = {name: option for option in OPTIONS if option.sets in TAKEN_BY_TOOLS for name in option.names}
    for parameter in tool_run.params:
        for name in parameter.opts if isinstance(parameter, click.Option) else ():
            if name in taken:
                yield name, _sets(taken[name])
            elif name in TOOL_WORDS or not name.startswith("--"):
                yield name, TOOL_WORDS.get(name, "odd")


def _wrapped(names: list[str], rest: str) -> Iterator[str]:
    """One case of the shell, in lines that are not too long."""
    line = f"        {names[0]}"
    for name in names[1:]:
        if len(line) + len(name) > 110:
            yield f"{line} | \\\n"
            line = f"            {name}"
        else:
            line += f" | {name}"
    yield f"{line}) {rest}\n"


if __name__ == "__main__":
    LAUNCHER.write_text(launcher_text())
