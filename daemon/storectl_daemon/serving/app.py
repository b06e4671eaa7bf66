"""The application: map requests, health and warm are answered without FastAPI, everything else by FastAPI.

request -> import map?                 -> the published file    the shim waits for this, within its 20 ms
        -> limits -> health? warm?     -> short_way.py          every command that makes an environment asks these
                  -> api/application   -> FastAPI -> api/*.py   loaded by the first request that needs it
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from storectl_daemon.environments import Environments
from storectl_daemon.models import API_VERSION
from storectl_daemon.process.loading import Loaded
from storectl_daemon.process.memory import for_good
from storectl_daemon.service import Service
from storectl_daemon.serving.api.problems import problem_response, response_of
from storectl_daemon.serving.request_limits import RequestLimits
from storectl_daemon.serving.short_way import ShortWay
from storectl_store.errors import ProblemError
from storectl_store.system_errors import refusal_of

logger = logging.getLogger(__name__)

_MAP_START = f"/v{API_VERSION}/environments/"
_MAP_END = "/import-map"


def create_application(service: Service, *, on_request: Callable[[str], None] = lambda _: None) -> ASGIApp:
    """The whole application. ``on_request`` is called at every request, with its path."""
    api = Loaded(partial(for_good, partial(_load_api, service)), name="the API")

    async def long_way(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            serve = await api.get()
        except Exception:
            service.stop()  # the daemon's files have been replaced: the next command starts another daemon
            raise
        await serve(scope, receive, send)

    short_way = RequestLimits(ShortWay(service, otherwise=long_way))

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await serve(scope, receive, send)
        except Exception as error:
            refusal = refusal_of(error, "answer")
            if refusal is None:
                raise
            logger.warning("%s", refusal)
            await response_of(refusal)(scope, receive, send)

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope.get("path", "")
        on_request(path)
        if scope["type"] == "http" and path.endswith(_MAP_END) and path.startswith(_MAP_START):
            await _serve_map(service.environments, scope, receive, send)
        else:
            await short_way(scope, receive, send)

    return application


def _load_api(service: Service) -> ASGIApp:
    from storectl_daemon.serving.api.application import create_api  # noqa: PLC0415 - FastAPI, which most commands do without

    return create_api(service)


async def _serve_map(environments: Environments, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["method"] not in {"GET", "HEAD"}:
        detail = f"{scope['method']} {scope['path']}: Method Not Allowed"
        refusal = problem_response(405, code="E_REQUEST", detail=detail, headers={"Allow": "GET, HEAD"})
        await refusal(scope, receive, send)
        return
    try:
        data = environments.import_map(scope["path"][len(_MAP_START) : -len(_MAP_END)])
    except ProblemError as error:
        await response_of(error)(scope, receive, send)
        return
    headers = [(b"content-type", b"application/octet-stream"), (b"content-length", str(len(data)).encode())]
    start: dict[str, Any] = {"type": "http.response.start", "status": 200, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": data})
