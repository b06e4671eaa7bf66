"""Count a store by its files alone: one that no daemon serves, or another account's. Nothing is written."""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from storectl_daemon.collecting.gathering import Keep
from storectl_daemon.collecting.shares import By, Share, Users, node_shares, shares
from storectl_daemon.collecting.users import users_of
from storectl_daemon.projects.book import ProjectBook
from storectl_daemon.projects.fronts import Fronts
from storectl_daemon.serving.api.usage_answers import share_info, usage_event, with_entries
from storectl_daemon.serving.api.usage_models import AnyBy, UsageEvent
from storectl_store.collecting.node_roots import NodeRoot, is_expired, read_roots
from storectl_store.collecting.usage import Usage, read_usage
from storectl_store.disk.durability import disk_errors
from storectl_store.entries.layout import StoreLayout
from storectl_store.entries.read_only import ReadOnlyStore
from storectl_store.errors import StoreError

Whose = Callable[[NodeRoot], str]


def count(root: Path, by: AnyBy, *, exact: bool) -> UsageEvent:
    """What the store takes up, and the shares in it: of users, if it has roots of users, else as the own store's.

    Raises StoreError if it cannot be read, or nobody has a root in it and users are asked for.
    """
    store, now = ReadOnlyStore.open(root), time.time()
    with disk_errors(f"count what is in the store {root}"):
        usage = read_usage(store, exact=exact)
        found = read_roots(store.layout).roots
    roots = [each for each in found if not is_expired(each, now)]
    answer = usage_event(str(store.layout.root), usage, by, exact=exact)
    if by == "entry":
        return with_entries(answer, usage, _projects(roots) if roots else _users(store.layout, now))
    whose = _WHOSE.get(by)
    if whose is not None and roots:
        named = node_shares(usage, roots, whose)
    else:
        named = _own_shares(store.layout, usage, by, now)
    return answer.model_copy(update={"shares": tuple(map(share_info, named))})


def user_name(uid: int) -> str:
    """The name of this account; its number if nobody knows it."""
    with suppress(KeyError, ImportError):
        import pwd  # noqa: PLC0415 - there is none on some systems

        return pwd.getpwuid(uid).pw_name
    return str(uid)


def group_name(uid: int) -> str:
    """The name of this account's first group, or its number; ``uid <number>`` if nobody knows the account.

    A user is counted in one group only, so that groups add up.
    """
    with suppress(KeyError, ImportError):
        import grp  # noqa: PLC0415 - as above
        import pwd  # noqa: PLC0415 - as above

        gid = pwd.getpwuid(uid).pw_gid
        with suppress(KeyError):
            return grp.getgrgid(gid).gr_name
        return str(gid)
    return f"uid {uid}"


_WHOSE: Mapping[AnyBy, Whose] = {
    "user": lambda root: user_name(root.uid),
    "group": lambda root: group_name(root.uid),
    "project": lambda root: root.project,
}


def _own_shares(layout: StoreLayout, usage: Usage, by: AnyBy, now: float) -> list[Share]:
    kinds: Mapping[AnyBy, By] = {"project": "project", "package": "package", "age": "age", "environment": "environment"}
    if by not in kinds:
        raise StoreError(
            f"nobody has a root in {layout.root}, so nothing can be counted by {by}",
            hint="storectl store du --by project counts by the projects that are recorded in it",
            path=str(layout.root),
        )
    return shares(usage, kinds[by], _users(layout, now), now=now)


def _projects(roots: list[NodeRoot]) -> Users:
    """The projects of each environment, by the roots of users."""
    found: dict[str, set[str]] = {}
    for root in roots:
        found.setdefault(root.environment, set()).add(root.project)
    return {root.environment: frozenset(found[root.environment]) for root in roots}


def _users(layout: StoreLayout, now: float) -> Users:
    """The projects of each environment, by what is recorded."""
    book = ProjectBook(layout.projects_file) if os.path.exists(layout.projects_file) else ()
    return users_of(layout, book, Fronts(layout), Keep(), now=now)
