from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib.signer import CryptoSigner

from argosy.envelope import seal, unseal
from argosy.errors import Untrusted

TYPE = "application/vnd.argosy.test+json"
ONE, TWO = CryptoSigner.generate_ed25519(), CryptoSigner.generate_ed25519()


def altered(raw: bytes, **changes: object) -> bytes:
    return json.dumps({**json.loads(raw), **changes}).encode()


@given(st.binary(max_size=200))
def test_a_sealed_payload_comes_back(payload: bytes) -> None:
    assert unseal(TYPE, seal(TYPE, payload, ONE), [ONE.public_key]) == payload


def test_payload_type_confusion_is_refused() -> None:
    raw = seal("application/vnd.argosy.proof+json", b"x", ONE)
    with pytest.raises(Untrusted, match=r"not 'application/vnd\.argosy\.test"):
        unseal(TYPE, raw, [ONE.public_key])


def test_a_payload_type_changed_after_signing_is_refused() -> None:
    raw = altered(seal("application/vnd.argosy.proof+json", b"x", ONE), payloadType=TYPE)
    with pytest.raises(Untrusted, match="no good signature"):
        unseal(TYPE, raw, [ONE.public_key])


def test_a_payload_changed_after_signing_is_refused() -> None:
    raw = altered(seal(TYPE, b"x", ONE), payload=base64.b64encode(b"y").decode())
    with pytest.raises(Untrusted):
        unseal(TYPE, raw, [ONE.public_key])


def test_another_key_is_refused() -> None:
    with pytest.raises(Untrusted, match="no good signature by a trusted key"):
        unseal(TYPE, seal(TYPE, b"x", TWO), [ONE.public_key])


def test_another_key_under_the_name_of_the_right_one_is_refused() -> None:
    raw = json.loads(seal(TYPE, b"x", TWO))
    raw["signatures"][0]["keyid"] = ONE.public_key.keyid
    with pytest.raises(Untrusted):
        unseal(TYPE, json.dumps(raw).encode(), [ONE.public_key])


def test_no_trusted_key_means_no_trust() -> None:
    with pytest.raises(Untrusted):
        unseal(TYPE, seal(TYPE, b"x", ONE), [])


def test_no_signature_is_refused() -> None:
    with pytest.raises(Untrusted):
        unseal(TYPE, altered(seal(TYPE, b"x", ONE), signatures=[]), [ONE.public_key])


def test_one_key_twice_is_not_two_keys() -> None:
    raw = json.loads(seal(TYPE, b"x", ONE))
    raw["signatures"] *= 2
    with pytest.raises(Untrusted):
        unseal(TYPE, json.dumps(raw).encode(), [ONE.public_key, TWO.public_key], threshold=2)


def test_two_of_two_keys_reach_a_threshold_of_two() -> None:
    raw = json.loads(seal(TYPE, b"x", ONE))
    raw["signatures"] += json.loads(seal(TYPE, b"x", TWO))["signatures"]
    assert unseal(TYPE, json.dumps(raw).encode(), [ONE.public_key, TWO.public_key], threshold=2) == b"x"


def test_a_bit_flipped_anywhere_is_refused_or_changes_nothing() -> None:
    raw = seal(TYPE, b"payload", ONE)
    for at in range(len(raw)):
        flipped = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        try:
            assert unseal(TYPE, flipped, [ONE.public_key]) == b"payload"
        except Untrusted:
            continue
