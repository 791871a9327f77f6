"""Imports through their child process: real models of others, and files that are none."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from argosy.errors import InvalidInput
from argosy.protocol.card import Card
from argosy.protocol.codec import from_json
from argosy_controller.pipeline.importing import run_import

pytestmark = pytest.mark.integration

SHARED = Path(os.environ.get("ARGOSY_SHARED_DATA") or Path(__file__).parents[4] / "shared" / "data")
needs_models = pytest.mark.skipif(not (SHARED / "models").is_dir(), reason="the models of others are not here (ARGOSY_SHARED_DATA)")


def _import(tmp_path: Path, file: Path, companions: tuple[Path, ...] = (), **sample: Any) -> Card:
    given = None
    if sample:
        given = tmp_path / "sample.npz"
        np.savez(given, **sample)
    out = run_import("mine", file, given, companions, tmp_path / "out", lambda progress: None)
    (folder,) = (out / "variants").iterdir()
    assert json.loads((out / "report.json").read_text())["kind"] == "import"
    return from_json(Card, (folder / "card.json").read_bytes())


def _refused(tmp_path: Path, file: Path, says: str, **sample: Any) -> None:
    before = _files(tmp_path)
    with pytest.raises(InvalidInput) as caught:
        _import(tmp_path, file, **sample)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert _files(tmp_path) == before


def _files(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir() if one.name != "sample.npz")


@pytest.fixture(scope="module")
def forest(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Any]:
    from skl2onnx import to_onnx
    from sklearn.datasets import load_digits
    from sklearn.ensemble import RandomForestClassifier

    digits = load_digits()
    data = digits.data.astype(np.float32)
    model = RandomForestClassifier(n_estimators=20, random_state=0).fit(data, digits.target)
    path = tmp_path_factory.mktemp("forest") / "forest.onnx"
    path.write_bytes(to_onnx(model, data[:1], options={"zipmap": False}).SerializeToString())
    return path, model, data


def test_random_forest_of_scikit_learn_with_labels_and_companion(tmp_path: Path, forest: tuple[Path, Any, Any]) -> None:
    path, model, data = forest
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join("0123456789"))
    card = _import(tmp_path, path, (labels,), X=data[:20])
    assert [(one.name, one.dtype, one.shape) for one in card.outputs] == [
        ("label", "int64", [None]),
        ("probabilities", "float32", [None, 10]),
    ]
    assert [one.name for one in card.companions] == ["probes.npz", "labels.txt"]
    assert card.accuracy is None
    with np.load(tmp_path / "out" / "variants" / "onnx-fp32" / "probes.npz", allow_pickle=False) as probes:
        assert probes["in.X"].shape == (8, 1, 64)
        assert np.array_equal(probes["out.label"][:, 0], model.predict(data[:8]))
    assert (tmp_path / "out" / "variants" / "onnx-fp32" / "model.onnx").read_bytes() == path.read_bytes()


def test_sample_that_does_not_fit_is_refused_and_writes_nothing(tmp_path: Path, forest: tuple[Path, Any, Any]) -> None:
    path, _, data = forest
    _refused(tmp_path, path, "no input of the model: use X", image=data[:2])
    _refused(tmp_path, path, "has shape [2, 63], the model takes [any, 64]", X=data[:2, :63])
    _refused(tmp_path, path, "has dtype float64, the model takes float32", X=data[:2].astype(np.float64))
    (tmp_path / "sample.npz").write_bytes(b"no npz")
    with pytest.raises(InvalidInput, match="is no npz file"):
        run_import("mine", path, tmp_path / "sample.npz", (), tmp_path / "out", lambda progress: None)
    assert not (tmp_path / "out").exists()


def test_files_that_are_no_models_are_refused(tmp_path: Path, forest: tuple[Path, Any, Any]) -> None:
    raw = forest[0].read_bytes()
    text, short, lying = (tmp_path / name for name in ("notes.onnx", "short.onnx", "lying.tflite"))
    text.write_text("hello, world")
    short.write_bytes(raw[: len(raw) // 2])
    lying.write_bytes(b"\x1c\x00\x00\x00TFL3" + bytes(64))
    _refused(tmp_path, text, "notes.onnx is neither an ONNX nor a TFLite model")
    _refused(tmp_path, short, "short.onnx is damaged: it begins like an ONNX model")
    _refused(tmp_path, lying, "lying.tflite is damaged, or no tflite model")
    _refused(tmp_path, tmp_path / "none.onnx", "none.onnx cannot be read")


@needs_models
def test_truncated_tflite_is_refused(tmp_path: Path) -> None:
    raw = (SHARED / "models" / "mlperf-tiny-vww96-int8.tflite").read_bytes()
    short = tmp_path / "short.tflite"
    for length in (40, len(raw) // 2, len(raw) - 500):
        short.write_bytes(raw[:length])
        with pytest.raises(InvalidInput, match="damaged"):
            _import(tmp_path, short)


@needs_models
@pytest.mark.parametrize("name", ["resnet20-cifar10.onnx", "mlperf-tiny-ic-resnet8-fp32.tflite", "mlperf-tiny-vww96-fp32.tflite"])
def test_float_models_of_others_are_probed_with_made_up_inputs(tmp_path: Path, name: str) -> None:
    card = _import(tmp_path, SHARED / "models" / name)
    assert card.probes is not None
    assert card.probes.count == 8
    assert card.variant == f"{card.format}-fp32"
    assert "random inputs" in card.lineage["probes"]
    assert card.timings[0].p50_us > 0


@needs_models
def test_integer_models_of_others_need_real_inputs_and_keep_their_dtypes(tmp_path: Path) -> None:
    file = SHARED / "models" / "mlperf-tiny-ic-resnet8-int8.tflite"
    _refused(tmp_path, file, "takes int8, for which inputs cannot be made up: give real ones with --sample")
    images = np.random.default_rng(0).integers(-128, 128, (5, 32, 32, 3)).astype(np.int8)
    card = _import(tmp_path, file, input_1_int8=images)
    assert (card.precision, card.inputs[0].dtype, card.outputs[0].dtype) == ("int8", "int8", "int8")
    assert card.probes is not None
    assert card.probes.count == 5
    assert card.probes.steps >= 2


@needs_models
def test_several_inputs_with_state_and_scalar(tmp_path: Path) -> None:
    sound = np.random.default_rng(0).normal(0, 0.1, (12, 1, 576)).astype(np.float32)
    card = _import(
        tmp_path,
        SHARED / "models" / "silero-vad-16k-6.2.onnx",
        input=sound,
        state=np.zeros((2, 1, 128), np.float32),
        sr=np.array(16000),
    )
    assert [one.name for one in card.inputs] == ["input", "state", "sr"]
    assert card.probes is not None
    assert card.probes.count == 8
