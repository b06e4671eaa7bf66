"""What programs use at this moment, as roots: who has the file of an environment open, and what processes name.

Where leases cannot be relied on (``leases_work``), nobody can tell whether a program runs in an environment. Then each
counts as used; if a person says so, only for as long as it was used lately, and as processes name it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from storectl_store.collecting.belt import Process, Seen, look_through_processes
from storectl_store.collecting.guards import Guards
from storectl_store.collecting.inventory import Inventory
from storectl_store.collecting.leases import is_used, leases_work, note_use, try_write_lease
from storectl_store.collecting.roots import Root
from storectl_store.digest import EnvironmentId, prefix_of
from storectl_store.disk.durability import disk_errors, store_error
from storectl_store.entries.layout import StoreLayout

UNUSED_S = 30 * 24 * 3600.0
"""Where leases do not work: how long, in seconds, an environment must not have been used before it may go."""

_MOST_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What may be believed. ``leases`` work; or a person wants to do ``without`` them."""

    leases: bool = True
    without: bool = False


def leases_can_be_relied_on(layout: StoreLayout) -> bool:
    """Whether leases work for this store: tried on a file of our own, or, if there is no room for one, on VERSION."""
    try:
        return leases_work(layout.tmp)
    except OSError:
        with disk_errors(f"try a lease in {layout.root}"), open(layout.version_file, "rb"):
            refused = try_write_lease(layout.version_file) is None
        with disk_errors(f"try a lease in {layout.root}"):
            leased = try_write_lease(layout.version_file)
        if leased is not None:
            leased.close()
        return refused and leased is not None


def roots_in_use(layout: StoreLayout, inventory: Inventory, trust: Trust, *, now: float) -> list[Root]:
    """A root for each environment and each entry that may be in use. It takes a while: it reads ``/proc``.

    That an environment is in use is noted in it: a program that runs for weeks is seen to have used it until its end.
    Raises StoreError if nothing can be known of processes.
    """
    try:
        seen = look_through_processes(layout.root)
    except OSError as error:
        raise store_error(error, "look at the processes that may use the store") from error
    roots = list(roots_of_use(inventory, trust, seen, partial(_is_open, layout), now=now))
    for root in roots if trust.leases else ():
        if root.environment is not None:
            note_use(layout.leased(root.environment))
    return roots


def guards_of(trust: Trust) -> Guards:
    """What the sweep asks before something goes. Without leases there is only what processes name."""
    return Guards() if trust.leases else Guards(lease=_no_lease, is_used=lambda _: not trust.without)


def processes_text(processes: Sequence[Process], now: float) -> str:
    """The processes, for a person: ``process 4711 (jupyter, 12 days)``."""
    shown = [f"process {each.pid} ({each.name}, {age_text(now - each.started)})" for each in processes[:_MOST_SHOWN]]
    more = len(processes) - _MOST_SHOWN
    return ", ".join([*shown, *([f"{more} more"] if more > 0 else [])])


def age_text(seconds: float) -> str:
    """Seconds for a person: ``12 days``."""
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def roots_of_use(
    inventory: Inventory, trust: Trust, seen: Seen, is_open: Callable[[EnvironmentId], bool], *, now: float
) -> Iterator[Root]:
    """The roots, by what processes name and by whether anybody has the file of an environment open."""
    for environment in inventory.environments.values():
        processes = seen.environments.get(environment.id, ())
        if processes:
            yield Root(kind="lease", environment=environment.id, detail=processes_text(processes, now))
        elif not trust.leases:
            until = environment.last_used + UNUSED_S if trust.without else None
            detail = "leases do not work here: nobody can tell whether a program runs in it"
            yield Root(kind="lease", environment=environment.id, detail=detail, until=until)
        elif is_open(environment.id):
            yield Root(kind="lease", environment=environment.id, detail="a program has it open")
    by_prefix = {address.rpartition("/")[2]: processes for address, processes in seen.entries.items()}
    for digest in inventory.entries:
        if processes := by_prefix.get(prefix_of(digest), ()):
            yield Root(kind="lease", digest=digest, detail=processes_text(processes, now))


def _is_open(layout: StoreLayout, environment: EnvironmentId) -> bool:
    try:
        return is_used(layout.leased(environment))
    except OSError:
        return True


class _NoLease:
    """What stands for a lease where there are none: nothing is known, and nobody waits."""

    def held(self) -> bool:
        return True

    def close(self) -> None:
        """There is nothing to let go of."""


def _no_lease(_file: Path) -> _NoLease:
    return _NoLease()
