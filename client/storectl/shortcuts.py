"""Shortcuts: what a command line means, written down so that the launcher need not ask Python a second time.

A command line has a spelling if the launcher can read it too: the options and variables that choose an environment, in
the order in which they stand. The format of the files is in ``storectl_shim.shortcuts``.
"""

from __future__ import annotations

from storectl.locks.remembered import NAME_LETTERS
from storectl.run_arguments import holds_module_or_code, parts_of_option, taken_option, words_of_interpreter_option
from storectl.run_options import BY_NAME
from storectl.tool_arguments import tool_option

TYPE_CHECKING = False  # typing and collections.abc take longer to import than all of `run`
if TYPE_CHECKING:
    from collections.abc import Mapping

    from storectl.run_options import Option

WORDS = frozenset({
    "python", "extras", "all_extras", "no_extras", "groups", "all_groups", "no_groups", "only_groups", "dev", "no_dev",
    "only_dev", "no_default_groups", "package", "all_packages", "requirements",
})  # fmt: skip
"""What the options with a word set (``Option.sets``)."""

NO_WORD = frozenset({"", "offline", "locked", "frozen", "no_sync", "STORECTL_QUIET=1", "UV_NO_PROGRESS=1"})
"""What the options set that are taken, and choose no other environment."""

ENVIRONMENT = "environment"
"""What -e sets: it has no word, and says where the shortcut is."""

ONCE = frozenset({"python", ENVIRONMENT})
"""What may be set once."""

TOOL_WORDS = frozenset({"python", "from", "with"})
"""What the options of `storectl tool run` with a word set."""

TOGETHER_ODD = frozenset({"locked", "frozen"})
"""Options that contradict each other."""

VARIABLES = (
    "STORECTL_PYTHON", "UV_PYTHON", "STORECTL_EXTRAS", "STORECTL_GROUPS", "UV_NO_GROUP", "UV_DEV", "UV_NO_DEV",
    "UV_NO_DEFAULT_GROUPS",
)  # fmt: skip
"""The variables that have a word if they are set and not empty, in this order."""

ODD_VARIABLES = ("UV_ENV_FILE", "UV_PROJECT", "UV_NO_PROJECT", "UV_WORKING_DIR", "UV_WORKING_DIRECTORY")
"""With any of these set and not empty there is no spelling."""

LETTERS = NAME_LETTERS | {",", "="}
"""What values consist of; any other character, and there is no spelling."""

LIMIT = 200
"""The most characters of a spelling."""

PLAIN = "plain"
"""The spelling without a word."""


class Spelled:
    """A command line that has a spelling. Not to be changed; no dataclass, for the reason in ``storectl.options``.

    ``environment`` is the name that -e or STORECTL_ENV gives, None without one. What goes to Python as it is begins at
    the index ``begin`` of the arguments; the program (a script, a command, -m, -c or -) is at the index ``program``,
    which is the number of arguments if there is none.
    """

    __slots__ = ("begin", "environment", "program", "spelling")

    def __init__(self, spelling: str, *, environment: str | None, begin: int, program: int) -> None:
        self.spelling = spelling
        self.environment = environment
        self.begin = begin
        self.program = program


def spelling_of(arguments: list[str], environ: Mapping[str, str]) -> Spelled | None:
    """The spelling of the arguments after `storectl run`; None if they have none.

    It is defined for every list of arguments: those that are wrong may have one, too.
    """
    options = _options(arguments)
    if options is None:
        return None
    words, environment, begin = options
    program = _program(arguments, begin)
    if program is None:
        return None
    if program < len(arguments) and arguments[program] == "--":
        begin = program = program + 1
    spelling = joined(words, environ)
    if spelling is None:
        return None
    environment = environment or environ.get("STORECTL_ENV") or None
    if environment is not None and not is_value(environment):
        return None
    return Spelled(spelling, environment=environment, begin=begin, program=program)


class SpelledTool:
    """A command line of a tool that has a spelling. No dataclass, for the reason in ``storectl.options``.

    ``name`` is the tool as it is typed, with its version; its own arguments begin at the index ``begin``.
    """

    __slots__ = ("begin", "name", "spelling")

    def __init__(self, spelling: str, *, name: str, begin: int) -> None:
        self.spelling = spelling
        self.name = name
        self.begin = begin


def spelling_of_tool(arguments: list[str], environ: Mapping[str, str]) -> SpelledTool | None:
    """The same for the arguments after `storectl tool run`."""
    words: list[str] = []
    index = 0
    while index < len(arguments) and (taken := tool_option(arguments, index)) is not None:
        option, value, index = taken
        if option.takes is not None and not value:
            return None
        if option.sets in NO_WORD:
            continue
        if option.sets not in TOOL_WORDS or not is_value(value):
            return None
        words.append(f"{option.sets}={value}")
    once = [word.partition("=")[0] for word in words if not word.startswith("with=")]
    name = arguments[index] if index < len(arguments) else ""
    spelling = joined(words, environ)
    if spelling is None or len(once) > len(set(once)) or name.startswith("-") or not is_value(name.replace("@", "")):
        return None
    return SpelledTool(spelling, name=name, begin=index + 1)


def joined(words: list[str], environ: Mapping[str, str]) -> str | None:
    """The spelling of these words and of the variables; None if it has none."""
    if any(environ.get(name) for name in ODD_VARIABLES):
        return None
    values = {name: environ[name] for name in VARIABLES if environ.get(name)}
    if not all(map(is_value, values.values())):
        return None
    spelling = "+".join([*words, *(f"{name}={value}" for name, value in values.items())]) or PLAIN
    return spelling if len(spelling) <= LIMIT else None


def is_value(text: str) -> bool:
    """Whether the text may be a value in a spelling."""
    return bool(text) and LETTERS.issuperset(text)


def _options(arguments: list[str]) -> tuple[list[str], str | None, int] | None:
    """The words of storectl's options, the name that -e gives, and where they end; None if one of them is odd."""
    words: list[str] = []
    seen: set[str] = set()
    environment = None
    index = 0
    while index < len(arguments) and (taken := _option(arguments, index)) is not None:
        option, value, index = taken
        sets = option.sets
        if (sets in ONCE and sets in seen) or (option.takes is not None and not value):
            return None
        seen.add(sets)
        if sets in NO_WORD:
            continue
        if sets not in WORDS | {ENVIRONMENT} or not is_value(value or sets):
            return None
        if sets == ENVIRONMENT:
            environment = value
        else:
            words.append(f"{sets}={value}" if value else sets)
    return None if seen >= TOGETHER_ODD else (words, environment, index)


def _option(arguments: list[str], index: int) -> tuple[Option, str, int] | None:
    """The option of storectl that the argument at this index is, as ``taken_option`` says it."""
    first = arguments[index]
    if not first.startswith("-") or first in ("-", "--", "-m") or _begins_program(first):
        return None
    name, equals, value = parts_of_option(first, arguments[index + 1 : index + 2])
    return taken_option(arguments, index, BY_NAME.get(name), equals=equals, value=value)


def _program(arguments: list[str], index: int) -> int | None:
    """Where the program is, or the -- before it, after options of Python that begin at this index; None if it is odd.

    -- may not follow an option of Python, and must be followed by a name. Nor may an option of storectl follow one.
    """
    begin = index
    while index < len(arguments):
        first, following = arguments[index], next(iter(arguments[index + 1 : index + 2]), "")
        is_named = bool(following) and not following.startswith("-")
        if first == "--":
            return index if index == begin and is_named else None
        if first == "-m":
            return index if is_named else None
        if not first.startswith("-"):
            return index if first else None
        if first == "-" or _begins_program(first):
            return index
        words = words_of_interpreter_option(first)
        if words == 0 or first == "-h" or _option(arguments, index) is not None or index + words > len(arguments):
            return None
        index += words
    return index


def _begins_program(first: str) -> bool:
    return first != "-m" and not first.startswith("--") and holds_module_or_code(first)
