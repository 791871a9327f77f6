"""The examples as their README files say: built from their own recipes, and what each of them promises."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from argosy.errors import InvalidInput
from argosy_controller.pipeline.build import run_build
from argosy_controller.pipeline.report import Report, VariantReport, read_report
from argosy_controller.pipeline.task import Data, Task, load_task

pytestmark = pytest.mark.integration

EXAMPLES = Path(__file__).parents[3] / "examples"
SHARED = Path(os.environ.get("ARGOSY_SHARED_DATA") or Path(__file__).parents[4] / "shared" / "data")
OCCUPANCY = SHARED / "occupancy"
SPEECH = SHARED / "spoken-digits-4-speakers.npz"
CHECKPOINT = SHARED / "models" / "resnet20-cifar10-12fca82f.th"


def _built(name: str, out: Path, recipe: str = "recipe.toml", **settings: Path) -> Report:
    given = {key: str(value) for key, value in settings.items()}
    return read_report(
        (run_build(EXAMPLES / name, EXAMPLES / name / recipe, out, None, given, 0, lambda told: None) / "report.json").read_bytes()
    )


def _variant(report: Report, name: str) -> VariantReport:
    return next(one for one in report.variants if one.name == name)


def _check_promises(report: Report, drop: float) -> None:
    """All goals were met, and no 8-bit file is worse by more than `drop`, stated with its interval."""
    assert all(one.met for one in report.goals)
    for name in ("onnx-int8", "tflite-int8"):
        found = _variant(report, name).drop
        assert found is not None
        assert found.value <= drop
        assert found.low <= found.value <= found.high
    assert _variant(report, "onnx-int8").bytes < 0.5 * _variant(report, "onnx-fp32").bytes


@pytest.mark.parametrize("name", ["digits", "spoken-digits", "images", "tabular", "sensors"])
def test_readme_is_short_and_shows_the_command(name: str) -> None:
    text = (EXAMPLES / name / "README.md").read_text()
    assert f"controller build examples/{name} --recipe examples/{name}/recipe.toml" in text
    assert 5 <= len([line for line in text.splitlines() if line]) <= 12


@pytest.mark.parametrize(("name", "setting"), [("spoken-digits", "audio"), ("images", "images"), ("sensors", "data")])
def test_example_without_its_data_says_where_to_get_them(name: str, setting: str) -> None:
    with pytest.raises(InvalidInput, match=rf"add --set {setting}=PATH .*README\.md says how to make"):
        load_task(EXAMPLES / name, {}).data(0)


def test_tabular_example_keeps_its_promises(tmp_path: Path) -> None:
    report = _built("tabular", tmp_path / "out")
    _check_promises(report, drop=0.01)
    assert report.steps[-1].not_zero < 0.25 * report.steps[0].not_zero


def test_tabular_forest_is_a_tenth_of_itself(tmp_path: Path) -> None:
    report = _built("tabular", tmp_path / "out", "recipe-forest.toml")
    assert all(one.met for one in report.goals)
    assert [one.step for one in report.steps] == ["fit", "thin-forest", "prune-tree", "round-thresholds"]
    assert all(one.notes for one in report.steps)
    assert report.steps[-1].parameters < 0.1 * report.steps[0].parameters
    _check_parity(report)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_tabular_families_are_compared_and_the_best_is_built(tmp_path: Path) -> None:
    report = _built("tabular", tmp_path / "out", "recipe-families.toml")
    assert report.search is not None
    families = {str(one.point["task.family"]): one for one in report.search.trials}
    assert set(families) == {"svm", "decision-tree", "random-forest", "naive-bayes", "logistic-regression", "mlp"}
    assert all(one.state == "complete" and set(one.values) >= {"accuracy", "bytes", "p50_us"} for one in families.values())
    best = max(families.values(), key=lambda one: one.values["accuracy"])
    assert report.search.trials[report.search.chosen].values["accuracy"] == best.values["accuracy"]
    assert "family" in (tmp_path / "out" / "report.html").read_text()
    _check_parity(report)


@pytest.mark.skipif(not OCCUPANCY.exists(), reason="no room occupancy in the shared data")
def test_sensors_example_keeps_its_promises(tmp_path: Path) -> None:
    report = _built("sensors", tmp_path / "out", data=OCCUPANCY)
    assert all(one.met for one in report.goals)
    assert _variant(report, "onnx-fp32").bytes < 5_000
    assert report.baseline is not None
    assert report.baseline.accuracy is not None
    _check_parity(report)


def _check_parity(report: Report) -> None:
    for one in report.variants:
        assert one.parity is not None
        assert one.parity.agreement is not None
        assert one.parity.agreement >= 0.999


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(not SPEECH.exists(), reason="no spoken digits in the shared data")
def test_spoken_example_keeps_its_promises(tmp_path: Path) -> None:
    _check_promises(_built("spoken-digits", tmp_path / "out", audio=SPEECH), drop=0.01)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(not CHECKPOINT.exists(), reason="no ResNet-20 in the shared data")
def test_images_examples_keep_their_promises(tmp_path: Path) -> None:
    _check_promises(_built("images", tmp_path / "small", images=SHARED), drop=0.02)
    report = _built("images", tmp_path / "ready", "recipe-resnet20.toml", images=SHARED, checkpoint=CHECKPOINT)
    _check_promises(report, drop=0.005)
    assert report.baseline is not None
    assert report.baseline.accuracy is not None
    assert report.baseline.accuracy.value == 0.8135  # what the shared data's notes say of this checkpoint on these files


@pytest.mark.skipif(not SPEECH.exists(), reason="no spoken digits in the shared data")
def test_clips_become_features_of_one_size_and_the_test_part_is_the_makers(tmp_path: Path) -> None:
    data = load_task(EXAMPLES / "spoken-digits", {"audio": str(SPEECH)}).data(0)
    assert (len(data.train), len(data.test)) == (1800, 200)
    assert {one.inputs["sound"].shape[1:] for one in (data.train, data.test)} == {(40, 61)}
    assert np.bincount(data.test.targets).tolist() == [20] * 10


def test_recordings_are_collected_as_the_task_reads_them(tmp_path: Path) -> None:
    import wave

    for number, name in enumerate(["0_ann_0", "1_ann_0", "0_ann_7", "1_ann_7"]):
        with wave.open(str(tmp_path / f"{name}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8000)
            file.writeframes(np.full(1000 + number, 100 * number, "<i2").tobytes())
    _run(EXAMPLES / "spoken-digits" / "collect.py", tmp_path, tmp_path / "audio.npz")
    data = _data(load_task(EXAMPLES / "spoken-digits", {"audio": str(tmp_path / "audio.npz")}))
    assert sorted(data.train.targets) == sorted(data.test.targets) == [0, 1]


def test_image_folders_are_collected_as_the_task_reads_them(tmp_path: Path) -> None:
    from PIL import Image

    for part in ("train", "test"):
        for shade, name in enumerate(["airplane", "automobile"]):
            (tmp_path / part / name).mkdir(parents=True)
            Image.new("RGB", (32, 32), (shade * 255,) * 3).save(tmp_path / part / name / "0000.jpg")
    _run(EXAMPLES / "images" / "collect.py", tmp_path, tmp_path)
    data = _data(load_task(EXAMPLES / "images", {"images": str(tmp_path)}))
    assert sorted(data.train.targets) == [0, 1]
    brightness = data.train.inputs["image"].mean((1, 2, 3))
    assert (brightness > 0).tolist() == (data.train.targets == 1).tolist()


@pytest.mark.parametrize(("depth", "width", "convolutions"), [(1, 32, 3), (3, 8, 5)])
def test_depth_and_width_are_hyperparameters_of_digits(depth: int, width: int, convolutions: int) -> None:
    from torch import nn

    task = load_task(EXAMPLES / "digits", {})
    task.set_hyperparameters({"depth": depth, "width": width})
    layers = [one for one in task.model(0).modules() if isinstance(one, nn.Conv2d)]
    assert (len(layers), layers[0].out_channels) == (convolutions, width)


def _data(task: Task) -> Data:
    data: Any = task.data(0)
    assert isinstance(data, Data)
    return data


def _run(script: Path, *arguments: Path) -> None:
    subprocess.run([sys.executable, script, *arguments], check=True, timeout=60)
