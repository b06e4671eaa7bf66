"""What goes over the socket, version 1. The golden file of the API is made of these classes.

Paths are absolute, sizes are bytes, durations are seconds. Paths and variables of the system are bytes: one that is not
UTF-8 is written as ``storectl_shim.wire_text`` says, in both directions.
"""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from storectl_daemon.messages import Limit, Message, Read, Shown
from storectl_shim.wire_text import decode_text
from storectl_store.digest import EnvironmentId

API_VERSION = 1
FEATURES = (
    "warm",
    "projects",
    "link",
    "environments",
    "import-map",
    "entries",
    "verify",
    "repair",
    "events",
    "shutdown",
    "interpreters",
    "selection",
    "export",
    "fronts",
    "usage",
    "bisect",
    "ahead",
    "collect",
    "history",
    "imports",
)
"""What this daemon can do beyond the version; a client asks for these names, never for a release."""

_PATH_LIMIT = 4096
_MOST_VARIABLES = 10_000


def _absolute(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError("must be an absolute path")
    return decode_text(path)


def _plain_name(name: str) -> str:
    if name in {"", ".", ".."} or "/" in name or "\0" in name:
        raise ValueError("must be a plain file name")
    return name


def _variables(sent: dict[str, str]) -> dict[str, str]:
    """What was sent, decoded. The messages name no variable: its value may have been taken for a name."""
    if any(not name or "=" in name for name in sent):
        raise ValueError("must name each variable, without '='")
    return {decode_text(name): decode_text(value) for name, value in sent.items()}


AbsolutePath = Annotated[str, Limit(max_length=_PATH_LIMIT), Read(_absolute)]
LinkName = Annotated[str, Limit(max_length=255), Read(_plain_name)]


def _python(name: str) -> str:
    decoded = decode_text(name)
    if any(character < " " or character == "\x7f" for character in decoded):
        raise ValueError("must be a version, or a path without control characters")
    return decoded


PythonName = Annotated[str, Limit(min_length=1, max_length=_PATH_LIMIT), Read(_python)]
Variables = Annotated[dict[str, str], Limit(max_length=_MOST_VARIABLES), Read(_variables)]
"""The environment variables of a command."""

ShownPath = Annotated[str, Shown()]
"""A path in an answer, or text that may quote one."""

ImportName = Annotated[str, Limit(min_length=1, max_length=255, pattern=r"^[^\x00-\x20\x7f/]+$")]
"""The dotted name of a module that a program imports."""

OptionName = Annotated[str, Limit(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem(Message):
    """Why something failed, for a person and for a program.

    ``missing_python`` is the Python that no interpreter is, if that is why: ``3.14``, or ``>=3.12``.
    """

    code: str
    detail: ShownPath
    hint: ShownPath | None = None
    missing_python: str | None = None


STOPPING = Problem(code="E_STOPPING", detail="the daemon is stopping", hint="Try again; it starts by itself.")
"""The problem that every waiting client is told when the daemon ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemDocument(Problem):
    """The body of every error answer (application/problem+json, RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InterpreterInfo(Message):
    """The base interpreter of an environment."""

    executable: ShownPath
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InterpreterRequest(Message):
    """Which interpreter is meant.

    By ``python``, else by ``pinned``, the content of a ``.python-version``; else the first on PATH.

    ``environ`` are the variables of the command: its PATH, PYENV_ROOT and so on.
    """

    python: PythonName | None = None
    pinned: Annotated[str, Limit(max_length=_PATH_LIMIT)] | None = None
    environ: Variables = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentInfo(Message):
    """One published environment, and the project it was last made for where that is known."""

    id: EnvironmentId
    path: ShownPath
    python: ShownPath
    project: ShownPath | None
    lock_file: ShownPath | None
    interpreter: InterpreterInfo
    wheels: int


Phase = Literal["resolve", "build", "fetch", "unpack", "compile", "publish", "export"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressEvent(Message):
    """How far one phase is."""

    event: Literal["progress"] = "progress"
    phase: Phase
    done: int
    total: int
    bytes_done: int = 0
    bytes_total: int = 0
    current: ShownPath = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WarningEvent(Message):
    """Something a person should know, that stops nothing."""

    event: Literal["warning"] = "warning"
    message: ShownPath


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyEvent(Message):
    """The environment is there."""

    event: Literal["ready"] = "ready"
    environment: EnvironmentInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedEvent(Message):
    """There is no new environment; the last good one stays."""

    event: Literal["failed"] = "failed"
    problem: Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledEvent(Message):
    """Nothing more is being compiled for an environment that is ready."""

    event: Literal["compiled"] = "compiled"


WarmEvent = ProgressEvent | WarningEvent | ReadyEvent | FailedEvent | CompiledEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionsModel(Message):
    """The options that decide which environment of a project is meant.

    ``further_lock_files`` are requirements files that count together with ``lock_file``.
    """

    lock_file: AbsolutePath | None = None
    further_lock_files: Annotated[tuple[AbsolutePath, ...], Limit(max_length=1000)] = ()
    python: PythonName | None = None
    extras: Annotated[tuple[OptionName, ...], Limit(max_length=1000)] = ()
    all_extras: bool = False
    no_extras: Annotated[tuple[OptionName, ...], Limit(max_length=1000)] = ()
    groups: Annotated[tuple[OptionName, ...], Limit(max_length=1000)] = ()
    all_groups: bool = False
    no_groups: Annotated[tuple[OptionName, ...], Limit(max_length=1000)] = ()
    dev: bool = False
    default_groups: bool = True
    only_groups: bool = False
    overlay: AbsolutePath | None = None
    member: AbsolutePath | None = None
    all_packages: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmRequest(OptionsModel):
    """Which environment is wanted: that of the project at or above ``start``, or of the ``member`` of its workspace.

    With ``bytecode`` it is ready once it is compiled, too; without, as soon as everything in it can be imported. With
    ``thorough`` the files of what is there already are looked at first, and what is damaged is made again.
    ``environ`` are the variables of the command, which decide where packages come from, with which logins, and what
    builds see; without it those count that a command sent last for the project. ``imports`` are modules that a program
    imports which starts as soon as the environment is ready: they are compiled first.
    """

    start: AbsolutePath
    offline: bool = False
    bytecode: bool = True
    thorough: bool = False
    imports: Annotated[tuple[ImportName, ...], Limit(max_length=1000)] = ()
    environ: Variables | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectRequest(Message):
    """A project to register.

    ``environ`` are the variables of the command, as in ``WarmRequest``. Older commands send the name of a ``link`` that
    they made; the daemon finds it without.
    """

    path: AbsolutePath
    link: LinkName | None = None
    environ: Variables | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkRequest(OptionsModel):
    """A virtual environment in a project's folder that is to follow its lock file.

    ``environment`` is that of the options, as a warm has answered. With ``force`` what is at ``path`` is moved aside.
    """

    path: AbsolutePath
    environment: EnvironmentId
    force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkPlaced(Message):
    """The link is there; ``told`` are sentences about what was moved aside for it."""

    told: tuple[ShownPath, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkRemoved(Message):
    """The link is gone but for the paths in ``left``, relative to it, which others put there."""

    left: tuple[ShownPath, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkState(Message):
    """A link of a project, and how it differs from the environment that it was made from.

    ``environment`` is the folder of that; None for a link of an older storectl. The rest are projects with their
    versions.
    """

    path: ShownPath
    environment: ShownPath | None
    added: tuple[ShownPath, ...] = ()
    removed: tuple[ShownPath, ...] = ()
    changed: tuple[ShownPath, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Project(Message):
    path: ShownPath
    lock_file: ShownPath | None
    environment: EnvironmentInfo | None
    progress: ProgressEvent | None = None
    problem: Problem | None = None
    watched: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyProject(_Project):
    """A project whose environment fits its lock file."""

    state: Literal["ready"] = "ready"
    environment: EnvironmentInfo
    progress: None = None
    problem: None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmingProject(_Project):
    """A project whose environment is being made. It keeps its last good one meanwhile."""

    state: Literal["warming"] = "warming"
    problem: None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedProject(_Project):
    """A project whose environment could not be made. It keeps its last good one."""

    state: Literal["failed"] = "failed"
    progress: None = None
    problem: Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleProject(_Project):
    """A project for which nothing is being done."""

    state: Literal["idle"] = "idle"
    progress: None = None
    problem: None = None


ProjectState = ReadyProject | WarmingProject | FailedProject | IdleProject
"""Where a project stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiInfo(Message):
    """The handshake: a version, and named features."""

    version: int = API_VERSION
    features: tuple[str, ...] = FEATURES


@dataclass(frozen=True, slots=True, kw_only=True)
class Health(Message):
    """The daemon itself."""

    status: Literal["ok"] = "ok"
    version: str
    api: ApiInfo = ApiInfo()
    pid: int
    store: ShownPath
    socket: ShownPath
    uptime_s: float
    rss_bytes: int
