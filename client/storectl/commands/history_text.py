"""What the commands about the history of a project print, for people and for scripts."""

from collections.abc import Sequence
from typing import Any

from storectl.commands.output import count_text, moment_text, size_text
from storectl.daemon.generations import Change, Difference, Generation, History, Side

_MOST_CHANGES = 6
_MOST_MISSING = 3
_COMMIT_DIGITS = 7


def generation_row(found: History, place: int, now: float) -> tuple[str, ...]:
    """The line of the generation at this place; ``*`` is before the one that programs run in."""
    generation = found.generations[place]
    before = found.generations[place - 1] if place else None
    runs = found.rolled_back if found.rolled_back is not None else found.current
    return (
        "*" if generation.number == runs else "",
        str(generation.number),
        moment_text(generation.at, now),
        generation.branch or "-",
        (generation.commit or "-")[:_COMMIT_DIGITS],
        "; ".join([*_python_text(before, generation), _changes_text(generation), *_notes(found, generation)]),
    )


def _python_text(before: Generation | None, generation: Generation) -> list[str]:
    """Such as ``Python 3.11.2 -> 3.12.1``, if it is another one."""
    versions = before.python if before else None, generation.python
    return [f"Python {versions[0]} -> {versions[1]}"] if None not in versions and versions[0] != versions[1] else []


def _changes_text(generation: Generation) -> str:
    """Such as ``3 changed: pandas 2.2.3 -> 2.3.0, +pyarrow 17.0, -xlrd``."""
    changes = generation.changes
    if changes is None:
        return "not known" if generation.wheels is None else count_text(generation.wheels, "wheel")
    if not changes:
        return "the same wheels"
    more = [f"and {len(changes) - _MOST_CHANGES} more"] if len(changes) > _MOST_CHANGES else []
    return f"{len(changes)} changed: {', '.join([*map(_change_text, changes[:_MOST_CHANGES]), *more])}"


def _change_text(change: Change) -> str:
    if change.before is None:
        return f"+{change.name} {(change.after and change.after.version) or ''}".rstrip()
    if change.after is None:
        return f"-{change.name}"
    return f"{change.name} {_version_text(change)}"


def _version_text(change: Change) -> str:
    """Such as ``2.2.3 -> 2.3.0``, or ``2.2.3 (another wheel)``."""
    before, after = ((side.version if side else None) or "?" for side in (change.before, change.after))
    return f"{before} (another wheel)" if before == after else f"{before} -> {after}"


def _notes(found: History, generation: Generation) -> list[str]:
    notes = []
    if found.rolled_back is not None and generation.number == found.rolled_back:
        notes.append("rolled back to")
    elif found.rolled_back is not None and generation.number == found.current:
        notes.append("the lock file's")
    if not generation.published:
        notes.append(_absence_text(generation))
    return notes


def _absence_text(generation: Generation) -> str:
    """What it takes to have a generation back whose environment is gone."""
    if not generation.kept:
        return "gone"
    if not generation.missing:
        return "to be made again, nothing has to be fetched"
    listed = ", ".join(generation.missing[:_MOST_MISSING])
    more = f" and {len(generation.missing) - _MOST_MISSING} more" if len(generation.missing) > _MOST_MISSING else ""
    return f"wheels are gone: {listed}{more}"


def side_text(side: Side, now: float) -> str:
    """One side of a difference in a line."""
    facts = [
        *([moment_text(side.at, now)] if side.at is not None else []),
        *([f"branch {side.branch}"] if side.branch else []),
        *([side.commit[:_COMMIT_DIGITS]] if side.commit else []),
        count_text(side.wheels, "wheel"),
        *([size_text(side.size)] if side.size is not None else []),
    ]
    return f"{side.label}: {', '.join(facts)}"


def change_row(change: Change) -> tuple[str, ...]:
    """The line of one change, with the size of what came, of what went, or how much it grew."""
    before, after = change.before, change.after
    if after is None:
        return "-", change.name, (before and before.version) or "?", _signed(before and before.size, -1)
    if before is None:
        return "+", change.name, after.version or "?", _signed(after.size, 1)
    if before.size is None or after.size is None:
        return "~", change.name, _version_text(change), "?"
    grown = after.size - before.size
    return "~", change.name, _version_text(change), _signed(abs(grown), 1 if grown >= 0 else -1)


def _signed(size: int | None, sign: int) -> str:
    if size is None:
        return "?"
    return f"{'+' if sign > 0 else '-'}{size_text(size)}" if size else size_text(0)


def summary_text(found: Difference) -> str:
    """The last line of a difference: how many of each kind, and how many are the same."""
    changes = found.changes
    came, went = sum(change.before is None for change in changes), sum(change.after is None for change in changes)
    same = found.after.wheels - (len(changes) - went)
    return f"{len(changes) - came - went} changed, {came} added, {went} removed, {same} the same"


def history_json(project: str, found: History) -> dict[str, Any]:
    """The history for scripts."""
    return {
        "project": project,
        "current": found.current,
        "rolled_back": found.rolled_back,
        "generations": [
            generation._asdict()
            | {
                "changes": None if generation.changes is None else _changes_json(generation.changes),
                "missing": list(generation.missing),
            }
            for generation in found.generations
        ],
    }


def difference_json(found: Difference) -> dict[str, Any]:
    """The difference for scripts."""
    return {
        "before": found.before._asdict(),
        "after": found.after._asdict(),
        "changes": _changes_json(found.changes),
    }


def _changes_json(changes: Sequence[Change]) -> list[dict[str, Any]]:
    return [
        {
            "name": change.name,
            "before": change.before._asdict() if change.before else None,
            "after": change.after._asdict() if change.after else None,
        }
        for change in changes
    ]
