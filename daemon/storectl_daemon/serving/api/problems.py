"""Errors as the API answers them: application/problem+json (RFC 9457) with a stable code and a hint."""

import json
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from storectl_daemon.models import ProblemDocument
from storectl_store.errors import ProblemError, printable

MEDIA_TYPE = "application/problem+json"

_STATUS = {
    "E_UNKNOWN_PROJECT": 404,
    "E_UNKNOWN_ENVIRONMENT": 404,
    "E_UNKNOWN_ENTRY": 404,
    "E_UNKNOWN_GENERATION": 404,
    "E_NO_ROUTE": 404,
    "E_ROLE": 403,
    "E_BUSY": 429,
    "E_STORE_BUSY": 503,
    "E_STOPPING": 503,
    "E_STORE_GONE": 503,
    "E_DISK": 507,
    "E_STORE_FORMAT": 500,
    "E_INTERNAL": 500,
}

RESPONSES: dict[int | str, dict[str, Any]] = {
    "default": {"model": ProblemDocument, "description": "A problem", "content": {MEDIA_TYPE: {}}}
}
"""For the OpenAPI document: the form of every answer that is no success."""


def problem_bytes(status: int, *, code: str, detail: str, hint: str | None, missing_python: object = None) -> bytes:
    """The body of an error answer."""
    document = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": printable(detail),
        "hint": hint,
        "missing_python": missing_python,
    }
    return json.dumps(document).encode()


def problem_response(
    status: int,
    *,
    code: str,
    detail: str,
    hint: str | None = None,
    missing_python: object = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """An error answer."""
    body = problem_bytes(status, code=code, detail=detail, hint=hint, missing_python=missing_python)
    return Response(body, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def response_of(error: ProblemError) -> Response:
    """The answer for this error."""
    return problem_response(
        _STATUS.get(error.code, 422),
        code=error.code,
        detail=error.message,
        hint=error.hint,
        missing_python=error.facts.get("missing_python"),
    )
