"""One build that is wanted: its source, its interpreter, its variables, and the keys by which it is known."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from packaging.utils import NormalizedName

from storectl_daemon.building.pip_variables import NOWHERE, LockedPlaces
from storectl_daemon.building.recipe import PLAIN, Recipe
from storectl_daemon.building.variables import build_environ, may_count
from storectl_daemon.entries.pipeline import Fetch
from storectl_store.entries.provenance import BuildKind, build_key
from storectl_store.projects.local_inputs import local_inputs
from storectl_store.selection.origins import without_login
from storectl_store.selection.pin import GitCommit, LocalProject, SourceArchive, SourcePin
from storectl_store.selection.target import Interpreter

if TYPE_CHECKING:
    from storectl_daemon.indexes.configuration import IndexSettings


class Access(Fetch, Protocol):
    """The network, for the command that wants a build."""

    async def settings(self) -> "IndexSettings":
        """The indexes of the project, and how they are reached."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Building:
    """How a command wants a build to be done: its network, its variables, and the recipe.

    With ``offline`` nothing is built. ``places`` are the places that the project's lock file names for packages.
    """

    access: Access
    environ: Mapping[str, str] = field(repr=False)
    offline: bool
    recipe: Recipe = PLAIN
    places: LockedPlaces = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One build. ``source`` names the source for people, ``of_source`` names it in the key, without an address.

    ``environ`` are the variables that the build sees. For a local project, ``folder`` is its folder, ``contents`` a
    digest of the folder's contents as they were, and ``named`` are the variables that its cache keys name.
    """

    kind: BuildKind
    name: NormalizedName
    version: str | None
    source: str
    of_source: str
    interpreter: Interpreter
    how: Building
    environ: Mapping[str, str] = field(repr=False)
    archive: SourceArchive | None = None
    commit: GitCommit | None = None
    folder: str | None = None
    contents: str | None = None
    named: frozenset[str] = frozenset()
    subdirectory: str | None = None

    @property
    def label(self) -> str:
        """The name of the build in messages."""
        return f"{self.name} {self.version}" if self.version else self.name

    @property
    def key(self) -> str:
        """The key of source, interpreter and recipe, without variables: which of those count is not known yet."""
        return build_key(
            kind=self.kind,
            source=self.of_source,
            subdirectory=self.subdirectory,
            interpreter=self.interpreter.identity,
            recipe=self.how.recipe.digest,
        )

    @property
    def flight(self) -> str:
        """The key, with all variables that might count. A caller with the same ones joins the build under way."""
        values = [f"{name}\0{value}" for name, value in sorted(self.environ.items()) if may_count(name)]
        counting = "\0".join(values).encode("utf-8", "surrogateescape")
        return f"{self.key}.{hashlib.sha256(counting).hexdigest()}"


def wheel_order(pin: SourcePin, interpreter: Interpreter, how: Building) -> Order:
    """The order for a pin that is locked as a source."""
    archive = pin.source if isinstance(pin.source, SourceArchive) else None
    commit = pin.source if isinstance(pin.source, GitCommit) else None
    assert archive is not None or commit is not None, "a source is an archive or a commit"
    source = f"git+{without_login(commit.url)}@{commit.commit}" if commit else archive.digest if archive else ""
    return Order(
        kind="wheel",
        name=pin.name,
        version=pin.version,
        source=source,
        of_source=f"git {commit.commit} lfs={commit.lfs}" if commit else source,
        interpreter=interpreter,
        how=how,
        environ=build_environ(how.environ),
        archive=archive,
        commit=commit,
        subdirectory=pin.subdirectory,
    )


def editable_order(local: LocalProject, interpreter: Interpreter, how: Building) -> Order:
    """The order for a local project, as its folder is now. Reads the folder."""
    inputs = local_inputs(Path(local.path))
    contents = inputs.contents()
    source = f"{local.path} {contents}"
    return Order(
        kind="editable",
        name=local.name,
        version=None,
        source=source,
        of_source=source,
        interpreter=interpreter,
        how=how,
        environ=build_environ(how.environ),
        folder=local.path,
        contents=contents,
        named=frozenset(inputs.variables),
    )
