"""``/v1/events``: everything that happens to projects, as server-sent events."""

import json
from collections.abc import AsyncIterator

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from storectl_daemon.jobs.events import Event
from storectl_daemon.models import WarningEvent
from storectl_daemon.service import Service

_TYPE = "text/event-stream"


def routes(service: Service) -> APIRouter:
    """The routes, bound to one daemon."""
    router = APIRouter(tags=["events"])

    @router.get(
        "/events",
        response_class=StreamingResponse,
        responses={200: {"description": "Events", "content": {_TYPE: {"schema": {"type": "string"}}}}},
    )
    async def events() -> StreamingResponse:
        """Every progress, ready and failed event, with ``project``; as long as the client listens."""
        return StreamingResponse(_events(service), media_type=_TYPE, headers={"Cache-Control": "no-store"})

    return router


async def _events(service: Service) -> AsyncIterator[bytes]:
    with service.bus.subscribe(lambda event: not isinstance(event.message, WarningEvent)) as events:
        # A comment: the client sees at once that its request has arrived.
        yield b": storectl\n\n"
        async for event in events:
            yield _encode(event)


def _encode(event: Event) -> bytes:
    value = {"project": str(event.job.project), **event.message.json_value()}
    return f"event: {event.message.event}\ndata: {json.dumps(value)}\n\n".encode()
