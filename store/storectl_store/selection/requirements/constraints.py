"""Constraint files (``-c``): what they say must agree with what is pinned, and may narrow down its hashes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name

from storectl_store.digest import Digest
from storectl_store.selection.pin import IndexPin
from storectl_store.selection.requirements.entries import Entry
from storectl_store.selection.requirements.lines import Line
from storectl_store.selection.requirements.subjects import hashes_of, parsed_requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """One constraint that applies to the target. Without digests it allows any."""

    name: NormalizedName
    specifier: SpecifierSet
    digests: frozenset[Digest]
    line: Line


def read_constraints(entries: Sequence[Entry], holds: Callable[[Entry, str | None], bool]) -> tuple[Constraint, ...]:
    """The constraints whose markers hold."""
    constraints = []
    for entry in entries:
        requirement = parsed_requirement(entry)
        if holds(entry, str(requirement.marker) if requirement.marker else None):
            constraints.append(
                Constraint(
                    name=canonicalize_name(requirement.name),
                    specifier=requirement.specifier,
                    digests=hashes_of(entry),
                    line=entry.line,
                )
            )
    return tuple(constraints)


def constrained(pin: IndexPin, constraints: Sequence[Constraint]) -> IndexPin:
    """The pin as far as the constraints allow it. Raises LockFileError, at the constraint's line, if they do not."""
    for constraint in constraints:
        if constraint.name != pin.name:
            continue
        if not constraint.specifier.contains(pin.version, prereleases=True):
            raise constraint.line.error(f"`{pin.name}` {pin.version} is pinned, which {constraint.specifier} excludes")
        pin = narrowed(pin, constraint.digests or pin.digests, constraint.line)
    return pin


def narrowed(pin: IndexPin, digests: frozenset[Digest], line: Line) -> IndexPin:
    """The pin with the digests that both allow. Raises LockFileError at this line if no digest is left."""
    both = pin.digests & digests
    if not both:
        raise line.error(f"no hash of `{pin.name}` {pin.version} is allowed by all who name it")
    return replace(pin, digests=both)
