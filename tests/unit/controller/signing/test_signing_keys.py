"""Signing keys by file and by URI."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat, PublicFormat
from securesystemslib.signer import CryptoSigner

from argosy.errors import InvalidInput, NotFound
from argosy_controller.signing.keys import load_or_make_key, load_signer, make_key, read_key, read_public_key


def test_a_key_is_private_and_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    made = make_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_key(path).public_key == load_or_make_key(path).public_key == made.public_key


def test_a_public_key_is_the_same_key(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    (tmp_path / "public.pem").write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    assert read_public_key(tmp_path / "public.pem") == CryptoSigner(key).public_key
    (tmp_path / "public.pem").write_bytes(b"no key")
    with pytest.raises(InvalidInput, match="no public key"):
        read_public_key(tmp_path / "public.pem")


def test_a_signer_is_found_by_path_and_by_uri(tmp_path: Path) -> None:
    made = make_key(tmp_path / "key.pem")
    for place in (str(tmp_path / "key.pem"), f"file2:{tmp_path / 'key.pem'}"):
        assert load_signer(place).public_key == load_signer(place, [made.public_key]).public_key == made.public_key
    with pytest.raises(InvalidInput, match="not the one that this fleet trusts"):
        load_signer(str(tmp_path / "key.pem"), [CryptoSigner.generate_ed25519().public_key])


@pytest.mark.parametrize("uri", ["hsm:1?label=x", "awskms:key", "gcpkms:projects/p", "azurekms:vault", "hv:x"])
def test_a_key_store_that_does_not_answer_is_one_clear_sentence(uri: str) -> None:
    with pytest.raises(InvalidInput, match="no key could be used"):
        load_signer(uri, [CryptoSigner.generate_ed25519().public_key])
    with pytest.raises(InvalidInput, match="no key could be used"):
        load_signer(uri)


def test_files_that_hold_no_usable_key_are_named(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    with pytest.raises(NotFound, match="no key file"):
        read_key(path)
    encrypted = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    path.write_bytes(encrypted)
    with pytest.raises(InvalidInput, match="is encrypted"):
        read_key(path)
    for raw in (b"", b"nothing", X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())):
        path.write_bytes(raw)
        with pytest.raises(InvalidInput, match="no private key"):
            read_key(path)
    with pytest.raises(InvalidInput):
        read_key(tmp_path)
