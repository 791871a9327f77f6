"""Distilling and restructuring on real images and a published network."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from argosy_controller.pipeline.compressing import trained
from argosy_controller.pipeline.methods.distilling import soft_loss
from argosy_controller.pipeline.methods.teachers import OnnxTeacher
from argosy_controller.pipeline.numbers.sizes import macs, parameters
from argosy_controller.pipeline.passes import PASSES
from argosy_controller.pipeline.passes.distil import DistilConfig
from argosy_controller.pipeline.passes.interface import Context
from argosy_controller.pipeline.task import Data, Split, Task, load_task

pytestmark = pytest.mark.integration

EXAMPLES = Path(__file__).parents[3] / "examples"
SHARED = Path(os.environ.get("ARGOSY_SHARED_DATA") or Path(__file__).parents[4] / "shared" / "data")
CHECKPOINT, FILE = (SHARED / "models" / name for name in ("resnet20-cifar10-12fca82f.th", "resnet20-cifar10.onnx"))
needs_resnet = pytest.mark.skipif(not CHECKPOINT.exists(), reason="no ResNet-20 in the shared data")


class Digits(Task):
    """scikit-learn's digits, few of them for training; a sigmoid network whose width is free."""

    name, outputs = "digits", ("logits",)
    epochs, learning_rate, width, rectified = 40, 5e-3, 64, False

    def data(self, seed: int) -> Data:
        from sklearn.datasets import load_digits

        digits = load_digits()
        order = np.random.default_rng(seed).permutation(len(digits.target))
        split = Split({"image": (digits.data / 16).astype(np.float32)[order]}, digits.target[order])
        return Data(train=split.take(slice(0, 400)), test=split.take(slice(400, None)))

    def model(self, seed: int) -> nn.Module:
        w, act = self.width, nn.ReLU if self.rectified else nn.Sigmoid
        return nn.Sequential(nn.Linear(64, w), act(), nn.Linear(w, w), act(), nn.Linear(w, 10))


def _right(model: nn.Module, split: Split) -> float:
    with torch.no_grad():
        return float((model(torch.from_numpy(split.inputs[next(iter(split.inputs))])).argmax(1).numpy() == split.targets).mean())


def _context(task: Task, model: nn.Module | None = None) -> Context:
    data = task.data(0)
    return Context(task, data, 1, lambda done, total: None, model)


def _applied(name: str, model: nn.Module, ctx: Context, **options: Any) -> nn.Module:
    return PASSES[name].apply(model, PASSES[name].config(**options), ctx)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Small models are trained as fast by one thread as by several, and several may wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def wide() -> tuple[Context, nn.Module]:
    task = Digits({})
    model = trained(task, task.data(0), 0, lambda done, total: None)
    return _context(task, model), model


def test_a_small_student_answers_unseen_images_more_as_its_teacher_does(wide: tuple[Context, nn.Module]) -> None:
    """Ten times fewer weights than the teacher; alone and taught in the same number of epochs."""
    ctx, teacher = wide
    small = Digits({})
    small.set_hyperparameters({"width": 10, "rectified": True, "epochs": 100, "learning_rate": 1e-2})
    alone = trained(small, ctx.data, 1, lambda done, total: None)
    assert parameters(alone) < parameters(teacher) / 10
    taught = _applied("distil", alone, replace(ctx, task=small), fresh=True, epochs=100, learning_rate=1e-2)
    assert _right(taught, ctx.data.test) > _right(alone, ctx.data.test) - 0.02
    assert _unlike(taught, teacher, ctx) < 0.7 * _unlike(alone, teacher, ctx)


def _unlike(student: nn.Module, teacher: nn.Module, ctx: Context) -> float:
    x = torch.from_numpy(ctx.data.test.inputs["image"])
    with torch.no_grad():
        return float(soft_loss(DistilConfig())(student(x), teacher(x)))


def test_sigmoids_become_rectifiers_and_training_makes_up_for_it(wide: tuple[Context, nn.Module]) -> None:
    ctx, model = wide
    swapped = _applied("swap-activation", model, ctx, old="sigmoid", new="relu")
    tuned = _applied("finetune", swapped, ctx, epochs=20, learning_rate=2e-3)
    assert [type(one).__name__ for one in tuned.children()] == ["Linear", "ReLU", "Linear", "ReLU", "Linear"]
    assert _right(tuned, ctx.data.test) > _right(swapped, ctx.data.test)
    assert _right(tuned, ctx.data.test) >= _right(model, ctx.data.test) - 0.02


@pytest.fixture(scope="module")
def published() -> tuple[Context, nn.Module]:
    task = load_task(EXAMPLES / "images", {"images": str(SHARED), "checkpoint": str(CHECKPOINT)})
    task.set_hyperparameters({"examples": 200})
    return _context(task), task.model(0).eval()


@needs_resnet
def test_folding_a_published_network_changes_no_answer(published: tuple[Context, nn.Module]) -> None:
    ctx, model = published
    few = ctx.data.test.take(slice(0, 200))
    folded = _applied("fold-batch-norm", model, ctx)
    assert not any(isinstance(one, nn.BatchNorm2d) for one in folded.modules())
    x = torch.from_numpy(few.inputs["image"])
    with torch.no_grad():
        assert torch.allclose(model(x), folded(x), atol=1e-3)
    assert _right(folded, few) == _right(model, few)


@needs_resnet
@pytest.mark.parametrize("convolutions", ["channel", "spatial"])
def test_a_published_network_of_lower_rank_is_smaller_and_nearly_as_good(published: tuple[Context, nn.Module], convolutions: str) -> None:
    ctx, model = published
    few = ctx.data.test.take(slice(0, 200))
    split = _applied("factorise", model, ctx, energy=0.95, convolutions=convolutions)
    example = (torch.zeros(1, 3, 32, 32),)
    assert parameters(split) < 0.95 * parameters(model)
    assert macs(split, example)[""] < 0.95 * macs(model, example)[""]
    assert _right(split, few) > _right(model, few) - 0.1


@needs_resnet
def test_a_published_onnx_file_teaches(published: tuple[Context, nn.Module]) -> None:
    ctx, model = published
    few = ctx.data.test.take(slice(0, 200))
    teacher = OnnxTeacher(FILE, few, "logits")
    x = torch.from_numpy(few.inputs["image"])
    with torch.no_grad():
        assert torch.allclose(teacher.answers((x,)), model(x), atol=1e-3)
    ctx = replace(ctx, folder=FILE.parent, data=replace(ctx.data, train=ctx.data.train.take(slice(0, 64))))
    student = _applied("distil", model, ctx, teacher=FILE.name, epochs=1, learning_rate=1e-4)
    assert _right(student, few) > _right(model, few) - 0.1
