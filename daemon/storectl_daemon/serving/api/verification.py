"""``/v1/verify``: everything below the store is looked at, and mended if asked."""

from collections.abc import AsyncIterator, Iterator

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from storectl_daemon.repair.examined import Order
from storectl_daemon.repair.repairer import Outcome
from storectl_daemon.service import Service
from storectl_daemon.serving.api.entry_models import (
    CheckedEvent,
    FindingEvent,
    LeftEvent,
    MendedEvent,
    VerifyDone,
    VerifyEvent,
    VerifyRequest,
    WorkingEvent,
)
from storectl_daemon.serving.api.streams import alive, lines_of, ndjson
from storectl_daemon.warming.warm import problem_of


def routes(service: Service) -> APIRouter:
    """The routes, bound to one daemon."""
    router = APIRouter(tags=["entries"])

    @router.post(
        "/verify",
        response_class=StreamingResponse,
        responses=lines_of(CheckedEvent, FindingEvent, MendedEvent, LeftEvent, WorkingEvent, VerifyDone),
    )
    async def verify(request: VerifyRequest | None = None) -> StreamingResponse:
        """Compare everything below the store with what it was made from; the last line is ``done``.

        With ``repair`` what differs is made again, and what was found is set aside.
        """
        asked = request or VerifyRequest()
        order = Order(repair=asked.repair, offline=asked.offline, environ=asked.environ or {})
        return ndjson(alive(_verification(service, order), WorkingEvent))

    return router


async def _verification(service: Service, order: Order) -> AsyncIterator[VerifyEvent]:
    repairer = await service.repairer()
    entries = findings = mended = left = 0
    async for outcome in repairer.run(order):
        entries += outcome.examined.kind == "entry"
        findings += len(outcome.examined.found)
        mended += outcome.how is not None
        left += outcome.problem is not None
        for event in _events(outcome):
            yield event
    yield VerifyDone(entries=entries, findings=findings, mended=mended, left=left)


def _events(outcome: Outcome) -> Iterator[VerifyEvent]:
    examined = outcome.examined
    kind, name, prefix = examined.kind, examined.name, examined.prefix
    for found in examined.found:
        yield FindingEvent(
            kind=kind, name=name, version=examined.version, prefix=prefix, path=found.path, what=found.message
        )
    if outcome.how is not None:
        yield MendedEvent(kind=kind, name=name, prefix=prefix, how=outcome.how)
    if outcome.problem is not None:
        yield LeftEvent(kind=kind, name=name, prefix=prefix, problem=problem_of(outcome.problem))
    yield CheckedEvent(kind=kind, name=name, prefix=prefix)
