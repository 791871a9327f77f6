"""How certificates look: pure functions from facts to X.509 (RFC 5280), Ed25519 throughout (RFC 8410)."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Sequence
from datetime import datetime, timezone

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from argosy.errors import InvalidInput

DAY_S = 86_400.0
CA_LIFE_S = 3650 * DAY_S
DEVICE_LIFE_S = 30 * DAY_S
OWN_LIFE_S = 365 * DAY_S
MAX_CSR_BYTES = 8192
#: Certificates begin a little earlier, so that a clock somewhat behind takes them at once.
_EARLIER_S = 300.0


def moment(at: float) -> datetime:
    """Seconds since 1970 as X.509 counts them: whole seconds, UTC."""
    return datetime.fromtimestamp(int(at), timezone.utc)


def ca_certificate(key: Ed25519PrivateKey, now: float) -> x509.Certificate:
    """A self-signed CA certificate that can sign certificates of devices and servers, but no further CA."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Argosy device CA {spki_sha256(key.public_key())[:8]}")])
    builder = _builder(name, name, key.public_key(), now, now + CA_LIFE_S)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return builder.add_extension(_usage(signs_certificates=True), critical=True).sign(key, None)


def server_certificate(
    hostnames: Sequence[str], key: Ed25519PublicKey, issuer: x509.Certificate, issuer_key: Ed25519PrivateKey, now: float
) -> x509.Certificate:
    """A certificate for a server that is reached under these names and addresses; it cannot act as a client."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "argosy-server")])
    builder = _leaf(subject, key, issuer, now, OWN_LIFE_S, ExtendedKeyUsageOID.SERVER_AUTH)
    names = [_general_name(each) for each in hostnames]
    return builder.add_extension(x509.SubjectAlternativeName(names), critical=False).sign(issuer_key, None)


def client_certificate(
    name: str, key: Ed25519PublicKey, issuer: x509.Certificate, issuer_key: Ed25519PrivateKey, now: float, life_s: float
) -> x509.Certificate:
    """A certificate for a client of this common name; it cannot act as a server."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return _leaf(subject, key, issuer, now, life_s, ExtendedKeyUsageOID.CLIENT_AUTH).sign(issuer_key, None)


def revocation_list(serials: Sequence[str], issuer: x509.Certificate, issuer_key: Ed25519PrivateKey, now: float) -> bytes:
    """A CRL as PEM. It holds until its issuer expires: it is replaced at every revocation, and an expired one would shut all out."""
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer.subject)
    builder = builder.last_update(moment(now - _EARLIER_S)).next_update(issuer.not_valid_after_utc)
    for serial in sorted(set(serials)):
        entry = x509.RevokedCertificateBuilder().serial_number(int(serial, 16)).revocation_date(moment(now)).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(issuer_key, None).public_bytes(Encoding.PEM)


def request_key(csr_pem: str, name: str) -> Ed25519PublicKey:
    """The key that a certificate request asks for; nothing else of the request is believed.

    Args:
        csr_pem: PKCS#10 from outside.
        name: what its common name, and the whole of its subject, must be.

    Raises:
        InvalidInput: no request, another kind of key, another name, or not signed with its own key.
    """
    if len(csr_pem) > MAX_CSR_BYTES:
        raise InvalidInput(f"the certificate request has {len(csr_pem)} characters, at most {MAX_CSR_BYTES} are allowed")
    try:
        request = x509.load_pem_x509_csr(csr_pem.encode())
        subject = [(attribute.oid, attribute.value) for attribute in request.subject]
        key = request.public_key()
        signed = request.is_signature_valid
    except (ValueError, TypeError, InvalidSignature, x509.UnsupportedGeneralNameType) as error:
        raise InvalidInput("the certificate request does not parse: send a PKCS#10 request as PEM") from error
    if not isinstance(key, Ed25519PublicKey):
        raise InvalidInput("the certificate request asks for another kind of key: make an Ed25519 key")
    if subject != [(NameOID.COMMON_NAME, name)]:
        raise InvalidInput(f"the certificate request is not for {name!r}: its subject must be the common name {name} and nothing else")
    if not signed:
        raise InvalidInput("the certificate request is not signed with its own key")
    return key


def spki_sha256(key: Ed25519PublicKey) -> str:
    """sha256 of the SubjectPublicKeyInfo, the form in which keys are pinned (RFC 7469)."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _leaf(
    subject: x509.Name, key: Ed25519PublicKey, issuer: x509.Certificate, now: float, life_s: float, use: ObjectIdentifier
) -> x509.CertificateBuilder:
    ends = min(now + life_s, issuer.not_valid_after_utc.timestamp())
    builder = _builder(subject, issuer.subject, key, now, ends)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
    return builder.add_extension(authority, critical=False).add_extension(x509.ExtendedKeyUsage([use]), critical=True)


def _builder(subject: x509.Name, issuer: x509.Name, key: Ed25519PublicKey, now: float, ends: float) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(moment(now - _EARLIER_S)).not_valid_after(moment(ends))
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _usage(signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
