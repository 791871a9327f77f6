"""The scene of one attack: a broker, a victim, mallory, and, where the controller lends its certificate, an observer."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import TracebackType

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from argosy.names import CONTROLLER
from argosy.topics import Channel, Topic
from argosy_controller.broker.rules import EVERYTHING
from argosy_controller.broker.wire import Closed, Message, Will, Wire, client_context


class Breach(Exception):
    """The attack succeeded: one sentence on what was seen."""


@dataclass(frozen=True)
class ClientFiles:
    """PEM files of one client certificate."""

    certificate: Path
    key: Path


#: Makes a throwaway client certificate with this common name, signed by the device CA.
Issue = Callable[[str], ClientFiles]


class Observer:
    """The controller's eyes and hand at the broker; may be used from several threads."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._lock = threading.Lock()

    @classmethod
    @contextlib.contextmanager
    def open(cls, address: tuple[str, int], ca: Path, files: ClientFiles) -> Iterator[Observer]:
        """Connects and subscribes to everything. Raises Closed when that is refused."""
        with Wire.open(address, client_context(ca, (files.certificate, files.key))) as wire:
            wire.connect(CONTROLLER)
            if wire.subscribe(EVERYTHING)[0] & 0x80:
                raise Closed(f"it refuses {EVERYTHING}")
            yield cls(wire)
            wire.disconnect()

    def seen(self, *devices: str) -> list[Message]:
        """All messages so far on topics of these devices."""
        with self._lock:
            self._wire.listen(0.05)
            return [m for m in self._wire.messages if set(m.topic.split("/")) & set(devices)]

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> None:
        """As the controller."""
        with self._lock:
            self._wire.publish(topic, payload, retain)


class Scene:
    """What an attack works with. Leaving it closes all connections and clears what the devices retained.

    Attributes:
        victim: name of the attacked device.
        mallory: name of the attacking device.
        observer: the controller's eyes, or None.
        patience_s: how long a half-open connection may live.
        settle_s: how long to wait for what must not come.
    """

    def __init__(
        self,
        address: tuple[str, int],
        ca: Path,
        issue: Issue,
        folder: Path,
        mark: str,
        observer: Observer | None,
        patience_s: float,
        settle_s: float,
    ) -> None:
        self.address, self.observer = address, observer
        self.patience_s, self.settle_s = patience_s, settle_s
        self.victim, self.mallory = f"argosy-check-victim-{mark}", f"argosy-check-mallory-{mark}"
        self._ca, self._issue, self._folder = ca, issue, folder
        self._files: dict[str, ClientFiles] = {}
        self._open: list[Wire] = []
        self._retained: list[str] = []

    def dial(self, name: str | None) -> Wire:
        """A TLS connection with the certificate of `name` (None: without one), before CONNECT."""
        files = self._files_of(name) if name else None
        return self.dial_with(files)

    def dial_with(self, files: ClientFiles | None) -> Wire:
        """A TLS connection with these files."""
        wire = Wire.open(self.address, client_context(self._ca, (files.certificate, files.key) if files else None))
        self._open.append(wire)
        return wire

    def connect(self, name: str, clean: bool = True, will: Will | None = None) -> Wire:
        """A legitimate connection: certificate and client id are `name`."""
        return self.dial(name).connect(name, clean=clean, will=will)

    def try_as(self, certificate_of: str | None, client_id: str, clean: bool, user: str = "") -> Wire | None:
        """A connection that may well be refused; then None."""
        try:
            return self.dial(certificate_of).connect(client_id, clean=clean, user=user)
        except Closed:
            return None

    def listening_victim(self, clean: bool = True) -> Wire:
        """The victim, connected, subscribed to all that it may read, and without messages."""
        wire = self.connect(self.victim, clean=clean)
        wire.subscribe(*(self.topic(c) for c in (Channel.DESIRED, Channel.COMMAND, Channel.CHUNK)))
        return wire

    def topic(self, channel: Channel, of: str | None = None) -> str:
        """A topic of the victim, or of another device."""
        return Topic(of or self.victim, channel).text

    def attempt_publish(self, wire: Wire, topic: str, retain: bool = False) -> bool:
        """Publishes what must not arrive; whether the connection survived. A broker may acknowledge and drop it, or hang up."""
        self._retained += [topic] if retain else []
        with contextlib.suppress(Closed):
            wire.publish(topic, b"forged", retain)
            return True
        return False

    def retain(self, wire: Wire, topic: str, payload: bytes) -> None:
        """Publishes retained; cleared at the end."""
        self._retained.append(topic)
        wire.publish(topic, payload, retain=True)

    def foreign_files(self, name: str) -> ClientFiles:
        """A certificate of that name, signed by an authority of our own."""
        key = Ed25519PrivateKey.generate()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(timezone.utc)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        builder = (
            builder.serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
        )
        files = ClientFiles(self._folder / f"foreign-{name}.crt", self._folder / f"foreign-{name}.key")
        files.certificate.write_bytes(builder.sign(key, None).public_bytes(serialization.Encoding.PEM))
        form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        files.key.write_bytes(key.private_bytes(*form))
        return files

    def __enter__(self) -> Scene:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for wire in self._open:
            wire.disconnect()
        for name in self._files:
            with contextlib.suppress(Closed):
                self._clear(name)

    def _clear(self, name: str) -> None:
        """Ends the stored session, and what this device could retain, by right or by a hole."""
        with self.dial(name).connect(name) as wire:
            for topic in self._retained:
                wire.publish(topic, b"", retain=True)
            wire.disconnect()

    def _files_of(self, name: str) -> ClientFiles:
        if name not in self._files:
            self._files[name] = self._issue(name)
        return self._files[name]
