"""What `controller up` is told, read once at the edge; every other part gets what it needs by its constructor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from argosy.errors import InvalidInput
from argosy_controller.pipeline.processes.limits import CONTROLLER_BUILD_LIMITS

DEFAULT_HTTP = "127.0.0.1:8080"
DEFAULT_DEVICES_PORT = 8443
DEFAULT_MQTT_PORT = 8883
#: A bundle: all variants of one version with probes and companions.
MAX_BUNDLE_BYTES = 4 << 30
#: One file of a bundle.
MAX_FILE_BYTES = 2 << 30
#: A model's signed list of files, which grows with its versions, as base64.
MAX_SIGNED_BYTES = 48 << 20
#: A task's folder with its recipe, on its way to a build here; with what the parts' headers take.
MAX_TASK_UPLOAD_BYTES = (1 << 30) + (2 << 20)
#: Any other request body, of operators and devices.
MAX_BODY_BYTES = 64 << 10
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Settings:
    """Everything that can be chosen at start.

    Attributes:
        data: the folder that holds all state.
        http_host, http_port: where operators' dashboard and API listen; port 0 takes a free one.
        public_host: the name under which devices reach this machine; None keeps the device listeners on loopback.
        devices_port: HTTPS port of the device API; 0 a free one, None the one kept in the folder, else 8443.
        mqtt_port: MQTT port; as `devices_port`, else 8883.
        broker: `auto`, `amqtt`, `mosquitto`, or a `mqtts://` URL of a broker that is already there.
        tick_s: the reconciler looks at least this often, in seconds.
        builds_at_once: builds that run here at the same time.
        build_memory_bytes: addresses that a build may use, 0 for no limit (frameworks reserve more than they touch).
        build_wall_s: the longest that a build may take, in seconds.
        builds_kept: ended builds that are remembered with their reports.
    """

    data: Path
    http_host: str = "127.0.0.1"
    http_port: int = 8080
    public_host: str | None = None
    devices_port: int | None = None
    mqtt_port: int | None = None
    broker: str = "auto"
    tick_s: float = 1.0
    builds_at_once: int = 1
    build_memory_bytes: int = CONTROLLER_BUILD_LIMITS.memory_bytes
    build_wall_s: float = CONTROLLER_BUILD_LIMITS.wall_s
    builds_kept: int = 50

    @property
    def listen_host(self) -> str:
        """The address on which the device listeners listen."""
        return LOOPBACK if self.public_host is None else "0.0.0.0"  # noqa: S104 - asked for by --public-host

    @property
    def device_host(self) -> str:
        """The name that tokens and enrolments give to devices."""
        return self.public_host or LOOPBACK


def parse_address(text: str) -> tuple[str, int]:
    """Parses `HOST:PORT`, `[::1]:PORT` or `:PORT` (loopback).

    Raises:
        InvalidInput: no port, or one outside 0 to 65535.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise InvalidInput(f"address {text!r:.80} is not HOST:PORT: write for example {DEFAULT_HTTP}, or port 0 for a free one")
    return host.strip("[]") or LOOPBACK, int(port)


def check_public_host(name: str | None) -> str | None:
    """Returns `name` if it can stand in a URL and a certificate.

    Raises:
        InvalidInput: it is empty or holds other characters than letters, digits, `.`, `-` and `:`.
    """
    if name is not None and (not name or len(name) > 253 or not all(c.isascii() and (c.isalnum() or c in ".-:") for c in name)):
        raise InvalidInput(f"--public-host {name!r:.80} is no host name or address: give the name under which devices reach this machine")
    return name
