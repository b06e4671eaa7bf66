"""What the daemon answers to a bisection, as values: what to try next, or what was found."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from storectl.daemon.answers import problem_from_json
from storectl.daemon.wire import path_from_wire
from storectl.errors import DaemonProblemError

if TYPE_CHECKING:
    from storectl.daemon.client import DaemonClient, WarmListener
    from storectl.options import Options


class Generation(NamedTuple):
    """One generation of a project. ``at_ns`` is a time of the system clock."""

    number: int
    at_ns: int
    branch: str | None
    commit: str | None

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read a GenerationInfo of the API; KeyError or TypeError if the object is something else."""
        branch = path_from_wire(value["branch"])
        return cls(number=value["number"], at_ns=value["at_ns"], branch=branch, commit=value["commit"])


class Change(NamedTuple):
    """A project with the versions of its wheel on the good and the bad side; None if there is no wheel of it."""

    name: str
    good: str | None
    bad: str | None

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read a ChangeInfo of the API; KeyError or TypeError if the object is something else."""
        return cls(name=value["name"], good=value["good"], bad=value["bad"])


class Attempt(NamedTuple):
    """What to try: a generation, or the good one with some changes taken.

    ``environment`` is a folder, None if there is none for the reason in ``problem``. ``outcome_of`` is the id of what
    the outcome is told of. ``left`` of the generations or changes may be to blame, 0 if an end is to be tried.
    """

    outcome_of: str
    environment: str | None
    problem: DaemonProblemError | None
    left: int
    generation: Generation | None
    taken: tuple[Change, ...]

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read a TryEvent of the API; KeyError or TypeError if the object is something else."""
        environment, problem, generation = value["environment"], value["problem"], value["generation"]
        return cls(
            outcome_of=value["outcome_of"],
            environment=path_from_wire(environment["path"]) if environment else None,
            problem=problem_from_json(problem) if problem else None,
            left=value["left"],
            generation=Generation.from_json(generation) if generation else None,
            taken=tuple(map(Change.from_json, value["taken"])),
        )


class Found(NamedTuple):
    """The result: the neighbours, and which of the changes from one to the other are to blame, in groups.

    Each group is inseparable. There is none if no wheel changed, there are several if skips left them apart, and one
    with everything if ``pythons`` are two: then the interpreter changed. ``alone`` and ``rest`` are ``good``, ``bad``
    or ``skipped``.
    """

    good: Generation
    bad: Generation
    between: tuple[Generation, ...]
    changes: tuple[Change, ...]
    suspects: tuple[tuple[Change, ...], ...]
    needs: tuple[Change, ...]
    alone: str | None
    rest: str | None
    pythons: tuple[str, ...] | None

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read a FoundEvent of the API; KeyError or TypeError if the object is something else."""
        return cls(
            good=Generation.from_json(value["good"]),
            bad=Generation.from_json(value["bad"]),
            between=tuple(map(Generation.from_json, value["between"])),
            changes=tuple(map(Change.from_json, value["changes"])),
            suspects=tuple(tuple(map(Change.from_json, group)) for group in value["suspects"]),
            needs=tuple(map(Change.from_json, value["needs"])),
            alone=value["alone"],
            rest=value["rest"],
            pythons=tuple(value["pythons"]) if value["pythons"] else None,
        )


def next_step(
    daemon: "DaemonClient", start: str, options: "Options", asked: Mapping[str, Any], listener: "WarmListener"
) -> Attempt | Found:
    """The next step of a bisection of the project's generations.

    ``asked`` has the numbers of the ``good`` and the ``bad`` one, if they are given, and the ``outcomes`` so far.
    """
    body = daemon.request_of(start, options) | {"offline": options.offline} | dict(asked)
    event = daemon.last_event("/v1/bisections", body, listener, "try", "found", needs="bisect", lack="cannot bisect")
    return Attempt.from_json(event) if event["event"] == "try" else Found.from_json(event)
