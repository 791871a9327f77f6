"""What a card may say, and what an unpacker may do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard

from argosy.protocol.card import Card, FileRef, TensorSpec
from argosy.protocol.codec import to_json
from argosy.protocol.desired import SlotContent
from argosy.protocol.refusals import Refusal
from argosy.protocol.reported import Capabilities, Runtime
from argosy.trust import Refused
from argosy_agent.decode import unpack
from argosy_agent.fetch.variant import choose_runtime, read_card
from argosy_agent.folder import StateFolder
from argosy_agent.store import Store, file_digest

CONTENT = SlotContent(model="m", version=1, variant="onnx-int8", sha256="a" * 64, length=5)


def card(**changes: object) -> Card:
    values: dict[str, object] = {
        "model": "m", "version": 1, "variant": "onnx-int8", "format": "onnx", "precision": "int8",
        "inputs": [TensorSpec(name="x", dtype="float32", shape=[1])], "outputs": [],
        "model_file": FileRef(name="model.onnx", sha256="a" * 64, length=5),
    }  # fmt: skip
    return Card(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name", ["../device.key", "/etc/passwd", "a/b", ".verified.json", "..", "", "card.json", "x\x00", "model.onnx", "a..b", "x" * 200]
)
def test_companion_that_climbs_out_or_shadows_is_refused(name: str) -> None:
    raw = to_json(card(companions=[FileRef(name=name, sha256="b" * 64, length=1)]))
    with pytest.raises(Refused) as refused:
        read_card(raw, CONTENT)
    assert refused.value.refusal is Refusal.WRONG_BYTES


@pytest.mark.parametrize("changes", [{"model": "n"}, {"version": 2}, {"variant": "v"}, {"format": "gguf"}, {"format": "tflite"}])
def test_card_of_another_variant_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(Refused):
        read_card(to_json(card(**changes)), CONTENT)


def test_rubbish_is_no_card() -> None:
    with pytest.raises(Refused):
        read_card(b"{", CONTENT)


def test_first_runtime_that_runs_the_format_is_chosen() -> None:
    tflite, onnx = Runtime(name="t", version="1", formats=["tflite"]), Runtime(name="o", version="1", formats=["onnx"])
    assert choose_runtime(card(), Capabilities(runtimes=[tflite, onnx])) == "o"
    with pytest.raises(Refused, match="no runtime for onnx on the device"):
        choose_runtime(card(), Capabilities(runtimes=[tflite]))
    with pytest.raises(Refused, match="the device takes fp32 alone"):
        choose_runtime(card(), Capabilities(runtimes=[onnx], precisions=["fp32"]))


def _unpack(folder: Path, packed: bytes, length: int) -> bool:
    (folder / "packed").write_bytes(packed)
    return unpack(folder / "packed", folder / "plain", length)


def test_unpacks_exactly_what_was_packed(tmp_path: Path) -> None:
    data = os.urandom(1000) * 1000
    assert _unpack(tmp_path, zstandard.compress(data), len(data))
    assert (tmp_path / "plain").read_bytes() == data


def test_decompression_bomb_ends_at_the_announced_length(tmp_path: Path) -> None:
    bomb = zstandard.compress(bytes(50_000_000))
    assert not _unpack(tmp_path, bomb, 1000)
    assert (tmp_path / "plain").stat().st_size <= 1_000_000


@pytest.mark.parametrize("packed", [b"", b"rubbish", zstandard.compress(b"x" * 100)[:-3]])
def test_what_does_not_unpack_is_no_success(tmp_path: Path, packed: bytes) -> None:
    assert not _unpack(tmp_path, packed, 100)


def test_unpacker_is_a_process_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "packed").write_bytes(zstandard.compress(b"hello"))
    command = [sys.executable, "-m", "argosy_agent.decode", "zstd", str(tmp_path / "packed"), str(tmp_path / "plain"), "--length"]
    assert subprocess.run([*command, "5"], timeout=30, check=False).returncode == 0
    assert subprocess.run([*command, "4"], timeout=30, check=False).returncode == 1


def _stored(tmp_path: Path, data: bytes = b"model") -> tuple[Store, StateFolder, FileRef]:
    folder = StateFolder(tmp_path)
    folder.create()
    (folder.partial / "x").write_bytes(data)
    digest, length = file_digest(folder.partial / "x")
    ref = FileRef(name="model.onnx", sha256=digest, length=length)
    store = Store(folder)
    assert store.take(folder.partial / "x", ref)
    return store, folder, ref


def test_store_takes_only_what_was_signed(tmp_path: Path) -> None:
    store, folder, ref = _stored(tmp_path)
    (folder.partial / "y").write_bytes(b"other")
    assert not store.take(folder.partial / "y", ref)
    assert not (folder.partial / "y").exists()
    assert store.has(ref)


def test_file_that_rotted_on_disk_is_fetched_again(tmp_path: Path) -> None:
    store, _, ref = _stored(tmp_path)
    path = store.path(ref.sha256)
    path.chmod(0o600)
    path.write_bytes(b"modeL")
    assert not store.has(ref)
    assert not path.exists()


def test_tidy_keeps_what_is_needed_and_nothing_else(tmp_path: Path) -> None:
    store, folder, ref = _stored(tmp_path)
    one = card(model_file=ref)
    content = SlotContent(model="m", version=1, variant="onnx-int8", sha256=ref.sha256, length=ref.length)
    (folder.partial / "c").write_bytes(to_json(one))
    digest, length = file_digest(folder.partial / "c")
    card_ref = FileRef(name="card.json", sha256=digest, length=length)
    assert store.take(folder.partial / "c", card_ref)
    store.assemble(one, [card_ref, ref])
    store.tidy({content}, partials=True)
    assert store.held(content) == one
    store.tidy(set(), partials=True)
    assert store.held(content) is None
    assert [path for path in folder.store.iterdir() if path.is_file()] == []
