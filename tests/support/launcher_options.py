"""The lines of the launcher that say which options there are, made of the tables of the command line."""

from collections.abc import Collection, Iterator

from storectl.run_options import BY_NAME, Option
from storectl.shortcuts import ENVIRONMENT, NO_WORD, TOOL_WORDS, WORDS
from storectl.tool_arguments import TOOL_BY_NAME
from support.client_project import LAUNCHER

BEGIN, END = "        # options\n", "        # end of options\n"


def launcher_text() -> str:
    """The launcher, with its options as they are now."""
    head, _, rest = LAUNCHER.read_text().partition(BEGIN)
    return f"{head}{BEGIN}{''.join(_lines())}{END}{rest.partition(END)[2]}"


def _lines() -> Iterator[str]:
    names: dict[str, list[str]] = {}
    for command, options, words in (("", BY_NAME, WORDS | {ENVIRONMENT}), ("tool", TOOL_BY_NAME, TOOL_WORDS)):
        for name, option in options.items():
            sets = _sets(option, words)
            if name != "-m" and (sets != "odd" or not name.startswith("--")):  # -m begins a program
                names.setdefault(sets, []).append(f"{command}{name}")
    for sets, found in names.items():
        yield from _wrapped(found, f"_storectl_sets={sets} ;;")


def _sets(option: Option, words: Collection[str]) -> str:
    value = "=" if option.takes is not None else ""
    if option.sets == "offline":
        return ":UV_OFFLINE"
    if option.sets in NO_WORD:
        variable, is_variable, _ = option.sets.partition("=")
        return f":{variable}" if is_variable else f"{option.sets or '-'}{value}"
    return f"{option.sets}{value}" if option.sets in words else "odd"


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
