"""How a device joins: the token line, and the requests of the enrolment API."""

from __future__ import annotations

import base64
import binascii

from argosy.errors import InvalidInput
from argosy.protocol.codec import Message, from_json, to_json

_PREFIX = "argosy1."
_MAX_LINE = 4096


class TokenLine(Message, frozen=True, kw_only=True):
    """What `controller tokens create` prints, in one line to paste on a device.

    Attributes:
        url: base address of the device API, https.
        ca: sha256 of the controller CA's public key (SubjectPublicKeyInfo), 64 hex digits.
        root: sha256 of TUF root version 1, 64 hex digits.
        secret: the token itself; the controller keeps only its hash.
    """

    url: str
    ca: str
    root: str
    secret: str


class TrustAnchors(Message, frozen=True, kw_only=True):
    """GET /device/v1/trust, before anything is trusted: checked against the pins of the token line. PEM and JSON text."""

    ca_pem: str
    root_json: str


class EnrolRequest(Message, frozen=True, kw_only=True):
    """POST /device/v1/enrol. `csr_pem`: PKCS#10, Ed25519, common name = `name`."""

    secret: str
    name: str
    csr_pem: str


class RenewRequest(Message, frozen=True, kw_only=True):
    """POST /device/v1/renew, authenticated with the device key."""

    csr_pem: str


class Enrolled(Message, frozen=True, kw_only=True):
    """The answer to both.

    Attributes:
        certificate_pem: the device's certificate.
        ca_pem: all CA certificates to trust, one after the other (old and new overlap while a CA is renewed).
        repository: sha256 of TUF root version 1.
        broker_host, broker_port: where the MQTT broker listens (TLS, client certificate).
        metadata_url, targets_url: TUF repository of the device API.
    """

    device: str
    certificate_pem: str
    ca_pem: str
    repository: str
    broker_host: str
    broker_port: int
    api_url: str
    metadata_url: str
    targets_url: str


def write_line(line: TokenLine) -> str:
    """The line to print: no spaces, safe inside single quotes."""
    return _PREFIX + base64.urlsafe_b64encode(to_json(line)).decode().rstrip("=")


def read_line(text: str) -> TokenLine:
    """Parses a pasted line.

    Raises:
        InvalidInput: it is not a token line, or part of it was lost in copying.
    """
    text = text.strip()
    if not text.startswith(_PREFIX) or len(text) > _MAX_LINE:
        raise InvalidInput(
            "this is no enrolment line: paste the whole line that 'controller tokens create' printed, beginning with argosy1."
        )
    body = text[len(_PREFIX) :]
    try:
        raw = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
        line = from_json(TokenLine, raw)
    except (binascii.Error, ValueError, InvalidInput) as error:
        raise InvalidInput(
            "the enrolment line is damaged, part of it may be missing: copy it again from 'controller tokens create'"
        ) from error
    if not line.url.startswith("https://"):
        raise InvalidInput("the enrolment line names an address without https: make a new one with 'controller tokens create'")
    return line
