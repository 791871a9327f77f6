"""Devices come in, renew, are shut out, and are let in again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from securesystemslib.signer import Key, SSlibKey
from sqlmodel import Session, col, delete, select, update

from argosy.errors import Conflict, NotAllowed, NotFound
from argosy.names import check_name
from argosy.protocol.enrolment import EnrolRequest
from argosy_controller.db.engine import Database
from argosy_controller.db.tables import CertificateRow, DeviceRow
from argosy_controller.enrolment.authority import DeviceAuthority, Issued
from argosy_controller.enrolment.certificates import request_key
from argosy_controller.enrolment.tokens import check_usable, find_token, redeem


def enrol(session: Session, authority: DeviceAuthority, request: EnrolRequest, now: float) -> Issued:
    """Makes a device one of the fleet, or gives a device that asks again with the same key a certificate again.

    A device whose answer was lost asks again: with the key that it enrolled with it costs no further use of the token.

    Args:
        session: of a write transaction.
        authority: signs.
        request: from outside.
        now: seconds since 1970.

    Raises:
        InvalidInput: name or certificate request are not right.
        NotAllowed: the token is unknown, expired or used up, or the device was revoked.
        Conflict: another key has this name; the token is not used up by that.
    """
    name = check_name("device", request.name)
    key_pem = _key_pem(request.csr_pem, name)
    token = find_token(session, request.secret)
    device = session.get(DeviceRow, name)
    if device is None or device.key_pem != key_pem or device.revoked:
        check_usable(token, now)
        _check_free(device, key_pem)
        token = redeem(session, request.secret, now)
        device = _admit(session, device, name, key_pem, token.labels, now)
    return _issue(session, authority, device, request.csr_pem, now)


def renew(session: Session, authority: DeviceAuthority, device: str, csr_pem: str, now: float) -> Issued:
    """A new certificate for the key that a device has.

    Args:
        session: of a write transaction.
        authority: signs.
        device: name that was proven with the device's key.
        csr_pem: its request.
        now: seconds since 1970.

    Raises:
        InvalidInput: the request is not right.
        NotAllowed: the device is unknown or revoked.
        Conflict: the request is for another key than the device's.
    """
    row = _known(session, device)
    if _key_pem(csr_pem, row.name) != row.key_pem:
        raise Conflict(f"device {device} asks for a certificate for another key: a new key needs a new enrolment that an operator allows")
    return _issue(session, authority, row, csr_pem, now)


def revoke(session: Session, name: str, now: float) -> None:
    """Shuts a device out. After the commit the caller writes the CRL (`write_revocations`), has the broker load it and end the session.

    Raises:
        NotFound: there is no such device.
    """
    row = _row(session, name)
    row.revoked, row.rekey_allowed = True, False
    session.add(row)
    _revoke_certificates(session, name)


def allow_rekey(session: Session, name: str) -> None:
    """Allows this name one enrolment with a new key: the device lost its key, was replaced, or is let in again after a revocation.

    Raises:
        NotFound: there is no such device.
    """
    row = _row(session, name)
    row.rekey_allowed = True
    session.add(row)


def device_key(session: Session, name: str) -> Key:
    """The public key to check a device's proof with (argosy.proof.check_proof).

    Raises:
        NotAllowed: the device is unknown or revoked.
    """
    return SSlibKey.from_crypto(load_pem_public_key(_known(session, name).key_pem.encode()))


def revoked_serials(session: Session, now: float) -> list[str]:
    """Serials (hex) of every certificate that is revoked and has not expired: the content of the CRL."""
    query = select(CertificateRow.serial).where(col(CertificateRow.revoked), col(CertificateRow.not_after) > now)
    return sorted(session.exec(query).all())


def write_revocations(database: Database, authority: DeviceAuthority, now: float) -> Path:
    """Writes the CRL from what is committed: after a revocation, after an enrolment with a new key, at start and daily."""

    def committed() -> list[str]:
        with database.read() as session:
            return revoked_serials(session, now)

    return authority.write_crl(committed, now)


def _check_free(device: DeviceRow | None, key_pem: str) -> None:
    if device is None or device.rekey_allowed:
        return
    if device.key_pem == key_pem:
        raise NotAllowed(f"device {device.name} was revoked: an operator must allow it again first")
    raise Conflict(
        f"device {device.name} exists with another key: choose another name with --name, or let an operator run 'controller devices allow-new-key {device.name}'"
    )


def _admit(session: Session, device: DeviceRow | None, name: str, key_pem: str, labels: Mapping[str, str], now: float) -> DeviceRow:
    """The row of a device that may come in: a new one, or the old one with the new key and all else that is known of it."""
    if device is None:
        return DeviceRow(name=name, key_pem=key_pem, serial="", not_after=0.0, enrolled=now, labels=dict(labels))
    _revoke_certificates(session, name)
    device.key_pem, device.enrolled = key_pem, now
    device.revoked = device.rekey_allowed = False
    device.labels = {**device.labels, **labels}
    return device


def _issue(session: Session, authority: DeviceAuthority, device: DeviceRow, csr_pem: str, now: float) -> Issued:
    issued = authority.issue_device(csr_pem, device.name, now)
    device.serial, device.not_after = issued.serial, issued.not_after
    session.add(device)
    session.flush()  # the certificate's row refers to it
    session.connection().execute(
        delete(CertificateRow).where(col(CertificateRow.device) == device.name, col(CertificateRow.not_after) <= now)
    )
    session.add(CertificateRow(serial=issued.serial, device=device.name, not_after=issued.not_after))
    session.flush()
    return issued


def _revoke_certificates(session: Session, name: str) -> None:
    session.connection().execute(update(CertificateRow).where(col(CertificateRow.device) == name).values(revoked=True))


def _row(session: Session, name: str) -> DeviceRow:
    row = session.get(DeviceRow, name)
    if row is None:
        raise NotFound(f"there is no device {name!r:.80}: 'controller devices list' shows what there is")
    return row


def _known(session: Session, name: str) -> DeviceRow:
    row = session.get(DeviceRow, name)
    if row is None:
        raise NotAllowed(f"device {name!r:.80} is not enrolled here: enrol it with a token")
    if row.revoked:
        raise NotAllowed(f"device {name} was revoked: an operator must allow it again first")
    return row


def _key_pem(csr_pem: str, name: str) -> str:
    return request_key(csr_pem, name).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
