"""Answers that go on for a while: one JSON object a line, each sent as soon as it exists."""

from collections.abc import AsyncIterator

from pydantic import BaseModel
from starlette.responses import StreamingResponse

NDJSON = "application/x-ndjson"


def ndjson(events: AsyncIterator[BaseModel]) -> StreamingResponse:
    """An answer with each event as a line."""
    return StreamingResponse(_lines(events), media_type=NDJSON)


async def _lines(events: AsyncIterator[BaseModel]) -> AsyncIterator[bytes]:
    async for event in events:
        yield event.model_dump_json().encode() + b"\n"


def lines_of(*models: type[BaseModel]) -> dict[int | str, dict[str, object]]:
    """For the OpenAPI document: a stream whose lines are these models."""
    names = " | ".join(model.__name__ for model in models)
    return {200: {"description": f"Lines of {names}", "content": {NDJSON: {"schema": {"type": "string"}}}}}
