"""Answers without FastAPI to the two requests of every command that makes an environment: health and warm.

Loading FastAPI takes 7 MiB, and as much time as loading all that selects and fetches a first environment. So a request
that is exactly what a client of ours sends is answered here. FastAPI has routes for both, too: it describes them, and
answers any other request to them.
"""

from pydantic import ValidationError
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from storectl_daemon.models import API_VERSION, WarmRequest
from storectl_daemon.service import Service
from storectl_daemon.serving.api.problems import response_of
from storectl_daemon.serving.api.streams import ndjson
from storectl_daemon.serving.request_limits import replay
from storectl_daemon.serving.warm_request import warm_events
from storectl_store.errors import ProblemError

HEALTH = f"/v{API_VERSION}/health"
WARM = f"/v{API_VERSION}/warm"
_JSON = "application/json"


class ShortWay:
    """ASGI middleware below the limits, so that the first message has the whole body.

    ``otherwise`` answers every request that this one does not.
    """

    def __init__(self, service: Service, *, otherwise: ASGIApp) -> None:
        self._service = service
        self._otherwise = otherwise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        body: bytes = (await receive()).get("body", b"")
        answer = self._answer(scope, body) or self._otherwise
        await answer(scope, replay(body, receive), send)

    def _answer(self, scope: Scope, body: bytes) -> Response | None:
        """The answer; None if this is another request, or one that our clients do not send."""
        asked = scope["method"], scope["path"]
        if asked == ("GET", HEALTH):
            return self._health()
        if asked == ("POST", WARM) and Headers(scope=scope).get("content-type") == _JSON:
            try:
                return ndjson(warm_events(self._service, WarmRequest.model_validate_json(body)))
            except ValidationError:
                return None
        return None

    def _health(self) -> Response:
        try:
            return Response(self._service.health().model_dump_json(), media_type=_JSON)
        except ProblemError as error:
            return response_of(error)
