"""A whole build of the example, in its child process: files, figures, probes, and the same bytes again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from argosy.errors import Conflict, GoalsNotMet, InvalidInput
from argosy.protocol.card import Card
from argosy.protocol.codec import from_json
from argosy_controller.pipeline.build import run_build
from argosy_controller.pipeline.files.engines import open_model
from argosy_controller.pipeline.files.probes import passes
from argosy_controller.pipeline.processes.messages import Progress

pytestmark = pytest.mark.integration

EXAMPLES = Path(__file__).parents[3] / "examples"
DIGITS = EXAMPLES / "digits"
RUNNABLE = ("onnx-fp32", "onnx-int8", "tflite-fp32", "tflite-int8")


def _build(out: Path, recipe: Path, task: Path = DIGITS, told: list[Progress] | None = None, **settings: str) -> Path:
    return run_build(task, recipe, out, None, settings, 0, (told if told is not None else []).append)


def _card(bundle: Path, variant: str) -> Card:
    return from_json(Card, (bundle / "variants" / variant / "card.json").read_bytes())


def _report(bundle: Path) -> Any:
    return json.loads((bundle / "report.json").read_text())


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _probes(bundle: Path, variant: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    card = _card(bundle, variant)
    assert card.probes is not None
    with np.load(bundle / "variants" / variant / "probes.npz", allow_pickle=False) as file:
        arrays = dict(file)
    return [
        ({one.name: arrays[f"in.{one.name}"][i] for one in card.inputs}, {one.name: arrays[f"out.{one.name}"][i] for one in card.outputs})
        for i in range(card.probes.count)
    ]


@pytest.fixture(scope="module")
def told() -> list[Progress]:
    return []


@pytest.fixture(scope="module")
def compressed(tmp_path_factory: pytest.TempPathFactory, told: list[Progress]) -> Path:
    return _build(tmp_path_factory.mktemp("build") / "v2", DIGITS / "recipe.toml", told=told)


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build(tmp_path_factory.mktemp("build") / "v1", DIGITS / "recipe-baseline.toml")


def test_bundle_holds_what_its_cards_say(compressed: Path) -> None:
    assert sorted(one.name for one in (compressed / "variants").iterdir()) == sorted([*RUNNABLE, "coreml-fp16"])
    for folder in (compressed / "variants").iterdir():
        card = _card(compressed, folder.name)
        assert (card.model, card.version, card.variant) == ("digits", 0, folder.name)
        for file in (card.model_file, *card.companions):
            assert (_sha256(folder / file.name), (folder / file.name).stat().st_size) == (file.sha256, file.length)
        assert {one.name for one in folder.iterdir()} == {"card.json", card.model_file.name, *(one.name for one in card.companions)}


def test_public_names_and_dtypes_are_the_same_in_every_variant(compressed: Path) -> None:
    for folder in (compressed / "variants").iterdir():
        card = _card(compressed, folder.name)
        assert [(one.name, one.dtype, one.shape[1:]) for one in card.inputs] == [("image", "float32", [1, 8, 8])]
        assert [(one.name, one.dtype, one.shape[1:]) for one in card.outputs] == [("logits", "float32", [10])]
        assert card.inputs[0].shape[0] is None


def test_accuracy_was_measured_through_every_file_that_runs_here(compressed: Path) -> None:
    for name in RUNNABLE:
        accuracy = _card(compressed, name).accuracy
        assert accuracy is not None
        assert accuracy.examples == 719
        assert 0.95 <= accuracy.low < accuracy.value < accuracy.high <= 1


def test_core_ml_is_judged_by_interpreting_its_program_and_neither_timed_nor_probed(compressed: Path) -> None:
    card = _card(compressed, "coreml-fp16")
    assert card.accuracy is not None
    assert card.accuracy.examples == 719
    assert (card.timings, card.probes) == ([], None)
    assert card.parity is not None
    assert (card.parity.verified_by, card.parity.examples) == (["MIL interpreter"], 256)
    notes = {one["name"]: one["notes"] for one in _report(compressed)["variants"]}
    assert "by interpreting the file's program, not by Core ML" in notes["coreml-fp16"][0]


def test_compressed_version_is_smaller_in_every_variant(compressed: Path, baseline: Path) -> None:
    for name in RUNNABLE:
        assert _card(compressed, name).model_file.length < 0.4 * _card(baseline, name).model_file.length


def test_probes_pass_on_their_own_file_with_any_kernels_and_fail_on_another_model(compressed: Path, baseline: Path) -> None:
    for name in RUNNABLE:
        card = _card(compressed, name)
        assert card.probes is not None
        own, other = (open_model(card.format, one / "variants" / name / card.model_file.name) for one in (compressed, baseline))
        plain = open_model(card.format, compressed / "variants" / name / card.model_file.name, plain=True)
        assert own is not None
        assert plain is not None
        assert other is not None
        for inputs, expected in _probes(compressed, name):
            assert passes(own.run(inputs), expected, card.probes)
            assert passes(plain.run(inputs), expected, card.probes)
            assert not passes(other.run(inputs), expected, card.probes)


def test_same_seed_gives_the_same_bytes(compressed: Path, tmp_path: Path) -> None:
    again = _build(tmp_path / "again", DIGITS / "recipe.toml")
    for folder in (compressed / "variants").iterdir():
        files = [one for one in folder.iterdir() if one.name != "card.json"]
        assert [_sha256(one) for one in files] == [_sha256(again / "variants" / folder.name / one.name) for one in files]


def test_report_tells_steps_goals_and_lineage(compressed: Path) -> None:
    report = _report(compressed)
    assert [one["step"] for one in report["steps"]] == ["train", "prune-channels", "finetune"]
    assert report["steps"][1]["parameters"] < 0.3 * report["steps"][0]["parameters"]
    assert all(one["met"] is not False for one in report["goals"])
    assert report["lineage"]["seed"] == "0"
    assert "torch 2" in report["lineage"]["packages"]
    assert str(EXAMPLES) not in (compressed / "report.json").read_text()


def test_files_tell_nothing_of_the_machine_that_made_them(compressed: Path) -> None:
    for file in (compressed / "variants").rglob("model.*"):
        assert b"site-packages" not in file.read_bytes()
        assert str(EXAMPLES.parent).encode() not in file.read_bytes()


def test_progress_comes_in_order_and_ends_complete(compressed: Path, told: list[Progress]) -> None:
    assert compressed.is_dir()
    stages = list(dict.fromkeys(one.stage for one in told))
    assert stages[:4] == ["data", "train", "prune-channels", "finetune"]
    for stage in stages:
        last = [one for one in told if one.stage == stage][-1]
        assert last.done == last.total


def test_missed_goals_leave_a_report_and_no_variants(tmp_path: Path) -> None:
    recipe = tmp_path / "hard.toml"
    recipe.write_text('[goals]\naccuracy_at_least = 0.999\nbytes_at_most = 1000\n[[variants]]\nuse = "onnx-fp32"\n')
    with pytest.raises(GoalsNotMet, match="2 of 2 goals were not met") as caught:
        _build(tmp_path / "out", recipe)
    assert "onnx-fp32  accuracy_at_least" in str(caught.value)
    assert sorted(one.name for one in (tmp_path / "out").iterdir()) == ["report.html", "report.json"]
    assert [one["met"] for one in _report(tmp_path / "out")["goals"]] == [False, False]


def test_a_wrong_recipe_or_setting_writes_nothing(tmp_path: Path) -> None:
    recipe = tmp_path / "wrong.toml"
    recipe.write_text('[[variants]]\nuse = "onnx-fp31"\n')
    with pytest.raises(InvalidInput, match=r"wrong\.toml line 2: .* did you mean 'onnx-fp32'"):
        _build(tmp_path / "out", recipe)
    with pytest.raises(InvalidInput, match="did you mean 'mnist'"):
        _build(tmp_path / "out", DIGITS / "recipe.toml", minst="x")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["wrong.toml"]


def test_a_folder_with_files_is_not_built_into(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(Conflict, match="holds files already"):
        _build(tmp_path, DIGITS / "recipe.toml")
    assert [one.name for one in tmp_path.iterdir()] == ["mine.txt"]


def test_slow_task_is_right_small_and_slower_in_every_format(compressed: Path, tmp_path: Path) -> None:
    slow = _build(tmp_path / "slow", EXAMPLES / "demo" / "slow" / "recipe.toml", EXAMPLES / "demo" / "slow")
    for name in RUNNABLE:
        card = _card(slow, name)
        assert card.model == "digits"
        assert card.model_file.length < 2_000_000
        assert card.timings[0].p50_us > 3 * _card(compressed, name).timings[0].p50_us
