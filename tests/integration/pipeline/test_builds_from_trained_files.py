"""Builds whose model comes as a file: through the same front door, to the same bundle."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from argosy.errors import InvalidInput
from argosy_controller.pipeline.build import run_build
from argosy_controller.pipeline.report import Report, read_report

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))

from trained_files import Shades, save_exported, save_onnx, save_script, save_weights

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")]

TASK = "import sys\nsys.path.insert(0, {!r})\nfrom trained_files import {} as Given\nclass Mine(Given):\n    name = 'mine'\n"
QUANTISED = '[[variants]]\nuse = "onnx-fp32"\n[[variants]]\nuse = "onnx-int8"\n'


def _build(tmp_path: Path, kind: str, file: str, recipe: str = QUANTISED, trust_pickle: bool = False) -> Report:
    support = str(Path(__file__).parents[2] / "support")
    (tmp_path / "task.py").write_text(TASK.format(support, kind))
    (tmp_path / "recipe.toml").write_text(recipe)
    out = run_build(
        *(tmp_path, tmp_path / "recipe.toml", tmp_path / "out", None, {}, 0, lambda progress: None),
        trained=tmp_path / file,
        trust_pickle=trust_pickle,
    )
    return read_report((out / "report.json").read_bytes())


@pytest.fixture
def model(tmp_path: Path) -> torch.nn.Module:
    torch.manual_seed(5)
    return Shades({}).model(0).eval()


@pytest.mark.parametrize(("save", "file"), [(save_onnx, "m.onnx"), (save_exported, "m.pt2"), (save_script, "m.pt")])
def test_graph_is_quantised_after_training_without_a_model_in_the_task(save: object, file: str, tmp_path: Path, model: object) -> None:
    save(model, tmp_path / file)  # type: ignore[operator]
    report = _build(tmp_path, "Described", file)
    assert [one.name for one in report.variants] == ["onnx-fp32", "onnx-int8"]
    assert report.steps[0].step == "given"
    assert report.steps[0].parameters == 170
    assert report.lineage["trained"].startswith(f"{file} ")
    assert all(one.accuracy and one.timings for one in report.variants)


def test_weights_of_a_file_are_compressed_like_the_ones_that_were_trained_here(tmp_path: Path, model: torch.nn.Module) -> None:
    save_weights(model, tmp_path / "m.safetensors")
    report = _build(tmp_path, "Shades", "m.safetensors", '[[passes]]\nuse = "prune-magnitude"\nshare = 0.5\n' + QUANTISED)
    assert [one.step for one in report.steps] == ["given", "prune-magnitude"]
    assert report.steps[1].not_zero < report.steps[0].not_zero


def test_pass_on_a_graph_gets_a_sentence_and_no_bundle(tmp_path: Path, model: torch.nn.Module) -> None:
    save_onnx(model, tmp_path / "m.onnx")
    with pytest.raises(InvalidInput, match="pass finetune changes layers of torch, and this model is a whole ONNX graph"):
        _build(tmp_path, "Described", "m.onnx", '[[passes]]\nuse = "finetune"\n' + QUANTISED)
    assert not (tmp_path / "out").exists()


def test_pickle_without_trust_makes_nothing(tmp_path: Path, model: torch.nn.Module) -> None:
    torch.save(model.state_dict(), tmp_path / "m.pth")
    with pytest.raises(InvalidInput, match="--trust-pickle"):
        _build(tmp_path, "Shades", "m.pth")
    assert not (tmp_path / "out").exists()
    assert _build(tmp_path, "Shades", "m.pth", trust_pickle=True).steps[0].step == "given"


def test_nan_weights_of_a_file_are_named(tmp_path: Path, model: torch.nn.Module) -> None:
    model.get_parameter("3.bias").data[0] = float("nan")
    save_weights(model, tmp_path / "m.safetensors")
    with pytest.raises(InvalidInput, match=r"not finite .* in '3\.bias'"):
        _build(tmp_path, "Shades", "m.safetensors")
