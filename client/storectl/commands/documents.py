"""What `--json` prints: a type for each document. docs/json.md is made of them.

The commands name them in annotations only: nothing of this is loaded when they run.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from storectl.commands.ahead_documents import Ahead
from storectl.commands.bisect_documents import Bisection
from storectl.commands.collect_documents import Collect, Pin, Why
from storectl.commands.history_documents import DifferenceThen, HistoryThen
from storectl.commands.layer_documents import LayerList
from storectl.commands.usage_documents import Usage


class Problem(TypedDict):
    """Why something could not be done."""

    code: Annotated[str, "stable, such as `E_LOCK`"]
    detail: Annotated[str, "a sentence for people"]
    hint: Annotated[str | None, "what to do about it"]


class Environment(TypedDict):
    """One environment of the store."""

    id: Annotated[str, "the name of its folder; equal lock files and interpreters have the same environment"]
    path: Annotated[str, "its folder"]
    python: Annotated[str, "its `bin/python`"]
    project: Annotated[str | None, "the folder of a project that uses it; null if none does any more"]
    lock_file: Annotated[str | None, "the lock file that it was last made from"]
    executable: Annotated[str, "the interpreter that `python` leads to"]
    version: Annotated[str, "of that interpreter, such as `3.12.1`"]
    wheels: Annotated[int, "how many it has"]


class ListedEnvironment(Environment):
    """One environment of the store, in the list of them."""

    name: Annotated[str | None, "of the named environment that it is; several are separated by commas"]


class Progress(TypedDict):
    """How far a warm is. Bytes are 0 if their number is not known."""

    phase: Annotated[Literal["resolve", "build", "fetch", "unpack", "compile", "publish"], "what is being done"]
    done: Annotated[int, "wheels of this phase that are done"]
    total: Annotated[int, "wheels of this phase"]
    bytes_done: Annotated[int, "bytes of them that are done"]
    bytes_total: Annotated[int, "their bytes"]
    current: Annotated[str, "the wheel that is worked on; may be empty"]
    percent: Annotated[int, "0 to 100: of the bytes if they are known, else of the wheels"]


class Project(TypedDict):
    """A project, and how its environment is."""

    path: Annotated[str, "its folder"]
    lock_file: Annotated[str | None, "the lock file that counts; null if it has none any more"]
    state: Annotated[
        Literal["ready", "warming", "failed", "idle"], "`idle`: nothing was asked for since the daemon started"
    ]
    environment: Annotated[Environment | None, "the environment; if `state` is not `ready`, the last good one"]
    progress: Annotated[Progress | None, "if `state` is `warming`, how far it is"]
    problem: Annotated[Problem | None, "if `state` is `failed`, why"]
    watched: Annotated[bool, "whether the daemon hears of changes at once"]


class Link(TypedDict):
    """What `storectl link` made. Projects by which it differs from the lock file are given with their versions."""

    path: Annotated[str, "its folder"]
    environment: Annotated[str | None, "the environment that it shows; null if that is not made yet"]
    added: Annotated[list[str], "what others have put in"]
    removed: Annotated[list[str], "what others have taken out"]
    changed: Annotated[list[str], "what others have put in another version of"]


class ShownProject(Project):
    """A project, and what its user should know."""

    warnings: Annotated[list[str], "such as of a lock file that is older than the project"]
    links: Annotated[list[Link], "what `storectl link` made in it"]
    ahead: Annotated[Ahead | None, "what was made ready in it before anybody asked"]


class Export(TypedDict):
    """An environment that was written as a plain one."""

    path: Annotated[str, "the folder or archive"]
    files: Annotated[int, "how many it has"]
    bytes: Annotated[int, "their sizes together"]
    local: Annotated[list[str], "folders that are not copied, but imported from where they are"]


class Api(TypedDict):
    """What the daemon can be asked."""

    version: Annotated[int, "of its API"]
    features: Annotated[list[str], "what it can do beyond the version"]


class Daemon(TypedDict):
    """The daemon. Only `status` is there if none is running; the exit code is 3 then."""

    status: Annotated[Literal["ok", "not running"], "whether it answers"]
    pid: Annotated[NotRequired[int], "its process"]
    version: Annotated[NotRequired[str], "of storectl"]
    api: Annotated[NotRequired[Api], "what it can be asked"]
    store: Annotated[NotRequired[str], "the folder of its store"]
    socket: Annotated[NotRequired[str], "where it listens"]
    uptime_s: Annotated[NotRequired[float], "seconds since its start"]
    rss_bytes: Annotated[NotRequired[int], "its resident memory"]
    ahead: Annotated[NotRequired[Ahead], "what it made ready before anybody asked, in all projects"]


class Entry(TypedDict):
    """One unpacked wheel in the store."""

    name: Annotated[str, "of its project, normalised"]
    version: Annotated[str, "of its project"]
    prefix: Annotated[str, "its address: the first 32 digits of the digest"]
    digest: Annotated[str, "of the wheel: `sha256:` and 64 digits"]
    size: Annotated[int, "bytes of its files"]
    filename: Annotated[str, "of the wheel"]


class Build(TypedDict):
    """What a wheel was built from."""

    kind: Annotated[Literal["wheel", "editable"], "how it was built"]
    source: Annotated[str, "the digest, commit or folder of the source"]
    python: Annotated[str, "the version of the interpreter"]
    backend: Annotated[str, "the build backend"]
    build_requires: Annotated[list[str], "what the project says that its build needs"]
    installed: Annotated[list[str], "what the build had"]
    variables: Annotated[list[str], "the names of the variables that it looked at"]


class ShownEntry(Entry):
    """One unpacked wheel, with what its manifest says."""

    path: Annotated[str, "its folder"]
    files: Annotated[int, "how many it has"]
    tags: Annotated[list[str], "the tags of the wheel"]
    builds: Annotated[list[Build], "what it was built from; empty for a wheel that was fetched"]


class Finding(TypedDict):
    """Something below the store that is not as it should be."""

    kind: Annotated[str, "what it is, such as `entry` or `environment`"]
    name: Annotated[str, "of an entry its project, of an environment its id, …"]
    version: Annotated[str, "of an entry; else empty"]
    prefix: Annotated[str, "of an entry; else empty"]
    path: Annotated[str, "relative to the thing"]
    what: Annotated[str, "what is wrong, for people"]


class Mended(TypedDict):
    """A thing that was made again."""

    kind: Annotated[str, "as in the finding"]
    name: Annotated[str, "as in the finding"]
    prefix: Annotated[str, "as in the finding"]
    how: Annotated[str, "what was done, for people"]


class Left(TypedDict):
    """A thing that could not be mended. It is out of service."""

    kind: Annotated[str, "as in the finding"]
    name: Annotated[str, "as in the finding"]
    prefix: Annotated[str, "as in the finding"]
    problem: Annotated[Problem, "why not"]


class Verification(TypedDict):
    """What a verification of the store found."""

    entries: Annotated[int, "how many entries were looked at"]
    findings: Annotated[list[Finding], "empty if all is as it should be"]
    mended: Annotated[NotRequired[list[Mended]], "with `--repair`"]
    left: Annotated[NotRequired[list[Left]], "with `--repair`"]


class Image(TypedDict):
    """An image, as its head says it."""

    path: Annotated[str, "the file, or the folder of one that is unpacked or mounted"]
    kind: Annotated[str, "`full` or `hot`"]
    environment: Annotated[str, "the id of its environment"]
    python: Annotated[str, "the version of its interpreter"]
    executable: Annotated[str, "where the interpreter has to be"]
    platform: Annotated[str, "what `sysconfig` calls the machine"]
    lock: Annotated[str | None, "the digest of the lock file"]
    tree: Annotated[str, "the digest of all that is in it"]
    members: Annotated[int, "how many files, folders and links are in it"]
    size: Annotated[int, "the bytes of its files, unpacked"]
    layers: Annotated[list[str], "the stores that a hot image needs"]
    local: Annotated[list[str], "folders of code that is not in it, and is imported from there"]


class StagedImage(TypedDict):
    """An image that is staged on this node."""

    environment: Annotated[str, "its environment there: `bin/python` below it is the Python"]


class Check(TypedDict):
    """One check of `storectl doctor`."""

    check: Annotated[str, "what was looked at"]
    ok: Annotated[bool, "whether it is as it should be"]
    detail: Annotated[str, "what was found, for people"]
    hint: Annotated[str, "what to do about it; may be empty"]


class Kernel(TypedDict):
    """A Jupyter kernel of storectl's."""

    name: Annotated[str, "its name for Jupyter"]
    display_name: Annotated[str, "its name for people"]
    folder: Annotated[str, "where its `kernel.json` is"]


DOCUMENTS: Mapping[str, Any] = {
    "warm": Environment,
    "watch list": list[Project],
    "daemon status": Daemon,
    "env show": ShownProject,
    "env list": list[ListedEnvironment],
    "env history": HistoryThen,
    "env diff": DifferenceThen,
    "env export": Export,
    "env bisect": Bisection,
    "image build": Image,
    "image show": Image,
    "image stage": StagedImage,
    "store list": list[Entry],
    "store show": list[ShownEntry],
    "store verify": Verification,
    "store du": Usage,
    "store collect": Collect,
    "store why": list[Why],
    "env pins": list[Pin],
    "layer list": LayerList,
    "layer check": LayerList,
    "kernel list": list[Kernel],
    "doctor": list[Check],
}
"""By command: the type of the one document that it prints with `--json`."""
