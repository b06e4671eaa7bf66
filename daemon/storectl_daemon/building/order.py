"""One build that is wanted: its source, its interpreter, its variables, and the keys by which it is known."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import assert_never

from packaging.utils import NormalizedName

from storectl_daemon.building.pip_variables import NOWHERE, LockedPlaces
from storectl_daemon.building.recipe import PLAIN, Recipe
from storectl_daemon.building.variables import build_environ, may_count
from storectl_daemon.indexes.access import Access
from storectl_store.collecting.holds import Hold
from storectl_store.entries.provenance import BuildKind, build_key
from storectl_store.projects.local_inputs import local_inputs
from storectl_store.selection.origins import without_login
from storectl_store.selection.pin import GitCommit, LocalProject, SourceArchive, SourcePin
from storectl_store.selection.target import Interpreter


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildContext:
    """How a command wants a build to be done: its network, its variables, and the recipe.

    With ``offline`` nothing is built. ``places`` are the places that the project's lock file names for packages.
    ``hold`` keeps the entry of what is built, as long as the command needs it.
    """

    access: Access
    environ: Mapping[str, str] = field(repr=False)
    offline: bool
    hold: Hold = field(compare=False, repr=False)
    recipe: Recipe = PLAIN
    places: LockedPlaces = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectFolder:
    """The folder of a local project. ``contents`` is a digest of its contents as they were.

    ``variables`` are those that its cache keys name.
    """

    path: str
    contents: str
    variables: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One build. ``environ`` are the variables that it sees."""

    name: NormalizedName
    version: str | None
    source: SourceArchive | GitCommit | ProjectFolder
    interpreter: Interpreter
    how: BuildContext
    environ: Mapping[str, str] = field(repr=False)
    subdirectory: str | None = None

    @property
    def kind(self) -> BuildKind:
        """A local project becomes an editable wheel."""
        return "editable" if isinstance(self.source, ProjectFolder) else "wheel"

    @property
    def label(self) -> str:
        """The name of the build in messages."""
        return f"{self.name} {self.version}" if self.version else self.name

    @property
    def shown_source(self) -> str:
        """The source, for people."""
        match self.source:
            case SourceArchive(digest=digest):
                return digest
            case GitCommit(url=url, commit=commit):
                return f"git+{without_login(url)}@{commit}"
            case ProjectFolder(path=path, contents=contents):
                return f"{path} {contents}"
        assert_never(self.source)

    @property
    def key(self) -> str:
        """The key of source, interpreter and recipe, without variables: which of those count is not known yet.

        A commit counts without its address.
        """
        git = self.source if isinstance(self.source, GitCommit) else None
        return build_key(
            kind=self.kind,
            source=f"git {git.commit} lfs={git.lfs}" if git else self.shown_source,
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


def wheel_order(pin: SourcePin, interpreter: Interpreter, how: BuildContext) -> Order:
    """The order for a pin that is locked as a source."""
    return Order(
        name=pin.name,
        version=pin.version,
        source=pin.source,
        interpreter=interpreter,
        how=how,
        environ=build_environ(how.environ),
        subdirectory=pin.subdirectory,
    )


def editable_order(local: LocalProject, interpreter: Interpreter, how: BuildContext) -> Order:
    """The order for a local project, as its folder is now. Reads the folder."""
    inputs = local_inputs(Path(local.path))
    return Order(
        name=local.name,
        version=None,
        source=ProjectFolder(path=local.path, contents=inputs.contents(), variables=frozenset(inputs.variables)),
        interpreter=interpreter,
        how=how,
        environ=build_environ(how.environ),
    )
