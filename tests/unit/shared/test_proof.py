from __future__ import annotations

import base64

import pytest
from securesystemslib.signer import CryptoSigner

from argosy.envelope import seal
from argosy.errors import NotAllowed
from argosy.proof import PAYLOAD_TYPE, SCHEME, Proof, check_proof, claimed_device, prove
from argosy.protocol.codec import to_json

SIGNER = CryptoSigner.generate_ed25519()
REQUEST = {"method": "GET", "path": "/device/v1/desired?x=1", "body": b""}


def header_of(**changes: object) -> str:
    return prove("pi-7", nonce="n1", signer=SIGNER, **{**REQUEST, **changes})  # type: ignore[arg-type]


def test_a_proof_holds_for_its_own_request() -> None:
    proof = check_proof(header_of(), key=SIGNER.public_key, **REQUEST)  # type: ignore[arg-type]
    assert (proof.device, proof.nonce) == ("pi-7", "n1")
    assert claimed_device(header_of()) == "pi-7"


@pytest.mark.parametrize(
    "change", [{"method": "POST"}, {"path": "/device/v1/desired"}, {"path": "/device/v1/desired?x=2"}, {"body": b"{}"}]
)
def test_a_proof_for_another_method_path_or_body_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(NotAllowed, match="another request"):
        check_proof(header_of(**change), key=SIGNER.public_key, **REQUEST)  # type: ignore[arg-type]


def test_a_proof_by_another_key_is_refused() -> None:
    with pytest.raises(NotAllowed, match="not signed with the key of this device"):
        check_proof(header_of(), key=CryptoSigner.generate_ed25519().public_key, **REQUEST)  # type: ignore[arg-type]


def test_a_desired_document_is_no_proof() -> None:
    proof = Proof(device="pi-7", method="GET", path=str(REQUEST["path"]), body_sha256="0" * 64, nonce="n")
    sealed = seal("application/vnd.argosy.desired+json", to_json(proof), SIGNER)
    with pytest.raises(NotAllowed):
        check_proof(SCHEME + base64.urlsafe_b64encode(sealed).decode(), key=SIGNER.public_key, **REQUEST)  # type: ignore[arg-type]


def test_a_digest_that_is_no_ascii_is_refused_and_not_an_accident() -> None:
    proof = Proof(device="pi-7", method="GET", path=str(REQUEST["path"]), body_sha256="é" * 64, nonce="n")
    header = SCHEME + base64.urlsafe_b64encode(seal(PAYLOAD_TYPE, to_json(proof), SIGNER)).decode()
    with pytest.raises(NotAllowed):
        check_proof(header, key=SIGNER.public_key, **REQUEST)  # type: ignore[arg-type]


NESTED = base64.urlsafe_b64encode(b'{"payload":' + b"[" * 2900).decode()
BAD = ["", "Argosy", "Bearer abc", "Argosy !", "Argosy é", "Argosy " + "A" * 5000, "Argosy e30=", "Argosy bnVsbA==", "Argosy " + NESTED]


@pytest.mark.parametrize("header", BAD)
def test_a_header_that_is_no_proof_is_not_allowed(header: str) -> None:
    with pytest.raises(NotAllowed):
        claimed_device(header)
    with pytest.raises(NotAllowed):
        check_proof(header, key=SIGNER.public_key, **REQUEST)  # type: ignore[arg-type]
