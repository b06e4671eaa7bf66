"""What `storectl env bisect` prints, for people and for scripts."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from storectl.commands.output import moment_text
from storectl.daemon.bisections import Attempt, Change, Found, Generation

_MOST_NAMED = 3


class Tried(NamedTuple):
    """One step: what was tried, and what that showed. ``code`` is None if the command was not run."""

    attempt: Attempt
    outcome: str
    code: int | None
    seconds: float


def outcome_text(tried: Tried) -> str:
    """Such as ``bad (exit code 1)``, or why nothing could be judged."""
    if tried.code is None:
        problem = tried.attempt.problem
        return f"skipped ({problem.code}: {problem.message})" if problem else "skipped"
    return tried.outcome if tried.code == 0 else f"{tried.outcome} (exit code {tried.code})"


def attempt_text(attempt: Attempt) -> str:
    """What was tried, and how much is left: ``generation 12 of 21 Nov 10:02, branch main; one of 9``."""
    if attempt.generation is not None:
        left = f"; one of {attempt.left}" if attempt.left else ""
        return f"{generation_text(attempt.generation)}{left}"
    left = f"{attempt.left} changes may be to blame" if attempt.left > 1 else "to confirm"
    return f"{left}; with {changes_text(attempt.taken)}"


def generation_text(generation: Generation) -> str:
    """Its number, when it was, and where: ``generation 12 of 21 Nov 10:02, branch main, a1b2c3d``."""
    facts = [f"branch {generation.branch}" if generation.branch else "", (generation.commit or "")[:7]]
    return ", ".join([f"generation {generation.number} of {moment_text(generation.at_ns / 1e9)}", *filter(None, facts)])


def change_text(change: Change) -> str:
    """``pandas 2.2.3 -> 2.3.0``, ``+pyarrow 17.0``, ``-xlrd 2.0``."""
    if change.good is None:
        return f"+{change.name} {change.bad}"
    if change.bad is None:
        return f"-{change.name} {change.good}"
    if change.good == change.bad:
        return f"{change.name} {change.good} (another wheel)"
    return f"{change.name} {change.good} -> {change.bad}"


def changes_text(changes: Sequence[Change], most: int = _MOST_NAMED) -> str:
    """The first of the changes, and how many more there are."""
    more = len(changes) - most
    return ", ".join([*map(change_text, changes[:most]), *([f"{more} more"] if more > 0 else [])])


def result_lines(found: Found) -> list[str]:
    """What was found, for people; the change to blame in the first line."""
    since = f"since {generation_text(found.bad)}; generation {found.good.number} is good"
    if found.between:
        since += f", {', '.join(str(each.number) for each in found.between)} could not be judged"
    if found.pythons is not None:
        count = len(found.changes)
        return [f"Python {' -> '.join(found.pythons)} (with {count} wheels)", since]
    if not found.suspects:
        return ["no wheel changed: the command fails at times, or the difference is one of storectl's versions", since]
    if len(found.suspects) > 1:
        return ["one of these, which could not be told apart:", *map(group_text, found.suspects), since]
    return [group_text(found.suspects[0]), since, *_confirmations(found)]


def group_text(group: Sequence[Change]) -> str:
    """``pandas 2.2.3 -> 2.3.0 (with numpy 2.0.2 -> 2.1.0)``: the others cannot be had without the first."""
    first, *others = group
    return f"{change_text(first)} (with {changes_text(others, len(others))})" if others else change_text(first)


def _confirmations(found: Found) -> list[str]:
    needs = f", which needs {changes_text(found.needs, len(found.needs))}" if found.needs else ""
    lines = [f"it alone{needs}: {found.alone}"] if len(found.changes) > 1 else []
    if found.alone == "good":
        lines[0] += "; it only fails together with others that changed"
    if found.rest == "bad":
        lines.append("all else that changed without it: bad; so there is another one to blame, too")
    elif len(found.changes) > 1:
        lines.append(f"all else that changed without it: {found.rest}")
    return lines


def document(found: Found, tried: Sequence[Tried]) -> dict[str, Any]:
    """The result and all steps, for scripts."""
    return {
        "good": found.good._asdict(),
        "bad": found.bad._asdict(),
        "between": [generation._asdict() for generation in found.between],
        "changes": [change._asdict() for change in found.changes],
        "suspects": [[change._asdict() for change in group] for group in found.suspects],
        "needs": [change._asdict() for change in found.needs],
        "alone": found.alone,
        "rest": found.rest,
        "pythons": None if found.pythons is None else list(found.pythons),
        "steps": [_step_document(each) for each in tried],
    }


def _step_document(tried: Tried) -> dict[str, Any]:
    generation = tried.attempt.generation
    return {
        "generation": None if generation is None else generation.number,
        "taken": [change._asdict() for change in tried.attempt.taken],
        "environment": tried.attempt.environment,
        "outcome": tried.outcome,
        "exit_code": tried.code,
        "seconds": round(tried.seconds, 3),
    }
