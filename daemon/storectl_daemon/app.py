"""The application: the API behind its limits, with a short way for import maps.

request -> import map?  -> bytes from memory          the shim waits for this, within its 20 ms
        -> limits       -> FastAPI -> api/*.py
"""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from storectl_daemon.api import daemon_itself, entries, environments, events, projects
from storectl_daemon.api.problems import RESPONSES, install_handlers, problem_response, response_of
from storectl_daemon.environments import Environments
from storectl_daemon.models import API_VERSION
from storectl_daemon.request_limits import RequestLimits
from storectl_daemon.service import Service
from storectl_store.errors import ProblemError

_PREFIX = f"/v{API_VERSION}"
HEALTH = f"{_PREFIX}/health"
_MAP_START = f"{_PREFIX}/environments/"
_MAP_END = "/import-map"


def create_api(service: Service) -> FastAPI:
    """The routes of version 1 and the OpenAPI document that describes them."""
    api = FastAPI(
        title="storectl",
        version=f"{API_VERSION}",
        description="The daemon of storectl, on a Unix socket. Errors are application/problem+json.",
        openapi_url=f"{_PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    install_handlers(api)
    for module in (daemon_itself, projects, environments, entries, events):
        api.include_router(module.routes(service), prefix=_PREFIX, responses=RESPONSES)
    return api


def create_application(service: Service, *, on_request: Callable[[str], None] = lambda _: None) -> ASGIApp:
    """All that the server serves. ``on_request`` is called at every request, with its path."""
    api = RequestLimits(create_api(service))

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope.get("path", "")
        on_request(path)
        if scope["type"] == "http" and path.endswith(_MAP_END) and path.startswith(_MAP_START):
            await _serve_map(service.environments, scope, receive, send)
        else:
            await api(scope, receive, send)

    return application


async def _serve_map(environments: Environments, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["method"] not in {"GET", "HEAD"}:
        detail = f"{scope['method']} {scope['path']}: Method Not Allowed"
        refusal = problem_response(405, code="E_REQUEST", detail=detail, headers={"Allow": "GET, HEAD"})
        await refusal(scope, receive, send)
        return
    try:
        data = environments.import_map(scope["path"][len(_MAP_START) : -len(_MAP_END)]).content()
    except ProblemError as error:
        await response_of(error)(scope, receive, send)
        return
    headers = [(b"content-type", b"application/octet-stream"), (b"content-length", str(len(data)).encode())]
    start: dict[str, Any] = {"type": "http.response.start", "status": 200, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": data})
