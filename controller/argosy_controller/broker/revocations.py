"""Reads lists of revoked certificates. One file may hold several, one for each CA of an overlap."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509

from argosy.errors import InvalidInput

_PEM_CRL = re.compile(rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.DOTALL)


def newest_date(crl: Path) -> datetime:
    """When the youngest list of the file was made, in whole seconds, UTC.

    Raises:
        InvalidInput: the file is missing, or holds no list.
    """
    return max(each.last_update_utc for each in _read(crl))


def revoked_serials(crl: Path, ca: Path) -> frozenset[int]:
    """The serial numbers on all lists of the file.

    Args:
        crl: PEM lists.
        ca: PEM certificates of the authorities that may have signed them.

    Raises:
        InvalidInput: a file is unreadable, or a list is signed by none of the authorities.
    """
    try:
        authorities = [each.public_key() for each in x509.load_pem_x509_certificates(ca.read_bytes())]
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{ca} holds no readable certificate ({error}): write it again as PEM") from error
    lists = _read(crl)
    if not all(any(_signed_by(each, key) for key in authorities) for each in lists):
        raise InvalidInput(f"{crl} holds a list that is not signed by an authority in {ca}: write both again")
    return frozenset(entry.serial_number for each in lists for entry in each)


def _read(crl: Path) -> list[x509.CertificateRevocationList]:
    try:
        lists = [x509.load_pem_x509_crl(pem) for pem in _PEM_CRL.findall(crl.read_bytes())]
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{crl} is not a readable list of revoked certificates ({error}): write it again as PEM") from error
    if not lists:
        raise InvalidInput(f"{crl} holds no list of revoked certificates: write one, if only an empty one")
    return lists


def _signed_by(each: x509.CertificateRevocationList, key: Any) -> bool:
    try:
        return each.is_signature_valid(key)
    except (TypeError, ValueError):  # a key of another algorithm
        return False
