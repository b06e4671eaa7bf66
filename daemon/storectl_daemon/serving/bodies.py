"""The body of a request: at most 1 MiB, which must arrive within two seconds."""

import asyncio

from starlette.responses import Response
from starlette.types import Message, Receive

from storectl_daemon.serving.api.problems import problem_response

BODY_BYTES = 1 << 20
BODY_SECONDS = 2.0


async def read_body(receive: Receive) -> bytes | Response:
    """The whole body, or the answer that refuses it. A client that leaves ends the body."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while len(body) <= BODY_BYTES:
                message = await receive()
                body += message.get("body", b"")
                if not message.get("more_body", False):
                    break
    except TimeoutError:
        return problem_response(408, code="E_REQUEST", detail="the body did not arrive in time")
    if len(body) > BODY_BYTES:
        return problem_response(413, code="E_REQUEST", detail=f"the body is larger than {BODY_BYTES} bytes")
    return bytes(body)


def replay(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that returns the whole body once, and then what the original one returns."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return messages.pop() if messages else await receive()

    return replayed
