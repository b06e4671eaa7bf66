"""Health, warm and the account of what was made ahead are answered without FastAPI, just as its routes to the same handlers would answer."""

import asyncio
import json
from typing import Any

import pytest
from starlette.types import ASGIApp, Message

from storectl_daemon.models import Health
from storectl_daemon.projects.ahead import Account
from storectl_daemon.serving import app
from storectl_daemon.serving.api.application import create_api
from storectl_store.errors import NoLockFileError


class OneAccount:
    """As much of what was made ahead."""

    async def look(self) -> None:
        pass

    def account(self, _project: object) -> Account:
        return Account(made=2, used=1, saved=2.5, last=None)


class OneService:
    """As much of a service as the answers here need."""

    store = None
    generations = None
    ahead = OneAccount()

    def health(self) -> Health:
        return Health(version="1", pid=2, store="/s", socket="/r", uptime_s=3.5, rss_bytes=4)

    async def job_at(self, start: str, _options: object, *, offline: bool, environ: object) -> None:
        raise NoLockFileError(f"nothing at {start}", hint=f"offline: {offline}")


def ask(application: ASGIApp, method: str, path: str, body: bytes) -> tuple[int, dict[bytes, bytes], list[Any]]:
    """Status, headers and the JSON lines of the answer."""
    asked, sent = [{"type": "http.request", "body": body}], list[Message]()

    async def receive() -> Message:
        if not asked:
            await asyncio.Event().wait()  # the client stays, and sends no more
        return asked.pop()

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {"type": "http", "method": method, "path": path, "root_path": "", "query_string": b""}
    scope["headers"] = [(b"content-type", b"application/json")]
    asyncio.run(application(scope, receive, send))  # type: ignore[arg-type]  # it is a coroutine
    start, *rest = sent
    lines = b"".join(message["body"] for message in rest).splitlines()
    return start["status"], dict(start["headers"]), list(map(json.loads, lines))


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("GET", "/v1/health", b"", '"version": "1"'),
        ("GET", "/v1/ahead", b"", '"saved_s": 2.5'),
        ("POST", "/v1/warm", b'{"start": "/x"}', "nothing at /x"),
        ("POST", "/v1/warm", b'{"start": "/x", "offline": true, "extras": ["a"]}', "offline: True"),
    ],
)
def test_the_answers_without_fastapi_are_those_of_its_routes(
    monkeypatch: pytest.MonkeyPatch, method: str, path: str, body: bytes, expected: str
) -> None:
    service: Any = OneService()
    by_fastapi = ask(create_api(service), method, path, body)
    monkeypatch.setattr(app, "_load_api", lambda _service: pytest.fail("FastAPI was loaded"))
    early = ask(app.Application(service), method, path, body)
    assert early == by_fastapi
    assert expected in json.dumps(early[2])
