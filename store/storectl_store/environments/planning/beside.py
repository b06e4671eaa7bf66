"""The plan of an environment that differs from a planned one only in where local projects are: one in another worktree.

The editable wheel of a project has the folder of the project in it, so each worktree needs an environment of its own.
Its plan is that of the other one, with these things in other places: the entries of the local projects, the contents of
``direct_url.json``, and the path of the environment, which scripts name. Nothing is planned again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from packaging.utils import NormalizedName

from storectl_store.digest import Digest, EnvironmentId
from storectl_store.entries.flat_source import FLAT_SOURCE
from storectl_store.entries.layout import StoreLayout
from storectl_store.environments.environment_record import RECORD_NAME, EnvironmentRecord, encode_record
from storectl_store.environments.identity import environment_id
from storectl_store.environments.outlines.outline import Outline
from storectl_store.environments.planning.plan import EnvironmentPlan, TopLevelName
from storectl_store.environments.planning.tree import Link, SameFile, SmallFile, StoreScript
from storectl_store.errors import StoreError
from storectl_store.selection.target import Interpreter
from storectl_store.wheel.checked import Part

_MOST_LOCAL = 64

OutlinesOf = Callable[[Sequence[Digest]], Sequence[Outline]]
"""Gives the outlines of entries. Raises StoreError if one is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPlan:
    """A plan and what it was made from. ``direct_urls`` are the contents of ``direct_url.json``, by project."""

    plan: EnvironmentPlan
    digests: frozenset[Digest]
    direct_urls: Mapping[NormalizedName, str]

    def beside(
        self,
        digests: Sequence[Digest],
        interpreter: Interpreter,
        direct_urls: Mapping[NormalizedName, str],
        *,
        outlines_of: OutlinesOf,
        layout: StoreLayout,
    ) -> EnvironmentPlan | None:
        """The plan of this environment, the same as ``plan_environment`` makes.

        None if it is not so near to this one, or if a wheel by which the two differ is gone: nothing keeps what another
        environment showed.
        """
        came, went = set(digests) - self.digests, self.digests - set(digests)
        if interpreter != self.plan.interpreter or not 0 < len(came) == len(went) <= _MOST_LOCAL:
            return None
        try:
            before, after = (sorted(outlines_of([*some]), key=lambda each: each.name) for some in (went, came))
        except StoreError:
            return None
        moved = [_Moved(before=old, after=new) for old, new in zip(before, after, strict=True)]
        local = {each.after.name for each in moved}
        if not all(each.is_likewise for each in moved) or not self._differs_in(local, direct_urls):
            return None
        if any(each.label in warning for each in moved for warning in self.plan.warnings):
            return None
        identity = environment_id(digests, interpreter, direct_urls)
        return _MovedPlan(self.plan, moved, identity, direct_urls, layout).plan(digests)

    def _differs_in(self, local: set[NormalizedName], direct_urls: Mapping[NormalizedName, str]) -> bool:
        """Whether these projects are local ones in both environments, and nothing else is from another place."""
        others = [
            {name: url for name, url in urls.items() if name not in local} for urls in (self.direct_urls, direct_urls)
        ]
        return others[0] == others[1] and all(
            _is_folder(urls.get(name)) for urls in (self.direct_urls, direct_urls) for name in local
        )


def _is_folder(direct_url: str | None) -> bool:
    return direct_url is not None and '"dir_info"' in direct_url


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moved:
    """The wheel of a local project in the other environment, and in this one."""

    before: Outline
    after: Outline

    @property
    def label(self) -> str:
        """What warnings call it."""
        return f"{self.after.name} {self.after.version}"

    @property
    def is_likewise(self) -> bool:
        """Whether both have the same files, and differ at most in contents: paths of the folder, and sums of those.

        No other wheel has a file of such contents, so the two meet the same conflicts.
        """
        before, after = self.before, self.after
        same = replace(before, digest=after.digest, files=after.files, source_size=after.source_size) == after
        others = all(before.files[part] == after.files[part] for part in Part if part is not Part.SITE_PACKAGES)
        here, there = before.files[Part.SITE_PACKAGES], after.files[Part.SITE_PACKAGES]
        return same and others and list(here) == list(there) and f"{after.dist_info}/{FLAT_SOURCE}" not in there


class _MovedPlan:
    """Makes the parts of the one plan from those of the other."""

    def __init__(
        self,
        known: EnvironmentPlan,
        moved: Sequence[_Moved],
        identity: EnvironmentId,
        direct_urls: Mapping[NormalizedName, str],
        layout: StoreLayout,
    ) -> None:
        self._known = known
        self._id = identity
        self._path = layout.environment(identity)
        self._direct_urls = direct_urls
        self._digests = {each.before.digest: each.after.digest for each in moved}
        self._folders = {
            f"{layout.entry(each.before.name, each.before.digest)}/": (
                f"{layout.entry(each.after.name, each.after.digest)}/",
                each.after.files[Part.SITE_PACKAGES],
            )
            for each in moved
        }
        self._said = {
            f"{known.site_packages}/{each.after.dist_info}/direct_url.json": direct_urls[each.after.name].encode()
            for each in moved
        }

    def plan(self, digests: Sequence[Digest]) -> EnvironmentPlan:
        known = self._known
        record = EnvironmentRecord.of(self._id, known.interpreter, tuple(digests), self._direct_urls, known.warnings)
        self._said[RECORD_NAME] = encode_record(record)
        return replace(
            known,
            id=self._id,
            path=self._path,
            links=tuple(self._link(link) for link in known.links),
            same_files=tuple(self._same_file(file) for file in known.same_files),
            files=tuple(self._small_file(file) for file in known.files),
            scripts=tuple(self._script(script) for script in known.scripts),
            names={name: self._name(seen) for name, seen in known.names.items()},
        )

    def _in_store(self, path: str) -> tuple[str, str] | None:
        """The place of a moved entry's file, and its sum if it has one; None for a file of another entry."""
        for before, (after, sums) in self._folders.items():
            if path.startswith(before):
                inside = path[len(before) :]
                part, _, file = inside.partition("/")
                return after + inside, sums.get(file, "") if part == Part.SITE_PACKAGES else ""
        return None

    def _link(self, link: Link) -> Link:
        place = self._in_store(link.target)
        return link if place is None else replace(link, target=place[0])

    def _same_file(self, file: SameFile) -> SameFile:
        place = self._in_store(file.target)
        return file if place is None else replace(file, target=place[0], sha256=place[1] or file.sha256)

    def _script(self, script: StoreScript) -> StoreScript:
        place = self._in_store(script.source)
        return script if place is None else replace(script, source=place[0])

    def _small_file(self, file: SmallFile) -> SmallFile:
        content = self._said.get(file.path)
        if content is None:
            content = file.content.replace(bytes(self._known.path), bytes(self._path))
        return file if content == file.content else replace(file, content=content)

    def _name(self, name: TopLevelName) -> TopLevelName:
        if not any(owner in self._digests for owner in name.owners):
            return name
        return replace(name, owners=tuple(sorted(self._digests.get(owner, owner) for owner in name.owners)))
