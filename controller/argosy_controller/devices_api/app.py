"""The devices' HTTP application: exactly what a device needs, and nothing of the operators'.

GET  /device/v1/trust                   open; checked by the device against the pins of its token line
GET  /device/v1/nonce                   open
POST /device/v1/enrol                   token
POST /device/v1/renew                   proof (argosy.proof), as all that follow
GET  /device/v1/desired
GET  /device/v1/tuf/metadata/FILE
GET  /device/v1/tuf/targets/PATH        Range, If-Range, ?encoding=zstd
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from argosy.errors import NotFound, Unavailable
from argosy.proof import NONCE_HEADER
from argosy.protocol.codec import from_json, to_json
from argosy.protocol.enrolment import EnrolRequest, RenewRequest
from argosy_controller import commands
from argosy_controller.devices_api.nonces import Nonces
from argosy_controller.devices_api.proofs import Proofs
from argosy_controller.fleet.desired import current_envelope
from argosy_controller.parts import Parts
from argosy_controller.registry.download import find_download
from argosy_controller.settings import MAX_BODY_BYTES
from argosy_controller.web.files import metadata_answer, target_answer
from argosy_controller.web.limits import BodyLimit, Bucket, Shedding
from argosy_controller.web.problems import HANDLERS

PREFIX = "/device/v1"
_TARGETS = f"{PREFIX}/tuf/targets/"
#: Requests at once; each may hold a thread while it signs or reads.
MOST_REQUESTS = 200
#: Downloads at once.
MOST_DOWNLOADS = 64
#: Enrolments a second, and in one burst: each signs a certificate and writes the database.
ENROL_RATE, ENROL_BURST = 50.0, 200.0

Handler = Callable[[Request], Awaitable[Response]]


@dataclass
class _FreshNonce:
    """Puts a nonce into every answer, also into refusals, so that a device never has to ask for one."""

    app: ASGIApp
    nonces: Nonces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_nonce(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (NONCE_HEADER.lower().encode(), self.nonces.fresh().encode())]
            await send(message)

        await self.app(scope, receive, with_nonce if scope["type"] == "http" else send)


def devices_app(parts: Parts) -> Starlette:
    """Builds the application."""
    nonces = Nonces(parts.monotonic)
    handlers = DeviceHandlers(parts, Proofs(parts.database, nonces), Bucket(ENROL_RATE, ENROL_BURST, parts.monotonic))
    routes = [
        Route(f"{PREFIX}/trust", handlers.trust),
        Route(f"{PREFIX}/nonce", handlers.nonce),
        Route(f"{PREFIX}/enrol", handlers.enrol, methods=["POST"]),
        Route(f"{PREFIX}/renew", handlers.renew, methods=["POST"]),
        Route(f"{PREFIX}/desired", handlers.desired),
        Route(f"{PREFIX}/tuf/metadata/{{name:path}}", handlers.metadata),
        Route(f"{PREFIX}/tuf/targets/{{path:path}}", handlers.target),
    ]
    middleware = [
        Middleware(_FreshNonce, nonces=nonces),
        Middleware(Shedding, most=MOST_REQUESTS, most_large=MOST_DOWNLOADS, large_prefix=_TARGETS),
        Middleware(BodyLimit, limit_for=lambda path: MAX_BODY_BYTES),
    ]
    return Starlette(routes=routes, middleware=middleware, exception_handlers=HANDLERS)


@dataclass(frozen=True)
class DeviceHandlers:
    """One method per path."""

    parts: Parts
    proofs: Proofs
    enrolments: Bucket

    async def trust(self, request: Request) -> Response:
        """What a device pins."""
        return _json(to_json(commands.trust_anchors(self.parts)))

    async def nonce(self, request: Request) -> Response:
        """Nothing but the header that every answer has."""
        return Response(status_code=204)

    async def enrol(self, request: Request) -> Response:
        """Lets a device in by its token."""
        wait = self.enrolments.take()
        if wait > 0:
            raise Unavailable("many devices enrol at once: try again a little later", retry_after_s=wait)
        asked = from_json(EnrolRequest, await request.body())
        return _json(to_json(await run_in_threadpool(commands.enrol_device, self.parts, asked)), 201)

    async def renew(self, request: Request) -> Response:
        """A new certificate for the same key."""
        body = await request.body()
        device = await self.proofs.device_of(request, body)
        asked = from_json(RenewRequest, body)
        return _json(to_json(await run_in_threadpool(commands.renew_device, self.parts, device, asked)))

    async def desired(self, request: Request) -> Response:
        """The signed document for this device, as also published over MQTT."""
        device = await self.proofs.device_of(request, await request.body())
        envelope = await run_in_threadpool(self._envelope, device)
        return _json(envelope)

    def _envelope(self, device: str) -> bytes:
        with self.parts.database.read() as session:
            envelope = current_envelope(session, device)
        if envelope is None:
            raise NotFound(f"nothing is desired of device {device} yet")
        return envelope

    async def metadata(self, request: Request) -> Response:
        """TUF metadata."""
        await self.proofs.device_of(request, await request.body())
        raw = await run_in_threadpool(self.parts.repository.metadata, request.path_params["name"])
        return metadata_answer(raw, request.headers.get("accept-encoding", ""))

    async def target(self, request: Request) -> Response:
        """A target file, whole or from where a download broke off."""
        await self.proofs.device_of(request, await request.body())
        found = await run_in_threadpool(find_download, self.parts.repository, self.parts.store, request.path_params["path"])
        return target_answer(found, request.query_params.get("encoding", ""))


def _json(raw: bytes, status: int = 200) -> Response:
    return Response(raw, status, media_type="application/json", headers={"Cache-Control": "no-store"})
