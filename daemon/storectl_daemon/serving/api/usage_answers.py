"""The answer to how large a store is, made of what was counted. A command that counts without a daemon uses it, too."""

from collections.abc import Iterable

from storectl_daemon.collecting.shares import EntryShare, Share, Users, entry_shares
from storectl_daemon.serving.api.usage_models import AnyBy, EntryShareInfo, PartSize, ShareInfo, Size, UsageEvent
from storectl_store.collecting.accounts import left_over
from storectl_store.collecting.usage import Usage
from storectl_store.digest import prefix_of
from storectl_store.disk.disk_size import DiskSize


def usage_event(store: str, usage: Usage, by: AnyBy, *, exact: bool) -> UsageEvent:
    """The whole store, without shares."""
    return UsageEvent(
        store=store,
        by=by,
        exact=exact,
        total=size_info(usage.total),
        parts=tuple(PartSize(name=part, inodes=s.inodes, bytes=s.bytes) for part, s in usage.parts.items()),
        left_over=size_info(left_over(usage.measured)),
        beside=size_info(usage.beside),
    )


def with_entries(answer: UsageEvent, usage: Usage, users: Users) -> UsageEvent:
    """The same with every entry. ``users`` are the projects of each environment."""
    found = entry_shares(usage, users)
    projects = sorted({project for entry in found for project in entry.projects})
    places = {project: place for place, project in enumerate(projects)}
    infos = tuple(_entry(entry, (places[project] for project in entry.projects)) for entry in found)
    return answer.model_copy(update={"entries": infos, "projects": tuple(projects)})


def _entry(entry: EntryShare, projects: Iterable[int]) -> EntryShareInfo:
    return EntryShareInfo(
        name=entry.name,
        version=entry.version,
        prefix=prefix_of(entry.digest),
        inodes=entry.size.inodes,
        bytes=entry.size.bytes,
        bytecode=entry.bytecode.bytes,
        environments=entry.environments,
        projects=tuple(projects),
        last_used=entry.last_used,
    )


def share_info(share: Share, linked: Size | None = None) -> ShareInfo:
    """One share, as the API has it."""
    account = share.account
    return ShareInfo(
        name=share.name,
        versions=share.versions,
        projects=share.projects,
        environments=account.environments,
        entries=account.entries,
        own=size_info(account.own),
        shared=size_info(account.shared),
        full=size_info(account.full),
        share=size_info(account.share),
        last_used=account.last_used,
        linked=linked,
    )


def size_info(size: DiskSize) -> Size:
    """A size, as the API has it."""
    return Size(inodes=size.inodes, bytes=size.bytes)
