"""What one requirement is about: a version of an index, a wheel by URL or path, or a local project.

Hash mode is all or nothing: a requirement that is not pinned, or has no strong digest, is an error even if its marker
is false.
"""

import re
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

from storectl_store.digest import STRONG_ALGORITHMS, Digest, parse_strong_digest
from storectl_store.selection.addresses import is_url
from storectl_store.selection.locked_digests import STRONG_HINT, of_one_file
from storectl_store.selection.requirements.entries import Entry, editable_path, local_path, split_fragment, split_marker

HASH_HINT = "make the file with `uv pip compile --generate-hashes` or `pip-compile --generate-hashes`"
_FRAGMENT_HASH = re.compile(rf"(?:^|&)({'|'.join(STRONG_ALGORITHMS)})=([0-9a-fA-F]+)(?:&|$)")
_VCS = re.compile(r"(git|hg|svn|bzr)(\+|:)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A requirement read. Exactly one of ``version``, ``path`` and ``url`` is given.

    ``path`` is as written, ``url`` without its ``fragment``. ``digests`` are alternatives, empty only for local
    projects and for what cannot be a wheel. ``name`` is None if only the file or folder tells it.
    """

    entry: Entry
    name: NormalizedName | None
    marker: str | None
    digests: frozenset[Digest]
    version: str | None = None
    path: str | None = None
    url: str | None = None
    fragment: str = ""

    @property
    def is_repository(self) -> bool:
        """Whether the URL is that of a version control system."""
        return self.url is not None and _VCS.match(self.url) is not None


def subject_of(entry: Entry) -> Subject:
    """The requirement of this line. Raises LockFileError if it is malformed, not pinned or has no strong digest."""
    local = local_path(entry.requirement) or (editable_path(entry) if entry.editable else None)
    if local is not None:
        path, marker = local
        return _with_hash(entry, None, marker, path=path)
    if is_url(entry.requirement):
        url, marker = split_marker(entry.requirement)
        return _with_hash(entry, None, marker, url=url)
    requirement = parsed_requirement(entry)
    name = canonicalize_name(requirement.name)
    marker = str(requirement.marker) if requirement.marker else None
    if requirement.url is None:
        digests = hashes_of(entry)
        if not digests:
            raise entry.line.error(f"`{name}` has no hash", hint=HASH_HINT, name=name)
        version = _pinned_version(entry, requirement)
        return Subject(entry=entry, name=name, marker=marker, digests=digests, version=version)
    if local := local_path(requirement.url) or (None if is_url(requirement.url) else (requirement.url, None)):
        return _with_hash(entry, name, marker, path=local[0])
    return _with_hash(entry, name, marker, url=requirement.url)


def parsed_requirement(entry: Entry) -> Requirement:
    """The line as a dependency specifier. Raises LockFileError if it is no dependency specifier."""
    try:
        return Requirement(entry.requirement)
    except (InvalidRequirement, RecursionError) as error:
        what = str(error).partition("\n")[0]
        raise entry.line.error(f"{entry.requirement[:120]!r} is not a requirement: {what}") from error


def hashes_of(entry: Entry) -> frozenset[Digest]:
    """The digests of all ``--hash`` options. Raises LockFileError if one is not strong."""
    return frozenset(_digest(entry, value) for value in entry.values("--hash"))


def _digest(entry: Entry, value: str) -> Digest:
    try:
        return parse_strong_digest(value)
    except ValueError as error:
        raise entry.line.error(f"`--hash={value[:80]}`: {error}", hint=STRONG_HINT) from error


def _with_hash(
    entry: Entry, name: NormalizedName | None, marker: str | None, *, path: str | None = None, url: str | None = None
) -> Subject:
    """A wheel or project by its address. The fragment of an address may hold the hash."""
    address, fragment = split_fragment(path or url or "")
    in_fragment = _FRAGMENT_HASH.search(fragment)
    digests = hashes_of(entry)
    if in_fragment is not None:
        digest = _digest(entry, f"{in_fragment[1]}:{in_fragment[2]}")
        if digests and digest not in digests:
            raise entry.line.error("the hash in the address is none of those beside it")
        digests = frozenset({digest})
    elif known := of_one_file(digests):
        digests = frozenset({known})
    if address.endswith(".whl") and len(digests) != 1:
        what = f"has {len(digests)} hashes, where one wheel has one" if digests else "has no hash"
        raise entry.line.error(f"{address[-120:]!r} {what}", hint=HASH_HINT)
    return Subject(
        entry=entry,
        name=name,
        marker=marker,
        digests=digests,
        path=address if path is not None else None,
        url=address if url is not None else None,
        fragment=fragment,
    )


def _pinned_version(entry: Entry, requirement: Requirement) -> str:
    """The version behind the one ``==``, in its normal form. Raises LockFileError if there is no such version."""
    specifiers = list(requirement.specifier)
    if len(specifiers) != 1 or specifiers[0].operator not in ("==", "===") or specifiers[0].version.endswith(".*"):
        raise entry.line.error(f"`{requirement.name}` is not pinned with `==`", hint=HASH_HINT, name=requirement.name)
    try:
        return str(Version(specifiers[0].version))
    except InvalidVersion as error:
        raise entry.line.error(f"`{requirement.name}`: {specifiers[0].version[:80]!r} is not a version") from error
