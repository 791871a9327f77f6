"""TLS towards the controller: the pinned CA and nothing else, names checked, times judged against the floor."""

from __future__ import annotations

import datetime
import ssl

from cryptography import x509

from argosy.errors import Untrusted
from argosy_agent.clock import Clock
from argosy_agent.folder import StateFolder

#: X509_V_FLAG_NO_CHECK_TIME of OpenSSL, for which Python's ssl module has no name.
_NO_CHECK_TIME = 0x200000


def pinned_context(ca_pem: str, *, check_time: bool = True) -> ssl.SSLContext:
    """A client context that trusts only the given CA certificates.

    Args:
        ca_pem: one or more certificates, PEM.
        check_time: False where the clock is below the floor; the caller then uses `require_current`.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=ca_pem)
    if not check_time:
        context.verify_flags |= _NO_CHECK_TIME
    return context


def mutual_context(folder: StateFolder, clock: Clock) -> ssl.SSLContext:
    """For the broker: pinned CA, and the device's own certificate and key."""
    context = pinned_context(folder.ca.read_text(), check_time=not clock.is_behind())
    context.load_cert_chain(folder.certificate, folder.key)
    return context


def unverified_context() -> ssl.SSLContext:
    """For the one request before anything is trusted, whose answer is checked against the pins of the token line."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def require_current(peer_der: bytes | None, now: float) -> None:
    """Checks the end of a peer's certificate by our own time, in seconds since 1970.

    Raises:
        Untrusted: there is no certificate, or it ended before `now`.
    """
    if peer_der is None:
        raise Untrusted("the controller showed no certificate")
    certificate = x509.load_der_x509_certificate(peer_der)
    if certificate.not_valid_after_utc < datetime.datetime.fromtimestamp(now, datetime.timezone.utc):
        raise Untrusted(f"the controller's certificate ended on {certificate.not_valid_after_utc:%Y-%m-%d}: its operator must renew it")
