"""Zipped Core ML packages that are none, are damaged or mean harm are refused with one sentence."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from argosy.errors import InvalidInput
from argosy_controller.pipeline.coreml.engine import MilEngine
from argosy_controller.pipeline.coreml.package import read_package

Pack = Callable[..., Path]


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "model.mlpackage/../../evil",
        "/evil",
        "model.mlpackage/Data\\evil",
        "C:/evil",
        "model.mlpackage//evil",
        "model.mlpackage/\x07",
    ],
)
def test_entries_that_would_land_elsewhere_are_refused(pack: Pack, name: str) -> None:
    with pytest.raises(InvalidInput, match="which a Core ML package cannot have: it is refused"):
        read_package(pack(b"", {name: b"x"}))


def test_links_are_refused(pack: Pack) -> None:
    path = pack(b"")
    link = zipfile.ZipInfo("model.mlpackage/Data/link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(InvalidInput, match="cannot have: it is refused"):
        read_package(path)


def test_bombs_are_refused_before_they_are_read(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("argosy_controller.pipeline.coreml.package._MOST_BYTES", 1 << 20)
    with pytest.raises(InvalidInput, match="would unpack to more than"):
        read_package(pack(b"", {"model.mlpackage/Data/zeros": bytes(1 << 21)}))
    with pytest.raises(InvalidInput, match="would unpack to more than"):
        read_package(pack(b"", {f"model.mlpackage/Data/{i}": b"" for i in range(300)}))


def test_entries_longer_than_they_say_are_refused(pack: Pack) -> None:
    path = pack(bytes(5000))
    raw = path.read_bytes()
    at = raw.rindex(b"PK\x01\x02", 0, raw.index(b"model.mlmodel", raw.index(b"PK\x01\x02")))
    path.write_bytes(raw[: at + 24] + (7).to_bytes(4, "little") + raw[at + 28 :])
    with pytest.raises(InvalidInput, match="or is damaged: convert the model again"):
        read_package(path)


@pytest.mark.parametrize(
    ("manifest", "says"),
    [
        ("not json", "names no model"),
        ("[]", "names no model"),
        ({"itemInfoEntries": {}, "rootModelIdentifier": "A"}, "names no model"),
        ({"itemInfoEntries": {"A": {"path": 7}}, "rootModelIdentifier": "A"}, "names no model"),
        ({"itemInfoEntries": {"A": {"path": "../../../etc/passwd"}}, "rootModelIdentifier": "A"}, "which its manifest names"),
        (" " * (2 << 20), "that is none"),
    ],
)
def test_manifests_that_point_nowhere_are_refused(pack: Pack, manifest: Any, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        read_package(pack(b"", manifest=manifest))


def test_archives_without_a_package_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.mlpackage.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("photos/holiday.jpg", b"")
    with pytest.raises(InvalidInput, match="is not one Core ML package"):
        read_package(path)
    path.write_bytes(b"PK\x03\x04 and nothing more")
    with pytest.raises(InvalidInput, match="is no Core ML package in a zip archive"):
        read_package(path)


@pytest.mark.parametrize("raw", [b"\xff\xff\xff", b"", b"\x08\x06"])
def test_models_that_are_no_programs_are_refused(pack: Pack, raw: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"cannot be read: its model is damaged|it holds no ML program with one function main"):
        MilEngine(pack(raw))


def test_manifest_decides_which_model_is_read(pack: Pack) -> None:
    other = {"itemInfoEntries": {"B": {"path": "com.apple.CoreML/other.mlmodel"}}, "rootModelIdentifier": "B"}
    found = read_package(pack(b"one", {"model.mlpackage/Data/com.apple.CoreML/other.mlmodel": b"two"}, manifest=json.dumps(other)))
    assert found.model == b"two"


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_anywhere_is_refused_or_changes_nothing_that_crashes(model: Any, pack: Pack, data: st.DataObject) -> None:
    if not model.block.outputs:
        model.constant("w", [1.0, 2.0])
        model.add("mul", "z", x="x", y="w").gives("z")
    raw = bytearray(model.spec.SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with suppress(InvalidInput):
        MilEngine(pack(bytes(raw)))
