"""Which kinds of files may be used: ``--only-binary`` and ``--no-binary``, as pip reads them.

Each takes names, ``:all:`` or ``:none:``, separated by commas. A later option overrides an earlier one. A name given to
one option is taken from the other; ``:all:`` empties both first; ``:none:`` empties its own.
"""

from dataclasses import dataclass, field

from packaging.utils import NormalizedName, canonicalize_name

from storectl_store.selection.build_policy import ALL, NONE
from storectl_store.selection.pin import ANY_FORMAT, FileFormat


@dataclass(slots=True, kw_only=True)
class FormatControl:
    """The names that both options have come to. By default wheels are preferred, and sources taken if none fits."""

    only_binary: set[str] = field(default_factory=set)
    no_binary: set[str] = field(default_factory=set)

    def apply(self, option: str, value: str) -> None:
        """Apply one more option: ``--only-binary`` or ``--no-binary``, with its value."""
        binary = option == "--only-binary"
        target, other = (self.only_binary, self.no_binary) if binary else (self.no_binary, self.only_binary)
        names = value.split(",")
        while ALL in names:
            other.clear()
            target.clear()
            target.add(ALL)
            del names[: names.index(ALL) + 1]
            if NONE not in names:
                return
        for name in names:
            if name == NONE:
                target.clear()
                continue
            canonical = canonicalize_name(name)
            other.discard(canonical)
            target.add(canonical)

    def formats(self, name: NormalizedName) -> frozenset[FileFormat]:
        """The kinds of file of this project that may be used."""
        if name in self.only_binary:
            return frozenset({"wheel"})
        if name in self.no_binary:
            return frozenset({"sdist"})
        if ALL in self.only_binary:
            return frozenset({"wheel"})
        return frozenset({"sdist"}) if ALL in self.no_binary else ANY_FORMAT
