"""What `--json` prints of the environments that a project had, as types (``documents``)."""

from typing import Annotated, TypedDict


class WheelThen(TypedDict):
    """A wheel of an environment."""

    version: Annotated[str | None, "null if only a build can tell it"]
    size: Annotated[int | None, "bytes, unpacked; null if it is not known"]


class ChangeThen(TypedDict):
    """A project that is not the same."""

    name: Annotated[str, "its normalised name"]
    before: Annotated[WheelThen | None, "null if it came"]
    after: Annotated[WheelThen | None, "null if it went"]


class GenerationThen(TypedDict):
    """One environment that a project had."""

    number: Annotated[int, "counts from 1, and is never given twice"]
    at: Annotated[float, "when the project got it, in seconds since 1970"]
    branch: Annotated[str | None, "that was checked out; null outside of a checkout, or with no branch"]
    commit: Annotated[str | None, "that was checked out"]
    environment: Annotated[str, "its id"]
    lock_file: Annotated[str | None, "that it was made from"]
    python: Annotated[str | None, "the version of its interpreter"]
    wheels: Annotated[int | None, "how many"]
    changes: Annotated[list[ChangeThen] | None, "since the one before; null for the first, or if not known"]
    published: Annotated[bool, "whether the environment is still there"]
    missing: Annotated[list[str], "wheels with their versions that the store no longer has"]
    kept: Annotated[bool, "whether its inputs are kept, so that it can be made again"]


class HistoryThen(TypedDict):
    """The environments that a project had, the oldest first."""

    project: Annotated[str, "the folder of the project"]
    current: Annotated[int | None, "the generation that the lock file gives"]
    rolled_back: Annotated[int | None, "the generation that programs run in instead, if there is one"]
    generations: Annotated[list[GenerationThen], "one for each change"]


class SideThen(TypedDict):
    """One of two environments that are compared."""

    label: Annotated[str, "what it is, for people"]
    generation: Annotated[int | None, "its number, if it is one"]
    at: Annotated[float | None, "when the project got it, if it is a generation"]
    branch: Annotated[str | None, "that was checked out then"]
    commit: Annotated[str | None, "that was checked out then, or of the ref"]
    wheels: Annotated[int, "how many"]
    size: Annotated[int | None, "bytes of all of them, unpacked; null if that of one is not known"]


class DifferenceThen(TypedDict):
    """What changed from one environment to another."""

    before: Annotated[SideThen, "the one"]
    after: Annotated[SideThen, "the other"]
    changes: Annotated[list[ChangeThen], "by name"]
