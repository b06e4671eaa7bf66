"""What a collect tells, as the API has it. A command that collects without a daemon uses it, too."""

from storectl_daemon.collecting.report import Collected, Planned, PlannedGroup, Progress, Told
from storectl_daemon.serving.api.collecting_models import (
    CollectedEvent,
    GoingEntry,
    GoingGroup,
    PlannedEvent,
    StayedThing,
    SweepingEvent,
)
from storectl_store.digest import prefix_of


def event_of(told: Told) -> PlannedEvent | SweepingEvent | CollectedEvent:
    """The event that tells it."""
    match told:
        case Planned():
            return PlannedEvent(
                groups=tuple(map(_group, told.groups)),
                environments=told.environments,
                entries=told.entries,
                bytes=told.size.bytes,
                inodes=told.size.inodes,
                leases=told.leases,
                roots=told.roots,
                notes=told.notes,
            )
        case Progress():
            return SweepingEvent(what=told.what, done=told.done, total=told.total)
        case Collected():
            return CollectedEvent(
                environments=told.environments,
                entries=told.entries,
                bytes=told.size.bytes,
                inodes=told.size.inodes,
                stayed=tuple(StayedThing(what=each.what, why=each.why) for each in told.stayed),
                enough=told.enough,
            )


def _group(group: PlannedGroup) -> GoingGroup:
    return GoingGroup(
        project=str(group.project) if group.project else None,
        branch=group.branch,
        environments=group.environments,
        entries=tuple(
            GoingEntry(name=each.name, version=each.version, prefix=prefix_of(each.digest), bytes=each.size.bytes)
            for each in group.entries
        ),
        last_used=group.last_used,
        bytes=group.size.bytes,
        inodes=group.size.inodes,
    )
