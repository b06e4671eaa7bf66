"""The API behind its limits: the routes of version 1, the answers for errors, and the OpenAPI document."""

import logging
import re
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from storectl_daemon.models import API_VERSION
from storectl_daemon.service import Service
from storectl_daemon.serving.api import (
    ahead,
    bisections,
    collecting,
    daemon_itself,
    entries,
    environments,
    events,
    exports,
    history,
    interpreters,
    links,
    pins,
    projects,
    usage,
    verification,
)
from storectl_daemon.serving.api.problems import RESPONSES, problem_response, response_of
from storectl_store.errors import ProblemError
from storectl_store.system_errors import refusal_of

logger = logging.getLogger(__name__)

_PREFIX = f"/v{API_VERSION}"
_OTHER_VERSION = re.compile(rf"/v(?!{API_VERSION}(/|$))\d+(/|$)")

_MODULES = (
    daemon_itself,
    projects,
    links,
    environments,
    interpreters,
    entries,
    verification,
    events,
    exports,
    history,
    usage,
    collecting,
    pins,
    bisections,
    ahead,
)


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
    _install_handlers(api)
    for module in _MODULES:
        api.include_router(module.routes(service), prefix=_PREFIX, responses=RESPONSES)
    return api


def _install_handlers(application: FastAPI) -> None:
    """Answer every error of the application as a problem."""
    application.add_exception_handler(ProblemError, _on_problem)
    application.add_exception_handler(RequestValidationError, _on_invalid)
    application.add_exception_handler(HTTPException, _on_http)
    application.add_exception_handler(Exception, _on_defect)


async def _on_problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return response_of(error)


async def _on_invalid(_request: Request, error: Exception) -> Response:
    """Name the fields and what is wrong, never the values: these may hold anything."""
    assert isinstance(error, RequestValidationError)
    places = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()[:5]]
    return problem_response(422, code="E_REQUEST", detail="; ".join(places)[:1000])


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code != HTTPStatus.NOT_FOUND:
        headers = dict(error.headers or {})
        detail = f"{request.method} {request.url.path}: {error.detail}"
        return problem_response(error.status_code, code="E_REQUEST", detail=detail, headers=headers)
    if not _OTHER_VERSION.match(request.url.path):
        return problem_response(404, code="E_NOT_FOUND", detail=f"there is no {request.url.path}")
    return problem_response(
        404,
        code="E_API_VERSION",
        detail=f"{request.url.path} is not of version {API_VERSION} of the API",
        hint=f"This daemon speaks version {API_VERSION}; restart it after an upgrade with `storectl daemon stop`.",
    )


async def _on_defect(request: Request, error: Exception) -> Response:
    refusal = refusal_of(error, "answer")
    if refusal is not None:
        logger.warning("%s %s failed: %s", request.method, request.url.path, refusal)
        return response_of(refusal)
    logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return problem_response(
        500,
        code="E_INTERNAL",
        detail=f"an internal error: {type(error).__name__}",
        hint="The log of the daemon has the details: `storectl daemon logs`.",
    )
