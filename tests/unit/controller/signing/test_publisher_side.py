"""What a publisher signs elsewhere is checked here as if the worst had sent it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from securesystemslib.signer import CryptoSigner, Signer
from tuf.api.metadata import Metadata, Root, Targets

from argosy.errors import Conflict, InvalidInput, NotAllowed, Untrusted
from argosy_controller.signing import roles
from argosy_controller.signing.publisher import SignedTargets, parse_targets, sign_targets
from argosy_controller.signing.repository import TufRepository

NOW = 1_800_000_000.0
FIRST = {"digits/1/onnx-fp32/model.onnx": ("1" * 64, 10)}
SECOND = {"digits/2/onnx-fp32/model.onnx": ("2" * 64, 20)}


@dataclass(frozen=True)
class Fleet:
    repository: TufRepository
    publisher: Signer

    def sign(self, model: str = "digits", files: roles.Files = SECOND, signer: Signer | None = None) -> SignedTargets:
        return sign_targets(self.repository.current(model), model, files, signer or self.publisher, NOW)


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    publisher = CryptoSigner.generate_ed25519()
    repository = TufRepository.create(tmp_path / "tuf", tmp_path / "keys", tmp_path / "offline-keys", NOW, publisher)
    made = Fleet(repository, publisher)
    repository.accept(made.sign(files=FIRST), FIRST, NOW)
    return made


def resigned(raw: bytes, change: Callable[[Targets], object], signer: Signer) -> bytes:
    signed = parse_targets(raw).signed
    change(signed)
    return roles.sign(signed, [signer]).to_bytes()


def refused(fleet: Fleet, signed: SignedTargets, error: type[Exception], told: str, wanted: roles.Files = SECOND) -> None:
    before = fleet.repository.timestamp_version
    with pytest.raises(error, match=told):
        fleet.repository.accept(signed, wanted, NOW)
    assert fleet.repository.timestamp_version == before
    assert dict(fleet.repository.targets("digits")) == FIRST


def test_what_the_publisher_signed_is_served(fleet: Fleet) -> None:
    signed = fleet.sign()
    assert signed.targets_metadata is None
    fleet.repository.accept(msgspec.json.decode(msgspec.json.encode(signed), type=SignedTargets), SECOND, NOW)
    assert fleet.repository.targets("digits") == FIRST | SECOND
    assert fleet.repository.metadata("2.model%2Fdigits.json") == signed.model_metadata


def test_key_compromise_of_the_controller_signs_no_model(fleet: Fleet, tmp_path: Path) -> None:
    for name in ("snapshot", "timestamp", "director"):
        stolen = CryptoSigner.from_priv_key_uri(f"file2:{tmp_path}/keys/{name}.pem", _public(fleet, name))
        document = parse_targets(fleet.sign().model_metadata).signed
        forged = SignedTargets(model="digits", model_metadata=roles.sign(document, [stolen]).to_bytes())
        refused(fleet, forged, Untrusted, "not signed by a publisher")
        with pytest.raises(NotAllowed):
            fleet.sign(signer=stolen)


def _public(fleet: Fleet, name: str) -> Any:
    if name == "director":
        return fleet.repository.director_keys[0]
    root = Metadata[Root].from_bytes(fleet.repository.root_version_1).signed
    return root.keys[root.roles[name].keyids[0]]


def test_a_list_signed_under_anothers_name_is_refused(fleet: Fleet) -> None:
    """The right bytes, with a signature that carries the publisher's key id but was made with another key."""
    forged = parse_targets(fleet.sign(signer=fleet.publisher).model_metadata)
    signature = CryptoSigner.generate_ed25519().sign(forged.signed_bytes)
    signature.keyid = fleet.publisher.public_key.keyid
    forged.signatures = {signature.keyid: signature}
    refused(fleet, SignedTargets(model="digits", model_metadata=forged.to_bytes()), Untrusted, "not signed by a publisher")


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        (lambda signed: setattr(signed, "version", 3), Conflict, "version 3 where 2 follows"),
        (lambda signed: setattr(signed, "version", 1), Conflict, "version 1 where 2 follows"),
        (lambda signed: setattr(signed, "expires", roles.expiry(NOW, 60)), Untrusted, "expires within a day"),
        (lambda signed: signed.targets.pop(next(iter(FIRST))), Untrusted, "exactly the files"),
        (lambda signed: setattr(signed.targets[next(iter(FIRST))], "length", 11), Untrusted, "exactly the files"),
        (lambda signed: signed.targets.update(evil=signed.targets[next(iter(FIRST))]), Untrusted, "exactly the files"),
        (lambda signed: signed.targets[next(iter(SECOND))].hashes.update(sha1="0"), Untrusted, "more or less than length and sha256"),
        (lambda signed: setattr(signed.targets[next(iter(SECOND))], "unrecognized_fields", {"custom": {}}), Untrusted, "more or less"),
        (
            lambda signed: setattr(signed, "delegations", roles.new_targets(CryptoSigner.generate_ed25519().public_key, NOW).delegations),
            Untrusted,
            "delegates",
        ),
    ],
)
def test_a_publisher_cannot_do_more_than_add_the_files_of_one_version(
    fleet: Fleet, change: Callable[[Targets], object], error: type[Exception], told: str
) -> None:
    signed = fleet.sign()
    changed = SignedTargets(model="digits", model_metadata=resigned(signed.model_metadata, change, fleet.publisher))
    refused(fleet, changed, error, told)


def add_other_model(signed: Targets) -> None:
    roles.delegated_roles(signed)["model/other"] = roles.model_delegation("other", roles.delegated_roles(signed)["model/letters"].keyids)


def widen_paths(signed: Targets) -> None:
    roles.delegated_roles(signed)["model/letters"].paths = ["*/*/*/*"]


def take_the_director(signed: Targets) -> None:
    roles.delegated_roles(signed)["director"].keyids = list(roles.delegated_roles(signed)["model/letters"].keyids)


def give_the_director_paths(signed: Targets) -> None:
    roles.delegated_roles(signed)["director"].paths = ["letters/*/*/*"]


def list_a_target(signed: Targets) -> None:
    signed.targets.update(roles.with_files(None, {"letters/1/v/f": ("3" * 64, 1)}, NOW).targets)


def drop_a_model(signed: Targets) -> None:
    roles.delegated_roles(signed).pop("model/digits")


@pytest.mark.parametrize("change", [add_other_model, widen_paths, take_the_director, give_the_director_paths, list_a_target, drop_a_model])
def test_new_targets_may_delegate_one_model_and_change_nothing_else(fleet: Fleet, change: Callable[[Targets], object]) -> None:
    files = {"letters/1/onnx-fp32/model.onnx": ("3" * 64, 30)}
    signed = fleet.sign("letters", files)
    assert signed.targets_metadata is not None
    evil = msgspec.structs.replace(signed, targets_metadata=resigned(signed.targets_metadata, change, fleet.publisher))
    refused(fleet, evil, Untrusted, "changes more than", files)
    fleet.repository.accept(signed, files, NOW)
    assert fleet.repository.targets("letters") == files


def test_new_targets_must_be_signed_by_a_key_that_the_root_names(fleet: Fleet) -> None:
    files = {"letters/1/onnx-fp32/model.onnx": ("3" * 64, 30)}
    signed = fleet.sign("letters", files)
    assert signed.targets_metadata is not None
    stranger = CryptoSigner.generate_ed25519()
    evil = msgspec.structs.replace(signed, targets_metadata=resigned(signed.targets_metadata, lambda _: None, stranger))
    refused(fleet, evil, Untrusted, "not signed by a key that the root names", files)


def test_a_model_cannot_be_delegated_a_second_time(fleet: Fleet) -> None:
    signed = fleet.sign()
    targets = resigned(fleet.repository.current("digits").targets, lambda each: setattr(each, "version", each.version + 1), fleet.publisher)
    refused(fleet, msgspec.structs.replace(signed, targets_metadata=targets), Untrusted, "a second time")


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"{}", b"\xff" * 10, b'{"signed":{"_type":"targets"},"signatures":[]}', b"[" * 100_000])
def test_bytes_that_are_no_metadata_are_one_clear_sentence(fleet: Fleet, raw: bytes) -> None:
    refused(fleet, SignedTargets(model="digits", model_metadata=raw), InvalidInput, "TUF metadata")
    timestamp = fleet.repository.metadata("timestamp.json")
    refused(fleet, SignedTargets(model="digits", model_metadata=timestamp), InvalidInput, "not targets")
    refused(fleet, SignedTargets(model="../digits", model_metadata=raw), InvalidInput, "model name")


def test_the_publisher_builds_on_nothing_that_it_did_not_sign(fleet: Fleet) -> None:
    """A stolen controller shows the publisher a list of its own making, to have it signed again as the publisher's."""
    current = fleet.repository.current("digits")
    assert current.model is not None
    stranger = CryptoSigner.generate_ed25519()
    evil = {"digits/1/onnx-fp32/evil.bin": ("9" * 64, 1)}
    listed = resigned(current.model, lambda signed: signed.targets.update(roles.with_files(None, evil, NOW).targets), stranger)
    with pytest.raises(Untrusted, match="not signed with this key"):
        sign_targets(msgspec.structs.replace(current, model=listed), "digits", SECOND, fleet.publisher, NOW)
    altered = current.model.replace(b"1" * 64, b"9" * 64)
    with pytest.raises(Untrusted, match="altered after it was signed"):
        sign_targets(msgspec.structs.replace(current, model=altered), "digits", SECOND, fleet.publisher, NOW)
    other = fleet.repository.current("letters")
    forged = resigned(other.targets, lambda _: None, stranger)
    with pytest.raises(Untrusted, match="not signed with this key"):
        sign_targets(msgspec.structs.replace(other, targets=forged), "letters", {"letters/1/v/f": ("1" * 64, 1)}, fleet.publisher, NOW)


def test_a_list_for_an_old_state_must_be_signed_again(fleet: Fleet) -> None:
    late = fleet.sign()
    fleet.repository.accept(
        fleet.sign(files={"digits/3/onnx-fp32/model.onnx": ("3" * 64, 30)}), {"digits/3/onnx-fp32/model.onnx": ("3" * 64, 30)}, NOW
    )
    with pytest.raises(Conflict, match="sign again"):
        fleet.repository.accept(late, SECOND, NOW)
