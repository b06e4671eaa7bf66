"""Accounts of a store of many users: what each user, Unix group or project keeps alive. Pure: roots and sizes go in.

Three numbers each, in inodes and bytes. ``own`` is exactly what collecting would free if its roots were gone, ``full``
is all that they reach, ``share`` divides each piece by the number of those who keep it: the shares add up to the store.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from storectl_store.collecting.accounts import Account, last_used_of
from storectl_store.collecting.inventory import Inventory
from storectl_store.collecting.keepers import Group, kept
from storectl_store.collecting.measuring import Measured
from storectl_store.collecting.node_roots import NodeRoot
from storectl_store.digest import Digest, EnvironmentId
from storectl_store.disk.disk_size import DiskSize

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeAccounts(Generic[Key]):
    """The account of each that has a root. ``nobodys`` is what no root reaches, and goes with the next collect."""

    accounts: Mapping[Key, Account]
    nobodys: DiskSize


def node_accounts(
    inventory: Inventory, measured: Measured, roots: Iterable[NodeRoot], whose: Callable[[NodeRoot], Key]
) -> NodeAccounts[Key]:
    """The accounts of all that ``whose`` says of these roots, which are those that have not expired.

    For users it is the uid, for a project the root's own name of it, for Unix groups what the caller knows of the uid.
    """
    groups = groups_of(roots, whose)
    found = kept(inventory, measured, groups)
    own, full, share = found.own(), found.full(), found.share()
    accounts = {
        key: Account(
            environments=len(group.environments & measured.environments.keys()),
            entries=len(_entries_of(inventory, measured, group)),
            own=own[key],
            full=full[key],
            share=share[key],
            last_used=last_used_of(inventory, group.environments),
        )
        for key, group in groups.items()
    }
    return NodeAccounts(accounts=accounts, nobodys=found.nobodys())


def groups_of(roots: Iterable[NodeRoot], whose: Callable[[NodeRoot], Key]) -> dict[Key, Group]:
    """What the roots of each keep alive: their environments, in this store or not, and the entries that they name."""
    environments: defaultdict[Key, set[EnvironmentId]] = defaultdict(set)
    entries: defaultdict[Key, set[Digest]] = defaultdict(set)
    for root in roots:
        key = whose(root)
        environments[key].add(root.environment)
        entries[key] |= root.digests
    return {
        key: Group(environments=frozenset(found), entries=frozenset(entries[key]))
        for key, found in environments.items()
    }


def _entries_of(inventory: Inventory, measured: Measured, group: Group) -> frozenset[Digest]:
    known = (inventory.environments.get(each) for each in group.environments)
    named = (each.digests or frozenset() for each in known if each is not None)
    return group.entries.union(*named) & measured.entries.keys()
