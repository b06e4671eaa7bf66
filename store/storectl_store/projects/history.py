"""The history of a project's environments: ``projects/<folder>/@storectl/history``. Format 1, a line for each grant.

    1 <number> <ns> <key> <environment id> <inputs digest> <branch or -> <commit or -> <snapshot or -> <more> … <sum>

``ns`` is a time of the system clock, ``key`` that of the options. Branch and snapshot have no spaces: what has some is
percent-encoded. The snapshot names the contents of the inputs, ``history.d/<snapshot>.gz`` (``kept_inputs``). More are
``notice=<sentence>``, percent-encoded, and ``variable.<name>=<digest>``, as in the record; others are passed over.
``sum`` is the beginning of the sha256 over all that is before it and its space, 16 hex digits.

A line is appended when a project is granted another environment than the last one of its key: that is a generation,
with the next number. It is also appended when other inputs give the same environment: then it has the number of that
generation, of which the first line counts. So the file also answers which environment some inputs had.

Of each key some 50 lines are kept, and some 16 keys. Nothing is synced: a power cut may take the last lines, or a part
of the last one, which no reader counts and the next writer removes.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote, unquote

from storectl_store.digest import EnvironmentId, is_environment_id
from storectl_store.disk.durability import disk_errors
from storectl_store.disk.whole_files import PRIVATE, replace_file
from storectl_store.entries.layout import StoreLayout
from storectl_store.errors import StoreFormatError

HISTORY, SNAPSHOTS = "history", "history.d"
"""The file, and the folder of snapshots, in the record folder of a project."""

HISTORY_FORMAT = 1
MOST_LINES = 50
"""Lines that are kept of each key."""

_MOST_KEYS = 16
_SLACK = 10
"""Lines beyond those that are kept, before the file is written anew."""

_FIELDS = 9
_SUM_DIGITS = 16
_NONE = "-"
_HEX = re.compile(r"[0-9a-f]+")
_DAY_NS = 24 * 3600 * 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One environment that a project had. ``number`` counts from 1 for each key, and is never given twice.

    ``snapshot`` is empty if nothing is kept of the inputs. ``notices`` and ``variables`` are those of the record.
    """

    number: int
    at_ns: int
    key: str
    environment: EnvironmentId
    inputs: str
    branch: str | None
    commit: str | None
    snapshot: str
    notices: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict, hash=False)


def read_history(layout: StoreLayout, project: Path, key: str | None = None) -> tuple[Generation, ...]:
    """The generations of the project, of one key or of all keys, the oldest first; none if there is no history.

    Raises OSError if the file cannot be read, and StoreFormatError if a line of it is damaged or of a later format.
    """
    generations: dict[tuple[str, int], Generation] = {}
    for line in _whole_lines(_content(history_file(layout, project))):
        found = _decoded(line)
        if found is None:
            raise StoreFormatError(
                f"the history of {project} has a line that cannot be read",
                hint="storectl store verify --repair takes it out",
                path=str(project),
            )
        if key in (None, found.key):
            generations.setdefault((found.key, found.number), found)
    return tuple(generations.values())


def known_lines(layout: StoreLayout, project: Path, key: str) -> list[Generation]:
    """All lines of the key that can be read, the oldest first, each with its own inputs. May raise OSError."""
    lines = map(_decoded, _whole_lines(_content(history_file(layout, project))))
    return [line for line in lines if line is not None and line.key == key]


def latest_of_inputs(layout: StoreLayout, project: Path, key: str, inputs: str) -> Generation | None:
    """The latest line of the key whose inputs have this digest; None if there is none. May raise OSError.

    A switch of branches waits for this, so only the lines are decoded in which the digest is.
    """
    lines = (line for line in reversed(_whole_lines(_content(history_file(layout, project)))) if inputs in line)
    found = (generation for generation in map(_decoded, lines) if generation is not None)
    return next((each for each in found if each.key == key and each.inputs == inputs), None)


def is_told(lines: Sequence[Generation], granted: Generation) -> bool:
    """Whether lines of one key end with the generation of this grant, and tell that its inputs gave it.

    The number and the snapshot of ``granted`` are not looked at, nor when and at which commit it was.
    """
    if not lines or lines[-1].environment != granted.environment:
        return False
    same = (line for line in reversed(lines) if line.number == lines[-1].number and line.inputs == granted.inputs)
    told = next(same, None)
    return told is not None and (told.notices, told.variables) == (granted.notices, granted.variables)


def recent_generations(
    generations: Sequence[Generation], *, now_ns: int, number: int, days: float
) -> tuple[Generation, ...]:
    """Those that are to stay usable: the last ``number`` environments of each key, and all of the last ``days``.

    ``generations`` are in their order. Several generations with one environment count once.
    """
    seen: dict[str, set[EnvironmentId]] = {}
    recent: list[Generation] = []
    for generation in reversed(generations):
        environments = seen.setdefault(generation.key, set())
        environments.add(generation.environment)
        place = len(environments)
        if place <= number or generation.at_ns >= now_ns - days * _DAY_NS:
            recent.append(generation)
    return tuple(reversed(recent))


def append_generation(layout: StoreLayout, project: Path, granted: Generation) -> Generation:
    """Write down what was granted, unless the history tells it already; the generation that it is of.

    The number of ``granted`` is not looked at: it gets that of its generation. Raises StoreError if the disk refuses.
    """
    file = history_file(layout, project)
    with disk_errors(f"write the history of {project}"):
        content = _content(file)
        whole = _whole_lines(content)
        lines = [found for line in whole if (found := _decoded(line)) is not None]
        own = [line for line in lines if line.key == granted.key]
        granted = _numbered(granted, own)
        if not is_told(own, granted):
            _append(file, encoded(granted), len(content), sum(len(line) + 1 for line in whole))
            _prune(file, [*lines, granted])
    return granted


def history_file(layout: StoreLayout, project: Path) -> Path:
    """The history of the project."""
    return layout.project_record(project) / HISTORY


def history_problems(folder: Path) -> list[str]:
    """What is wrong with the history in this record folder, one sentence for each line; may raise OSError."""
    content = _content(folder / HISTORY)
    lines = _whole_lines(content)
    found = [f"line {number} cannot be read" for number, line in enumerate(lines, 1) if _decoded(line) is None]
    if not content.endswith(b"\n") and content:
        found.append("its last line has no end")
    if not content and any((folder / SNAPSHOTS).glob("*")):
        found.append("it is gone, and what it kept is there")
    return found


def snapshots_named(folder: Path) -> list[str]:
    """The snapshots that the history in this record folder names, each once; may raise OSError."""
    found = (_decoded(line) for line in _whole_lines(_content(folder / HISTORY)))
    return list(dict.fromkeys(line.snapshot for line in found if line is not None and line.snapshot))


def mend_history(folder: Path, content: bytes, *, lost: Iterable[str]) -> None:
    """Write the history with this content, without lines that cannot be read and without these snapshots.

    May raise OSError.
    """
    gone = set(lost)
    found = (_decoded(line) for line in _whole_lines(content))
    kept = [replace(line, snapshot="") if line.snapshot in gone else line for line in found if line is not None]
    _rewrite(folder / HISTORY, kept)


def encoded(generation: Generation) -> bytes:
    """The line of the generation, with its end."""
    branch = _NONE if generation.branch is None else quote(generation.branch, safe="/", errors="surrogateescape")
    fields = [
        str(HISTORY_FORMAT), str(generation.number), str(generation.at_ns), generation.key, generation.environment,
        generation.inputs, branch, generation.commit or _NONE, generation.snapshot or _NONE,
        *(f"notice={quote(notice, safe='')}" for notice in generation.notices),
        *(f"variable.{quote(name, safe='')}={digest}" for name, digest in sorted(generation.variables.items())),
    ]  # fmt: skip
    line = " ".join(fields)
    return f"{line} {_sum(line)}\n".encode()


def _sum(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest()[:_SUM_DIGITS]


def _decoded(sealed: str) -> Generation | None:
    """The generation of a line; None if this version cannot read it."""
    line, _, told = sealed.rpartition(" ")
    fields = line.split(" ")
    if len(fields) < _FIELDS or fields[0] != str(HISTORY_FORMAT) or told != _sum(line):
        return None
    _, number, at_ns, key, environment, inputs, branch, commit, snapshot, *more = fields
    named = (number.isdecimal(), at_ns.isdecimal(), is_environment_id(environment), key, _HEX.fullmatch(inputs), branch)
    if not all(named) or not all(text == _NONE or _HEX.fullmatch(text) for text in (commit, snapshot)):
        return None
    pairs = [tuple(unquote(part, errors="surrogateescape") for part in each.split("=", 1)) for each in more]
    further = [(pair[0], pair[1]) for pair in pairs if len(pair) == 2]
    return Generation(
        number=int(number),
        at_ns=int(at_ns),
        key=key,
        environment=EnvironmentId(environment),
        inputs=inputs,
        branch=None if branch == _NONE else unquote(branch, errors="surrogateescape"),
        commit=None if commit == _NONE else commit,
        snapshot="" if snapshot == _NONE else snapshot,
        notices=tuple(value for name, value in further if name == "notice"),
        variables={name.removeprefix("variable."): value for name, value in further if name.startswith("variable.")},
    )


def _numbered(granted: Generation, lines: Sequence[Generation]) -> Generation:
    """The grant with the number of its generation; ``lines`` are those of its key."""
    if lines and lines[-1].environment == granted.environment:
        return replace(granted, number=lines[-1].number, snapshot=granted.snapshot or lines[-1].snapshot)
    return replace(granted, number=max((line.number for line in lines), default=0) + 1)


def _append(file: Path, line: bytes, length: int, whole: int) -> None:
    """Append the line to a file of this length, after what is whole of it: a torn line goes."""
    file.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(file, flags, PRIVATE), "ab", buffering=0) as stream:
        if whole != length:
            stream.truncate(whole)
        stream.write(line)


def _prune(file: Path, lines: Sequence[Generation]) -> None:
    """Write the file anew without the lines that are no longer kept, and remove snapshots that no line names."""
    kept = _kept(lines)
    if len(lines) - len(kept) >= _SLACK:
        _rewrite(file, kept)


def _rewrite(file: Path, lines: Sequence[Generation]) -> None:
    replace_file(file, b"".join(map(encoded, lines)), mode=PRIVATE)
    named = {f"{line.snapshot}.gz" for line in lines}
    folder = file.with_name(SNAPSHOTS)
    for name in os.listdir(folder) if folder.is_dir() else ():
        if name not in named:
            (folder / name).unlink(missing_ok=True)


def _kept(lines: Sequence[Generation]) -> list[Generation]:
    """The lines of the latest keys, and of each of these the lines that are worth most."""
    keys = list(dict.fromkeys(line.key for line in reversed(lines)))[:_MOST_KEYS]
    worth = {id(line) for key in keys for line in _worth_most([line for line in lines if line.key == key])}
    return [line for line in lines if id(line) in worth]


def _worth_most(lines: list[Generation]) -> list[Generation]:
    """The lines without those that go first: whose environment a later line names, too, and then the oldest.

    So a user who goes back and forth between two branches does not lose the environments of last month.
    """
    kept = list(lines)
    while len(kept) > MOST_LINES:
        later: set[EnvironmentId] = set()
        repeated = 0
        for place in reversed(range(len(kept))):
            repeated = place if kept[place].environment in later else repeated
            later.add(kept[place].environment)
        del kept[repeated]
    return kept


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b""


def _whole_lines(content: bytes) -> list[str]:
    """The lines that have their end, without it."""
    return [line.decode("ascii", errors="replace") for line in content.split(b"\n")[:-1]]
