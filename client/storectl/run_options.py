"""The options of `storectl run`, one row each: its names, what it takes, what it sets, and what help says of it.

The other commands take theirs from this table too, so that a name means the same everywhere. Names of uv have uv's
meaning; what they can have no meaning for is in ``REFUSED``, with what to say instead.
"""

from __future__ import annotations

from storectl.errors import UsageError
from storectl.options import FROZEN, LOCKED, Options, is_true

TYPE_CHECKING = False  # typing and collections.abc take longer to import than all of `run`
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Option:
    """One option. No dataclass, for the reason in ``options``.

    ``takes`` is the word for its value in help; None for a flag. ``sets`` is the list or flag that it adds to. A name
    in capitals is a variable that it sets for storectl, not for the program (a flag sets ``NAME=value``). Empty means
    that it changes nothing. ``variables`` count if the option is not given; with ``words`` they hold several values.
    """

    __slots__ = ("help", "names", "sets", "takes", "variables", "words")

    def __init__(
        self, *names: str, takes: str | None = None, sets: str = "", variables: tuple[str, ...] = (),
        words: bool = False, text: str = "",
    ) -> None:  # fmt: skip
        self.names = names
        self.takes = takes
        self.sets = sets
        self.variables = variables
        self.words = words
        self.help = text


OPTIONS = (
    Option(
        "-p", "--python", takes="VERSION|PATH", sets="python", variables=("STORECTL_PYTHON", "UV_PYTHON"),
        text="the interpreter; several run the program under each",
    ),
    Option("--parallel", sets="parallel", text="several side by side, the version before each line of output"),
    Option("-m", "--module", sets="module", text="the program is a module, as of python -m"),
    Option("-s", "--script", sets="script", text="the program is a script, whatever its name is"),
    # What is selected.
    Option(
        "--extra", takes="NAME", sets="extras", variables=("STORECTL_EXTRAS",), words=True,
        text="an extra of the project; may be repeated",
    ),
    Option("--all-extras", sets="all_extras", text="every extra of the project"),
    Option("--no-extra", takes="NAME", sets="no_extras", text="not this extra; may be repeated"),
    Option(
        "--group", takes="NAME", sets="groups", variables=("STORECTL_GROUPS",), words=True,
        text="a dependency group; may be repeated",
    ),
    Option("--all-groups", sets="all_groups", text="every dependency group"),
    Option(
        "--no-group", takes="NAME", sets="no_groups", variables=("UV_NO_GROUP",), words=True,
        text="not this group, whatever else asks for it; may be repeated",
    ),
    Option("--only-group", takes="NAME", sets="only_groups", text="this group without the project; may be repeated"),
    Option("--dev", sets="dev", variables=("UV_DEV",), text="the group dev, which is there by default"),
    Option("--no-dev", sets="no_dev", variables=("UV_NO_DEV",), text="not the group dev"),
    Option("--only-dev", sets="only_dev", text="the group dev without the project"),
    Option(
        "--no-default-groups", sets="no_default_groups", variables=("UV_NO_DEFAULT_GROUPS",),
        text="without the groups that are there by default",
    ),
    Option("--package", takes="NAME", sets="package", text="this member of the uv workspace"),
    Option("--all-packages", sets="all_packages", text="every member of the uv workspace"),
    # What comes on top.
    Option(
        "-w", "--with", takes="REQUIREMENT", sets="requirements",
        text="on top of the project, locked once to fit it; may be repeated",
    ),
    Option("--with-editable", takes="DIR", sets="requirements", text="a local project on top, used from its folder"),
    Option("--with-requirements", takes="FILE", sets="requirement_files", text="what the file requires, on top"),
    Option("--refresh", sets="refresh", text="lock anew what was locked once: --with, scripts, requirements files"),
    Option(
        "--locked", sets="locked", variables=("UV_LOCKED",),
        text="fail if something has to be locked first: there is no lock file, or it is older than the project",
    ),
    Option(
        "--frozen", sets="frozen", variables=("UV_FROZEN",),
        text="do not ask if the lock file is older than the project",
    ),
    Option("--refresh-package", takes="NAME", sets="refresh"),
    # Which project.
    Option("--lock", takes="FILE", sets="lock", text="this lock file; several requirements files count together"),
    Option(
        "--project", takes="DIR", sets="project", variables=("UV_PROJECT",),
        text="the project at or above this folder",
    ),
    Option(
        "--directory", takes="DIR", sets="directory", variables=("UV_WORKING_DIR", "UV_WORKING_DIRECTORY"),
        text="change to this folder first",
    ),
    Option(
        "-e", "--env", takes="NAME", sets="environment", variables=("STORECTL_ENV",),
        text="this named environment, made by `storectl env create`",
    ),
    Option("--no-project", sets="no_project", variables=("UV_NO_PROJECT",), text="without the project around"),
    Option(
        "--no-sync", sets="no_sync", variables=("UV_NO_SYNC",),
        text="the environment that was ready last; wait for no other one",
    ),
    # Around it.
    Option(
        "--env-file", takes="FILE", sets="env_files", variables=("UV_ENV_FILE",), words=True,
        text="variables for the program; may be repeated, and the last one wins",
    ),
    Option("--no-env-file", sets="no_env_file", variables=("UV_NO_ENV_FILE",), text="no variables from files"),
    Option(
        "--offline", sets="offline", variables=("STORECTL_OFFLINE", "UV_OFFLINE"),
        text="never touch the network; say what is missing",
    ),
    Option("-q", "--quiet", "-qq", sets="STORECTL_QUIET=1", text="no progress, no warnings"),
    Option("-v", "--verbose", "-vv", sets="STORECTL_VERBOSE=1", text="say which environment and program it is"),
    Option("--no-progress", sets="UV_NO_PROGRESS=1", text="no progress"),
    # Where packages come from: as the variable says.
    Option("--index", takes="URL", sets="UV_INDEX", text="one more package index"),
    Option("--default-index", takes="URL", sets="UV_DEFAULT_INDEX", text="the index instead of the public one"),
    Option("--prerelease-package", takes="NAME=WORD", sets="UV_PRERELEASE_PACKAGE"),
    Option("--exclude-newer-package", takes="NAME=DATE", sets="UV_EXCLUDE_NEWER_PACKAGE"),
    Option("--index-url", takes="URL", sets="UV_INDEX_URL"),
    Option("--extra-index-url", takes="URL", sets="UV_EXTRA_INDEX_URL"),
    Option("-f", "--find-links", takes="PLACE", sets="UV_FIND_LINKS"),
    Option("--no-index", sets="UV_NO_INDEX=1"),
    Option("--allow-insecure-host", "--trusted-host", takes="HOST", sets="UV_INSECURE_HOST"),
    Option("--keyring-provider", takes="WORD", sets="UV_KEYRING_PROVIDER"),
    Option("--system-certs", "--native-tls", sets="UV_SYSTEM_CERTS=1"),
    Option("--config-file", takes="FILE", sets="UV_CONFIG_FILE"),
    Option("--no-config", sets="UV_NO_CONFIG=1"),
    Option("--no-build", sets="UV_NO_BUILD=1"),
    Option("--no-build-package", takes="NAME", sets="UV_NO_BUILD_PACKAGE"),
    Option("--no-binary", sets="UV_NO_BINARY=1"),
    Option("--no-binary-package", takes="NAME", sets="UV_NO_BINARY_PACKAGE"),
    Option("--managed-python", sets="UV_MANAGED_PYTHON=1"),
    Option("--no-managed-python", sets="UV_NO_MANAGED_PYTHON=1"),
    Option("--python-preference", takes="WORD", sets="UV_PYTHON_PREFERENCE"),
    Option("--no-python-downloads", sets="UV_PYTHON_DOWNLOADS=never"),
    # How what comes on top is locked: uv does it, and reads these variables.
    Option("--resolution", takes="WORD", sets="UV_RESOLUTION"),
    Option("--prerelease", takes="WORD", sets="UV_PRERELEASE"),
    Option("--fork-strategy", takes="WORD", sets="UV_FORK_STRATEGY"),
    Option("--index-strategy", takes="WORD", sets="UV_INDEX_STRATEGY"),
    Option("--exclude-newer", takes="DATE", sets="UV_EXCLUDE_NEWER"),
    # So in any case: an environment is isolated, exact and compiled, belongs to nothing else, and is no copy.
    Option("--isolated"),
    Option("--exact"),
    Option("--inexact"),
    Option("--active"),
    Option("--no-active"),
    Option("--compile-bytecode"),
    Option("--no-compile-bytecode"),
    Option("--no-require-build-hashes"),
    Option("-n", "--no-cache"),
    Option("--cache-dir", takes="DIR"),
    Option("--link-mode", takes="WORD"),
    Option("--color", takes="WORD"),
)  # fmt: skip

BY_NAME = {name: option for option in OPTIONS for name in option.names}

_TOOL_LOCKS = "it counts when the project is locked: storectl lock -- {}"
_IN_PYPROJECT = "it counts for everybody who builds the project: {} in [tool.uv] of pyproject.toml"
REFUSED = {
    **dict.fromkeys(("-U", "--upgrade"), "a run changes no version: storectl upgrade"),
    "--upgrade-package": "a run changes no version: storectl upgrade NAME",
    "--upgrade-group": _TOOL_LOCKS.format("--upgrade-group NAME"),
    **dict.fromkeys(("--no-sources", "--no-sources-package"), _TOOL_LOCKS.format("--no-sources")),
    **dict.fromkeys(
        ("--reinstall", "--reinstall-package"),
        "what is damaged is made again by storectl store verify --repair; nothing else is ever stale",
    ),
    **dict.fromkeys(("-C", "--config-setting", "--config-settings"), _IN_PYPROJECT.format("config-settings")),
    "--config-settings-package": _IN_PYPROJECT.format("config-settings-package"),
    "--no-build-isolation": _IN_PYPROJECT.format("no-build-isolation"),
    "--no-build-isolation-package": _IN_PYPROJECT.format("no-build-isolation-package"),
    **dict.fromkeys(
        ("--no-editable", "--no-editable-package"), "a project is always imported from its folder; leave the option out"
    ),
    "--python-platform": "an environment is for the machine that it is on; leave the option out",
    "--gui-script": "windows of scripts need no option here: --script",
    "--require-build-hashes": "what a build requires has no digests in the lock file; leave the option out",
    "--torch-backend": "name the index of the wheels: --index URL",
}
"""Options of uv that are not taken, and what the user should do instead."""

_CONFLICTS = (
    ("package", "all_packages"),
    ("package", "no_project"),
    ("environment", "project"),
    ("environment", "lock"),
    ("environment", "no_project"),
    ("all_packages", "no_project"),
    ("module", "script"),
    ("only_dev", "no_dev"),
    ("only_groups", "no_project"),
    ("locked", "frozen"),
)
_OPPOSITES = {
    "dev": "no_dev", "no_dev": "dev", "groups": "only_groups", "env_files": "no_env_file",
    "environment": "project", "project": "environment", "no_project": "environment",
    "locked": "frozen", "frozen": "locked",
}  # fmt: skip
"""A variable does not count if the option that says the opposite is given."""

DEV = ("dev",)


class Asked:
    """What options ask for: ``values`` by the names of ``Option.sets``, a flag's list being empty; ``variables``."""

    __slots__ = ("_spelled", "values", "variables")

    def __init__(self) -> None:
        self.values: dict[str, list[str]] = {}
        self.variables: dict[str, str] = {}
        self._spelled: dict[str, str] = {}

    def add(self, option: Option, name: str, value: str | None) -> None:
        """Count one option in; of two that say the opposite the later one counts."""
        sets, _, fixed = option.sets.partition("=")
        if sets.isupper():
            before = self.variables.get(sets)
            self.variables[sets] = fixed or (f"{before} {value}" if before else value or "")
        elif sets:
            if sets in ("dev", "no_dev"):
                self.values.pop(_OPPOSITES[sets], None)
            self.values.setdefault(sets, []).extend([] if value is None else [value])
            self._spelled[sets] = name

    def complete(self, environ: Mapping[str, str]) -> Asked:
        """Let variables count for what no option says. UsageError if options contradict each other."""
        given = set(self.values)
        for option in OPTIONS:
            if option.variables and not given & {option.sets, _OPPOSITES.get(option.sets, "")}:
                self._take_variable(option, environ)
        for one, other in _CONFLICTS:
            if one in given and other in given:
                raise UsageError(
                    f"{self._spelled[one]} and {self._spelled[other]} cannot be given together",
                    hint="leave one of them out",
                )
        return self

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def all(self, name: str) -> tuple[str, ...]:
        """The values of this name, in their order."""
        return tuple(self.values.get(name, ()))

    def one(self, name: str) -> str | None:
        """The one value of this name, None if there is none; UsageError if there are several."""
        values = self.all(name)
        if len(values) > 1:
            raise UsageError(
                f"{self._spelled[name]} is given {len(values)} times: {', '.join(values)}",
                hint="give the one that is meant",
            )
        return values[0] if values else None

    def options(self, python: str | None) -> Options:
        """The options of an environment with this Python."""
        only = self.all("only_groups") + (DEV if "only_dev" in self else ())
        return Options(
            python=python,
            extras=self.all("extras"),
            all_extras="all_extras" in self,
            no_extras=self.all("no_extras"),
            groups=(*self.all("groups"), *only),
            all_groups="all_groups" in self,
            no_groups=self.all("no_groups") + (DEV if "no_dev" in self else ()),
            dev="dev" in self,
            default_groups="no_default_groups" not in self,
            only_groups=bool(only),
            package=self.one("package"),
            all_packages="all_packages" in self,
            lock_file=next(iter(self.all("lock")), None),
            further_lock_files=self.all("lock")[1:],
            offline="offline" in self,
            lock_check=LOCKED if "locked" in self else FROZEN if "frozen" in self else "",
        )

    def _take_variable(self, option: Option, environ: Mapping[str, str]) -> None:
        variable = next((name for name in option.variables if environ.get(name)), None)
        if variable is None:
            return
        text = environ[variable]
        own = variable.startswith("STORECTL_")
        if option.takes is not None:
            self.values[option.sets] = text.replace(",", " ").split() if option.words else [text]
        elif is_true(text) or (own and text != "0"):
            self.values[option.sets] = []
        self._spelled[option.sets] = variable


def options_of_environment(environ: Mapping[str, str]) -> Options:
    """The options that variables alone ask for."""
    asked = Asked().complete(environ)
    return asked.options(asked.one("python"))


def unknown_option(name: str, known: Iterable[str], *, command: str, hint: str) -> UsageError:
    """The error for an option that a command does not have, with what is meant instead as far as that can be told."""
    import difflib  # noqa: PLC0415 - only an error pays for it

    if instead := REFUSED.get(name):
        return UsageError(f"{name} is an option of uv, and not of storectl {command}", hint=instead)
    near = difflib.get_close_matches(name, known, n=2, cutoff=0.75)
    said = f"storectl {command} has no option {name}"
    return UsageError(said, hint=f"is {' or '.join(near)} meant?" if near else hint)


def help_of_options() -> str:
    """The lines of help: one for each option that has a text, and the names of the others."""
    lines = [_help_line(option) for option in OPTIONS if option.help]
    others = [_spelling(option) for option in OPTIONS if not option.help and option.sets]
    nothing = [_spelling(option) for option in OPTIONS if not option.sets]
    return "\n".join([
        *lines,
        *_wrapped("Also taken, with uv's meaning: ", others),
        *_wrapped("Taken, and so in any case: ", nothing),
        "",
    ])  # fmt: skip


def _help_line(option: Option) -> str:
    short = next((f"{name}," for name in option.names if len(name) == 2), "   ")
    left = f"  {short} {_spelling(option)}"
    own = [name for name in option.variables if name.startswith("STORECTL_")] or option.variables
    text = f"{option.help} (or {own[0]})" if own else option.help
    return f"{left:31} {text}"


def _spelling(option: Option) -> str:
    name = next(name for name in option.names if name.startswith("--"))
    return f"{name} {option.takes}" if option.takes else name


def _wrapped(lead: str, words: Iterable[str]) -> list[str]:
    lines = [lead.rstrip()]
    for word in words:
        if len(lines[-1]) + len(word) > 105:
            lines[-1] += ","
            lines.append(f"  {word}")
        else:
            lines[-1] += f", {word}" if lines[-1] != lead.rstrip() else f" {word}"
    return lines
