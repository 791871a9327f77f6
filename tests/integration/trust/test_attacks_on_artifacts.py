"""Attacks of DESIGN section 5 on models on their way, each by its name, with a man in the middle and with stolen keys."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner, Signer
from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadError,
    DownloadLengthMismatchError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    UnsignedMetadataError,
)
from tuf.api.metadata import Metadata, Root, Snapshot, TargetFile, Targets, Timestamp

from argosy_controller.signing import roles
from argosy_controller.signing.keys import read_key
from argosy_controller.signing.repository import TufRepository

DAY = 86_400.0


def everything(fleet: Any) -> dict[str, bytes]:
    return {f"/metadata/{path.name}": path.read_bytes() for path in (fleet.folder / "tuf").iterdir()}


def replay(recorded: dict[str, bytes]) -> Callable[[str, bytes | None], bytes | None]:
    return lambda path, answer: recorded.get(path) if path.startswith("/metadata/") else answer


def key(fleet: Any, name: str) -> Signer:
    return read_key(fleet.folder / "keys" / f"{name}.pem")


def test_arbitrary_artifact(fleet: Any) -> None:
    path = fleet.publish(1, b"the model that was signed")
    fleet.tamper = lambda asked, answer: b"a model that was not signe" if asked.startswith("/targets/") else answer
    with pytest.raises((LengthOrHashMismatchError, DownloadLengthMismatchError)):
        fleet.fetch(path)
    fleet.tamper = lambda asked, answer: b"A" + answer[1:] if answer and asked.startswith("/targets/") else answer
    with pytest.raises(LengthOrHashMismatchError):
        fleet.fetch(path)


def test_arbitrary_artifact_altered_in_the_store(fleet: Any) -> None:
    path = fleet.publish(1, b"the model that was signed")
    fleet.store.path(fleet.repository.target(path)[0]).write_bytes(b"the model that was forged")
    with pytest.raises(LengthOrHashMismatchError):
        fleet.fetch(path)


def test_rollback(fleet: Any) -> None:
    fleet.publish(1, b"one")
    old = everything(fleet)
    fleet.fetch(fleet.publish(2, b"two"))
    fleet.tamper = replay(old)
    client = fleet.client()
    with pytest.raises(BadVersionNumberError):
        client.refresh()


def test_rollback_of_one_list_by_whoever_holds_the_snapshot_and_timestamp_keys(fleet: Any) -> None:
    """The controller was stolen: it can sign freshness, and still cannot take a client back to an older list."""
    fleet.publish(1, b"one")
    first = fleet.repository.current("digits").model
    fleet.fetch(fleet.publish(2, b"two"))
    current = Metadata[Snapshot].from_bytes((fleet.folder / "tuf" / "3.snapshot.json").read_bytes()).signed
    snapshot = roles.sign(roles.with_documents(current, {"model/digits": (1, first)}, fleet.now), [key(fleet, "snapshot")]).to_bytes()
    stamp = Metadata[Timestamp].from_bytes(fleet.repository.metadata("timestamp.json")).signed
    timestamp = roles.sign(roles.with_snapshot(stamp, roles.meta_file(4, snapshot), fleet.now), [key(fleet, "timestamp")]).to_bytes()
    fleet.tamper = lambda path, answer: {"/metadata/4.snapshot.json": snapshot, "/metadata/timestamp.json": timestamp}.get(path, answer)
    with pytest.raises(BadVersionNumberError):
        fleet.client().refresh()


def test_freeze(fleet: Any, tmp_path: Path) -> None:
    """Old but well signed metadata is shown for ever: it ends when the timestamp expires, a week later."""
    old = TufRepository.create(tmp_path / "old" / "tuf", tmp_path / "old" / "keys", tmp_path / "old" / "offline-keys", fleet.now - 8 * DAY)
    fleet.repository = old
    with pytest.raises(ExpiredMetadataError):
        fleet.client().refresh()
    old.keep_fresh(fleet.now)
    fleet.client().refresh()


def test_mix_and_match(fleet: Any) -> None:
    """Documents of different moments, each well signed, are put together."""
    fleet.publish(1, b"one", "digits")
    fleet.publish(1, b"one", "letters")
    old = everything(fleet)
    fleet.publish(2, b"two", "letters")
    mixed = {"/metadata/2.model%2Fletters.json": old["/metadata/1.model%2Fletters.json"]}
    fleet.tamper = lambda path, answer: mixed.get(path, answer)
    with pytest.raises((LengthOrHashMismatchError, BadVersionNumberError)):
        fleet.client().get_targetinfo("letters/1/onnx-fp32/model.onnx")
    fleet.tamper = lambda path, answer: old["/metadata/1.model%2Fdigits.json"] if "model%2Fletters" in path else answer
    with pytest.raises(LengthOrHashMismatchError):
        fleet.client("second").get_targetinfo("letters/1/onnx-fp32/model.onnx")


def endless(first: bytes = b"") -> Iterator[bytes]:
    yield first
    for _ in itertools.repeat(None, 10_000):  # 640 MB: bounded, in case that the client is not
        yield b"\0" * 65_536


def test_endless_data(fleet: Any) -> None:
    path = fleet.publish(1, b"the model that was signed")
    for asked in ("/metadata/timestamp.json", "/targets/", "/metadata/2.snapshot.json"):
        fleet.tamper = lambda got, answer, asked=asked: endless(answer or b"") if got.startswith(asked) else answer
        fleet.sent.clear()
        with pytest.raises((DownloadLengthMismatchError, DownloadError, LengthOrHashMismatchError)):
            fleet.fetch(path, name=f"client of {asked.replace('/', '-')}")
        assert sum(fleet.sent.values()) < 32 << 20  # what the two sockets hold on top of what was read


@pytest.mark.parametrize("thief", ["director", "snapshot", "timestamp", "root-1", "stranger"])
def test_wrong_role_signature(fleet: Any, thief: str) -> None:
    """A key of another role signs a model's list: the director's key signs desired documents and never a target."""
    folder = fleet.folder / ("offline-keys" if thief.startswith("root") else "keys")
    signer = CryptoSigner.generate_ed25519() if thief == "stranger" else read_key(folder / f"{thief}.pem")
    path = fleet.publish(1, b"one")
    genuine = Metadata[Targets].from_bytes(fleet.repository.current("digits").model).signed
    genuine.targets[path] = TargetFile.from_data(path, b"evil", ["sha256"])
    _serve_list(fleet, "model/digits", roles.sign(genuine, [signer]).to_bytes())
    with pytest.raises(UnsignedMetadataError):
        fleet.client().get_targetinfo(path)


def _serve_list(fleet: Any, role: str, raw: bytes) -> None:
    """The thief of the controller serves a list of his own, under a snapshot and a timestamp that he can sign."""
    repository = fleet.repository
    stamp = Metadata[Timestamp].from_bytes(repository.metadata("timestamp.json")).signed
    current = Metadata[Snapshot].from_bytes(repository.metadata(f"{stamp.snapshot_meta.version}.snapshot.json")).signed
    version = Metadata[Targets].from_bytes(raw).signed.version
    snapshot = roles.sign(roles.with_documents(current, {role: (version, raw)}, fleet.now), [key(fleet, "snapshot")]).to_bytes()
    meta = roles.meta_file(current.version + 1, snapshot)
    timestamp = roles.sign(roles.with_snapshot(stamp, meta, fleet.now), [key(fleet, "timestamp")]).to_bytes()
    served = {
        f"/metadata/{roles.metadata_file(role, version)}": raw,
        f"/metadata/{current.version + 1}.snapshot.json": snapshot,
        "/metadata/timestamp.json": timestamp,
    }
    fleet.tamper = lambda asked, answer: served.get(asked, answer)


def test_stolen_controller_with_a_director_document_signs_no_target(fleet: Any) -> None:
    """The director delegates no path, so a list under its own role, well signed, is never asked."""
    path = "digits/1/onnx-fp32/model.onnx"
    listed = roles.with_files(None, {path: ("9" * 64, 4)}, fleet.now)
    _serve_list(fleet, roles.DIRECTOR, roles.sign(listed, [key(fleet, "director")]).to_bytes())
    assert fleet.client().get_targetinfo(path) is None


def test_a_publisher_of_one_model_lists_no_file_of_another(fleet: Any) -> None:
    """The publisher's own, good signature on `model/digits` carries no file of `letters`."""
    fleet.publish(1, b"one")
    listed = Metadata[Targets].from_bytes(fleet.repository.current("digits").model).signed
    stolen = "letters/1/onnx-fp32/model.onnx"
    listed.version += 1
    listed.targets[stolen] = TargetFile.from_data(stolen, b"evil", ["sha256"])
    _serve_list(fleet, "model/digits", roles.sign(listed, [key(fleet, "publisher")]).to_bytes())
    assert fleet.client().get_targetinfo(stolen) is None


@pytest.mark.parametrize("held", [["root-1"], ["root-1", "root-1"], []])
def test_key_compromise_below_the_threshold(fleet: Any, held: list[str]) -> None:
    """One root key alone cannot change the root, however often it signs, and with all online keys beside it."""
    root = Metadata[Root].from_bytes(fleet.repository.root_version_1).signed
    thief = CryptoSigner.generate_ed25519()
    root.version = 2
    root.roles["targets"].keyids = [thief.public_key.keyid]
    root.keys[thief.public_key.keyid] = thief.public_key
    signers = [read_key(fleet.folder / "offline-keys" / f"{name}.pem") for name in held]
    signers += [key(fleet, name) for name in ("snapshot", "timestamp", "director", "publisher")] + [thief]
    forged = roles.sign(root, signers).to_bytes()
    fleet.tamper = lambda path, answer: forged if path == "/metadata/2.root.json" else answer
    with pytest.raises(UnsignedMetadataError):
        fleet.client().refresh()


def test_a_root_that_takes_itself_down_to_one_key_is_refused(fleet: Any) -> None:
    """The new root names one key and a threshold of 1, and that key signs: the old root's two of three are missing."""
    thief = CryptoSigner.generate_ed25519()
    root = Metadata[Root].from_bytes(fleet.repository.root_version_1).signed
    root.version = 2
    root.keys[thief.public_key.keyid] = thief.public_key
    root.roles["root"].keyids, root.roles["root"].threshold = [thief.public_key.keyid], 1
    forged = roles.sign(root, [thief]).to_bytes()
    fleet.tamper = lambda path, answer: forged if path == "/metadata/2.root.json" else answer
    with pytest.raises(UnsignedMetadataError):
        fleet.client().refresh()


def test_stolen_controller_in_publisher_mode(fleet: Any) -> None:
    """The thief has every key and file of the controller and serves what he likes: a freeze until expiry, and no artifact."""
    place, publisher = fleet.folder / "stolen", CryptoSigner.generate_ed25519()
    place.mkdir()
    fleet.folder = place
    fleet.repository = TufRepository.create(place / "tuf", place / "keys", place / "offline", fleet.now, publisher)
    sha256, length = fleet.store.put_bytes(b"the model")
    path = "digits/1/onnx-fp32/model.onnx"
    fleet.repository.add_targets("digits", {path: (sha256, length)}, fleet.now, publisher)
    assert fleet.fetch(path) == b"the model"
    loot = [read_key(file) for file in sorted((place / "keys").iterdir())]
    assert len(loot) == 3

    evil = roles.with_files(None, {path: ("9" * 64, 4)}, fleet.now)
    evil.version = 2
    _serve_list(fleet, "model/digits", roles.sign(evil, loot).to_bytes())
    with pytest.raises(UnsignedMetadataError):
        fleet.client().get_targetinfo(path)
    targets = Metadata[Targets].from_bytes(fleet.repository.current("digits").targets).signed
    own = roles.with_model(targets, "digits", loot[0].public_key, fleet.now)
    _serve_list(fleet, "targets", roles.sign(own, loot).to_bytes())
    with pytest.raises(UnsignedMetadataError):
        fleet.client("another").refresh()
