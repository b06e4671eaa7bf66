"""Pressure: whose roots go if a store of many users has to become smaller. Pure: roots, limits and sizes go in.

What nobody keeps goes first. If that is not enough, the user who is most over the limit gives way: the root that was
renewed longest ago goes, and it is counted again. A user within the limit loses nothing.
"""

from collections.abc import Mapping, Sequence
from operator import attrgetter

from storectl_store.collecting.inventory import Inventory
from storectl_store.collecting.keepers import kept
from storectl_store.collecting.measuring import Measured
from storectl_store.collecting.node_accounts import groups_of
from storectl_store.collecting.node_roots import NodeRoot
from storectl_store.disk.disk_size import DiskSize


def giving_way(
    inventory: Inventory,
    measured: Measured,
    roots: Sequence[NodeRoot],
    *,
    limits: Mapping[int, DiskSize],
    wanted: int,
) -> list[NodeRoot]:
    """The roots to remove, in order, so that a collect frees the ``wanted`` bytes, if that can be done.

    ``limits`` are those of ``own``, by uid; a user who is not in it has none. The whole store is counted again for each
    root that goes.
    """
    left, gone = list(roots), list[NodeRoot]()
    while True:
        found = kept(inventory, measured, groups_of(left, attrgetter("uid")))
        if found.nobodys().bytes >= wanted:
            return gone
        over = {uid: _excess(own, limits[uid]) for uid, own in found.own().items() if uid in limits}
        uid = max(over, key=lambda each: (over[each], -each), default=None)
        if uid is None or over[uid] <= 1:
            return gone
        oldest = min((root for root in left if root.uid == uid), key=lambda root: (root.seen, root.environment))
        left.remove(oldest)
        gone.append(oldest)


def _excess(own: DiskSize, limit: DiskSize) -> float:
    """By how much a user is over the limit: above 1, in bytes or in inodes. A limit of 0 is none for its unit."""
    return max(own.bytes / limit.bytes if limit.bytes else 0.0, own.inodes / limit.inodes if limit.inodes else 0.0)
