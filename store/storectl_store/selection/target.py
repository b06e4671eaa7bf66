"""Targets: an interpreter with its markers and tags, and the extras and groups asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

from packaging.tags import Tag, parse_tag


@dataclass(frozen=True, kw_only=True)
class Interpreter:
    """The answers of one interpreter, asked once.

    ``executable`` is the real base interpreter, never a shim or the python of a venv. ``identity`` is a hex digest of
    all that decides what its environments look like: two interpreters with one identity can share environments.
    ``tags`` are the interpreter's wheel tags, best first, each ``py-abi-platform``. ``extension_suffixes`` are
    ``importlib.machinery.EXTENSION_SUFFIXES`` in their order.
    """

    executable: str
    identity: str
    version: str
    implementation: str
    cache_tag: str
    base_prefix: str
    platlibdir: str
    abiflags: str
    markers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    tags: tuple[str, ...] = ()
    extension_suffixes: tuple[str, ...] = ()

    @property
    def feature_version(self) -> str:
        """Major and minor version: ``3.12`` for ``3.12.1``."""
        return ".".join(self.version.split(".")[:2])

    @property
    def library_folder(self) -> str:
        """The name of its folder in ``lib``: ``python3.12``, or ``python3.13t`` on a free-threaded build."""
        return f"python{self.feature_version}{'t' if 't' in self.abiflags else ''}"

    @cached_property
    def tag_rank(self) -> Mapping[Tag, int]:
        """Each tag and its place in the order of preference; 0 is best."""
        ranks: dict[Tag, int] = {}
        for text in self.tags:
            for tag in parse_tag(text):
                ranks.setdefault(tag, len(ranks))
        return ranks

    @cached_property
    def tag_texts(self) -> frozenset[str]:
        """The tags of ``tag_rank``, as texts."""
        return frozenset(map(str, self.tag_rank))


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Interpreter, extras and groups, as they are asked for.

    ``extras`` are those of the project, or every one with ``all_extras``. ``groups``, or every one with ``all_groups``,
    are selected besides the project's default groups, and with ``dev`` the group of that name, if there is one; if
    ``default_groups`` is false, instead of them. ``no_extras`` and ``no_groups`` are left out whatever asks for them.
    Without ``project`` the groups alone are selected: neither the project nor what it depends on. ``member`` is the
    absolute folder of the workspace member that is meant instead of the root; None, or a folder that is no member's,
    for the root. With ``all_members`` all of them are meant.
    """

    interpreter: Interpreter
    extras: frozenset[str] = frozenset()
    all_extras: bool = False
    no_extras: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    all_groups: bool = False
    no_groups: frozenset[str] = frozenset()
    dev: bool = False
    default_groups: bool = True
    project: bool = True
    member: str | None = None
    all_members: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether nothing in particular is asked for: exactly what a tool installs by default."""
        return self.project and self.default_groups and not (self.extras or self.all_extras or self.groups)
