r"""The requests of a node daemon, and who may make them. There are no others, and no route of a user's daemon.

    GET    /v1/node/policy                            anybody
    GET    /v1/node/wheels/<64 hex>                   reader    whether the entry is there: by its full digest only
    GET    /v1/node/environments/<id>/import-map      reader
    GET    /v1/node/roots                             reader    the account's own
    POST   /v1/node/ensure                            writer    lines of JSON
    PUT    /v1/node/wheels/<64 hex>?filename=<name>   writer    the body is the wheel
    POST   /v1/node/environments                      writer
    POST   /v1/node/bytecode                          writer
    POST   /v1/node/imports/<id>                      writer    the body is a program's record
    PUT    /v1/node/roots/<id>                        writer
    DELETE /v1/node/roots/<id>                        writer
    GET    /v1/node/entries                           admin
    POST   /v1/node/collect                           admin
    POST   /v1/node/verify                            admin

request -> account -> bucket -> role -> body, of at most 1 MiB -> handler -> answer, or problem+json with a code
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from starlette.datastructures import Headers, QueryParams
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from storectl_daemon.errors import DaemonError
from storectl_daemon.messages import Message, Sent, read_message
from storectl_daemon.node.limits import Buckets
from storectl_daemon.node.messages import (
    BytecodeRequest,
    EnsureRequest,
    EnvironmentRequest,
    RootRequest,
    WheelWanted,
)
from storectl_daemon.node.roles import Account, Role, account_of
from storectl_daemon.node.service import NodeService
from storectl_daemon.serving.api.problems import problem_response, response_of
from storectl_daemon.serving.api.streams import ndjson
from storectl_daemon.serving.bodies import read_body, replay
from storectl_daemon.serving.http_server import CONNECTION
from storectl_store.digest import Digest, EnvironmentId
from storectl_store.errors import ProblemError
from storectl_store.system_errors import refusal_of

logger = logging.getLogger(__name__)

_BASE = "/v1/node/"
_HEX = "([0-9a-f]{64})"
_ID = "([0-9a-f]{32})"
_SIZE = re.compile(r"\d{1,18}")

M = TypeVar("M", bound=Message)


class RequestError(DaemonError):
    """The request cannot be understood, or there is no such one."""

    default_code = "E_REQUEST"
    default_hint = "GET /v1/node/policy tells the version of these requests"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request. ``name`` is what its path names; ``body`` is empty for a route that reads the body itself."""

    account: Account
    name: str
    body: bytes
    scope: Scope
    receive: Receive

    def read(self, kind: type[M]) -> M:
        """The message in the body. Raises RequestError if it is none of this kind."""
        message = read_message(kind, self.body)
        if message is None:
            raise RequestError(f"the body is no {kind.__name__} in JSON")
        return message


Handler = Callable[[Asked], Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Route:
    method: str
    path: re.Pattern[str]
    role: Role | None
    handler: Handler
    streams: bool = False
    """Whether the handler reads the body itself."""


class NodeApplication:
    """The ASGI application of a node daemon."""

    def __init__(self, service: NodeService, buckets: Buckets) -> None:
        self._service = service
        self._buckets = buckets
        self._routes = _routes(service)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        answer: Response
        try:
            answer, receive = await self._answer(scope, receive)
        except ProblemError as error:
            answer = _closing(response_of(error))
        except ClientDisconnect:
            return
        except Exception as error:
            refusal = refusal_of(error, "answer")
            if refusal is None:
                logger.exception("a request of a client failed")
                answer = problem_response(500, code="E_INTERNAL", detail="something went wrong; it is in the log")
            else:
                logger.warning("%s", refusal)
                answer = response_of(refusal)
        await answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[Response, Receive]:
        try:
            account = account_of(scope["state"][CONNECTION])
        except OSError:
            return problem_response(403, code="E_ROLE", detail="the kernel does not say who asks"), receive
        self._buckets.take(account.uid)
        route, name = self._route(scope)
        if route.role is not None:
            self._service.roles.check(account, route.role)
        body = b""
        if not route.streams:
            read = await read_body(receive)
            if isinstance(read, Response):
                return _closing(read), receive
            body, receive = read, replay(read, receive)
        asked = Asked(account=account, name=name, body=body, scope=scope, receive=receive)
        return await route.handler(asked), receive

    def _route(self, scope: Scope) -> tuple[_Route, str]:
        """The route of the request, and what its path names. Raises RequestError if there is none."""
        for route in self._routes:
            match = route.path.fullmatch(scope["path"])
            if match is not None and route.method == scope["method"]:
                return route, match[1] if match.re.groups else ""
        raise RequestError("there is no such request", code="E_NO_ROUTE")


def _routes(service: NodeService) -> tuple[_Route, ...]:
    def route(method: str, path: str, role: Role | None, handler: Handler, *, streams: bool = False) -> _Route:
        return _Route(
            method=method, path=re.compile(re.escape(_BASE) + path), role=role, handler=handler, streams=streams
        )

    handlers = _Handlers(service)
    return (
        route("GET", "policy", None, handlers.policy),
        route("POST", "ensure", "writer", handlers.ensure),
        route("GET", f"wheels/{_HEX}", "reader", handlers.has),
        route("PUT", f"wheels/{_HEX}", "writer", handlers.bring, streams=True),
        route("POST", "environments", "writer", handlers.publish),
        route("GET", f"environments/{_ID}/import-map", "reader", handlers.import_map),
        route("POST", "bytecode", "writer", handlers.compile),
        route("POST", f"imports/{_ID}", "writer", handlers.imports),
        route("GET", "roots", "reader", handlers.roots),
        route("PUT", f"roots/{_ID}", "writer", handlers.put_root),
        route("DELETE", f"roots/{_ID}", "writer", handlers.delete_root),
        route("GET", "entries", "admin", handlers.entries),
        route("POST", "collect", "admin", handlers.collect),
        route("POST", "verify", "admin", handlers.verify),
    )


class _Handlers:
    def __init__(self, service: NodeService) -> None:
        self._service = service

    async def policy(self, asked: Asked) -> Response:
        return _json(self._service.policy_for(asked.account))

    async def ensure(self, asked: Asked) -> Response:
        return ndjson(self._service.ensure(asked.account, asked.read(EnsureRequest)))

    async def has(self, asked: Asked) -> Response:
        return _json(await self._service.entry(Digest(f"sha256:{asked.name}")))

    async def bring(self, asked: Asked) -> Response:
        query = QueryParams(asked.scope["query_string"])
        length = Headers(scope=asked.scope).get("content-length", "")
        value = {
            "filename": query.get("filename", ""),
            "digest": f"sha256:{asked.name}",
            "url": "https://brought.invalid/",
        }
        wheel = _wheel(value, int(length) if _SIZE.fullmatch(length) else None)
        return _closing(_json(await self._service.bring(asked.account, wheel, partial(_chunk, asked.receive))))

    async def publish(self, asked: Asked) -> Response:
        return _json(await self._service.publish(asked.account, asked.read(EnvironmentRequest)))

    async def import_map(self, asked: Asked) -> Response:
        content = await asyncio.to_thread(self._service.environments.import_map, asked.name)
        return Response(content, media_type="application/octet-stream")

    async def compile(self, asked: Asked) -> Response:
        return _json(await self._service.compile(asked.read(BytecodeRequest)))

    async def imports(self, asked: Asked) -> Response:
        return _json(await self._service.note_imports(asked.account, EnvironmentId(asked.name), asked.body))

    async def roots(self, asked: Asked) -> Response:
        return _json(self._service.roots(asked.account))

    async def put_root(self, asked: Asked) -> Response:
        environment = EnvironmentId(asked.name)
        return _json(await self._service.put_root(asked.account, environment, asked.read(RootRequest)))

    async def delete_root(self, asked: Asked) -> Response:
        return _json(await self._service.delete_root(asked.account, EnvironmentId(asked.name)))

    async def entries(self, _asked: Asked) -> Response:
        return _json(await self._service.entries())

    async def collect(self, _asked: Asked) -> Response:
        return _json(await self._service.collector.collect())

    async def verify(self, _asked: Asked) -> Response:
        return _json(await self._service.collector.verify())


async def _chunk(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message.get("body", b""), message.get("more_body", False)


def _wheel(value: dict[str, str], size: int | None) -> WheelWanted:
    """What the head of a request says of a wheel. Raises RequestError if no wheel is like that."""
    wheel = WheelWanted(**value, size=size)
    if read_message(WheelWanted, wheel.json_text().encode()) is None:
        raise RequestError(f"{value['filename'][:80]!r} is no name of a wheel")
    return wheel


def _json(message: Sent) -> Response:
    return Response(message.json_text(), media_type="application/json")


def _closing(answer: Response) -> Response:
    """The answer, after which the connection is closed: what is left of the body is not read."""
    answer.headers["connection"] = "close"
    return answer
