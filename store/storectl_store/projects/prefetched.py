"""What was made ready of a project's fetched branches: ``projects/<folder>/@storectl/prefetched``. Format 1.

    1 <ns> <environment id or -> <commit> <ref> <hex digits of a digest> …

One line for each commit, the newest last. ``ns`` is a time of the system clock. ``ref`` is percent-encoded. The digests
are those of entries that were fetched although there could be no environment: something of it would have to be built.

Lines keep what they name for ``KEPT_SECONDS``. Nothing is synced: after a power cut it is made ready once more.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from storectl_store.digest import Digest, EnvironmentId, digest_of_hex, hex_of, is_environment_id
from storectl_store.disk.durability import disk_errors
from storectl_store.disk.whole_files import PRIVATE, replace_file
from storectl_store.entries.layout import StoreLayout
from storectl_store.errors import StoreFormatError

PREFETCHED = "prefetched"
"""The file in the record folder of a project."""

PREFETCHED_FORMAT = 1
KEPT_SECONDS = 7 * 24 * 3600
"""How long a line keeps what it names: a branch that nobody has checked out within a week is fetched again then."""

_MOST_LINES = 64
_FIELDS = 5
_NONE = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefetched:
    """A commit of which wheels were made ready. ``at_ns`` is a time of the system clock.

    ``environment`` is None if there could be none; ``digests`` are then those of the entries that were fetched for it.
    ``ref`` is the branch, or what FETCH_HEAD says of it.
    """

    at_ns: int
    environment: EnvironmentId | None
    commit: str
    ref: str
    digests: tuple[Digest, ...] = ()

    @property
    def until(self) -> float:
        """The time, in seconds of the system clock, until which this keeps what it names."""
        return self.at_ns / 1e9 + KEPT_SECONDS


def read_prefetched(layout: StoreLayout, project: Path) -> tuple[Prefetched, ...]:
    """What was made ready for the project, the oldest first, also what has expired. Empty if nothing ever was.

    Raises StoreError if the file cannot be read, StoreFormatError if a line of it cannot.
    """
    file = layout.project_record(project) / PREFETCHED
    with disk_errors(f"read {file}"):
        lines = _lines(file)
    try:
        return tuple(map(_parsed, lines))
    except ValueError as error:
        raise StoreFormatError(
            f"{file}: a line is not in format {PREFETCHED_FORMAT}",
            hint="delete the file: what it keeps is fetched again when it is needed",
            path=str(file),
        ) from error


def note_prefetched(layout: StoreLayout, project: Path, made: Prefetched) -> None:
    """Add a line for this commit in place of those that it had. Lines that have expired or cannot be read go."""
    folder = layout.project_record(project)
    with disk_errors(f"record what was made ready for {project}"):
        kept = [line for line in _readable(_lines(folder / PREFETCHED)) if _is_kept(line, made)]
        folder.mkdir(parents=True, exist_ok=True)
        text = "".join(map(_line, [*kept, made][-_MOST_LINES:]))
        replace_file(folder / PREFETCHED, text.encode(), mode=PRIVATE)


def _is_kept(known: Prefetched, made: Prefetched) -> bool:
    """Whether a line stays when ``made`` is added. Another environment of the same commit does: of other options."""
    same = known.commit == made.commit and (known.environment == made.environment or not known.environment)
    return not same and known.until > made.at_ns / 1e9


def _lines(file: Path) -> list[str]:
    try:
        text = file.read_bytes().decode("ascii", "replace")
    except FileNotFoundError:
        text = ""
    return text.removesuffix("\n").split("\n") if text else []


def _readable(lines: Iterable[str]) -> list[Prefetched]:
    found = []
    for line in lines:
        with suppress(ValueError):
            found.append(_parsed(line))
    return found


def _line(made: Prefetched) -> str:
    fields = [str(PREFETCHED_FORMAT), str(made.at_ns), made.environment or _NONE, made.commit, _quoted(made.ref)]
    return " ".join([*fields, *map(hex_of, made.digests)]) + "\n"


def _parsed(line: str) -> Prefetched:
    """The line; raises ValueError if it is none."""
    words = line.split(" ")
    if len(words) < _FIELDS or words[0] != str(PREFETCHED_FORMAT):
        raise ValueError("not a line of this format")
    _, at_ns, environment, commit, ref, *digests = words
    if environment != _NONE and not is_environment_id(environment):
        raise ValueError("not the id of an environment")
    return Prefetched(
        at_ns=int(at_ns),
        environment=EnvironmentId(environment) if environment != _NONE else None,
        commit=commit,
        ref=unquote(ref, errors="surrogateescape"),
        digests=tuple(map(digest_of_hex, digests)),
    )


def _quoted(ref: str) -> str:
    return quote(ref, safe="/", errors="surrogateescape") or "%20"
