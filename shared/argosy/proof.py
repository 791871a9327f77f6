"""How a device proves itself over HTTPS, in the manner of DPoP (RFC 9449).

Each request carries `Authorization: Argosy BASE64URL(envelope)`, an envelope signed with the device's key over device,
method, path with query, sha256 of the body and a nonce that the server gave (header `Argosy-Nonce` of any answer, or
GET /device/v1/nonce). A server nonce stands in for a clock, so a device whose clock is wrong still gets in, and the
proof works behind any proxy: nothing depends on the TLS connection.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

import msgspec
from securesystemslib.signer import Key, Signer

from argosy.envelope import seal, unseal
from argosy.errors import InvalidInput, NotAllowed, Untrusted
from argosy.protocol.codec import Message, from_json, to_json

PAYLOAD_TYPE = "application/vnd.argosy.proof+json"
SCHEME = "Argosy "
NONCE_HEADER = "Argosy-Nonce"
_MAX_HEADER = 4096


class Proof(Message, frozen=True, kw_only=True):
    """What the device signs. `path` is the request target: path and query, without scheme and host."""

    device: str
    method: str
    path: str
    body_sha256: str
    nonce: str


def prove(device: str, method: str, path: str, body: bytes, nonce: str, signer: Signer) -> str:
    """The value of the `Authorization` header for one request."""
    proof = Proof(device=device, method=method, path=path, body_sha256=hashlib.sha256(body).hexdigest(), nonce=nonce)
    return SCHEME + base64.urlsafe_b64encode(seal(PAYLOAD_TYPE, to_json(proof), signer)).decode()


def claimed_device(header: str) -> str:
    """The device that a header claims to be from, *not verified*: only to look up the key for `check_proof`.

    Raises:
        NotAllowed: the header does not parse.
    """
    try:
        envelope = msgspec.json.decode(_opened(header), type=dict)
        return from_json(Proof, base64.b64decode(envelope["payload"])).device
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, RecursionError, InvalidInput) as error:
        raise NotAllowed("the device proof in the Authorization header does not parse") from error


def check_proof(header: str, *, method: str, path: str, body: bytes, key: Key) -> Proof:
    """The proof in `header`, if `key` signed it for exactly this request. The caller still checks the nonce.

    Raises:
        NotAllowed: it does not hold.
    """
    try:
        proof = from_json(Proof, unseal(PAYLOAD_TYPE, _opened(header), [key]))
    except (Untrusted, InvalidInput) as error:
        raise NotAllowed("the device proof is not signed with the key of this device") from error
    # As bytes: text that is not ASCII, which the device may put there, would raise.
    same_body = hmac.compare_digest(proof.body_sha256.encode(), hashlib.sha256(body).hexdigest().encode())
    if proof.method != method or proof.path != path or not same_body:
        raise NotAllowed("the device proof was made for another request")
    return proof


def _opened(header: str) -> bytes:
    if not header.startswith(SCHEME) or len(header) > _MAX_HEADER:
        raise NotAllowed("the Authorization header carries no device proof")
    try:
        return base64.urlsafe_b64decode(header[len(SCHEME) :])
    except (binascii.Error, ValueError) as error:
        raise NotAllowed("the device proof in the Authorization header does not parse") from error
