"""Errors as the API tells them: application/problem+json (RFC 9457) with a stable code and a hint."""

import json
import logging
import re
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from storectl_daemon.models import API_VERSION, ProblemDocument
from storectl_store.errors import ProblemError, printable

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

_STATUS = {
    "E_UNKNOWN_PROJECT": 404,
    "E_UNKNOWN_ENVIRONMENT": 404,
    "E_UNKNOWN_ENTRY": 404,
    "E_STORE_BUSY": 503,
    "E_STOPPING": 503,
    "E_DISK": 507,
    "E_STORE_FORMAT": 500,
    "E_INTERNAL": 500,
}
_OTHER_VERSION = re.compile(rf"/v(?!{API_VERSION}(/|$))\d+(/|$)")

RESPONSES: dict[int | str, dict[str, Any]] = {
    "default": {"model": ProblemDocument, "description": "A problem", "content": {MEDIA_TYPE: {}}}
}
"""For the OpenAPI document: every answer that is no success looks like this."""


def problem_bytes(status: int, *, code: str, detail: str, hint: str | None) -> bytes:
    """The body of an error answer."""
    document = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": printable(detail),
        "hint": hint,
    }
    return json.dumps(document).encode()


def problem_response(
    status: int, *, code: str, detail: str, hint: str | None = None, headers: dict[str, str] | None = None
) -> Response:
    """An error answer."""
    body = problem_bytes(status, code=code, detail=detail, hint=hint)
    return Response(body, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def response_of(error: ProblemError) -> Response:
    """The answer that tells this error."""
    return problem_response(_STATUS.get(error.code, 422), code=error.code, detail=error.message, hint=error.hint)


def install_handlers(application: FastAPI) -> None:
    """Make every error of the application such an answer."""
    application.add_exception_handler(ProblemError, _on_problem)
    application.add_exception_handler(RequestValidationError, _on_invalid)
    application.add_exception_handler(HTTPException, _on_http)
    application.add_exception_handler(Exception, _on_defect)


async def _on_problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return response_of(error)


async def _on_invalid(_request: Request, error: Exception) -> Response:
    """Name the fields and what is wrong, never the values: they may be anything."""
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
    logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return problem_response(
        500,
        code="E_INTERNAL",
        detail=f"an internal error: {type(error).__name__}",
        hint="The log of the daemon has the details: `storectl daemon logs`.",
    )
