"""What `storectl store collect`, `store why` and `env pins` print with `--json`: see ``documents``."""

from typing import Annotated, Literal, TypedDict


class GoingEntry(TypedDict):
    """An entry that goes."""

    name: Annotated[str, "of its project, normalised"]
    version: Annotated[str, "of its project"]
    prefix: Annotated[str, "its address: the first 32 digits of the digest"]
    bytes: Annotated[int, "of its blocks"]


class GoingGroup(TypedDict):
    """Environments of one branch of a project that go, with the entries that go because of them."""

    project: Annotated[str | None, "its folder; null for environments of no known project, and for entries of none"]
    branch: Annotated[str | None, "the branch that they were of"]
    environments: Annotated[list[str], "their ids; none for entries that no environment names"]
    entries: Annotated[list[GoingEntry], "the largest first"]
    last_used: Annotated[float | None, "seconds since the epoch; null without environments"]
    bytes: Annotated[int, "of the blocks of all of it"]
    inodes: Annotated[int, "files, folders and links of all of it"]


class Stayed(TypedDict):
    """Something that was to go, and stayed."""

    what: Annotated[str, "a project with its version, or an environment"]
    why: Annotated[str, "for people"]


class Collect(TypedDict):
    """What went, or with `--dry-run` would go."""

    dry_run: Annotated[bool, "whether nothing was taken away"]
    environments: Annotated[int, "how many"]
    entries: Annotated[int, "how many"]
    bytes: Annotated[int, "that became free"]
    inodes: Annotated[int, "that became free"]
    leases: Annotated[int, "how many of the others programs use"]
    roots: Annotated[int, "what keeps the others besides"]
    groups: Annotated[list[GoingGroup], "what was to go"]
    stayed: Annotated[list[Stayed], "what of that did not"]
    notes: Annotated[list[str], "what a person should know"]
    enough: Annotated[bool, "whether the store is as small as `--max-size` asks for"]


class Reason(TypedDict):
    """One thing that keeps something."""

    kind: Annotated[
        Literal["current", "front", "generation", "prefetch", "pin", "hold", "lease", "young"],
        "`front`: a linked environment; `hold`: a command that is under way; `lease`: a program that runs",
    ]
    project: Annotated[str | None, "the folder of the project"]
    detail: Annotated[str, "for people"]
    environment: Annotated[str | None, "the id of the environment by which it is kept"]
    until: Annotated[float | None, "seconds since the epoch; null if no time ends it"]


class Why(TypedDict):
    """An entry or an environment, and all that keeps it."""

    what: Annotated[Literal["entry", "environment"], "which of them"]
    name: Annotated[str, "of the entry's project, normalised; the id of an environment"]
    version: Annotated[str, "of the entry's project; empty for an environment"]
    prefix: Annotated[str, "the address of an entry, or the id of an environment"]
    project: Annotated[str | None, "the folder of the project that has or had the environment"]
    branch: Annotated[str | None, "the branch that it had it for"]
    reasons: Annotated[list[Reason], "none if nothing keeps it"]
    note: Annotated[str, "what keeps it besides; may be empty"]


class Pin(TypedDict):
    """An environment that is kept for good."""

    name: Annotated[str, "as `storectl env pin` was given it"]
    environment: Annotated[str, "its id"]
    project: Annotated[str, "the folder of the project that had it then"]
    at: Annotated[float, "seconds since the epoch"]
    there: Annotated[bool, "whether the environment exists"]
