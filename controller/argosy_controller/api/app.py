"""The operators' HTTP application: /api/v1, /tuf for loopback peers, and the dashboard at /."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.middleware import Middleware
from starlette.requests import Request as StarletteRequest
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

import argosy
from argosy_controller.api import tuf
from argosy_controller.api.routes import accounts, builds, devices, models, observing, rollouts
from argosy_controller.dashboard.app import dashboard_router
from argosy_controller.parts import Parts
from argosy_controller.settings import MAX_BODY_BYTES, MAX_BUNDLE_BYTES, MAX_SIGNED_BYTES, MAX_TASK_UPLOAD_BYTES, Settings
from argosy_controller.web.limits import BodyLimit, Shedding
from argosy_controller.web.problems import HANDLERS, problem

API = "/api/v1"
_MOST_REQUESTS = 200
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


def operators_app(parts: Parts, settings: Settings) -> FastAPI:
    """Builds the application."""
    app = FastAPI(
        title="Argosy controller",
        version=argosy.__version__,
        summary="Devices, models, rollouts and what was measured. Times are seconds since 1970, sizes bytes.",
        openapi_url=f"{API}/openapi.json",
        docs_url=None,
        redoc_url=None,
        middleware=[
            Middleware(_KnownHosts, names=known_hosts(settings)),
            Middleware(Shedding, most=_MOST_REQUESTS, most_large=8, large_prefix=f"{API}/versions"),
            Middleware(BodyLimit, limit_for=_limit_for),
        ],
    )
    for kind, handler in HANDLERS.items():
        app.add_exception_handler(kind, handler)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.state.parts = parts
    for module in (accounts, devices, models, builds, rollouts, observing):
        app.include_router(module.router, prefix=API)
    app.include_router(tuf.router)
    app.include_router(dashboard_router(parts))
    return app


def known_hosts(settings: Settings) -> frozenset[str] | None:
    """Names under which operators reach this listener; None for any, when it listens beyond loopback."""
    if settings.http_host not in _LOOPBACK_NAMES:
        return None
    return frozenset({*_LOOPBACK_NAMES, *((settings.public_host,) if settings.public_host else ())})


@dataclass
class _KnownHosts:
    """On loopback, answers only under names of this machine: a page of another site that rebinds its own name to 127.0.0.1
    would otherwise count as same origin in the operator's browser."""

    app: ASGIApp
    names: frozenset[str] | None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http" and self.names is not None:
            name = StarletteRequest(scope).headers.get("host", "").rsplit(":", 1)[0].strip("[]")
            if name not in self.names:
                refusal = problem("not-allowed", 403, f"this controller is not called {name!r:.80}: use its address on this machine")
                return await refusal(scope, receive, send)
        await self.app(scope, receive, send)


def _limit_for(path: str) -> int:
    if path in (f"{API}/versions", f"{API}/versions/staged"):
        return MAX_BUNDLE_BYTES
    if path == f"{API}/builds":
        return MAX_TASK_UPLOAD_BYTES
    return MAX_SIGNED_BYTES if path.startswith(f"{API}/versions/staged/") else MAX_BODY_BYTES


async def _on_invalid(request: Request, error: Exception) -> Response:
    """A body or query that does not fit its schema: the first thing that is wrong, in one sentence."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path"))
    return problem("invalid-input", 422, f"{where or 'the request'}: {first['msg'].lower()}: see {API}/openapi.json for what is expected")
