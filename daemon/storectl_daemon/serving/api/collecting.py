"""``/v1/collect`` takes away what nothing keeps, ``/v1/why`` tells what keeps something."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from storectl_daemon.collecting.collector import Collector, CollectOrder
from storectl_daemon.collecting.collects import Took, read_collects
from storectl_daemon.collecting.explain import Explained, explained
from storectl_daemon.collecting.settings import CollectSettings
from storectl_daemon.errors import UnknownEntryError
from storectl_daemon.models import FailedEvent
from storectl_daemon.service import Service
from storectl_daemon.serving.api.collecting_answers import event_of
from storectl_daemon.serving.api.collecting_models import (
    CollectedEvent,
    CollectEvent,
    CollectRequest,
    CollectState,
    PlannedEvent,
    SweepingEvent,
    Taken,
    Why,
    WhyReason,
)
from storectl_daemon.serving.api.entry_models import WorkingEvent
from storectl_daemon.serving.api.streams import alive, lines_of, ndjson
from storectl_daemon.warming.warm import problem_of
from storectl_store.errors import ProblemError

PATIENCE_S = 30.0
"""How long, in seconds and in all, a collect that a person waits for pauses for what is being made."""


def routes(service: Service) -> APIRouter:
    """The routes, bound to one daemon."""
    router = APIRouter(tags=["collecting"])

    @router.post(
        "/collect",
        response_class=StreamingResponse,
        responses=lines_of(PlannedEvent, SweepingEvent, WorkingEvent, CollectedEvent, FailedEvent),
    )
    async def collect(request: CollectRequest | None = None) -> StreamingResponse:
        """Take away what nothing keeps; the last line is ``collected`` or ``failed``.

        It goes on if the client goes away.
        """
        return ndjson(alive(_collect(service, request or CollectRequest()), WorkingEvent))

    @router.get("/collect")
    async def collects() -> CollectState:
        """Collecting by itself: whether it is on, and what was taken last."""
        settings = await asyncio.to_thread(CollectSettings.read, service.own_environ)
        known = await asyncio.to_thread(read_collects, service.store.layout)
        return CollectState(
            automatic=settings.automatic,
            leases=await (await service.collector()).leases_work(),
            reported=_taken(known.reported),
            last=_taken(known.last),
        )

    @router.get("/why/{name}")
    async def why(name: str) -> list[Why]:
        """What keeps the entries of this project, or the entry or environment with these first digits."""
        found = await _explained(service, await service.collector(), name)
        if not found:
            raise UnknownEntryError(
                f"nothing in the store is called {name[:64]}", hint="`storectl store list` shows what is there"
            )
        return [_why(each) for each in found]

    return router


async def _collect(service: Service, request: CollectRequest) -> AsyncIterator[CollectEvent]:
    try:
        order = await asyncio.to_thread(_order, service, request)
        async for told in (await service.collector()).collect(order):
            yield event_of(told)
    except ProblemError as error:
        yield FailedEvent(problem=problem_of(error))


def _order(service: Service, request: CollectRequest) -> CollectOrder:
    """The order of this request. Raises SettingsError if the settings cannot be used."""
    settings = CollectSettings.read(service.own_environ if request.environ is None else request.environ)
    return CollectOrder(
        settings=settings.asked(
            keep_days=request.keep_days, keep_generations=request.keep_generations, max_size=request.max_size
        ),
        dry_run=request.dry_run,
        project=Path(os.path.realpath(request.project)) if request.project else None,
        without_leases=request.without_leases,
        patience=PATIENCE_S,
    )


async def _explained(service: Service, collector: Collector, name: str) -> list[Explained]:
    settings = await asyncio.to_thread(CollectSettings.read, service.own_environ)
    survey = await collector.survey()
    marked = survey.marked(settings.keep, grace=settings.grace)
    entries = await asyncio.to_thread(service.store.summaries)
    return explained(survey, marked, entries, name)


def _why(each: Explained) -> Why:
    return Why(
        what="entry" if each.version else "environment",
        name=each.name,
        version=each.version,
        prefix=each.prefix,
        project=str(each.belonging.project) if each.belonging.project else None,
        branch=each.belonging.branch,
        reasons=tuple(
            WhyReason(
                kind=reason.kind,
                project=str(reason.project) if reason.project else None,
                detail=reason.detail,
                environment=reason.environment,
                until=reason.until,
            )
            for reason in each.reasons
        ),
        note=each.note,
    )


def _taken(took: Took | None) -> Taken | None:
    if took is None:
        return None
    return Taken(at=took.at, environments=took.environments, entries=took.entries, bytes=took.bytes, inodes=took.inodes)
