"""A small device CA, brokers of every kind on it, and clients."""

from __future__ import annotations

import contextlib
import shutil
import socket
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from argosy_controller.broker import BrokerTls, RunningBroker, start_broker
from argosy_controller.broker.attacks import ClientFiles


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _write_key(path: Path, key: Ed25519PrivateKey) -> Path:
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path.write_bytes(key.private_bytes(*form))
    path.chmod(0o600)
    return path


class Authority:
    """A throwaway CA in a folder: issues certificates, revokes them."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self._key = Ed25519PrivateKey.generate()
        self._revoked: list[int] = []
        self.ca = folder / "ca.pem"
        self.crl = folder / "crl.pem"
        self._certificate = self._sign("test CA", self._key, is_ca=True)
        self.ca.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))
        self._write_crl(datetime.now(timezone.utc) - timedelta(minutes=10))

    def issue(self, name: str) -> ClientFiles:
        key = Ed25519PrivateKey.generate()
        stem = f"{name}-{len(list(self.folder.iterdir()))}"
        certificate = self.folder / f"{stem}.crt"
        certificate.write_bytes(self._sign(name, key).public_bytes(serialization.Encoding.PEM))
        return ClientFiles(certificate, _write_key(self.folder / f"{stem}.key", key))

    def revoke(self, files: ClientFiles, at: datetime | None = None) -> None:
        self._revoked.append(x509.load_pem_x509_certificate(files.certificate.read_bytes()).serial_number)
        self._write_crl(at or datetime.now(timezone.utc))

    def tls(self) -> BrokerTls:
        server = self.issue("broker")
        return BrokerTls(self.ca, server.certificate, server.key, self.crl)

    def _sign(self, name: str, key: Ed25519PrivateKey, is_ca: bool = False) -> x509.Certificate:
        now = datetime.now(timezone.utc)
        builder = (
            x509.CertificateBuilder(_name(name), None, key.public_key(), x509.random_serial_number(), now, now)
            if False
            else x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(_name("test CA"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        )
        return builder.sign(self._key, None)

    def _write_crl(self, at: datetime) -> None:
        builder = x509.CertificateRevocationListBuilder(_name("test CA"), at, at + timedelta(days=30))
        for serial in self._revoked:
            builder = builder.add_revoked_certificate(x509.RevokedCertificateBuilder(serial, at).build())
        self.crl.write_bytes(builder.sign(self._key, None).public_bytes(serialization.Encoding.PEM))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
