"""The application: one set of handlers, behind one limit. FastAPI is loaded by the first request that needs it.

request -> import map?                  -> the published file
        -> body -> health? ahead? warm? -> the handlers, without FastAPI
                -> anything else        -> FastAPI, api/*.py -> the handlers
"""

import logging
from collections.abc import Callable
from functools import partial

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from storectl_daemon.messages import read_message
from storectl_daemon.models import API_VERSION, WarmRequest
from storectl_daemon.process.loading import Loaded
from storectl_daemon.service import Service
from storectl_daemon.serving.api.ahead_models import ahead_account
from storectl_daemon.serving.api.problems import problem_response, response_of
from storectl_daemon.serving.api.streams import ndjson
from storectl_daemon.serving.bodies import read_body, replay
from storectl_daemon.serving.warm_request import warm_events
from storectl_store.errors import ProblemError
from storectl_store.system_errors import refusal_of

logger = logging.getLogger(__name__)

HEALTH = f"/v{API_VERSION}/health"
AHEAD = f"/v{API_VERSION}/ahead"
WARM = f"/v{API_VERSION}/warm"
ASKED_ONLY = frozenset({HEALTH, AHEAD})
"""What `storectl daemon start` and `storectl daemon status` ask for: after these nothing has to be made."""

_MAP_START = f"/v{API_VERSION}/environments/"
_MAP_END = "/import-map"
_JSON = "application/json"


class Application:
    """The ASGI application of one daemon. ``on_request`` is called at every request, with its path."""

    def __init__(self, service: Service, *, on_request: Callable[[str], None] = lambda _: None) -> None:
        self._service = service
        self._on_request = on_request
        self._api = Loaded(partial(_load_api, service), name="the API")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        self._on_request(scope["path"])
        try:
            answer, receive = await self._answer(scope, receive)
            await answer(scope, receive, send)
        except Exception as error:
            refusal = refusal_of(error, "answer")
            if refusal is None:
                raise
            logger.warning("%s", refusal)
            await response_of(refusal)(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[ASGIApp, Receive]:
        """What answers the request, and what it receives the request from."""
        path = scope["path"]
        try:
            if path.startswith(_MAP_START) and path.endswith(_MAP_END):
                return self._import_map(scope), receive
            body = await read_body(receive)
            if isinstance(body, Response):
                return body, receive
            return await self._early_answer(scope, body) or await self._loaded_api(), replay(body, receive)
        except ProblemError as error:
            return response_of(error), receive

    def _import_map(self, scope: Scope) -> Response:
        if scope["method"] not in {"GET", "HEAD"}:
            detail = f"{scope['method']} {scope['path']}: Method Not Allowed"
            return problem_response(405, code="E_REQUEST", detail=detail, headers={"Allow": "GET, HEAD"})
        environment_id = scope["path"][len(_MAP_START) : -len(_MAP_END)]
        content = self._service.environments.import_map(environment_id)
        return Response(content, media_type="application/octet-stream")

    async def _early_answer(self, scope: Scope, body: bytes) -> Response | None:
        """The answer to health, ahead and warm if they are exactly what a client of ours sends; otherwise None.

        Every command that makes an environment sends the first and the last, `storectl daemon status` the first two.
        Loading FastAPI first would take 0.15 s and 8 MiB.
        """
        asked = scope["method"], scope["path"]
        if asked == ("GET", HEALTH):
            return Response(self._service.health().json_text(), media_type=_JSON)
        if asked == ("GET", AHEAD) and not scope["query_string"]:
            return Response((await ahead_account(self._service, None)).json_text(), media_type=_JSON)
        if asked == ("POST", WARM) and Headers(scope=scope).get("content-type") == _JSON:
            request = read_message(WarmRequest, body)
            return ndjson(warm_events(self._service, request)) if request else None  # FastAPI tells what is wrong
        return None

    async def _loaded_api(self) -> ASGIApp:
        try:
            return await self._api.get()
        except Exception:
            self._service.stop()  # the daemon's files have been replaced: the next command starts another daemon
            raise


def _load_api(service: Service) -> ASGIApp:
    from storectl_daemon.serving.api.application import create_api  # noqa: PLC0415 - FastAPI, which most commands do without

    return create_api(service)
