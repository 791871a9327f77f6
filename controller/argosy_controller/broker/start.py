"""Chooses and starts a broker."""

from __future__ import annotations

from pathlib import Path

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
    raise NotImplementedError
