"""Ready files become the variants that are asked for, each compared with the file on real inputs; or nothing is written."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from argosy.protocol.card import Card
from argosy.protocol.codec import from_json
from argosy_controller.pipeline.importing import run_import
from argosy_controller.pipeline.report import Report, read_report

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))
from two_layers import rows, small

pytestmark = pytest.mark.integration

SHARED = Path(os.environ.get("ARGOSY_SHARED_DATA") or Path(__file__).parents[4] / "shared" / "data")
needs_models = pytest.mark.skipif(not (SHARED / "models").is_dir(), reason="the models of others are not here (ARGOSY_SHARED_DATA)")
RESNET = SHARED / "models" / "resnet20-cifar10.onnx"


def pictures(count: int) -> dict[str, np.ndarray]:
    """CIFAR-10 test pictures, of all classes, as ResNet-20 takes them."""
    from PIL import Image

    with np.load(SHARED / "cifar10-test-2k.npz", allow_pickle=False) as file:
        jpeg, offsets = file["jpeg"], file["offsets"]
    picked = np.linspace(0, len(offsets) - 2, count).astype(int)
    images = [np.asarray(Image.open(io.BytesIO(jpeg[offsets[i] : offsets[i + 1]].tobytes())).convert("RGB")) for i in picked]
    scaled = (np.stack(images) / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    return {"image": scaled.transpose(0, 3, 1, 2).astype(np.float32)}


def sound(count: int) -> dict[str, np.ndarray]:
    """Spoken digits, at 16 kHz by repeating samples, in windows as silero-vad takes them."""
    with np.load(SHARED / "spoken-digits-4-speakers.npz", allow_pickle=False) as file:
        audio = np.repeat(file["audio"][: count * 256 + 64], 2).astype(np.float32) / 32768
    windows = np.stack([audio[i * 512 : i * 512 + 576] for i in range(count)])
    return {"input": windows, "state": np.zeros((count, 2, 1, 128), np.float32), "sr": np.array(16000)}


def imported(
    tmp_path: Path, file: Path, sample: dict[str, np.ndarray] | None, *variants: str, recipe: str = "", companions: tuple[Path, ...] = ()
) -> tuple[Report, dict[str, Card]]:
    """The report, and cards by variant."""
    given, text = tmp_path / "sample.npz", tmp_path / "recipe.toml"
    if sample is not None:
        np.savez(given, **sample)  # type: ignore[arg-type]
    if recipe:
        text.write_text(recipe)
    out = run_import(
        "mine",
        file,
        given if sample is not None else None,
        companions,
        tmp_path / "out",
        lambda progress: None,
        variants=variants,
        recipe=text if recipe else None,
    )
    cards = {one.name: from_json(Card, (one / "card.json").read_bytes()) for one in (out / "variants").iterdir()}
    return read_report((out / "report.json").read_bytes()), cards


def test_one_version_carries_all_variants_that_were_asked_for(tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("a\nb\nc\n")
    wanted = ("onnx-fp32", "onnx-int8", "onnx-int8-dynamic", "onnx-int4")
    report, cards = imported(tmp_path, small(tmp_path), rows(), *wanted, companions=(labels,))
    assert (report.kind, [one.name for one in report.variants]) == ("import", list(wanted))
    assert "--variant onnx-fp32 --variant onnx-int8" in report.reproduce
    for name, card in cards.items():
        assert card.variant == name
        assert [one.name for one in card.companions] == ["probes.npz", "labels.txt"]
        assert card.parity is not None
        assert (card.parity.source, card.parity.examples, card.parity.reason) == ("onnxruntime", 220, "")
        assert card.accuracy is None
        assert card.needs.opset > 0
    assert cards["onnx-fp32"].parity.max_abs_diff == 0.0  # type: ignore[union-attr]
    assert cards["onnx-int8"].parity.agreement > 0.9  # type: ignore[union-attr,operator]


def test_recipe_shares_weights_of_a_graph_which_then_packs_smaller(tmp_path: Path) -> None:
    passes = '[[passes]]\nuse = "optimise-graph"\n[[passes]]\nuse = "share-weights"\nlinear_bits = 2\n'
    variants = '[[variants]]\nuse = "onnx-packed"\n[[variants]]\nuse = "onnx-fp32"\n[variants.goals]\nbytes_at_most = 100_000\n'
    report, _ = imported(tmp_path, small(tmp_path), rows(), recipe=passes + variants)
    packed, plain = report.variants
    assert [one.step for one in report.steps] == ["given", "optimise-graph", "share-weights"]
    assert all(one.parity is not None and one.parity.max_abs_diff is not None and one.parity.max_abs_diff < 1e-4 for one in (packed, plain))
    assert [one.met for one in report.goals] == [True]
    assert plain.layers[0].bits == 32


@needs_models
@pytest.mark.slow
def test_resnet20_becomes_tflite_with_the_same_answers(tmp_path: Path) -> None:
    _, cards = imported(tmp_path, RESNET, pictures(220), "tflite-fp32")
    card = cards["tflite-fp32"]
    assert card.parity is not None
    assert (card.parity.source, card.parity.examples, card.parity.agreement) == ("onnxruntime", 220, 1.0)
    assert card.parity.max_abs_diff is not None
    assert card.parity.max_abs_diff <= 1e-4
    assert ([one.name for one in card.inputs], [one.name for one in card.outputs]) == (["image"], ["logits"])


@needs_models
@pytest.mark.slow
def test_resnet20_in_every_form(tmp_path: Path) -> None:
    wanted = ("onnx-fp32", "onnx-int8", "onnx-int8-dynamic", "onnx-int4", "tflite-fp32", "tflite-int8", "coreml-fp16")
    report, cards = imported(tmp_path, RESNET, pictures(256), *wanted)
    agreement = {name: card.parity.agreement for name, card in cards.items() if card.parity}
    assert agreement["tflite-fp32"] == 1.0
    assert min(agreement[name] or 0 for name in ("onnx-int8", "onnx-int8-dynamic", "tflite-int8", "coreml-fp16")) > 0.95
    assert agreement["onnx-int4"] is not None
    assert agreement["onnx-int4"] > 0.85
    sizes = {one.name: one.bytes for one in report.variants}
    assert sizes["onnx-int4"] < sizes["onnx-int8"] < sizes["onnx-fp32"] / 3
    tflite = next(one for one in report.variants if one.name == "tflite-fp32")
    assert any(one.name.startswith("layer1_0_conv1") for one in tflite.layers)


@needs_models
@pytest.mark.slow
@pytest.mark.parametrize(
    "version", ["5.0", "5.1", "16k-6.0", "16k-6.2"]
)  # fmt: skip
def test_silero_becomes_tflite_with_state_and_sampling_rate(tmp_path: Path, version: str) -> None:
    """Three inputs, one of them a scalar int64, and branches that the sampling rate decides in 5.x."""
    _, cards = imported(tmp_path, SHARED / "models" / f"silero-vad-{version}.onnx", sound(200), "tflite-fp32")
    card = cards["tflite-fp32"]
    assert [(one.name, one.dtype, one.shape) for one in card.inputs] == [
        ("input", "float32", [1, 576]),
        ("state", "float32", [2, 1, 128]),
        ("sr", "int32", []),
    ]
    assert [one.name for one in card.outputs] == ["output", "stateN"]
    assert card.parity is not None
    assert (card.parity.examples, card.parity.agreement) == (200, None)
    assert card.parity.max_abs_diff is not None
    assert card.parity.max_abs_diff <= 1e-4
