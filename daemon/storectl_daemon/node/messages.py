"""What goes over the socket of a node daemon. A field that is not here is refused: so nobody can send a path.

The only path that is ever sent is that of an interpreter, which the policy has to allow before anything looks at it.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from storectl_daemon.messages import Limit, Message
from storectl_store.digest import Digest

NODE_API = 1
"""The version of these requests. It is in no address: a client compares it with the policy's."""

NODE_FEATURES = ("ensure", "wheels", "environments", "roots", "bytecode", "imports", "entries")

MOST_WHEELS = 2000
"""Most wheels of one request."""

Sha256 = Annotated[str, Limit(max_length=71, pattern="sha256:[0-9a-f]{64}")]
_Filename = Annotated[str, Limit(max_length=255, pattern=r"[A-Za-z0-9_.+!-]{1,251}\.whl")]
_Url = Annotated[str, Limit(max_length=2000, pattern="https?://[!-~]+")]
_Digests = Annotated[tuple[Sha256, ...], Limit(min_length=1, max_length=12_000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelWanted(Message):
    """A wheel as a lock file has it. ``size`` is in bytes, None if it is not known."""

    filename: _Filename
    digest: Sha256
    url: _Url
    size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsureRequest(Message):
    """Wheels that are to be in the store."""

    wheels: Annotated[tuple[WheelWanted, ...], Limit(min_length=1, max_length=MOST_WHEELS)]


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentRequest(Message):
    """An environment of these entries. ``interpreter`` is the path of the base interpreter."""

    digests: _Digests
    interpreter: Annotated[str, Limit(min_length=2, max_length=1000, pattern="/[ -~]+")]


@dataclass(frozen=True, slots=True, kw_only=True)
class BytecodeRequest(Message):
    """Bytecode of these entries, for the interpreters with this cache tag, such as ``cpython-312``."""

    digests: _Digests
    cache_tag: Annotated[str, Limit(max_length=40, pattern="[a-z0-9_.-]+")]


@dataclass(frozen=True, slots=True, kw_only=True)
class RootRequest(Message):
    """What an account keeps alive for one environment. ``project`` is a name, never a path."""

    digests: _Digests
    project: Annotated[str, Limit(min_length=1, max_length=100)] = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginInfo(Message):
    """A place that the daemon fetches from. ``index``: wheels that it lists may be brought, too."""

    url: str
    index: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyAnswer(Message):
    """What a client has to know. ``account`` and ``roles`` are its own; ``shim`` is the digest of the shim in views."""

    version: str
    api: int
    features: tuple[str, ...]
    store: str
    shim: str
    origins: tuple[OriginInfo, ...]
    interpreters: tuple[str, ...]
    largest_wheel: int
    account: int
    roles: tuple[str, ...]


WheelState = Literal["fetching", "ready", "refused", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelEvent(Message):
    """One wheel of ``ensure``. ``received`` is in bytes; ``code`` and ``detail`` say why it was refused, or failed."""

    digest: str
    state: WheelState
    received: int | None = None
    code: str | None = None
    detail: str | None = None
    event: Literal["wheel"] = "wheel"


@dataclass(frozen=True, slots=True, kw_only=True)
class StillWorking(Message):
    """Nothing is new, and the daemon is at work."""

    event: Literal["working"] = "working"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsureDone(Message):
    """The last line of ``ensure``: so many wheels are in the store."""

    ready: int
    event: Literal["done"] = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentAnswer(Message):
    """A published environment. The client has computed the same id."""

    id: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryAnswer(Message):
    """An entry, by its full digest. Only an admin sees more than that it is there."""

    digest: str
    filename: str | None = None
    unpacked_size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EntriesAnswer(Message):
    """All entries, for an admin."""

    entries: tuple[EntryAnswer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RootInfo(Message):
    """A root of the account that asks. ``seen`` is in seconds of the system clock."""

    environment: str
    project: str
    seen: int
    entries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RootsAnswer(Message):
    """The roots of the account that asks."""

    roots: tuple[RootInfo, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Done(Message):
    """What was asked for is done, or begun. ``count`` is how many things that concerned."""

    count: int = 0


def digest_in(text: str) -> Digest:
    """A digest that has been checked by its pattern."""
    return Digest(text)
