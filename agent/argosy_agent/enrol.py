"""How a device joins: one token line in, an identity on disk out.

The first request trusts nobody: its answer is checked against the two pins of the line (CA key, TUF root). Everything
after it goes over TLS that only this CA can have signed. A crash anywhere leaves a folder in which the same command
works again with the same key.
"""

from __future__ import annotations

import hashlib
import hmac
import platform
import re
import sys
from pathlib import Path

import urllib3
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from argosy.errors import ArgosyError, Conflict, InvalidInput, Untrusted
from argosy.names import check_name
from argosy.protocol.codec import from_json, to_json
from argosy.protocol.enrolment import Enrolled, EnrolRequest, RenewRequest, TokenLine, TrustAnchors, read_line
from argosy_agent.clock import Clock
from argosy_agent.folder import StateFolder, write_atomically
from argosy_agent.http import DeviceHttp, Transport, problem
from argosy_agent.identity import certificate_times, load_identity, make_key, make_request, request_again, save_enrolled
from argosy_agent.tls import pinned_context, unverified_context

_MAX_LINE_FILE = 8192
_JSON = {"Content-Type": "application/json"}


def read_token(source: str) -> TokenLine:
    """The token line itself, a file that holds it, or `-` for standard input.

    Raises:
        InvalidInput: it is none of them, or damaged.
    """
    if source == "-":
        return read_line(sys.stdin.read(_MAX_LINE_FILE))
    if not source.startswith("argosy1.") and Path(source).is_file():
        with Path(source).open(errors="replace") as file:
            return read_line(file.read(_MAX_LINE_FILE))
    return read_line(source)


def default_name(host: str | None = None) -> str:
    """The host's name made legal: lower case, other characters become `-`."""
    host = platform.node() if host is None else host
    name = re.sub(r"[^a-z0-9._-]+|\.\.+", "-", host.lower())[:63].strip("._-")
    return name or "device"


def enrol(line: TokenLine, folder: StateFolder, name: str) -> Enrolled:
    """Enrols this device and stores its identity.

    Raises:
        Conflict: the folder holds a device already, or the fleet has a device of that name.
        NotAllowed: the token is unknown, expired or used up.
        Unavailable: the controller cannot be reached.
        Untrusted: who answered is not the controller that made the line.
    """
    check_name("device", name)
    if folder.identity.exists():
        known = load_identity(folder).device
        raise Conflict(f"{folder.root} already holds device {known!r}: use another --state folder to enrol a second one")
    anchors = fetch_anchors(line)
    folder.create()
    keep_root(folder, anchors.root_json.encode())
    request = EnrolRequest(secret=line.secret, name=name, csr_pem=make_request(make_key(folder), name))
    enrolled = _ask(line, anchors.ca_pem, request)
    save_enrolled(folder, enrolled)
    Clock(folder.floor).raise_to(certificate_times(folder)[0])
    return enrolled


def fetch_anchors(line: TokenLine) -> TrustAnchors:
    """CA and TUF root from the address in the line, believed only because they match its pins.

    Raises:
        Untrusted: they do not match.
    """
    url = f"{line.url.rstrip('/')}/device/v1/trust"
    # The one request that is meant to be unverified: what it brings is checked against the pins.
    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    transport = Transport(unverified_context())
    try:
        answer = transport.send("GET", url)
        if answer.status != 200:
            raise problem(answer, url)
        anchors = from_json(TrustAnchors, answer.body())
    finally:
        transport.close()
    return TrustAnchors(ca_pem=check_pins(line, anchors), root_json=anchors.root_json)


def check_pins(line: TokenLine, anchors: TrustAnchors) -> str:
    """Compares what was received with the pins.

    Returns:
        The pinned CA certificate alone, PEM: another one sent beside it (an overlap, or an attack) is not trusted yet.

    Raises:
        Untrusted: the CA key or the TUF root is another one.
    """
    root = hashlib.sha256(anchors.root_json.encode()).hexdigest()
    pinned = [pem for pem, digest in _certificates(anchors.ca_pem) if hmac.compare_digest(digest, line.ca)]
    if not pinned or not hmac.compare_digest(root, line.root):
        raise Untrusted(
            f"who answers at {line.url} is not the controller that made this enrolment line: check the address, or make a new line there"
        )
    return pinned[0]


def _certificates(ca_pem: str) -> list[tuple[str, str]]:
    """Each certificate with the sha256 of its public key."""
    try:
        certificates = x509.load_pem_x509_certificates(ca_pem.encode())
    except ValueError as error:
        raise Untrusted("the controller's answer holds no CA certificate") from error
    return [(c.public_bytes(serialization.Encoding.PEM).decode(), _key_digest(c)) for c in certificates]


def _key_digest(certificate: x509.Certificate) -> str:
    spki = certificate.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()


def keep_root(folder: StateFolder, root: bytes) -> None:
    """Stores the pinned TUF root, where `tuf.ngclient` and people look for it."""
    history = folder.tuf / "root_history"
    history.mkdir(mode=0o700, exist_ok=True)
    write_atomically(history / "1.root.json", root)
    write_atomically(folder.tuf / "root.json", root)


def _ask(line: TokenLine, ca_pem: str, request: EnrolRequest) -> Enrolled:
    url = f"{line.url.rstrip('/')}/device/v1/enrol"
    transport = Transport(pinned_context(ca_pem))
    try:
        answer = transport.send("POST", url, to_json(request), _JSON)
        if answer.status >= 400:
            raise problem(answer, url)
        enrolled = from_json(Enrolled, answer.body())
    finally:
        transport.close()
    _check_answer(line, request, enrolled)
    return enrolled


def _check_answer(line: TokenLine, request: EnrolRequest, enrolled: Enrolled) -> None:
    if enrolled.device != request.name or enrolled.repository != line.root:
        raise InvalidInput("the controller enrolled another device or repository than was asked for: make a new enrolment line")
    _check_certificate(request.csr_pem, enrolled)


def _check_certificate(csr_pem: str, enrolled: Enrolled) -> None:
    own = x509.load_pem_x509_csr(csr_pem.encode()).public_key()
    try:
        certificate = x509.load_pem_x509_certificate(enrolled.certificate_pem.encode())
    except ValueError as error:
        raise ArgosyError("the controller's answer holds no device certificate: look at the controller's log") from error
    if certificate.public_key() != own:
        raise ArgosyError("the controller certified another key than this device's: look at the controller's log")


def renew(folder: StateFolder, http: DeviceHttp, clock: Clock) -> None:
    """Fetches a new certificate for the same key; the old one works until it ends.

    Raises:
        Unavailable, NotAllowed: as `DeviceHttp.request`; nothing is changed then.
    """
    identity = load_identity(folder)
    csr = request_again(folder, identity.device)
    url = f"{identity.enrolled.api_url.rstrip('/')}/device/v1/renew"
    enrolled = from_json(Enrolled, http.request("POST", url, to_json(RenewRequest(csr_pem=csr)), _JSON).body())
    if enrolled.device != identity.device or enrolled.repository != identity.enrolled.repository:
        raise InvalidInput("the controller renewed the certificate of another device or fleet: nothing was changed")
    _check_certificate(csr, enrolled)
    save_enrolled(folder, enrolled)
    clock.raise_to(certificate_times(folder)[0])
