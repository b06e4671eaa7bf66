"""Which commits are made ready after a fetch: a pure choice from what git says of its refs.

    what the current branch follows, and what FETCH_HEAD has to be merged    first, if they are not too old
    what other local branches follow, the remote's HEAD, and whatever else
    the fetch brought (a pull request is in FETCH_HEAD and nowhere else)     then, the newest first
    every other branch of a remote                                           only if all are wanted

A commit that is checked out already is left out, and so is one that is older than two weeks. What a branch follows that
is checked out in another worktree is made ready there: nobody can check it out here.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from storectl_daemon.prefetching.settings import Branches
from storectl_store.errors import printable

MOST_REFS = 8
OLDEST_SECONDS = 14 * 24 * 3600

REF_FIELDS = ("objectname", "refname", "upstream", "symref", "HEAD", "worktreepath")
REF_PREFIXES = ("refs/heads", "refs/remotes")

_FETCHED = re.compile(r"([0-9a-f]{40}(?:[0-9a-f]{24})?)\t(not-for-merge)?\t(.*)")
_BRANCH = re.compile(r"branch '(.+?)'(?: of .*)?")
_REF_NAME = re.compile(r"'(.+?)'(?: of .*)?")
_MOST_FETCHED = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ref:
    """A ref as ``for-each-ref`` tells it. ``upstream`` and ``leads_to`` are names of refs, empty if there is none.

    ``current``: it is checked out here. ``elsewhere``: it is checked out in another worktree.
    """

    commit: str
    name: str
    upstream: str = ""
    leads_to: str = ""
    current: bool = False
    elsewhere: bool = False

    @property
    def is_local(self) -> bool:
        """Whether this is a branch of the repository itself."""
        return self.name.startswith("refs/heads/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A commit that may be made ready. ``first``: it comes before all that are only new. ``name`` is for people."""

    commit: str
    name: str
    first: bool = False


def refs_of(lines: Iterable[Sequence[str]]) -> list[Ref]:
    """The refs in these lines, each with the values of ``REF_FIELDS``."""
    return [
        Ref(
            commit=commit,
            name=name,
            upstream=upstream,
            leads_to=leads_to,
            current=head == "*",
            elsewhere=bool(worktree) and head != "*",
        )
        for commit, name, upstream, leads_to, head, worktree in (line for line in lines if len(line) == len(REF_FIELDS))
    ]


def fetched_of(text: str) -> list[Candidate]:
    """What FETCH_HEAD says was fetched; lines that cannot be read are left out."""
    found = []
    for line in text.splitlines()[:_MOST_FETCHED]:
        match = _FETCHED.fullmatch(line)
        if match is not None:
            found.append(Candidate(commit=match[1], name=_fetched_name(match[3]), first=match[2] is None))
    return found


def _fetched_name(words: str) -> str:
    """The name in ``branch 'x' of URL`` or ``'refs/pull/7/head' of URL``; never the address: it may hold a login."""
    match = _BRANCH.fullmatch(words) or _REF_NAME.fullmatch(words)
    return printable(match[1]) if match is not None else "FETCH_HEAD"


def candidates(refs: Sequence[Ref], fetched: Sequence[Candidate], wanted: Branches) -> list[Candidate]:
    """Every commit that may be made ready, each once, those that come first at the beginning."""
    if wanted == "none":
        return []
    by_name = {ref.name: ref for ref in refs}
    checked_out = {ref.commit for ref in refs if ref.current}
    elsewhere = {by_name[ref.upstream].commit for ref in refs if ref.elsewhere and ref.upstream in by_name}
    found: dict[str, Candidate] = {}
    listed = [*_followed(refs, by_name), *fetched, *(_others(refs) if wanted == "all" else ())]
    for each in sorted(listed, key=lambda candidate: not candidate.first):
        if each.commit not in checked_out and (each.first or each.commit not in elsewhere):
            found.setdefault(each.commit, each)
    return list(found.values())


def _followed(refs: Sequence[Ref], by_name: Mapping[str, Ref]) -> Iterator[Candidate]:
    """What local branches follow, and where the HEAD of each remote leads."""
    for ref in refs:
        name = ref.upstream if ref.is_local else ref.leads_to
        if name in by_name:
            yield Candidate(commit=by_name[name].commit, name=_short(name), first=ref.current)


def _others(refs: Sequence[Ref]) -> Iterator[Candidate]:
    return (Candidate(commit=ref.commit, name=_short(ref.name)) for ref in refs if not ref.is_local)


def _short(name: str) -> str:
    return printable(name.removeprefix("refs/heads/").removeprefix("refs/remotes/"))


def in_order(found: Sequence[Candidate], newest: Sequence[str]) -> list[Candidate]:
    """The candidates to look at, in order. ``newest`` are the commits that are new enough, the newest first."""
    known = {each.commit: each for each in found}
    dated = [known[commit] for commit in newest if commit in known]
    return sorted(dated, key=lambda candidate: not candidate.first)
