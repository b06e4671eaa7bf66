"""What a request may be: its body has at most 1 MiB, and arrives within two seconds."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from storectl_daemon.serving.api.problems import problem_response

BODY_BYTES = 1 << 20
BODY_SECONDS = 2.0


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
