"""The devices' API: enrolment, proofs, nonces; each attack by name."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID
from securesystemslib.signer import CryptoSigner
from starlette.testclient import TestClient

from argosy.proof import prove
from argosy.protocol.enrolment import read_line
from argosy_controller.commands import allow_rekey, create_token, revoke_device
from argosy_controller.devices_api.nonces import LIFETIME_S, Nonces
from argosy_controller.fleet.desired import wish
from argosy_controller.parts import Parts

PREFIX = "/device/v1"


@dataclass(frozen=True)
class Device:
    """A device's side of the protocol."""

    name: str
    key: Ed25519PrivateKey

    def csr(self) -> str:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])
        request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(self.key, None)
        return request.public_bytes(serialization.Encoding.PEM).decode()

    def proof(self, method: str, path: str, nonce: str, body: bytes = b"") -> dict[str, str]:
        return {"Authorization": prove(self.name, method, path, body, nonce, CryptoSigner(self.key))}


def _nonce(devices: TestClient) -> str:
    return devices.get(f"{PREFIX}/nonce").headers["Argosy-Nonce"]


def _enrol(devices: TestClient, parts: Parts, name: str = "pi-1") -> Device:
    device = Device(name, Ed25519PrivateKey.generate())
    secret = read_line(create_token(parts, "admin", {"site": "lab"}, 1, 60.0).line).secret
    answer = devices.post(f"{PREFIX}/enrol", json={"secret": secret, "name": name, "csr_pem": device.csr()})
    assert answer.status_code == 201, answer.text
    return device


def test_trust_is_what_the_line_pins(devices: TestClient, parts: Parts) -> None:
    body = devices.get(f"{PREFIX}/trust").json()
    assert body["ca_pem"] == parts.authority.ca_pem and body["root_json"].encode() == parts.repository.root_version_1


def test_enrolled_device_reads_its_desired_document(devices: TestClient, parts: Parts) -> None:
    device = _enrol(devices, parts)
    path = f"{PREFIX}/desired"
    assert devices.get(path, headers=device.proof("GET", path, _nonce(devices))).status_code == 404
    with parts.database.write() as session:
        wish(session, parts.writer, "pi-1", "digits", None, None, None, parts.clock())
    answer = devices.get(path, headers=device.proof("GET", path, _nonce(devices)))
    assert answer.status_code == 200 and "payload" in msgspec.json.decode(answer.content)


def test_used_up_token_enrols_nobody(devices: TestClient, parts: Parts) -> None:
    secret = read_line(create_token(parts, "admin", {}, 1, 60.0).line).secret
    for name, status in (("pi-1", 201), ("pi-2", 401)):
        body = {"secret": secret, "name": name, "csr_pem": Device(name, Ed25519PrivateKey.generate()).csr()}
        answer = devices.post(f"{PREFIX}/enrol", json=body)
        assert answer.status_code == status
    assert "used up" in answer.json()["detail"]


def test_second_device_of_the_same_name_is_refused(devices: TestClient, parts: Parts) -> None:
    _enrol(devices, parts)
    secret = read_line(create_token(parts, "admin", {}, 1, 60.0).line).secret
    other = Device("pi-1", Ed25519PrivateKey.generate())
    answer = devices.post(f"{PREFIX}/enrol", json={"secret": secret, "name": "pi-1", "csr_pem": other.csr()})
    assert answer.status_code == 409 and "choose another name" in answer.json()["detail"]


def test_name_takes_a_new_key_only_once_an_operator_allowed_it(devices: TestClient, parts: Parts) -> None:
    old = _enrol(devices, parts)
    allow_rekey(parts, "admin", "pi-1")
    new = _enrol(devices, parts)
    path = f"{PREFIX}/tuf/metadata/timestamp.json"
    assert devices.get(path, headers=old.proof("GET", path, _nonce(devices))).status_code == 401
    assert devices.get(path, headers=new.proof("GET", path, _nonce(devices))).status_code == 200
    other = Device("pi-1", Ed25519PrivateKey.generate())
    secret = read_line(create_token(parts, "admin", {}, 1, 60.0).line).secret
    answer = devices.post(f"{PREFIX}/enrol", json={"secret": secret, "name": "pi-1", "csr_pem": other.csr()})
    assert answer.status_code == 409


def test_replayed_request_is_refused(devices: TestClient, parts: Parts) -> None:
    device = _enrol(devices, parts)
    path = f"{PREFIX}/tuf/metadata/timestamp.json"
    proof = device.proof("GET", path, _nonce(devices))
    assert devices.get(path, headers=proof).status_code == 200
    again = devices.get(path, headers=proof)
    assert again.status_code == 401 and again.headers["Argosy-Nonce"]


def test_proof_for_another_request_is_refused(devices: TestClient, parts: Parts) -> None:
    device = _enrol(devices, parts)
    desired, renew = f"{PREFIX}/desired", f"{PREFIX}/renew"
    assert devices.get(desired, headers=device.proof("GET", f"{desired}?x=1", _nonce(devices))).status_code == 401
    assert devices.get(desired, headers=device.proof("POST", desired, _nonce(devices))).status_code == 401
    body = msgspec.json.encode({"csr_pem": device.csr()})
    assert devices.post(renew, content=body, headers=device.proof("POST", renew, _nonce(devices), b"other")).status_code == 401
    assert devices.post(renew, content=body, headers=device.proof("POST", renew, _nonce(devices), body)).status_code == 200


def test_another_devices_name_under_ones_own_key_is_refused(devices: TestClient, parts: Parts) -> None:
    victim, thief = _enrol(devices, parts, "pi-1"), _enrol(devices, parts, "pi-2")
    path = f"{PREFIX}/desired"
    forged = Device(victim.name, thief.key).proof("GET", path, _nonce(devices))
    assert devices.get(path, headers=forged).status_code == 401


def test_revoked_device_gets_nothing(devices: TestClient, parts: Parts) -> None:
    device = _enrol(devices, parts)
    assert revoke_device(parts, "admin", "pi-1").device == "pi-1"
    path = f"{PREFIX}/desired"
    answer = devices.get(path, headers=device.proof("GET", path, _nonce(devices)))
    assert answer.status_code == 401 and "revoked" in answer.json()["detail"]
    assert parts.authority.crl_path.exists() and parts.broker.revoked == ["pi-1"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "name", ["../../keys/director.pem", "..%2F..%2Fkeys%2Fdirector.pem", "1.root.json%00", "timestamp.json/", "nothing.json"]
)
def test_path_tricks_in_metadata_names_find_nothing(devices: TestClient, parts: Parts, name: str) -> None:
    device = _enrol(devices, parts)
    path = f"{PREFIX}/tuf/metadata/{name}"
    target = devices.build_request("GET", path).url.raw_path.decode()
    answer = devices.get(path, headers=device.proof("GET", target, _nonce(devices)))
    assert answer.status_code == 404


def test_large_body_is_refused_before_anything_else(devices: TestClient) -> None:
    assert devices.post(f"{PREFIX}/enrol", content=b"x" * 70_000).status_code == 413


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"secret":1}', b"\xff" * 100, b"[" * 50_000])
def test_garbage_is_a_problem_and_no_crash(devices: TestClient, content: bytes) -> None:
    answer = devices.post(f"{PREFIX}/enrol", content=content)
    assert answer.status_code == 422 and answer.headers["content-type"] == "application/problem+json"


def test_operators_api_is_not_offered_to_devices(devices: TestClient) -> None:
    for path in ("/", "/api/v1/devices", "/login", "/tuf/metadata/1.root.json"):
        assert devices.get(path).status_code == 404


def test_nonce_is_good_once_and_for_a_while() -> None:
    now = [0.0]
    nonces = Nonces(lambda: now[0])
    first, second = nonces.fresh(), nonces.fresh()
    assert nonces.accept(first) and not nonces.accept(first)
    now[0] = LIFETIME_S + 1
    assert not nonces.accept(second)


@pytest.mark.parametrize("nonce", ["", "x", "A" * 72, "é" * 20, "=" * 70])
def test_nonce_from_elsewhere_is_refused(nonce: str) -> None:
    assert not Nonces(lambda: 0.0).accept(nonce)


def test_altered_nonce_is_refused() -> None:
    nonces = Nonces(lambda: 0.0)
    nonce = nonces.fresh()
    assert not nonces.accept(("B" if nonce[0] != "B" else "C") + nonce[1:])
    assert not Nonces(lambda: 0.0).accept(nonce)
