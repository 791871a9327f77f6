"""An untouched `tuf.ngclient.Updater` over plain HTTP gets every artifact, and follows every change."""

from __future__ import annotations

import os
import shutil
from typing import Any

import pytest
from tuf.api.exceptions import ExpiredMetadataError

from argosy_controller.signing.repository import TufRepository
from argosy_controller.signing.rotation import rotate_root

DAY = 86_400.0


def test_downloads_every_artifact_of_every_model(fleet: Any) -> None:
    contents = {
        fleet.publish(version, os.urandom(1000), model): (model, version) for model in ("digits", "letters") for version in (1, 2, 3)
    }
    shutil.rmtree(fleet.folder / "offline-keys")
    for path in contents:
        sha256, _ = fleet.repository.target(path)
        assert fleet.fetch(path) == fleet.store.path(sha256).read_bytes()


def test_what_is_not_signed_is_not_there(fleet: Any) -> None:
    fleet.publish(1, b"one")
    client = fleet.client()
    for path in ("digits/2/onnx-fp32/model.onnx", "letters/1/onnx-fp32/model.onnx", "digits/1/onnx-fp32/../model.onnx"):
        assert client.get_targetinfo(path) is None


def test_a_client_that_was_away_for_a_year_converges_on_its_own(fleet: Any) -> None:
    """All that it holds expired long ago: it is what it starts from, and in nobody's way."""
    year_ago = fleet.folder / "year-ago"
    year_ago.mkdir()
    fleet.repository = TufRepository.create(year_ago / "tuf", year_ago / "keys", year_ago / "offline-keys", fleet.now - 370 * DAY)
    (fleet.folder / "client").mkdir()
    for kept, served in (("timestamp", "timestamp"), ("snapshot", "1.snapshot"), ("targets", "1.targets")):
        (fleet.folder / "client" / f"{kept}.json").write_bytes(fleet.repository.metadata(f"{served}.json"))
    with pytest.raises(ExpiredMetadataError):
        fleet.client().refresh()
    assert fleet.repository.keep_fresh(fleet.now)
    assert fleet.fetch(fleet.publish(1, b"one")) == b"one"


def test_a_client_follows_root_changes_one_by_one(fleet: Any) -> None:
    assert fleet.fetch(fleet.publish(1, b"one")) == b"one"
    for wishes in ({}, {"root_keys": True}, {"online_keys": True}, {"root_keys": True, "online_keys": True}):
        rotate_root(fleet.folder / "tuf", fleet.folder / "keys", fleet.folder / "offline-keys", fleet.now, **wishes)
    fleet.repository = TufRepository.open(fleet.folder / "tuf", fleet.folder / "keys")
    path = fleet.publish(2, b"two")
    assert fleet.fetch(path) == b"two"
    assert fleet.fetch(path, name="one that starts from version 1") == b"two"
    assert (fleet.folder / "client" / "root_history" / "5.root.json").exists()
