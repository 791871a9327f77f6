"""Whether a request really comes from the device that it names."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from argosy.errors import NotAllowed
from argosy.proof import check_proof, claimed_device
from argosy_controller.db.engine import Database
from argosy_controller.devices_api.nonces import Nonces
from argosy_controller.enrolment.devices import device_key


@dataclass(frozen=True)
class Proofs:
    """Checks the Authorization header of device requests."""

    database: Database
    nonces: Nonces

    async def device_of(self, request: Request, body: bytes) -> str:
        """The name of the device that signed exactly this request.

        Raises:
            NotAllowed: no proof, a wrong one, a nonce that is old or was used, or a device that is unknown or revoked.
        """
        header = request.headers.get("authorization", "")
        return await run_in_threadpool(self._check, header, request.method, target_of(request), body)

    def _check(self, header: str, method: str, target: str, body: bytes) -> str:
        name = claimed_device(header)
        with self.database.read() as session:
            key = device_key(session, name)
        proof = check_proof(header, method=method, path=target, body=body, key=key)
        # Only now: a request that is not signed must not use up somebody's nonce.
        if not self.nonces.accept(proof.nonce):
            raise NotAllowed("the device proof carries a nonce that is too old or was used: sign again with the one in this answer")
        return proof.device


def target_of(request: Request) -> str:
    """The request target as the client sent it: raw path and query (RFC 9112, 3.2)."""
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    query: bytes = request.scope.get("query_string", b"")
    return (raw + (b"?" + query if query else b"")).decode("latin-1")
