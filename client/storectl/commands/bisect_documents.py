"""What `storectl env bisect --json` prints, as a type (``documents``)."""

from typing import Annotated, Literal, TypedDict


class BisectedGeneration(TypedDict):
    """One generation of a project's environment."""

    number: Annotated[int, "as in `storectl env history`"]
    at_ns: Annotated[int, "when the project was given it, in nanoseconds since 1970"]
    branch: Annotated[str | None, "the branch that was checked out; null if it is not known"]
    commit: Annotated[str | None, "the commit that was checked out; null if it is not known"]


class BisectedChange(TypedDict):
    """A project that has another wheel in the bad generation than in the good one."""

    name: Annotated[str, "of the project, normalised"]
    good: Annotated[str | None, "its version in the good generation; null if it was not there"]
    bad: Annotated[str | None, "its version in the bad generation; null if it was not there"]


class BisectionStep(TypedDict):
    """One environment that was tried."""

    generation: Annotated[int | None, "its number; null for a mixture of two"]
    taken: Annotated[list[BisectedChange], "of a mixture: what is as in the bad generation; all else as in the good"]
    environment: Annotated[str | None, "its folder; null if it could not be made"]
    outcome: Annotated[Literal["good", "bad", "skipped"], "what the exit code says"]
    exit_code: Annotated[int | None, "of the command; null if it was not run"]
    seconds: Annotated[float, "that the command took"]


class Bisection(TypedDict):
    """What made a command fail."""

    good: Annotated[BisectedGeneration, "the last good generation"]
    bad: Annotated[BisectedGeneration, "the next one, which is bad"]
    between: Annotated[list[BisectedGeneration], "generations between the two, which could not be judged"]
    changes: Annotated[list[BisectedChange], "all that changed from the good to the bad one"]
    suspects: Annotated[
        list[list[BisectedChange]],
        "groups of changes that are inseparable; if there is not exactly one, the exit code is 3",
    ]
    needs: Annotated[list[BisectedChange], "what had to be taken with the only suspect"]
    alone: Annotated[Literal["good", "bad", "skipped"] | None, "what suspect and needs do without all other changes"]
    rest: Annotated[Literal["good", "bad", "skipped"] | None, "what all other changes do without the suspect"]
    pythons: Annotated[list[str] | None, "two versions if the interpreter changed; no wheels are told apart then"]
    steps: Annotated[list[BisectionStep], "all that was tried, in order"]
