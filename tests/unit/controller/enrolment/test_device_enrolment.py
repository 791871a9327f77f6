"""Devices come in once, come back with their key, and are shut out for good until an operator says otherwise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner

from argosy.errors import Conflict, InvalidInput, NotAllowed, NotFound
from argosy.proof import check_proof, prove
from argosy.protocol.enrolment import EnrolRequest
from argosy_controller.db.engine import Database
from argosy_controller.db.tables import DeviceRow, TokenRow
from argosy_controller.enrolment import devices
from argosy_controller.enrolment.authority import DeviceAuthority, Issued
from argosy_controller.enrolment.tokens import create_token, tokens

NOW = 1_800_000_000.0
DAY = 86_400.0


@dataclass
class Door:
    """Everything that an enrolment needs, one transaction a call as the API does it."""

    database: Database
    authority: DeviceAuthority
    make_request: Callable[..., str]
    keys: dict[str, Ed25519PrivateKey] = field(default_factory=dict)

    def token(self, uses: int = 1, **labels: str) -> str:
        with self.database.write() as session:
            return create_token(session, uses, 3600.0, labels, NOW)[0]

    def enrol(self, secret: str, name: str = "pi-7", key: Ed25519PrivateKey | None = None, now: float = NOW) -> Issued:
        key = key or self.keys.setdefault(name, Ed25519PrivateKey.generate())
        with self.database.write() as session:
            request = EnrolRequest(secret=secret, name=name, csr_pem=self.make_request(name, key))
            return devices.enrol(session, self.authority, request, now)

    def renew(self, name: str = "pi-7", key: Ed25519PrivateKey | None = None, now: float = NOW) -> Issued:
        with self.database.write() as session:
            return devices.renew(session, self.authority, name, self.make_request(name, key or self.keys[name]), now)

    def revoke(self, name: str = "pi-7") -> None:
        with self.database.write() as session:
            devices.revoke(session, name, NOW)

    def allow(self, name: str = "pi-7") -> None:
        with self.database.write() as session:
            devices.allow_rekey(session, name)

    def device(self, name: str = "pi-7") -> DeviceRow:
        with self.database.read() as session:
            row = session.get(DeviceRow, name)
            assert row is not None
            return row

    def uses_left(self) -> int:
        with self.database.read() as session:
            rows: list[TokenRow] = list(tokens(session))
            return sum(row.uses_left for row in rows)

    def revoked(self, now: float = NOW) -> list[str]:
        with self.database.read() as session:
            return devices.revoked_serials(session, now)


@pytest.fixture
def door(database: Database, authority: DeviceAuthority, make_request: Any) -> Door:
    return Door(database, authority, make_request)


def test_a_device_comes_in_with_the_labels_of_its_token(door: Door) -> None:
    issued = door.enrol(door.token(site="lab"))
    device = door.device()
    assert (device.labels, device.serial, device.not_after) == ({"site": "lab"}, issued.serial, NOW + 30 * DAY)
    assert device.enrolled == NOW and not device.revoked


def test_its_key_is_the_one_that_its_proofs_are_checked_with(door: Door) -> None:
    door.enrol(door.token())
    header = prove("pi-7", "GET", "/device/v1/desired", b"", "nonce", CryptoSigner(door.keys["pi-7"]))
    with door.database.read() as session:
        key = devices.device_key(session, "pi-7")
        assert check_proof(header, method="GET", path="/device/v1/desired", body=b"", key=key).nonce == "nonce"
        with pytest.raises(NotAllowed, match="not enrolled"):
            devices.device_key(session, "pi-8")


def test_a_device_whose_answer_was_lost_asks_again_and_it_costs_nothing(door: Door) -> None:
    secret = door.token(uses=1)
    first = door.enrol(secret)
    again = door.enrol(secret, now=NOW + 7200.0)
    assert first.serial != again.serial == door.device().serial
    assert door.uses_left() == 0
    with pytest.raises(NotAllowed, match="unknown"):
        door.enrol("a made up token")


def test_a_second_device_with_the_same_name_is_refused_and_the_token_keeps_its_use(door: Door) -> None:
    secret = door.token(uses=2)
    door.enrol(secret)
    before = door.device()
    with pytest.raises(Conflict, match="exists with another key"):
        door.enrol(secret, key=Ed25519PrivateKey.generate())
    assert door.uses_left() == 1
    assert door.device() == before


def test_who_has_no_token_does_not_learn_which_names_exist(door: Door) -> None:
    used = door.token(uses=1)
    door.enrol(used)
    for name in ("pi-7", "pi-8"):
        for secret, told in (("made up", "unknown"), (used, "used up")):
            with pytest.raises(NotAllowed, match=told):
                door.enrol(secret, name=name, key=Ed25519PrivateKey.generate())


def test_an_operator_allows_one_new_key_and_the_old_one_is_revoked(door: Door) -> None:
    secret = door.token(uses=5, site="lab")
    old = door.enrol(secret)
    with door.database.write() as session:
        row = session.get(DeviceRow, "pi-7")
        assert row is not None
        row.generation, row.labels = 41, {"site": "hall", "line": "3"}
        session.add(row)
    door.allow()
    key = Ed25519PrivateKey.generate()
    door.enrol(secret, key=key)
    device = door.device()
    assert (device.generation, device.labels, device.rekey_allowed) == (41, {"site": "lab", "line": "3"}, False)
    assert door.revoked() == [old.serial]
    with pytest.raises(Conflict):
        door.enrol(secret, key=Ed25519PrivateKey.generate())


@pytest.mark.parametrize("name", ["../up", "UPPER", "a/b", "controller", "#", "+"])
def test_illegal_names_are_refused_and_cost_nothing(door: Door, name: str) -> None:
    secret = door.token()
    with pytest.raises(InvalidInput):
        door.enrol(secret, name=name)
    assert door.uses_left() == 1


def test_a_renewal_is_for_the_same_key_only(door: Door) -> None:
    door.enrol(door.token())
    renewed = door.renew(now=NOW + 20 * DAY)
    assert (door.device().serial, door.device().not_after) == (renewed.serial, NOW + 50 * DAY)
    with pytest.raises(Conflict, match="another key"):
        door.renew(key=Ed25519PrivateKey.generate())
    with pytest.raises(InvalidInput, match="not for"), door.database.write() as session:
        devices.renew(session, door.authority, "pi-7", door.make_request("pi-8", door.keys["pi-7"]), NOW)
    with pytest.raises(NotAllowed, match="not enrolled"), door.database.write() as session:
        devices.renew(session, door.authority, "pi-9", door.make_request("pi-9"), NOW)
    assert door.device().serial == renewed.serial


def test_revoked_device_loses_all_its_certificates_and_does_not_come_back_by_itself(door: Door) -> None:
    secret = door.token(uses=5)
    serials = [door.enrol(secret).serial, door.renew(now=NOW + 10 * DAY).serial]
    door.revoke()
    assert door.revoked() == sorted(serials)
    assert door.revoked(NOW + 35 * DAY) == [serials[1]]  # what has expired need not be listed
    with door.database.read() as session, pytest.raises(NotAllowed, match="revoked"):
        devices.device_key(session, "pi-7")
    with pytest.raises(NotAllowed, match="revoked"):
        door.renew()
    with pytest.raises(NotAllowed, match="revoked"):
        door.enrol(secret)
    with pytest.raises(Conflict):
        door.enrol(secret, key=Ed25519PrivateKey.generate())
    assert door.uses_left() == 4
    door.allow()
    door.enrol(secret)
    assert (door.device().revoked, door.uses_left()) == (False, 3)
    assert door.revoked() == sorted(serials)


def test_the_list_of_revoked_certificates_is_written_from_what_is_committed(door: Door) -> None:
    serial = door.enrol(door.token()).serial
    assert [each.serial_number for each in _listed(door)] == []
    door.revoke()
    assert [f"{each.serial_number:x}" for each in _listed(door)] == [serial]


def _listed(door: Door) -> list[x509.RevokedCertificate]:
    path = devices.write_revocations(door.database, door.authority, NOW)
    return list(x509.load_pem_x509_crl(path.read_bytes()))


def test_the_operator_is_told_of_devices_that_are_not_there(door: Door) -> None:
    for act in (door.revoke, door.allow):
        with pytest.raises(NotFound, match="no device"):
            act("pi-9")
