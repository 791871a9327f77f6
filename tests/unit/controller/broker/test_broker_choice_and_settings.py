"""Which broker is started with what; sentences for wrong input."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from argosy.errors import InvalidInput, NotFound
from argosy.topics import MAX_PACKET_BYTES
from argosy_controller.broker import BrokerTls, start, start_broker
from argosy_controller.broker.child import ChildBroker
from argosy_controller.broker.external import parse_url
from argosy_controller.broker.mosquitto import configuration
from argosy_controller.broker.revocations import newest_date, revoked_serials

TLS = BrokerTls(Path("/d/ca/ca.crt"), Path("/d/ca/server.crt"), Path("/d/ca/server.key"), Path("/d/ca/crl.pem"))


def choose(monkeypatch: pytest.MonkeyPatch, kind: str, installed: bool, folder: Path) -> str:
    """The kind that would have been started."""
    monkeypatch.setattr(ChildBroker, "start", lambda self: None)
    monkeypatch.setattr(start, "find_mosquitto", lambda: Path("/usr/sbin/mosquitto") if installed else None)
    broker = start_broker(kind, folder / "broker", "127.0.0.1", 8883, TLS)
    broker.stop()
    return broker.kind


def test_auto_takes_mosquitto_where_it_is_installed_and_else_amqtt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert choose(monkeypatch, "auto", True, tmp_path) == "mosquitto"
    assert choose(monkeypatch, "auto", False, tmp_path) == "amqtt"
    assert choose(monkeypatch, "amqtt", True, tmp_path) == "amqtt"


def test_mosquitto_that_is_not_installed_is_one_clear_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="mosquitto is not installed: install it"):
        choose(monkeypatch, "mosquitto", False, tmp_path)


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_broker_needs_a_real_port(tmp_path: Path, port: int) -> None:
    with pytest.raises(InvalidInput, match="devices keep the port"):
        start_broker("amqtt", tmp_path / "broker", "127.0.0.1", port, TLS)


@pytest.mark.parametrize(
    "url",
    [
        "rabbit",
        "",
        "mqtt://host",
        "http://host",
        "mqtts://",
        "mqtts://h:x",
        "mqtts://h:99999",
        "mqtts://u@h",
        "mqtts://h/path",
        "mqtts://[",
    ],
)
def test_a_broker_that_is_none_is_one_clear_sentence(tmp_path: Path, url: str) -> None:
    with pytest.raises(InvalidInput, match="write auto, amqtt, mosquitto, or mqtts://HOST:PORT"):
        start_broker(url, tmp_path, "127.0.0.1", 8883, TLS)


def test_a_broker_url_has_a_host_and_perhaps_a_port() -> None:
    assert parse_url("mqtts://broker.example") == ("broker.example", 8883)
    assert parse_url("mqtts://[::1]:1234/") == ("::1", 1234)


def sections(text: str) -> tuple[list[str], list[str], list[str]]:
    """General lines, those of the listener for clients, those of the listener in the folder."""
    lines = text.splitlines()
    first, second = [i for i, line in enumerate(lines) if line.startswith("listener ")]
    return lines[:first], lines[first:second], lines[second:]


def test_mosquitto_is_configured_for_identity_by_certificate() -> None:
    general, clients, door = sections(configuration(Path("/d/broker"), "0.0.0.0", 8883, TLS))
    assert general[0] == "per_listener_settings true"
    assert f"max_packet_size {MAX_PACKET_BYTES}" in general
    assert "persistence true" in general
    assert clients[0] == "listener 8883 0.0.0.0"
    assert {
        "require_certificate true",
        "use_identity_as_username true",
        "use_username_as_clientid true",
        "allow_anonymous false",
        "acl_file /d/broker/acl.txt",
        "crlfile /d/ca/crl.pem",
        "tls_version tlsv1.2",
    } <= set(clients)
    assert door == ["listener 0 door.sock", "allow_anonymous true"]


def authority() -> tuple[Ed25519PrivateKey, x509.Name]:
    key = Ed25519PrivateKey.generate()
    return key, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"CA {id(key)}")])


def ca_pem(key: Ed25519PrivateKey, name: x509.Name) -> bytes:
    now = datetime.now(timezone.utc)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    return builder.not_valid_before(now).not_valid_after(now + timedelta(days=1)).sign(key, None).public_bytes(Encoding.PEM)


def crl_pem(key: Ed25519PrivateKey, name: x509.Name, at: datetime, *serials: int) -> bytes:
    builder = x509.CertificateRevocationListBuilder(name, at, at + timedelta(days=1))
    for serial in serials:
        builder = builder.add_revoked_certificate(x509.RevokedCertificateBuilder(serial, at).build())
    return builder.sign(key, None).public_bytes(Encoding.PEM)


NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)


def test_all_lists_of_a_file_count(tmp_path: Path) -> None:
    old, new = authority(), authority()
    ca, crl = tmp_path / "ca", tmp_path / "crl"
    ca.write_bytes(ca_pem(*new) + ca_pem(*old))
    crl.write_bytes(crl_pem(*new, NOON, 7) + crl_pem(*old, NOON - timedelta(days=1), 8, 9))
    assert revoked_serials(crl, ca) == {7, 8, 9}
    assert newest_date(crl) == NOON


def test_a_list_of_another_authority_is_refused(tmp_path: Path) -> None:
    ours, other = authority(), authority()
    ca, crl = tmp_path / "ca", tmp_path / "crl"
    ca.write_bytes(ca_pem(*ours))
    crl.write_bytes(crl_pem(*other, NOON, 7))
    with pytest.raises(InvalidInput, match="not signed by an authority"):
        revoked_serials(crl, ca)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"])
def test_a_list_that_is_none_is_one_clear_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "crl").write_bytes(content)
    with pytest.raises(InvalidInput, match="list of revoked certificates"):
        newest_date(tmp_path / "crl")
    with pytest.raises(InvalidInput, match="list of revoked certificates"):
        newest_date(tmp_path / "missing")
