"""A small device CA, and a broker with everything that a test asks of it."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

import psutil
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from argosy.names import CONTROLLER
from argosy_controller.broker import BrokerTls, RunningBroker, start_broker
from argosy_controller.broker.attacks import ClientFiles
from argosy_controller.broker.wire import Will, Wire, client_context

CA_NAME = "test CA"


class Authority:
    """A throwaway CA in a folder: issues certificates, revokes them."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.ca, self.crl = folder / "ca.pem", folder / "crl.pem"
        self._key = Ed25519PrivateKey.generate()
        self._revoked: list[int] = []
        self._count = 0
        self.ca.write_bytes(self._sign(CA_NAME, self._key, is_ca=True).public_bytes(serialization.Encoding.PEM))
        self._write_crl(datetime.now(timezone.utc) - timedelta(minutes=10))

    def issue(self, name: str) -> ClientFiles:
        """A certificate and its key."""
        self._count += 1
        files = ClientFiles(self.folder / f"{name}-{self._count}.crt", self.folder / f"{name}-{self._count}.key")
        self.write(name, files)
        return files

    def write(self, name: str, files: ClientFiles) -> None:
        """A new certificate and key into these files."""
        key = Ed25519PrivateKey.generate()
        files.certificate.write_bytes(self._sign(name, key).public_bytes(serialization.Encoding.PEM))
        form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        with os.fdopen(os.open(files.key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(key.private_bytes(*form))

    def revoke(self, *revoked: ClientFiles) -> None:
        """Puts certificates on the list; it is dated now."""
        self._revoked += [x509.load_pem_x509_certificate(each.certificate.read_bytes()).serial_number for each in revoked]
        self._write_crl(datetime.now(timezone.utc))

    def tls(self, files: ClientFiles | None = None) -> BrokerTls:
        """What a broker (or, with the controller's files, an external broker's client) is started with."""
        own = files or self.issue("broker")
        return BrokerTls(self.ca, own.certificate, own.key, self.crl)

    def _sign(self, name: str, key: Ed25519PrivateKey, is_ca: bool = False) -> x509.Certificate:
        now = datetime.now(timezone.utc)
        builder = x509.CertificateBuilder().subject_name(_name(name)).issuer_name(_name(CA_NAME)).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number()).add_extension(x509.BasicConstraints(is_ca, None), critical=True)
        return builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=1)).sign(self._key, None)

    def _write_crl(self, at: datetime) -> None:
        builder = x509.CertificateRevocationListBuilder(_name(CA_NAME), at, at + timedelta(days=30))
        for serial in self._revoked:
            builder = builder.add_revoked_certificate(x509.RevokedCertificateBuilder(serial, at).build())
        self.crl.write_bytes(builder.sign(self._key, None).public_bytes(serialization.Encoding.PEM))


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], object], timeout_s: float = 10.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@dataclass
class Site:
    """A running broker, its CA, and its folder."""

    kind: str
    broker: RunningBroker
    authority: Authority
    folder: Path
    wires: list[Wire] = field(default_factory=list)

    def connect(
        self, name: str, clean: bool = True, keep_alive_s: int = 60, will: Will | None = None, files: ClientFiles | None = None
    ) -> Wire:
        """A client with a certificate of its own."""
        return self.dial(files or self.authority.issue(name)).connect(name, clean, keep_alive_s, will)

    def dial(self, files: ClientFiles) -> Wire:
        wire = Wire.open(self.broker.address, client_context(self.authority.ca, (files.certificate, files.key)))
        self.wires.append(wire)
        return wire

    def close_wires(self) -> None:
        while self.wires:
            self.wires.pop().close()

    def controller(self) -> Wire:
        """The controller, subscribed to everything."""
        wire = self.connect(CONTROLLER)
        wire.subscribe("argosy/#")
        return wire

    def process_id(self) -> int:
        """Of the managed broker."""
        found = self.broker.process_id()  # type: ignore[attr-defined]
        assert found is not None
        return int(found)

    def memory(self) -> int:
        """Resident bytes of the managed broker."""
        return int(psutil.Process(self.process_id()).memory_info().rss)


@contextlib.contextmanager
def started(kind: str, folder: Path) -> Iterator[Site]:
    """A broker of this kind; `mqtts` is a mosquitto that is reached as a broker which somebody else runs."""
    authority = Authority(folder / "ca")
    own = start_broker("mosquitto" if kind == "mqtts" else kind, folder / "broker of a test", "127.0.0.1", free_port(), authority.tls())
    try:
        seen = own
        if kind == "mqtts":
            url = f"mqtts://127.0.0.1:{own.address[1]}"
            seen = start_broker(url, folder, "", 0, authority.tls(authority.issue(CONTROLLER)))
        site = Site(kind, seen, authority, folder / "broker of a test")
        yield site
        site.close_wires()
    finally:
        own.stop()
