"""The arguments of `storectl run`: our options, then those of Python, then the program's, which stay as they are.

    storectl run [our options] [interpreter options] script.py | -m module | -c code | command | -   arguments…
    storectl run [our options] [interpreter options] -- script.py | command | -   arguments…

Ours and the interpreter's may be mixed, up to the script, ``-m``, ``-c``, the command or ``-``. Everything after that
is the program's, even if it looks like ours. ``--`` ends both, as for Python and uv: what follows is the name of a
script or command, even if it begins with a dash. Without a program it is the interactive interpreter.
"""

from __future__ import annotations

from enum import Enum

from storectl.errors import UsageError
from storectl.options import Options, combined_groups, options_of_environment

TYPE_CHECKING = False  # typing and collections.abc take longer to import than all of `run`
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

INTERPRETER_FLAGS = "bBdEiIOPqRsStuvVx?"
"""The one-letter options of CPython that take no value (3.9 to 3.14: `python --help`)."""

INTERPRETER_VALUES = "WX"
"""The one-letter options of CPython that take a value, in the same argument or the next."""

INTERPRETER_LONG = ("--version", "--help-env", "--help-xoptions", "--help-all")

VALUE_OPTIONS = {
    "-p": "python",
    "--python": "python",
    "--extra": "extras",
    "--group": "groups",
    "--only-group": "only_groups",
    "--lock": "lock",
    "--project": "project",
    "--with": "requirements",
    "-e": "name",
    "--env": "name",
}
"""Our options with a value, and the list that each is added to."""

FLAGS = ("--no-default-groups", "--all-extras", "--offline", "--parallel", "--refresh")
"""Our options without a value."""


class Kind(Enum):
    """What the program is, as far as the arguments show."""

    INTERPRETER = "interpreter"  # -m, -c, - or nothing: the arguments go to python as they are
    NAMED = "named"  # a script or a command: the first of the arguments
    HELP = "help"


class RunRequest:
    """What is to run, and in which environment. Not to be changed; no dataclass, for the reason in ``options``.

    ``interpreter_options`` stand before the program; ``arguments`` begin with it. ``project`` is the folder of
    --project, ``name`` the named environment of --env. ``choices`` are the options for each of several Pythons,
    ``options`` those for the first; ``parallel`` is whether they run side by side. ``requirements`` come on top of the
    project; with ``refresh`` they are locked anew.
    """

    __slots__ = (
        "arguments", "choices", "interpreter_options", "kind", "name", "options",
        "parallel", "project", "refresh", "requirements",
    )  # fmt: skip

    def __init__(
        self,
        *,
        kind: Kind,
        choices: tuple[Options, ...],
        parallel: bool,
        project: str | None,
        name: str | None,
        requirements: tuple[str, ...],
        refresh: bool,
        interpreter_options: tuple[str, ...],
        arguments: tuple[str, ...],
    ) -> None:
        self.kind = kind
        self.choices = choices
        self.options = choices[0]
        self.parallel = parallel
        self.project = project
        self.name = name
        self.requirements = requirements
        self.refresh = refresh
        self.interpreter_options = interpreter_options
        self.arguments = arguments


def parse_run(arguments: list[str], environ: Mapping[str, str]) -> RunRequest:
    """The request that the arguments after `storectl run` make; UsageError if they make none.

    A variable (STORECTL_PYTHON, …) counts if no option of its kind is given.
    """
    return _Parser(arguments).parse(environ)


class _Parser:
    """One pass over the arguments."""

    def __init__(self, arguments: list[str]) -> None:
        self.rest = list(arguments)
        self.values: dict[str, list[str]] = {name: [] for name in VALUE_OPTIONS.values()}
        self.flags: set[str] = set()
        self.interpreter_options: list[str] = []
        self.kind = Kind.INTERPRETER

    def parse(self, environ: Mapping[str, str]) -> RunRequest:
        while self.rest and not self._is_target():
            if self.rest[0] == "--":
                self._take_end_of_options()
                break
            if not self._take_ours():
                self._take_interpreter_option()
        return RunRequest(
            kind=self.kind,
            choices=self._choices(environ),
            parallel="--parallel" in self.flags,
            project=self._single("project") or environ.get("UV_PROJECT") or None,
            name=self._name(environ),
            requirements=tuple(self.values["requirements"]),
            refresh="--refresh" in self.flags,
            interpreter_options=tuple(self.interpreter_options),
            arguments=tuple(self.rest),
        )

    def _is_target(self) -> bool:
        """Whether the program's own arguments begin with the next argument, or with a letter in it."""
        first = self.rest[0]
        if self.kind is Kind.HELP or first == "-":
            return True
        if not first.startswith("-"):
            self.kind = Kind.NAMED
            return True
        return not first.startswith("--") and _module_or_code(first)

    def _take_end_of_options(self) -> None:
        del self.rest[0]
        if self.rest and self.rest[0] != "-":
            self.kind = Kind.NAMED

    def _take_ours(self) -> bool:
        """Take one option of ours off the rest, with its value; False if it is not ours."""
        first = self.rest[0]
        if first in ("-h", "--help"):
            self.kind = Kind.HELP
        elif first in FLAGS:
            self.flags.add(first)
        else:
            return self._take_value_option()
        del self.rest[0]
        return True

    def _take_value_option(self) -> bool:
        first = self.rest[0]
        if first.startswith("--"):
            name, equals, value = first.partition("=")
        else:
            name, value = first[:2], first[2:]
            equals = value
        if name not in VALUE_OPTIONS:
            return False
        del self.rest[0]
        if not equals:
            if not self.rest:
                raise UsageError(f"{name} needs a value", hint="see storectl run --help")
            value = self.rest.pop(0)
        if not value:
            raise UsageError(f"{name} needs a value, and it is empty", hint="see storectl run --help")
        self.values[VALUE_OPTIONS[name]].append(value)
        return True

    def _take_interpreter_option(self) -> None:
        """Take one option of Python off the rest, with its value; UsageError if Python has no such option."""
        first = self.rest.pop(0)
        self.interpreter_options.append(first)
        if first in INTERPRETER_LONG:
            return
        takes_value = first == "--check-hash-based-pycs"
        if not takes_value:
            index = next((i for i, letter in enumerate(first[1:], 1) if letter not in INTERPRETER_FLAGS), None)
            if index is None and len(first) > 1:
                return
            if index is None or first.startswith("--") or first[index] not in INTERPRETER_VALUES:
                raise UsageError(
                    f"{first} is an option neither of storectl run nor of Python",
                    hint="the program's own options come after the script, module or command; "
                    "-- before a name that begins with a dash",
                )
            takes_value = index == len(first) - 1
        if takes_value:
            if not self.rest:
                raise UsageError(f"{first} needs a value", hint="see python --help")
            self.interpreter_options.append(self.rest.pop(0))

    def _single(self, name: str) -> str | None:
        values = self.values[name]
        if len(values) > 1:
            raise UsageError(
                f"--{'env' if name == 'name' else name} is given {len(values)} times: {', '.join(values)}",
                hint="give the one that is meant",
            )
        return values[0] if values else None

    def _name(self, environ: Mapping[str, str]) -> str | None:
        """The name of --env, or of STORECTL_ENV if the options say nothing else of where the packages come from."""
        name = self._single("name")
        others = [f"--{option}" for option in ("project", "lock") if self.values[option]]
        if name is not None and others:
            raise UsageError(f"--env and {others[0]} are both given", hint="give the one that is meant")
        return name or (None if others else environ.get("STORECTL_ENV") or None)

    def _choices(self, environ: Mapping[str, str]) -> tuple[Options, ...]:
        """The options for each Python, in the given order; each version once."""
        ambient = options_of_environment(environ)
        pythons: list[str | None] = [*dict.fromkeys(self.values["python"])] or [ambient.python]
        return tuple(self._options(python, ambient) for python in pythons)

    def _options(self, python: str | None, ambient: Options) -> Options:
        return Options(
            python=python,
            extras=tuple(self.values["extras"]) or ambient.extras,
            all_extras="--all-extras" in self.flags,
            groups=combined_groups(self.values["groups"], self.values["only_groups"], ambient),
            default_groups="--no-default-groups" not in self.flags and ambient.default_groups,
            only_groups=bool(self.values["only_groups"]),
            lock_file=self._single("lock"),
            offline="--offline" in self.flags or ambient.offline,
        )


def _module_or_code(cluster: str) -> bool:
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
        elif argument == "-" or (argument[:1] == "-" != argument[1:2] and _module_or_code(argument)):
            return None
        elif not argument.startswith("-"):
            return argument
    return None
