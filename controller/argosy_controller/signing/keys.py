"""Signing keys: files here, or anything else that securesystemslib can sign with, named by URI."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from securesystemslib.exceptions import Error as SigningError
from securesystemslib.signer import SIGNER_FOR_URI_SCHEME, CryptoSigner, Key, Signer, SSlibKey

from argosy.errors import InvalidInput, NotFound
from argosy_controller.durable import write_file

_MAX_KEY_BYTES = 64 << 10


def make_key(path: Path) -> CryptoSigner:
    """Makes an Ed25519 key and writes it (PEM, PKCS#8, 0600), replacing what is there."""
    signer = CryptoSigner.generate_ed25519()
    write_file(path, signer.private_bytes)
    return signer


def load_or_make_key(path: Path) -> CryptoSigner:
    """The key in `path`, made when there is none.

    Raises:
        InvalidInput: the file holds no key.
    """
    return read_key(path) if path.exists() else make_key(path)


def read_key(path: Path) -> CryptoSigner:
    """A private key out of a PEM file.

    Raises:
        NotFound: there is no such file.
        InvalidInput: it holds no private key, one of an unknown kind, or an encrypted one.
    """
    raw = _bounded(path)
    try:
        return CryptoSigner(load_pem_private_key(raw, None))
    except TypeError as error:
        raise InvalidInput(f"the key in {path} is encrypted: decrypt it, or use a key store by URI") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidInput(f"{path} holds no private key as PEM: use an Ed25519 key in PKCS#8 form") from error


def read_public_key(path: Path) -> Key:
    """A public key out of a PEM file (SubjectPublicKeyInfo).

    Raises:
        NotFound: there is no such file.
        InvalidInput: it holds no public key.
    """
    raw = _bounded(path)
    try:
        return SSlibKey.from_crypto(load_pem_public_key(raw))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidInput(f"{path} holds no public key as PEM") from error


def load_signer(place: str, candidates: Sequence[Key] = ()) -> Signer:
    """A signer by file or URI, as `--publisher-key` takes it.

    Args:
        place: path of a PEM file, or a URI of securesystemslib (`hsm:`, `awskms:`, `gcpkms:`, `azurekms:`, `hv:`, `file2:`...).
        candidates: public keys of which it must be one. A URI does not say which key it names, so at least one is needed;
            a file that is none of them is refused.

    Raises:
        NotFound: there is no such file.
        InvalidInput: no key there, none of the candidates, or the key store does not answer.
    """
    scheme = place.partition(":")[0]
    if scheme in SIGNER_FOR_URI_SCHEME and scheme != CryptoSigner.SCHEME:
        return _from_store(place, candidates)
    signer = read_key(Path(place.removeprefix(f"{CryptoSigner.SCHEME}:")))
    if candidates and signer.public_key.keyid not in {key.keyid for key in candidates}:
        raise InvalidInput(
            f"the key in {place} is not the one that this fleet trusts for publishing: use that one, or hand publishing over with 'controller root rotate --new-publisher-key {place}'"
        )
    return signer


def _from_store(uri: str, candidates: Sequence[Key]) -> Signer:
    failures = []
    for key in candidates:
        try:
            return Signer.from_priv_key_uri(uri, key)
        except (SigningError, ValueError, OSError, ImportError) as error:
            failures.append(str(error))
    told = f" ({failures[-1]})" if failures else ""
    raise InvalidInput(f"no key could be used by {uri.partition('?')[0]!r:.120}{told}: check the address, and its public key")


def _bounded(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_KEY_BYTES)
    except FileNotFoundError as error:
        raise NotFound(f"there is no key file {path}") from error
    except OSError as error:
        raise InvalidInput(f"key file {path} cannot be read ({error.strerror})") from error
