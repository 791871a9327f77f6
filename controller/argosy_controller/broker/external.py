"""A broker that somebody else runs, by URL."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from argosy.errors import InvalidInput, Unavailable
from argosy_controller.broker.child import answers, show
from argosy_controller.broker.running import BrokerTls, RunningBroker
from argosy_controller.broker.wire import Closed, Wire, client_context

_DEFAULT_PORT = 8883


class ExternalBroker(RunningBroker):
    """Watched, never started or stopped by us."""

    kind = "external"

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address

    def alive(self) -> bool:
        return answers(self.address, 1.0)

    def ensure(self) -> bool:
        if not self.alive():
            raise Unavailable(f"the broker at {show(self.address)} does not answer: start it, or check the address given with --broker")
        return False

    def revoke(self, names: Collection[str]) -> str | None:
        who = ", ".join(sorted(names)) or "the revoked devices"
        return f"the broker at {show(self.address)} is not ours: give it the new list of revoked certificates, and end the sessions of {who} there"

    def stop(self) -> None:
        """Nothing to do: it is not ours."""


def parse_url(url: str) -> tuple[str, int]:
    """Host and port of `mqtts://HOST[:PORT]`, port 8883 when none is named.

    Raises:
        InvalidInput: it is no such URL.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or _DEFAULT_PORT
    except ValueError:
        host, port, parts = None, 0, urlsplit("")
    if parts.scheme != "mqtts" or not host or parts.path.strip("/") or parts.query or parts.username:
        raise InvalidInput(f"broker {url!r:.120} is not usable: write auto, amqtt, mosquitto, or mqtts://HOST:PORT")
    return host, port


def find_external(url: str, tls: BrokerTls) -> ExternalBroker:
    """The broker at the URL, after a handshake with our certificate. No CONNECT: it would take the place of a connected controller.

    Raises:
        InvalidInput: no such URL.
        Unavailable: nothing answers there, it is not of our CA, or it does not take our certificate.
    """
    address = parse_url(url)
    if not answers(address, 5.0):
        raise Unavailable(f"the broker at {show(address)} does not answer: start it, or check the address given with --broker")
    try:
        with Wire.open(address, client_context(tls.ca, (tls.certificate, tls.key))) as wire:
            if wire.await_end(0.5):  # TLS 1.3 tells only now when a client certificate is refused
                raise Closed("it closed the connection after the handshake")
    except Closed as error:
        raise Unavailable(
            f"the broker at {show(address)} and this controller do not accept each other ({error}): "
            "give it a server certificate signed by this controller's device CA, and that CA for its clients"
        ) from error
    return ExternalBroker(address)
