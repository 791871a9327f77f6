"""Which ports the controller takes: chosen once per folder for devices, because they hold them in their enrolment."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from argosy_controller.broker import RunningBroker
from argosy_controller.folder import Endpoints, Folder, Ports, keep_ports, kept_ports
from argosy_controller.settings import DEFAULT_DEVICES_PORT, DEFAULT_MQTT_PORT, LOOPBACK, Settings
from argosy_controller.web.listeners import bind, check_free, free_port


@dataclass(frozen=True)
class Bound:
    """Sockets that listen already, and the port that the broker is to take."""

    http: socket.socket
    devices: socket.socket
    mqtt_port: int

    def close(self) -> None:
        """Gives them back."""
        self.http.close()
        self.devices.close()

    def endpoints(self, settings: Settings, broker: RunningBroker) -> Endpoints:
        """Where everything answers."""
        http = _base("http", settings.http_host, self.http.getsockname()[1])
        host, port = self.broker_address(settings, broker)
        return Endpoints(
            pid=os.getpid(),
            api=f"{http}/api/v1",
            dashboard=f"{http}/",
            device_api=_base("https", settings.device_host, self.devices.getsockname()[1]),
            mqtt=_base("mqtts", host, port),
            tuf_metadata=f"{http}/tuf/metadata/",
            tuf_targets=f"{http}/tuf/targets/",
        )

    def broker_address(self, settings: Settings, broker: RunningBroker) -> tuple[str, int]:
        """What devices are told: an external broker's own address, else the public name and our port."""
        return broker.address if broker.kind == "external" else (settings.device_host, self.mqtt_port)

    def link_address(self, broker: RunningBroker) -> tuple[str, int]:
        """Where the controller itself connects: its own broker on loopback, whose name is always in the certificate."""
        return broker.address if broker.kind == "external" else (LOOPBACK, self.mqtt_port)


def bind_all(settings: Settings, folder: Folder) -> Bound:
    """Takes every port.

    Raises:
        Conflict: one is taken; the message names the flag.
        InvalidInput: one may not be used here.
    """
    kept = kept_ports(folder)
    http = bind(settings.http_host, settings.http_port, "dashboard and API", "--http HOST:PORT")
    try:
        wanted = _choose(settings.devices_port, kept.devices if kept else None, DEFAULT_DEVICES_PORT)
        devices = bind(settings.listen_host, wanted, "the device API", "--devices-port PORT")
    except BaseException:
        http.close()
        raise
    try:
        mqtt = _mqtt_port(settings, kept)
    except BaseException:
        http.close()
        devices.close()
        raise
    keep_ports(folder, Ports(devices=devices.getsockname()[1], mqtt=mqtt))
    return Bound(http, devices, mqtt)


def _choose(asked: int | None, kept: int | None, default: int) -> int:
    """A port that was asked for by number holds; else the kept one, which devices know; else a free one or the default."""
    if asked:
        return asked
    return kept if kept is not None else default if asked is None else 0


def _mqtt_port(settings: Settings, kept: Ports | None) -> int:
    if "://" in settings.broker:
        return urlsplit(settings.broker).port or DEFAULT_MQTT_PORT
    port = _choose(settings.mqtt_port, kept.mqtt if kept else None, DEFAULT_MQTT_PORT)
    if port == 0:
        return free_port(settings.listen_host)
    check_free(settings.listen_host, port, "the MQTT broker", "--mqtt-port PORT")
    return port


def _base(scheme: str, host: str, port: int) -> str:
    named = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 - compared, not listened on
    return f"{scheme}://{f'[{named}]' if ':' in named else named}:{port}"
