"""Shares: what is whose in a store, by project, package, age or environment, or entry by entry. Pure.

In a store of many users, by user, Unix group or project, as their roots say.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

from storectl_store.collecting.accounts import (
    Account,
    by_age,
    by_group,
    by_package,
    freed,
    reached,
    unnamed_entries,
)
from storectl_store.collecting.keepers import Group
from storectl_store.collecting.node_accounts import node_accounts
from storectl_store.collecting.node_roots import NodeRoot
from storectl_store.collecting.usage import Usage
from storectl_store.digest import Digest, EnvironmentId
from storectl_store.disk.disk_size import NOTHING, DiskSize

By = Literal["project", "package", "age", "environment"]
KINDS: tuple[By, ...] = get_args(By)

NodeBy = Literal["user", "group", "project"]
NODE_KINDS: tuple[NodeBy, ...] = get_args(NodeBy)

Users = Mapping[EnvironmentId, frozenset[str]]
"""The folders of the projects that have each environment."""

NOBODY = ""
"""The name of the share of what no project has; by age, of what no environment shows."""

_DAY = 86400.0
_AGES = {"1 day": _DAY, "7 days": 7 * _DAY, "30 days": 30 * _DAY, "90 days": 90 * _DAY, "older": float("inf")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one thing has. ``name`` is a project's folder, a package, an age or an environment id; see ``NOBODY``.

    ``versions`` are those of a package, ``projects`` those that have an environment or a package.
    """

    name: str
    account: Account
    versions: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryShare:
    """One entry. ``last_used`` is in seconds of the system clock, None if no environment shows the entry."""

    digest: Digest
    name: str
    version: str
    size: DiskSize
    bytecode: DiskSize
    environments: int
    projects: tuple[str, ...]
    last_used: float | None


def shares(usage: Usage, by: By, users: Users, *, now: float) -> list[Share]:
    """The shares of all of these, the largest first; by age the latest first."""
    made = {"project": _by_project, "package": _by_package, "environment": _by_environment}
    if by == "age":
        return list(_by_age(usage, now))
    return sorted(made[by](usage, users), key=lambda share: (-share.account.own.bytes, -share.account.full.bytes))


def node_shares(usage: Usage, roots: Iterable[NodeRoot], whose: Callable[[NodeRoot], str]) -> list[Share]:
    """The shares of all that ``whose`` says of these roots, and of nobody, the largest first."""
    found = node_accounts(usage.inventory, usage.measured, roots, whose)
    named = [Share(name=name, account=account) for name, account in found.accounts.items()]
    gone = found.nobodys
    if gone != NOTHING:
        account = Account(environments=0, entries=0, own=gone, full=gone, share=gone, last_used=None)
        named.append(Share(name=NOBODY, account=account))
    return sorted(named, key=lambda share: (-share.account.own.bytes, -share.account.full.bytes))


def entry_shares(usage: Usage, users: Users) -> list[EntryShare]:
    """Every entry, the largest first."""
    naming = usage.inventory.back_references()
    known = usage.inventory.environments
    found = [
        EntryShare(
            digest=digest,
            name=entry.name,
            version=entry.version,
            size=entry.size,
            bytecode=entry.bytecode,
            environments=len(naming.get(digest, ())),
            projects=_projects(naming.get(digest, ()), users),
            last_used=max((known[each].last_used for each in naming.get(digest, ())), default=None),
        )
        for digest, entry in usage.measured.entries.items()
    ]
    return sorted(found, key=lambda entry: (-entry.size.bytes, entry.name, entry.version))


def _by_project(usage: Usage, users: Users) -> Iterator[Share]:
    environments: defaultdict[str, set[EnvironmentId]] = defaultdict(set)
    for environment in usage.inventory.environments:
        for project in users.get(environment) or {NOBODY}:
            environments[project].add(environment)
    groups = {project: Group(environments=frozenset(found)) for project, found in environments.items()}
    unnamed = unnamed_entries(usage.inventory)
    if unnamed or NOBODY in groups:
        groups[NOBODY] = replace(groups.get(NOBODY, Group()), entries=unnamed)
    for project, account in by_group(usage.inventory, usage.measured, groups).items():
        yield Share(name=project, account=account)


def _by_environment(usage: Usage, users: Users) -> Iterator[Share]:
    groups = {each: Group(environments=frozenset({each})) for each in usage.inventory.environments}
    for environment, account in by_group(usage.inventory, usage.measured, groups).items():
        yield Share(name=environment, account=account, projects=_projects([environment], users))


def _by_package(usage: Usage, users: Users) -> Iterator[Share]:
    naming = usage.inventory.back_references()
    versions: defaultdict[str, set[str]] = defaultdict(set)
    environments: defaultdict[str, set[EnvironmentId]] = defaultdict(set)
    for digest, entry in usage.measured.entries.items():
        versions[entry.name].add(entry.version)
        environments[entry.name].update(naming.get(digest, ()))
    for name, account in by_package(usage.inventory, usage.measured).items():
        yield Share(
            name=name,
            account=account,
            versions=tuple(sorted(versions[name])),
            projects=_projects(environments[name], users),
        )


def _by_age(usage: Usage, now: float) -> Iterator[Share]:
    accounts = by_age(usage.inventory, usage.measured, now=now, ages=list(_AGES.values()))
    for name, (_, account) in zip(_AGES, accounts, strict=True):
        if account.environments:
            yield Share(name=name, account=account)
    if unnamed := unnamed_entries(usage.inventory):
        gone = freed(usage.measured, (), unnamed)
        full = reached(usage.measured, (), unnamed)
        account = Account(environments=0, entries=len(unnamed), own=gone, full=full, share=gone, last_used=None)
        yield Share(name=NOBODY, account=account)


def _projects(environments: Iterable[EnvironmentId], users: Users) -> tuple[str, ...]:
    return tuple(sorted(frozenset().union(*(users.get(each, frozenset()) for each in environments))))
