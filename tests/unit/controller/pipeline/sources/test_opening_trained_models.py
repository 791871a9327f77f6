"""Trained models that come as files: each kind opens to the same answers, and a wrong one gets a sentence."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from trained_files import save_exported, save_onnx, save_script, save_weights

from argosy.errors import InvalidInput, NotFound
from argosy_controller.pipeline.sources.graphs import OnnxGraph
from argosy_controller.pipeline.sources.kinds import Kind, is_estimator, kind_of
from argosy_controller.pipeline.sources.opening import open_trained
from argosy_controller.pipeline.task import Task

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")

LAYERS = {"m.safetensors": save_weights, "m.pt2": save_exported, "m.pt": save_script}
GRAPHS = {"m.onnx": save_onnx, "m.pt2": save_exported, "m.pt": save_script}


def _opened(path: Path, task: Task, **options: bool) -> nn.Module:
    return open_trained(path, task, task.data(0), 0, **options)


@pytest.mark.parametrize("name", LAYERS)
def test_weights_of_a_file_go_into_the_model_of_the_task(name: str, tmp_path: Path, trained: Any, with_model: Task, images: Any) -> None:
    LAYERS[name](trained, tmp_path / name)
    model = _opened(tmp_path / name, with_model)
    assert isinstance(model[0], nn.Conv2d)  # type: ignore[index]
    assert not model.training
    assert torch.equal(model(images), trained(images))


@pytest.mark.parametrize("name", GRAPHS)
def test_graph_of_a_file_answers_as_the_model_that_it_was_made_of(
    name: str, tmp_path: Path, trained: Any, described: Task, images: Any
) -> None:
    GRAPHS[name](trained, tmp_path / name)
    model = _opened(tmp_path / name, described)
    assert isinstance(model, OnnxGraph)
    assert torch.allclose(model(images)[0], trained(images), atol=1e-5)
    assert torch.equal(copy.deepcopy(model)(images)[0], model(images)[0])


def test_pickle_is_refused_unless_it_is_trusted(tmp_path: Path, trained: Any, with_model: Task, images: Any) -> None:
    torch.save({"state_dict": {f"module.{name}": one for name, one in trained.state_dict().items()}}, tmp_path / "m.pth")
    with pytest.raises(InvalidInput, match="--trust-pickle"):
        _opened(tmp_path / "m.pth", with_model)
    assert torch.equal(_opened(tmp_path / "m.pth", with_model, trust_pickle=True)(images), trained(images))


def test_refused_pickle_runs_nothing(tmp_path: Path, with_model: Task) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "ran",))  # type: ignore[return-value]

    torch.save(Bomb(), tmp_path / "m.pth")
    with pytest.raises(InvalidInput, match="pickle"):
        _opened(tmp_path / "m.pth", with_model)
    assert not (tmp_path / "ran").exists()


def test_trusted_pickle_may_be_a_whole_module(tmp_path: Path, trained: Any, described: Task, images: Any) -> None:
    torch.save(trained, tmp_path / "m.pt")
    assert torch.equal(_opened(tmp_path / "m.pt", described, trust_pickle=True)(images), trained(images))


def test_trusted_pickle_of_something_else_gets_a_sentence(tmp_path: Path, with_model: Task) -> None:
    torch.save([1, 2], tmp_path / "m.pt")
    with pytest.raises(InvalidInput, match="holds a list, neither a module nor weights"):
        _opened(tmp_path / "m.pt", with_model, trust_pickle=True)


def test_missing_weight_is_named_with_the_nearest_there_is(tmp_path: Path, trained: Any, with_model: Task) -> None:
    save_weights(nn.Sequential(trained[0]), tmp_path / "m.safetensors")
    with pytest.raises(InvalidInput, match=r"lacks '3\.weight' of the task's model \(2 in all\); the nearest name there is '0\.weight'"):
        _opened(tmp_path / "m.safetensors", with_model)


def test_weight_of_another_shape_is_named(tmp_path: Path, with_model: Task) -> None:
    save_weights(nn.Sequential(nn.Conv2d(1, 4, 5), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2)), tmp_path / "m.safetensors")
    with pytest.raises(InvalidInput, match=r"'0\.weight' has shape \[4, 1, 5, 5\], the task's model \[4, 1, 3, 3\]"):
        _opened(tmp_path / "m.safetensors", with_model)


def test_whole_model_for_a_task_with_a_model_is_refused(tmp_path: Path, trained: Any, with_model: Task) -> None:
    save_onnx(trained, tmp_path / "m.onnx")
    with pytest.raises(InvalidInput, match=r"leave model\(\) out"):
        _opened(tmp_path / "m.onnx", with_model)


def test_onnx_with_other_names_is_refused(tmp_path: Path, trained: Any, described: Task) -> None:
    save_onnx(trained, tmp_path / "m.onnx")
    type(described).outputs = ("scores",)
    try:
        with pytest.raises(InvalidInput, match=r"outputs \['logits'\], the task \['scores'\]"):
            _opened(tmp_path / "m.onnx", described)
    finally:
        type(described).outputs = ("logits",)


def test_checkpoint_for_a_task_without_a_model_says_what_is_missing(tmp_path: Path, trained: Any, described: Task) -> None:
    save_weights(trained, tmp_path / "m.safetensors")
    with pytest.raises(InvalidInput, match=r"has no model\(\)"):
        _opened(tmp_path / "m.safetensors", described)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "has 0 bytes"),
        (b"hello there, I am no model", "no trained model"),
        (b"PK\x03\x04 but cut", "damaged"),
        (b"\x80\x04.", "pickle"),
    ],
)
def test_file_that_is_no_model_gets_a_sentence(content: bytes, told: str, tmp_path: Path, with_model: Task) -> None:
    (tmp_path / "m.bin").write_bytes(content)
    with pytest.raises(InvalidInput, match=told):
        _opened(tmp_path / "m.bin", with_model)


def test_missing_file_gets_a_sentence(tmp_path: Path, with_model: Task) -> None:
    with pytest.raises(NotFound, match="cannot be read"):
        _opened(tmp_path / "nowhere.onnx", with_model)


@pytest.mark.parametrize("name", LAYERS)
def test_cut_file_gets_a_sentence(name: str, tmp_path: Path, trained: Any, with_model: Task) -> None:
    LAYERS[name](trained, tmp_path / name)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) - 40])
    with pytest.raises(InvalidInput):
        _opened(tmp_path / name, with_model)


def test_kinds_are_told_by_content_not_by_name(tmp_path: Path, trained: Any) -> None:
    for save, kind in ((save_weights, Kind.SAFETENSORS), (save_exported, Kind.EXPORTED), (save_script, Kind.TORCHSCRIPT)):
        save(trained, tmp_path / "m.pt2")
        assert kind_of(tmp_path / "m.pt2") is kind


@pytest.mark.parametrize("legacy", [True, False])
def test_pickle_of_torch_is_no_estimator(legacy: bool, tmp_path: Path, trained: Any) -> None:
    torch.save(trained.state_dict(), tmp_path / "m.pt", _use_new_zipfile_serialization=not legacy)
    assert kind_of(tmp_path / "m.pt") is Kind.TORCH_PICKLE
    assert not is_estimator(tmp_path / "m.pt", trust_pickle=True)


@pytest.mark.parametrize("offset", [b"\x1c", b"(", b"c", b"\x80", b"\x08"])
def test_tflite_file_is_one_wherever_its_table_begins(offset: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(offset + b"\0\0\0TFL3" + bytes(16))
    with pytest.raises(InvalidInput, match="is a TFLite file, out of which no model can be taken: give a"):
        kind_of(tmp_path / "m.tflite")
    assert not is_estimator(tmp_path / "m.tflite", trust_pickle=True)
    assert not is_estimator(tmp_path / "nowhere", trust_pickle=True)
