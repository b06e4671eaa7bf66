"""Answers that go on for a while: one JSON object a line, each sent as soon as it exists."""

import asyncio
from collections.abc import AsyncIterator, Callable

from starlette.responses import StreamingResponse

from storectl_daemon.messages import Sent

NDJSON = "application/x-ndjson"

WORKING_SECONDS = 5.0
"""The longest time, in seconds, without a line for the client."""


def ndjson(events: AsyncIterator[Sent]) -> StreamingResponse:
    """An answer with each event as a line."""
    return StreamingResponse(_lines(events), media_type=NDJSON)


async def _lines(events: AsyncIterator[Sent]) -> AsyncIterator[bytes]:
    async for event in events:
        yield event.json_text().encode() + b"\n"


async def alive(events: AsyncIterator[Sent], working: Callable[[], Sent]) -> AsyncIterator[Sent]:
    """The events, with a ``working`` event whenever nothing came for ``WORKING_SECONDS``."""
    step = asyncio.ensure_future(anext(events, None))
    try:
        while True:
            await asyncio.wait({step}, timeout=WORKING_SECONDS)
            if not step.done():
                yield working()
                continue
            event = step.result()
            if event is None:
                return
            yield event
            step = asyncio.ensure_future(anext(events, None))
    finally:
        step.cancel()


def lines_of(*models: type[Sent]) -> dict[int | str, dict[str, object]]:
    """For the OpenAPI document: a stream whose lines are these models."""
    names = " | ".join(model.__name__ for model in models)
    return {200: {"description": f"Lines of {names}", "content": {NDJSON: {"schema": {"type": "string"}}}}}
