"""The short way: what commands of ours send is answered without FastAPI, just as FastAPI would; all else is left to it."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from storectl_daemon.models import Health
from storectl_daemon.serving.api.application import create_api
from storectl_daemon.serving.short_way import ShortWay
from storectl_store.errors import NoLockFileError

JSON = {"content-type": "application/json"}


class OneService:
    """As much of a service as the answers here need."""

    store = None

    def health(self) -> Health:
        return Health(version="1", pid=2, store="/s", socket="/r", uptime_s=3.5, rss_bytes=4)

    async def job_at(self, start: str, _options: object, *, offline: bool, environ: object) -> None:
        raise NoLockFileError(f"nothing at {start}", hint=f"offline: {offline}")


class Otherwise:
    """An application that notes what it is asked, body included, and answers 418."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, bytes]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked.append((scope["method"], scope["path"], (await receive())["body"]))
        await send({"type": "http.response.start", "status": 418, "headers": []})
        await send({"type": "http.response.body", "body": b""})


def ask(
    application: ASGIApp, method: str, path: str, body: bytes, headers: Mapping[str, str]
) -> tuple[int, dict[bytes, bytes], bytes]:
    """Status, headers and body of the answer."""
    asked, sent = [False], list[Message]()

    async def receive() -> Message:
        if asked[0]:
            await asyncio.Event().wait()  # the client stays, and says no more
        asked[0] = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {"type": "http", "method": method, "path": path, "root_path": "", "query_string": b""}
    scope["headers"] = [(name.encode(), value.encode()) for name, value in headers.items()]
    asyncio.run(application(scope, receive, send))  # type: ignore[arg-type]  # it is a coroutine
    start, *rest = sent
    return start["status"], dict(start["headers"]), b"".join(message["body"] for message in rest)


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("GET", "/v1/health", b"", b'"version":"1"'),
        ("POST", "/v1/warm", b'{"start": "/x"}', b"nothing at /x"),
        ("POST", "/v1/warm", b'{"start": "/x", "offline": true, "extras": ["a"]}', b"offline: True"),
    ],
)
def test_it_answers_as_fastapi_does(method: str, path: str, body: bytes, expected: bytes) -> None:
    service: Any = OneService()
    otherwise = Otherwise()
    headers = JSON if body else {}
    short = ask(ShortWay(service, otherwise=otherwise), method, path, body, headers)
    assert not otherwise.asked
    assert expected in short[2]
    status, named, content = ask(create_api(service), method, path, body, headers)
    assert (status, named) == short[:2]
    assert list(map(json.loads, content.splitlines())) == list(map(json.loads, short[2].splitlines()))


@pytest.mark.parametrize(
    ("method", "path", "body", "headers"),
    [
        ("GET", "/v1/projects", b"", {}),
        ("PUT", "/v1/health", b"", {}),
        ("GET", "/v1/warm", b"", {}),
        ("GET", "/v2/health", b"", {}),
        ("POST", "/v1/warm", b"", JSON),
        ("POST", "/v1/warm", b"[]", JSON),
        ("POST", "/v1/warm", b'{"start": "relative"}', JSON),
        ("POST", "/v1/warm", b'{"start": "/x", "unknown": 1}', JSON),
        ("POST", "/v1/warm", b'{"start": "/x"}', {"content-type": "text/plain"}),
        ("POST", "/v1/warm", b'{"start": "/x"}', {}),
    ],
)
def test_all_else_goes_on_with_its_body(method: str, path: str, body: bytes, headers: dict[str, str]) -> None:
    service: Any = OneService()
    otherwise = Otherwise()
    assert ask(ShortWay(service, otherwise=otherwise), method, path, body, headers)[0] == 418
    assert otherwise.asked == [(method, path, body)]
