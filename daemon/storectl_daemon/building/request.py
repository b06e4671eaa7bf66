"""What the builder asks of a worker, and what that answers: two JSON files in a folder of their own."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from storectl_store.entries.provenance import BuildKind

REQUEST_NAME = "request.json"
ANSWER_NAME = "answer.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A commit to check out; ``mirror`` is the folder that keeps what was fetched of the repository."""

    url: str
    commit: str
    mirror: str
    lfs: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """One wheel to build. Exactly one of ``archive``, ``repository`` and ``folder`` says where the source is.

    ``work`` is an empty folder of the worker's own; the wheel is put into ``work/out``. ``python`` is the interpreter
    that it is for. ``label`` is what to call it in messages.
    """

    kind: BuildKind
    label: str
    work: str
    python: str
    archive: str | None = None
    repository: Repository | None = None
    folder: str | None = None
    subdirectory: str | None = None

    def write(self) -> Path:
        """Put the request into the work folder; its path."""
        path = Path(self.work) / REQUEST_NAME
        path.write_text(json.dumps(asdict(self)))
        return path


def read_request(path: Path) -> BuildRequest:
    """The request that ``write`` wrote."""
    value: dict[str, Any] = json.loads(path.read_text())
    repository = value.pop("repository")
    return BuildRequest(**value, repository=Repository(**repository) if repository else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildAnswer:
    """What came of it: a wheel's file name and how it was made, or a code, a sentence and a hint why there is none."""

    wheel: str | None = None
    backend: str = ""
    build_requires: tuple[str, ...] = ()
    installed: tuple[str, ...] = ()
    code: str | None = None
    message: str = ""
    hint: str | None = None

    def write(self, work: Path) -> None:
        """Put the answer into the work folder, in one step."""
        stage = work / f"{ANSWER_NAME}.new"
        stage.write_text(json.dumps(asdict(self)))
        stage.rename(work / ANSWER_NAME)


def read_answer(work: Path) -> BuildAnswer | None:
    """The answer; None where the worker left none."""
    try:
        value: dict[str, Any] = json.loads((work / ANSWER_NAME).read_text())
    except (OSError, ValueError):
        return None
    lists = {name: tuple(value[name]) for name in ("build_requires", "installed")}
    return BuildAnswer(**{**value, **lists})
