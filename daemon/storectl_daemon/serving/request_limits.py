"""What a request may be: a body of at most 1 MiB, here within two seconds, and JSON that every part can handle."""

import asyncio
import json
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from storectl_daemon.serving.api.problems import problem_response

BODY_BYTES = 1 << 20
BODY_SECONDS = 2.0
_DEPTH = 32


class RequestLimits:
    """ASGI middleware: reads the body, refuses a request that breaks a limit, and hands on the rest unchanged."""

    def __init__(self, application: ASGIApp, *, body_seconds: float = BODY_SECONDS) -> None:
        self._application = application
        self._body_seconds = body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        try:
            async with asyncio.timeout(self._body_seconds):
                body = await _read_body(receive)
        except TimeoutError:
            await problem_response(408, code="E_REQUEST", detail="the body did not arrive in time")(
                scope, receive, send
            )
            return
        if body is None:
            detail = f"the body is larger than {BODY_BYTES} bytes"
            await problem_response(413, code="E_REQUEST", detail=detail)(scope, receive, send)
            return
        trouble = trouble_with(body) if body else None
        if trouble is not None:
            await problem_response(422, code="E_REQUEST", detail=trouble)(scope, receive, send)
            return
        await self._application(scope, replay(body, receive), send)


async def _read_body(receive: Receive) -> bytes | None:
    """The whole body; None if it is too large."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return bytes(body)
        body += message.get("body", b"")
        if len(body) > BODY_BYTES:
            return None
        if not message.get("more_body", False):
            return bytes(body)


def replay(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that returns the whole body once, and then what the original one returns."""
    told = False

    async def replayed() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


def trouble_with(body: bytes) -> str | None:
    """Why this is not JSON that a client of ours would send; None if it is."""
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeError:
        return "the body is not UTF-8, or holds a lone surrogate"
    except RecursionError:
        return "the body is nested too deeply"
    except ValueError as error:
        return f"the body is not JSON: {str(error)[:200]}"
    return f"the body is nested deeper than {_DEPTH}" if _depth(value) > _DEPTH else None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _depth(value: Any) -> int:
    """How deep the containers are nested; counts no further than the limit needs."""
    level, depth = [value], 0
    while level and depth <= _DEPTH:
        inner = [child for item in level for child in _children(item)]
        level, depth = inner, depth + 1
    return depth - 1 if depth <= _DEPTH else depth


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
