"""What `storectl store du --json` prints: see ``documents``."""

from typing import Annotated, Literal, TypedDict


class Size(TypedDict):
    """What something takes up on disk."""

    inodes: Annotated[int, "files, folders and links"]
    bytes: Annotated[int, "of their blocks"]


class Part(Size):
    """One part of the store."""

    name: Annotated[str, "`wheels`, `bytecode`, `manifests`, `environments`, `links`, `packs`, `trash`, …"]


class Share(TypedDict):
    """What one project, package, age or environment has."""

    name: Annotated[str, "a folder, a package, an age, an id, a user or a group; empty for what none of them has"]
    versions: Annotated[list[str], "of a package"]
    projects: Annotated[list[str], "folders of the projects that have the environment, or the package"]
    environments: Annotated[int, "how many it has"]
    entries: Annotated[int, "how many they show"]
    own: Annotated[Size, "what would go with it; by age: if all that is older had gone already"]
    shared: Annotated[Size, "what others have, too"]
    full: Annotated[Size, "both"]
    share: Annotated[Size, "its part, if each piece is divided among those that have it"]
    last_used: Annotated[float | None, "seconds since the epoch; null if no environment shows it"]
    linked: Annotated[Size | None, "a project's linked environments, which are outside of the store"]


class EntryShare(Size):
    """What one entry takes up."""

    name: Annotated[str, "of its project, normalised"]
    version: Annotated[str, "of its project"]
    prefix: Annotated[str, "its address: the first 32 digits of the digest"]
    bytecode: Annotated[int, "bytes of it that are bytecode"]
    environments: Annotated[int, "how many show it"]
    projects: Annotated[list[int], "places in the document's `projects`, from 0"]
    last_used: Annotated[float | None, "seconds since the epoch; null if no environment shows it"]


class Usage(TypedDict):
    """What the store takes up on disk."""

    store: Annotated[str, "its folder"]
    by: Annotated[
        Literal["project", "package", "age", "environment", "entry", "user", "group"], "what the shares are of"
    ]
    exact: Annotated[bool, "whether every file was asked for its size"]
    total: Annotated[Size, "the whole store"]
    parts: Annotated[list[Part], "they add up to the total"]
    left_over: Annotated[Size, "links, packs and notes of what is gone: any collect takes them"]
    beside: Annotated[Size, "what the store has beside entries and environments; with all shares it is the total"]
    shares: Annotated[list[Share], "the largest first; by age the latest first; empty with `--by entry`"]
    entries: Annotated[list[EntryShare], "with `--by entry`, the largest first"]
    projects: Annotated[list[str], "with `--by entry`: folders"]
