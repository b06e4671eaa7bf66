"""The builder's request to a worker, on its standard input, and the worker's answer, in a file of its own folder.

The request is never a file, because addresses in it may hold logins.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from storectl_daemon.building.recipe import PLAIN, Recipe
from storectl_store.entries.provenance import BuildKind

ANSWER_NAME = "answer.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """A file to unpack; its digest was checked."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A commit to check out. ``mirror`` is the folder that keeps what was fetched of the repository."""

    url: str = field(repr=False)
    commit: str
    mirror: str
    lfs: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A folder to build in place."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """One wheel to build.

    ``work`` is an empty folder of the worker's own; the wheel is put into ``work/out``. ``python`` is the interpreter
    that the wheel is for. ``label`` is its name in messages. ``pip`` are pip's variables, which name the indexes for
    build requirements. ``secrets`` are texts that must be in no log and in no message.
    """

    kind: BuildKind
    label: str
    work: str
    python: str
    source: Archive | Repository | Folder
    subdirectory: str | None = None
    recipe: Recipe = PLAIN
    pip: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def encode(self) -> bytes:
        """The bytes that a worker reads; ``read_request`` is the inverse."""
        value = {name: getattr(self, name) for name in ("kind", "label", "work", "python", "subdirectory", "secrets")}
        source = [type(self.source).__name__, asdict(self.source)]
        return json.dumps({**value, "source": source, "recipe": self.recipe.encode(), "pip": dict(self.pip)}).encode()


_SOURCES: Mapping[str, type[Archive | Repository | Folder]] = {
    "Archive": Archive,
    "Repository": Repository,
    "Folder": Folder,
}


def read_request(content: bytes) -> BuildRequest:
    """The request from the bytes of ``encode``."""
    value: dict[str, Any] = json.loads(content)
    kind, source = value["source"]
    recipe = Recipe.decode(value["recipe"])
    return BuildRequest(
        **{**value, "secrets": tuple(value["secrets"]), "recipe": recipe, "source": _SOURCES[kind](**source)}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildResult:
    """The file name of a wheel, and how it was made. ``looked_up`` names the variables that the build looked up."""

    wheel: str
    backend: str
    build_requires: tuple[str, ...]
    installed: tuple[str, ...]
    looked_up: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildFailure:
    """Why there is no wheel: a code, a sentence and a hint."""

    code: str
    message: str
    hint: str | None = None


def write_answer(answer: BuildResult | BuildFailure, work: Path) -> None:
    """Write the answer into the work folder, in one step."""
    stage = work / f"{ANSWER_NAME}.new"
    stage.write_text(json.dumps(asdict(answer)))
    stage.rename(work / ANSWER_NAME)


def read_answer(work: Path) -> BuildResult | BuildFailure | None:
    """The answer; None if the worker left none."""
    try:
        value: dict[str, Any] = json.loads((work / ANSWER_NAME).read_text())
    except (OSError, ValueError):
        return None
    if "code" in value:
        return BuildFailure(**value)
    lists = {name: tuple(value[name]) for name in ("build_requires", "installed", "looked_up")}
    return BuildResult(**{**value, **lists})
