"""Chooses and starts a broker."""

from __future__ import annotations

from pathlib import Path

from argosy.errors import InvalidInput, NotFound
from argosy_controller.broker.child import ChildBroker
from argosy_controller.broker.embedded import EmbeddedBroker
from argosy_controller.broker.external import find_external
from argosy_controller.broker.mosquitto import MosquittoBroker, find_mosquitto
from argosy_controller.broker.running import BrokerTls, RunningBroker


def start_broker(kind: str, folder: Path, host: str, port: int, tls: BrokerTls) -> RunningBroker:
    """Starts a broker, or finds the one that is there, and returns when it answers.

    Args:
        kind: `auto` (mosquitto where it is installed, else amqtt), `mosquitto`, `amqtt`, or `mqtts://HOST:PORT` for one that runs already.
        folder: where its configuration, persistence and `broker.log` go; made 0700 when missing. Unused by an external broker.
        host: address to listen on; unused by an external broker.
        port: port to listen on, never 0: devices keep it in their enrolment. Unused by an external broker.
        tls: PEM files; for an external broker, `certificate` and `key` are the controller's client certificate.

    Raises:
        InvalidInput: an unknown kind, a URL that is none, or port 0.
        NotFound: mosquitto is asked for and not installed.
        Conflict: the port is taken.
        Unavailable: the broker does not answer; the message says where to look.
    """
    if kind not in ("auto", "mosquitto", "amqtt"):
        return find_external(kind, tls)
    if not 0 < port < 65536:
        raise InvalidInput(f"port {port} is not usable for a broker: devices keep the port in their enrolment, so name one from 1 to 65535")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    child = _choose(kind, folder.absolute(), host, port, tls)
    try:
        child.start()
    except BaseException:
        child.stop()
        raise
    return child


def _choose(kind: str, folder: Path, host: str, port: int, tls: BrokerTls) -> ChildBroker:
    executable = find_mosquitto() if kind != "amqtt" else None
    if executable is not None:
        return MosquittoBroker(executable, folder, host, port, tls)
    if kind == "mosquitto":
        raise NotFound("mosquitto is not installed: install it (on Debian: apt install mosquitto), or use --broker amqtt")
    return EmbeddedBroker(folder, host, port, tls)
