"""What goes over the socket, version 1. The golden file of the API is made of these classes.

Paths are absolute, sizes are bytes, durations are seconds.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

API_VERSION = 1
FEATURES = ("warm", "projects", "link", "environments", "import-map", "entries", "verify", "events", "shutdown")
"""What this daemon can do beyond the version; a client asks for these names, never for a release."""

_PATH_LIMIT = 4096


def _absolute(path: str) -> str:
    if not path.startswith("/") or "\0" in path:
        raise ValueError("must be an absolute path")
    return path


def _plain_name(name: str) -> str:
    if name in {"", ".", ".."} or "/" in name or "\0" in name:
        raise ValueError("must be a plain file name")
    return name


AbsolutePath = Annotated[str, Field(max_length=_PATH_LIMIT), AfterValidator(_absolute)]
LinkName = Annotated[str, Field(max_length=255), AfterValidator(_plain_name)]
OptionName = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]


class Model(BaseModel):
    """Immutable; a field nobody knows is an error, so that no option is ever silently ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Problem(Model):
    """Why something failed, for a person and for a program."""

    code: str
    detail: str
    hint: str | None = None


class ProblemDocument(Problem):
    """The body of every error answer (application/problem+json, RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int


class InterpreterInfo(Model):
    """The base interpreter of an environment."""

    executable: str
    version: str


class EnvironmentInfo(Model):
    """One published environment, and the project it was last made for where that is known."""

    id: str
    path: str
    python: str
    project: str | None
    lock_file: str | None
    interpreter: InterpreterInfo
    wheels: int


Phase = Literal["resolve", "build", "fetch", "unpack", "compile", "publish"]


class ProgressEvent(Model):
    """How far one phase is."""

    event: Literal["progress"] = "progress"
    phase: Phase
    done: int
    total: int
    bytes_done: int = 0
    bytes_total: int = 0
    current: str = ""


class WarningEvent(Model):
    """Something a person should know, that stops nothing."""

    event: Literal["warning"] = "warning"
    message: str


class ReadyEvent(Model):
    """The environment is there."""

    event: Literal["ready"] = "ready"
    environment: EnvironmentInfo


class FailedEvent(Model):
    """There is no new environment; the last good one stays."""

    event: Literal["failed"] = "failed"
    problem: Problem


class CompiledEvent(Model):
    """Nothing more is being compiled for an environment that is ready."""

    event: Literal["compiled"] = "compiled"


WarmEvent = ProgressEvent | WarningEvent | ReadyEvent | FailedEvent | CompiledEvent


class WarmRequest(Model):
    """Which environment is wanted: that of the project at or above ``start``, or of the ``member`` of its workspace.

    With ``bytecode`` it is ready once it is compiled, too; without, as soon as everything in it can be imported.
    """

    start: AbsolutePath
    lock_file: AbsolutePath | None = None
    python: OptionName | None = None
    extras: Annotated[tuple[OptionName, ...], Field(max_length=1000)] = ()
    all_extras: bool = False
    groups: Annotated[tuple[OptionName, ...], Field(max_length=1000)] = ()
    default_groups: bool = True
    only_groups: bool = False
    overlay: AbsolutePath | None = None
    member: AbsolutePath | None = None
    offline: bool = False
    bytecode: bool = True


class ProjectRequest(Model):
    """A project to register; ``link`` names a symlink in it that is to follow its environment."""

    path: AbsolutePath
    link: LinkName | None = None


class ProjectState(Model):
    """Where a project stands. A failed one keeps its last good environment."""

    path: str
    lock_file: str | None
    state: Literal["ready", "warming", "failed", "idle"]
    environment: EnvironmentInfo | None
    progress: ProgressEvent | None
    problem: Problem | None
    watched: bool


class ApiInfo(Model):
    """The handshake: a version, and named features."""

    version: int = API_VERSION
    features: tuple[str, ...] = FEATURES


class Health(Model):
    """The daemon itself."""

    status: Literal["ok"] = "ok"
    version: str
    api: ApiInfo = ApiInfo()
    pid: int
    store: str
    socket: str
    uptime_s: float
    rss_bytes: int


class EntryInfo(Model):
    """One entry of the store; ``size`` is that of its files."""

    name: str
    version: str
    prefix: str
    digest: str
    size: int
    filename: str


class BuildInfo(Model):
    """What a wheel was built from, where it came from no index: see ``storectl_store.entries.provenance``."""

    kind: Literal["wheel", "editable"]
    source: str
    python: str
    backend: str
    build_requires: tuple[str, ...]
    installed: tuple[str, ...]
    variables: tuple[str, ...]


class EntryDetail(EntryInfo):
    """One entry with what its manifest says."""

    path: str
    files: int
    tags: tuple[str, ...]
    builds: tuple[BuildInfo, ...] = ()


class CheckedEvent(Model):
    """An entry was looked at."""

    event: Literal["checked"] = "checked"
    name: str
    prefix: str


class FindingEvent(Model):
    """Something in an entry is not as its manifest says."""

    event: Literal["finding"] = "finding"
    name: str
    version: str
    prefix: str
    path: str
    what: str


class VerifyDone(Model):
    """The last line of a verification."""

    event: Literal["done"] = "done"
    entries: int
    findings: int
