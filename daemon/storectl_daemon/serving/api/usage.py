"""``/v1/usage``: what the store takes up on disk, and whose it is."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from storectl_daemon.collecting.pace import Pace
from storectl_daemon.collecting.settings import CollectSettings
from storectl_daemon.collecting.shares import shares
from storectl_daemon.collecting.users import users_of
from storectl_daemon.projects.fronts import Fronts
from storectl_daemon.service import Service
from storectl_daemon.serving.api.entry_models import WorkingEvent
from storectl_daemon.serving.api.streams import alive, lines_of, ndjson
from storectl_daemon.serving.api.usage_answers import share_info, size_info, usage_event, with_entries
from storectl_daemon.serving.api.usage_models import (
    By,
    Size,
    UsageAnswer,
    UsageEvent,
    UsageFailedEvent,
)
from storectl_daemon.warming.warm import problem_of
from storectl_store.collecting.measuring import size_below
from storectl_store.collecting.usage import read_usage
from storectl_store.disk.disk_size import sum_of
from storectl_store.disk.durability import disk_errors
from storectl_store.errors import ProblemError


def routes(service: Service) -> APIRouter:
    """The routes, bound to one daemon."""
    router = APIRouter(tags=["entries"])
    one_at_a_time = asyncio.Lock()

    @router.get(
        "/usage",
        response_class=StreamingResponse,
        responses=lines_of(WorkingEvent, UsageEvent, UsageFailedEvent),
    )
    async def usage(by: By = "project", *, exact: bool = False) -> StreamingResponse:
        """What the store takes up, and the shares in it; the last line is ``usage`` or ``failed``.

        With ``exact`` every inode is asked for its size.
        """
        return ndjson(alive(_counted(lambda: _count(service, by, exact=exact), one_at_a_time), WorkingEvent))

    return router


async def _counted(count: Callable[[], UsageEvent], one_at_a_time: asyncio.Lock) -> AsyncIterator[UsageAnswer]:
    """The count, made in a thread, when those before it are done."""
    try:
        async with one_at_a_time:
            counted = await asyncio.to_thread(count)
    except ProblemError as error:
        yield UsageFailedEvent(problem=problem_of(error))
    else:
        yield counted


def _count(service: Service, by: By, *, exact: bool) -> UsageEvent:
    store, pace = service.store, Pace()
    with disk_errors(f"count what is in the store {store.layout.root}"):
        usage = read_usage(store, exact=exact, pace=pace)
        keep = CollectSettings.read(service.own_environ).keep
        users = users_of(store.layout, service.book, service.fronts, keep, now=time.time())
    answer = usage_event(str(store.layout.root), usage, by, exact=exact)
    if by == "entry":
        return with_entries(answer, usage, users)
    found = shares(usage, by, users, now=time.time())
    linked = {share.name: _linked(service.fronts, share.name, pace) for share in found} if by == "project" else {}
    return answer.model_copy(update={"shares": tuple(share_info(share, linked.get(share.name)) for share in found)})


def _linked(fronts: Fronts, project: str, pace: Pace) -> Size | None:
    """What the fronts in a project's folder take up; None if there are none, or they cannot be looked at."""
    with suppress(OSError):
        found = fronts.of(Path(project)) if project else ()
        if found:
            return size_info(sum_of(size_below(front.path, pace=pace) for front in found))
    return None
