"""Who this device is: its enrolment, its key, its certificate and what it trusts."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID
from securesystemslib.signer import CryptoSigner

from argosy.errors import IncompatibleData
from argosy.protocol.codec import from_json, to_json
from argosy.protocol.enrolment import Enrolled
from argosy_agent.folder import StateFolder, write_atomically

#: A certificate is renewed once this share of its life is over.
RENEW_AT = 2 / 3


@dataclass(frozen=True)
class Identity:
    """What was agreed at enrolment, and the signer that proves it."""

    enrolled: Enrolled
    signer: CryptoSigner

    @property
    def device(self) -> str:
        """The device's name: certificate name and MQTT client id."""
        return self.enrolled.device


def load_identity(folder: StateFolder) -> Identity:
    """Reads identity and key.

    Raises:
        NotFound: no device was enrolled in the folder.
        IncompatibleData: the files there do not belong to an enrolment.
    """
    folder.require_enrolled()
    try:
        enrolled = from_json(Enrolled, folder.identity.read_bytes())
        return Identity(enrolled, CryptoSigner(_load_key(folder)))
    except (OSError, ValueError, TypeError) as error:
        raise IncompatibleData(f"the identity in {folder.root} cannot be read ({error}): enrol the device again") from error


def make_key(folder: StateFolder) -> Ed25519PrivateKey:
    """The device's key; made once, so a repeated enrolment asks for the same identity."""
    if folder.key.exists():
        return _load_key(folder)
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write_atomically(folder.key, pem)
    return key


def _load_key(folder: StateFolder) -> Ed25519PrivateKey:
    key = serialization.load_pem_private_key(folder.key.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise IncompatibleData(f"{folder.key} holds no Ed25519 key: enrol the device again in a new folder")
    return key


def make_request(key: Ed25519PrivateKey, name: str) -> str:
    """A certificate signing request (PKCS#10, PEM) for this device."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, None)
    return request.public_bytes(serialization.Encoding.PEM).decode()


def request_again(folder: StateFolder, name: str) -> str:
    """The signing request for a renewal, with the key that the device has."""
    return make_request(_load_key(folder), name)


def certificate_times(folder: StateFolder) -> tuple[float, float]:
    """Begin and end of the own certificate, seconds since 1970."""
    certificate = x509.load_pem_x509_certificate(folder.certificate.read_bytes())
    return _seconds(certificate.not_valid_before_utc), _seconds(certificate.not_valid_after_utc)


def _seconds(moment: datetime.datetime) -> float:
    return moment.timestamp()


def renewal_due(begin: float, end: float, now: float) -> bool:
    """Whether two thirds of a certificate's life are over; all in seconds since 1970."""
    return now >= begin + (end - begin) * RENEW_AT


def save_enrolled(folder: StateFolder, enrolled: Enrolled) -> None:
    """Stores certificate, CA and identity; the identity comes last, so a crash before it leaves a device to enrol again."""
    write_atomically(folder.certificate, enrolled.certificate_pem.encode())
    write_atomically(folder.ca, enrolled.ca_pem.encode())
    write_atomically(folder.identity, to_json(enrolled))
