"""What an intruder would try: artifacts altered in the store, and desired documents forged, replayed and redirected on the broker."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import zstandard
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from processes import Stuck, wait_for
from securesystemslib.signer import CryptoSigner

from argosy.envelope import seal
from argosy.protocol.desired import PAYLOAD_TYPE
from argosy.topics import Channel, Topic


@contextmanager
def altered_artifact(data: Path, sha256: str) -> Iterator[Path]:
    """Alters a file of the store, plain and packed, as someone with access to the disk could; puts it right at the end."""
    plain = data / "artifacts" / sha256[:2] / sha256
    packed = plain.with_suffix(".zst")
    genuine = {path: path.read_bytes() for path in (plain, packed) if path.exists()}
    content = bytearray(genuine[plain])
    content[len(content) // 2] ^= 0xFF
    for path in genuine:
        path.chmod(0o600)
        path.write_bytes(bytes(content) if path == plain else zstandard.compress(bytes(content)))
    try:
        yield plain
    finally:
        for path, old in genuine.items():
            path.write_bytes(old)


def forged(genuine_payload: bytes) -> bytes:
    """A desired document with a wish of the intruder's, signed with a key of the intruder's."""
    return seal(PAYLOAD_TYPE, genuine_payload, CryptoSigner.generate_ed25519())


def publish_as_controller(data: Path, endpoints: dict[str, Any], device: str, document: bytes) -> None:
    """Publishes a retained desired document with the controller's own certificate, stolen from DATA/ca.

    It takes over the controller's session at the broker, as a thief's client would; nothing is acknowledged here, so what devices
    said meanwhile still reaches the controller, which then connects again and offers the true documents.

    Raises:
        Stuck: the broker did not take it within 10 s.
    """
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="controller", clean_session=False, manual_ack=True)
    client.tls_set_context(_stolen(data))
    address = urlsplit(endpoints["mqtt"])
    client.connect(str(address.hostname), address.port or 8883)
    try:
        _until(client, "the broker lets the thief in", client.is_connected)
        message = client.publish(Topic(device, Channel.DESIRED).text, document, qos=1, retain=True)
        _until(client, "the broker takes the forged document", message.is_published)
    finally:
        # No DISCONNECT in good order is owed; the controller wants its session back.
        client.disconnect()
        client.loop(timeout=0.1)


def _until(client: mqtt.Client, what: str, done: Any) -> None:
    def turn() -> bool:
        if client.loop(timeout=0.05) not in (MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_AGAIN) and not done():
            raise Stuck(f"{what}: the connection broke")
        return bool(done())

    wait_for(what, turn, 10.0, pause_s=0.0)


def _stolen(data: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(data / "ca" / "ca.crt"))
    clients = data / "ca" / "clients"
    context.load_cert_chain(clients / "controller.crt", clients / "controller.key")
    return context


def refused_since(events: list[dict[str, Any]], device: str, codes: tuple[str, ...], since: float) -> dict[str, Any] | None:
    """The event that shows a refusal by a device, as the dashboard lists it."""
    hits = (one for one in events if one["device"] == device and one["code"] in codes and one["at"] >= since)
    return next(hits, None)


def now() -> float:
    """Seconds since 1970."""
    return time.time()
