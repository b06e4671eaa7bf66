"""The arguments of `storectl run`: our options, then those of Python, then the program's, which stay as they are.

    storectl run [our options] [interpreter options] script.py | -m module | -c code | command | -   arguments…
    storectl run [our options] [interpreter options] -- script.py | command | -   arguments…

Ours (``run_options``) and the interpreter's may be mixed, up to the script, ``-m``, ``-c``, the command or ``-``.
Everything after that is the program's, even if it looks like ours. ``--`` ends both, as for Python and uv: what
follows is the name of a script or command, even if it begins with a dash. Without a program it is the interactive
interpreter. A letter that is an option of uv and of Python (``-s -q -v``) has uv's meaning.
"""

from __future__ import annotations

from storectl.errors import UsageError
from storectl.run_options import BY_NAME, Asked, unknown_option

TYPE_CHECKING = False  # typing and collections.abc take longer to import than all of `run`
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from storectl.run_options import Option

INTERPRETER_FLAGS = "bBdEiIOPqRsStuvVx?"
"""The one-letter options of CPython that take no value (3.9 to 3.14: `python --help`)."""

INTERPRETER_VALUES = "WX"
"""The one-letter options of CPython that take a value, in the same argument or the next."""

INTERPRETER_LONG = ("--version", "--help-env", "--help-xoptions", "--help-all")

_KNOWN = (*BY_NAME, *INTERPRETER_LONG)
_HELP_HINT = "see storectl run --help"
_BEFORE = "the program's own options come after the script, module or command; -- before a name that begins with a dash"


class Kind:
    """What the program is, as far as the arguments show. No Enum: to import it takes a third of a run."""

    INTERPRETER = "interpreter"  # -m, -c, - or nothing: the arguments go to python as they are
    NAMED = "named"  # a script or a command: the first of the arguments
    HELP = "help"


class RunRequest:
    """What is to run, and in which environment. Not to be changed; no dataclass, for the reason in ``options``.

    ``interpreter_options`` stand before the program; ``arguments`` begin with it, which is a script in any case if
    ``script`` is true. ``project`` is the folder of --project, and without one if ``no_project`` is true;
    ``environment`` is the name of --env. ``choices`` are the options for each of several Pythons, ``options`` those for
    the first; ``parallel`` is whether they run side by side. ``requirements`` come on top of the project; with
    ``refresh`` they are locked anew. With ``no_sync`` the last environment will
    do. The program has the variables of ``env_files``; ``variables`` are for storectl alone.
    """

    __slots__ = (
        "arguments", "choices", "env_files", "environment", "interpreter_options", "kind", "no_project",
        "no_sync", "options", "parallel", "project", "refresh", "requirements", "script", "variables",
    )  # fmt: skip

    def __init__(
        self, asked: Asked, *, kind: str, interpreter_options: tuple[str, ...], arguments: tuple[str, ...]
    ) -> None:
        self.kind = kind
        self.choices = tuple(asked.options(each) for each in dict.fromkeys(asked.all("python") or (None,)))
        self.options = self.choices[0]
        self.parallel = "parallel" in asked
        self.project = asked.one("project")
        self.no_project = "no_project" in asked
        self.environment = None if {"lock", "no_project"} & set(asked.values) else asked.one("environment")
        self.no_sync = "no_sync" in asked
        self.requirements = asked.all("requirements") + tuple(f"-r {path}" for path in asked.all("requirement_files"))
        self.refresh = "refresh" in asked
        self.env_files = () if "no_env_file" in asked else asked.all("env_files")
        self.script = "script" in asked
        self.variables = asked.variables
        self.interpreter_options = interpreter_options
        self.arguments = arguments


def parse_run(
    arguments: list[str], environ: Mapping[str, str], enter: Callable[[str], object] | None = None
) -> RunRequest:
    """The request that the arguments after `storectl run` make; UsageError if they make none.

    A variable (STORECTL_PYTHON, …) counts if no option of its kind is given. ``enter`` is called with the folder of
    --directory before any other path is looked at.
    """
    return _Parser(arguments).parse(environ, enter)


class _Parser:
    """One pass over the arguments."""

    def __init__(self, arguments: list[str]) -> None:
        self.rest = list(arguments)
        self.asked = Asked()
        self.interpreter_options: list[str] = []
        self.kind: str = Kind.INTERPRETER

    def parse(self, environ: Mapping[str, str], enter: Callable[[str], object] | None) -> RunRequest:
        while self.rest and not self._is_target():
            if self.rest[0] == "--":
                self._take_end_of_options()
                break
            if not self._take_ours():
                self._take_interpreter_option()
        if "module" in self.asked and self.kind != Kind.HELP:
            self._begin_with_module()
        asked = self.asked.complete(environ)
        if enter is not None and (folder := asked.one("directory")):
            enter(folder)
        return RunRequest(
            asked,
            kind=self.kind,
            interpreter_options=tuple(self.interpreter_options),
            arguments=tuple(self.rest),
        )

    def _is_target(self) -> bool:
        """Whether the program's own arguments begin with the next argument, or with a letter in it."""
        first = self.rest[0]
        if self.kind == Kind.HELP or first == "-":
            return True
        if not first.startswith("-"):
            self.kind = Kind.NAMED
            return True
        return first != "-m" and not first.startswith("--") and holds_module_or_code(first)

    def _begin_with_module(self) -> None:
        if not self.rest:
            raise UsageError("-m needs the name of a module", hint="for example storectl run -m pytest")
        self.rest.insert(0, "-m")
        self.kind = Kind.INTERPRETER

    def _take_end_of_options(self) -> None:
        del self.rest[0]
        if self.rest and self.rest[0] != "-":
            self.kind = Kind.NAMED

    def _take_ours(self) -> bool:
        """Take one option of ours off the rest, with its value; False if it is not ours."""
        first = self.rest[0]
        if first in ("-h", "--help"):
            self.kind = Kind.HELP
            del self.rest[0]
            return True
        name, equals, value = parts_of_option(first, self.rest[1:2])
        option = BY_NAME.get(name)
        if option is None or (option.takes is None and equals and not name.startswith("--")):
            return False
        del self.rest[0]
        if option.takes is None:
            if equals:
                raise UsageError(f"{name} takes no value: {value}", hint=f"{name} alone")
            self.asked.add(option, name, None)
        else:
            self.asked.add(option, name, value if equals else self._value_of(name))
            if equals and not value:
                raise UsageError(f"{name} needs a value, and it is empty", hint=_HELP_HINT)
        return True

    def _value_of(self, name: str) -> str:
        if not self.rest:
            raise UsageError(f"{name} needs a value", hint=_HELP_HINT)
        if not self.rest[0]:
            raise UsageError(f"{name} needs a value, and it is empty", hint=_HELP_HINT)
        return self.rest.pop(0)

    def _take_interpreter_option(self) -> None:
        """Take one option of Python off the rest, with its value; UsageError if Python has no such option."""
        first = self.rest.pop(0)
        self.interpreter_options.append(first)
        words = words_of_interpreter_option(first)
        if words == 0:
            raise unknown_option(first.partition("=")[0], _KNOWN, command="run", hint=_BEFORE)
        if words == 2:
            if not self.rest:
                raise UsageError(f"{first} needs a value", hint="see python --help")
            self.interpreter_options.append(self.rest.pop(0))


def words_of_interpreter_option(first: str) -> int:
    """How many arguments an option of Python takes, itself included: 1 or 2; 0 if Python has no such option."""
    if first in INTERPRETER_LONG:
        return 1
    if first == "--check-hash-based-pycs":
        return 2
    index = next((i for i, letter in enumerate(first[1:], 1) if letter not in INTERPRETER_FLAGS), None)
    if index is None:
        return 1 if len(first) > 1 else 0
    if first.startswith("--") or first[index] not in INTERPRETER_VALUES:
        return 0
    return 2 if index == len(first) - 1 else 1


def parts_of_option(first: str, following: list[str]) -> tuple[str, str, str]:
    """The name of an option, ``=`` if its value is in the same argument, and that value.

    ``-i`` is Python's, unless an address follows: then it is uv's.
    """
    if first.startswith("--"):
        return first.partition("=")
    if first == "-i" and following and "://" in following[0]:
        return "--index-url", "", ""
    if first in BY_NAME:
        return first, "", ""
    return first[:2], first[2:] and "=", first[2:].removeprefix("=")


def taken_option(
    arguments: list[str], index: int, option: Option | None, *, equals: str, value: str
) -> tuple[Option, str, int] | None:
    """The option that the argument at this index is, its value, and where it ends; None if it is none.

    ``equals`` and ``value`` are its parts (``parts_of_option``). The value is empty for a flag, and for an option
    without the value that it needs.
    """
    if option is None or (option.takes is None and equals):
        return None
    if option.takes is None or equals:
        return option, value, index + 1
    return option, next(iter(arguments[index + 1 : index + 2]), ""), index + 2


def holds_module_or_code(cluster: str) -> bool:
    """Whether a cluster of one-letter options (``-Im``) holds -m or -c before any letter that takes the rest of it."""
    for letter in cluster[1:]:
        if letter in "mc":
            return True
        if letter not in INTERPRETER_FLAGS:
            return False
    return False


def script_of(arguments: Sequence[str]) -> str | None:
    """The script among the arguments of Python; None for -m, -c, standard input or no program."""
    rest = iter(arguments)
    for argument in rest:
        if argument in ("-W", "-X", "--check-hash-based-pycs"):
            next(rest, None)
        elif argument == "-" or (argument[:1] == "-" != argument[1:2] and holds_module_or_code(argument)):
            return None
        elif not argument.startswith("-"):
            return argument
    return None
