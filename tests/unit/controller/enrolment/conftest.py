"""A device CA, a database, and devices that ask for certificates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from argosy_controller.db.engine import Database, open_database
from argosy_controller.enrolment.authority import DeviceAuthority

START = 1_800_000_000.0
MakeRequest = Callable[..., str]


@dataclass
class Clock:
    """Stands still until it is moved."""

    now: float = START

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def authority(tmp_path: Path, clock: Clock) -> DeviceAuthority:
    return DeviceAuthority.create(tmp_path / "ca", ["fleet.example", "192.0.2.7"], clock)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(tmp_path / "argosy.db")
    yield opened
    opened.close()


@pytest.fixture
def make_request() -> MakeRequest:
    def make(name: str, key: Ed25519PrivateKey | None = None) -> str:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
        return builder.sign(key or Ed25519PrivateKey.generate(), None).public_bytes(Encoding.PEM).decode()

    return make
