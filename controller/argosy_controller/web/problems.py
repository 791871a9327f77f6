"""Errors as RFC 9457 problem details: one shape for every kind of failure of both HTTP applications."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ExceptionHandler

from argosy.errors import ArgosyError

_log = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:argosy:problem:"
_KINDS = {400: "invalid-input", 401: "not-allowed", 403: "forbidden", 404: "not-found", 405: "method-not-allowed", 413: "too-large"}


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """The body: `type` is TYPE_PREFIX and the error's kind; `detail` is the sentence for people."""

    type: str
    title: str
    status: int
    detail: str


def problem(kind: str, status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """An answer that says what went wrong."""
    body = Problem(type=TYPE_PREFIX + kind, title=kind.replace("-", " "), status=status, detail=detail)
    return Response(msgspec.json.encode(body), status, dict(headers or {}), MEDIA_TYPE)


def answer_for(error: ArgosyError) -> Response:
    """The answer for one of our own errors; a wait that it names becomes Retry-After (RFC 9110, 10.2.3)."""
    headers = {}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    wait = getattr(error, "retry_after_s", None)
    if wait is not None:
        headers["Retry-After"] = str(max(1, math.ceil(wait)))
    return problem(error.kind, error.status, str(error), headers)


async def on_argosy_error(request: Request, error: Exception) -> Response:
    """Handler for argosy.errors."""
    assert isinstance(error, ArgosyError)
    if error.status >= 500:
        _log.warning("%s %s: %s", request.method, request.url.path, error)
    return answer_for(error)


async def on_http_error(request: Request, error: Exception) -> Response:
    """Handler for the framework's own errors (no such path, wrong method)."""
    assert isinstance(error, HTTPException)
    kind = _KINDS.get(error.status_code, "invalid-input" if error.status_code < 500 else "internal")
    return problem(kind, error.status_code, f"{request.method} {request.url.path:.200}: {error.detail}", error.headers)


async def on_crash(request: Request, error: Exception) -> Response:
    """Handler for bugs: the traceback goes to the log, never to the client."""
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return problem("internal", 500, "the controller failed to answer this: its log says why")


HANDLERS: dict[int | type[Exception], ExceptionHandler] = {
    ArgosyError: on_argosy_error,
    HTTPException: on_http_error,
    Exception: on_crash,
}
