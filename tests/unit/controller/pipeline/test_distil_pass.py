"""Distillation: the loss by hand, every kind of teacher, hints, and one sentence for what does not fit."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from argosy.errors import InvalidInput
from argosy_controller.pipeline.methods.distilling import soft_loss
from argosy_controller.pipeline.methods.hints import regressor
from argosy_controller.pipeline.passes import PASSES
from argosy_controller.pipeline.passes.distil import DistilConfig
from argosy_controller.pipeline.passes.interface import Context
from argosy_controller.pipeline.task import Data, Split, Task
from argosy_controller.pipeline.training import looked_on

TEACHER = """
from argosy_controller.pipeline.task import Data, Split, Task
import torch
from torch import nn

class Teacher(Task):
    name, epochs = "teacher", 1
    def data(self, seed): raise RuntimeError("a teacher learns from the student's data")
    def model(self, seed): return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, CLASSES))
"""


def _distilled(model: nn.Module, ctx: Context, **options: Any) -> Any:
    return PASSES["distil"].apply(model, msgspec.convert({"epochs": 1, **options}, DistilConfig), ctx)


def _onnx(side: int) -> bytes:
    """`y` [any, 10], a matrix times `x` [any, 1, side, side]: neither name is the task's."""
    weights = numpy_helper.from_array(np.random.default_rng(0).normal(size=(side * side, 10)).astype(np.float32), "w")
    nodes = [helper.make_node("Flatten", ["x"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["y"])]
    shapes = (("x", ["n", 1, side, side]), ("y", ["n", 10]))
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes)
    model = helper.make_model(
        helper.make_graph(nodes, "teacher", [x], [y], [weights]), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    return bytes(model.SerializeToString())


def _refusal(model: nn.Module, ctx: Context, **options: Any) -> str:
    with pytest.raises(InvalidInput) as caught:
        _distilled(model, ctx, **options)
    return str(caught.value)


def _distance(student: nn.Module, teacher: nn.Module, ctx: Context) -> float:
    x = torch.from_numpy(ctx.data.train.inputs["image"])
    with torch.no_grad():
        return float(soft_loss(DistilConfig())(student(x), teacher(x)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, classes in (("good", "2"), ("wide", "3")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "task.py").write_text(TEACHER.replace("CLASSES", classes))
    (tmp_path / "good.onnx").write_bytes(_onnx(side=8))
    return tmp_path


@pytest.fixture
def ctx(context: Context, folder: Path, network: Any) -> Context:
    torch.manual_seed(9)
    return replace(context, folder=folder, original=nn.Sequential(nn.Flatten(), nn.Linear(64, 2)))


def test_soft_loss_is_the_divergence_of_softened_probabilities_times_t_squared() -> None:
    teacher, student = torch.tensor([[2 * math.log(3.0), 0.0]]), torch.tensor([[0.0, 0.0]])
    by_hand = 4 * (0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5))  # T = 2: teacher says 3/4 and 1/4
    assert soft_loss(DistilConfig(temperature=2.0))(student, teacher).item() == pytest.approx(by_hand, rel=1e-5)
    assert soft_loss(DistilConfig())(teacher, teacher).item() == pytest.approx(0, abs=1e-6)


def test_gradients_of_the_soft_loss_keep_their_size_when_the_temperature_changes() -> None:
    """Hinton et al. 2015, equation 4: at a high temperature the gradient is that of matching logits, (z - v) / N."""
    student, teacher = torch.tensor([[0.3, -0.3, 0.0]], requires_grad=True), torch.tensor([[1.0, -2.0, 1.0]])
    soft_loss(DistilConfig(temperature=100.0))(student, teacher).backward()  # type: ignore[no-untyped-call]
    assert student.grad is not None
    assert torch.allclose(student.grad, (student - teacher).detach() / 3, atol=0.02)


def test_outputs_are_matched_by_their_squared_difference() -> None:
    assert soft_loss(DistilConfig(match="outputs"))(torch.tensor([[1.0], [3.0]]), torch.tensor([[0.0], [0.0]])).item() == 5.0


def test_a_teacher_may_give_probabilities() -> None:
    logits, student = torch.tensor([[1.0, 2.0, -1.0]]), torch.tensor([[0.0, 1.0, 0.0]])
    loss = soft_loss(DistilConfig(temperature=3.0))
    assert loss(student, logits.softmax(-1)).item() == pytest.approx(loss(student, logits).item(), rel=1e-4)


def test_student_comes_nearer_to_its_teacher_and_labels_can_be_left_out(network: Any, ctx: Context) -> None:
    assert ctx.original is not None
    student = _distilled(network, ctx, epochs=20, hard_weight=0.0, learning_rate=5e-3)
    assert _distance(student, ctx.original, ctx) < 0.3 * _distance(network, ctx.original, ctx)


def test_with_labels_alone_it_is_training(network: Any, ctx: Context) -> None:
    taught = _distilled(network, ctx, hard_weight=1.0, learning_rate=5e-4)
    trained = PASSES["finetune"].apply(network, PASSES["finetune"].config(epochs=1), ctx)
    assert all(torch.equal(one, two) for one, two in zip(taught.parameters(), trained.parameters(), strict=True))


def test_focal_loss_may_be_the_hard_part(network: Any, ctx: Context) -> None:
    one, two = (_distilled(network, ctx, hard_weight=1.0, loss=loss) for loss in ("task", "focal"))
    assert not torch.equal(one[0].weight, two[0].weight)


@pytest.mark.parametrize("teacher", ["good", "good.onnx"])
def test_any_teacher_teaches(network: Any, ctx: Context, teacher: str) -> None:
    student = network if teacher == "good" else nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).eval()
    steps: list[tuple[int, int]] = []
    result = _distilled(student, replace(ctx, on_step=lambda done, total: steps.append((done, total))), teacher=teacher)
    assert not all(torch.equal(one, two) for one, two in zip(result.parameters(), student.parameters(), strict=True))
    assert steps == ([(1, 2), (2, 2)] if teacher == "good" else [(1, 1)])


class Shifted(Task):
    """Shows each training example at another place each time."""

    name, outputs = "shifted", ("logits",)

    def augment(self, inputs: tuple[torch.Tensor, ...], random: torch.Generator) -> tuple[torch.Tensor, ...]:
        return tuple(one.roll(int(torch.randint(0, 8, (1,), generator=random)), -1) for one in inputs)

    def data(self, seed: int) -> Data:
        raise NotImplementedError


def test_teacher_is_asked_about_what_the_student_sees(network: Any, ctx: Context) -> None:
    seen: list[torch.Tensor] = []

    class Listener(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            seen.append(image)
            return image.flatten(1)[:, :2]

    _distilled(network, replace(ctx, original=Listener()))
    plain = torch.from_numpy(ctx.data.train.inputs["image"])
    assert torch.equal(torch.cat(seen), plain)  # once, in order: its answers are kept
    seen.clear()
    _distilled(network, replace(ctx, original=Listener(), task=Shifted({})), epochs=2)
    assert sum(len(one) for one in seen) == 2 * len(plain)


def test_a_fresh_student_forgets_its_weights_and_learns_the_same_whatever_it_was(network: Any, ctx: Context) -> None:
    other = nn.Sequential(*(layer for layer in network))
    one = _distilled(network, ctx, fresh=True)
    with torch.no_grad():
        other[0].weight += 1  # type: ignore[operator]
    two = _distilled(other, ctx, fresh=True)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def test_says_which_layer_cannot_start_anew(ctx: Context) -> None:
    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1)[:, :2] * self.scale

    assert "cannot start layer '0' (Scale) anew" in _refusal(nn.Sequential(Scale()), ctx, fresh=True)


def test_a_hint_draws_the_students_layer_to_the_teachers(network: Any, ctx: Context) -> None:
    teacher = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.Flatten(), nn.Linear(192, 2)).eval()
    plain = replace(ctx, original=teacher)
    hinted = _distilled(network, plain, epochs=0, hint_student="2", hint_teacher="0", hint_epochs=3)
    assert not torch.equal(hinted[2].weight, network[2].weight)
    assert torch.equal(hinted[6].weight, network[6].weight)  # behind the guided layer nothing is learnt yet
    assert list(hinted.state_dict()) == list(network.state_dict())  # the regressor is gone


def test_a_search_looks_on_at_the_student_only(network: Any, ctx: Context) -> None:
    seen: list[torch.Size] = []

    def onlooker(model: nn.Module) -> None:
        with torch.no_grad():
            seen.append(model(torch.zeros(3, 1, 8, 8)).shape)

    with looked_on(onlooker):
        _distilled(network, ctx, teacher="good", hint_student="5", hint_teacher="1", epochs=2)
    assert seen == [(3, 2), (3, 2)]


def test_regressor_takes_away_what_the_students_map_is_larger() -> None:
    assert regressor(torch.Size([2, 8, 6, 6]), torch.Size([2, 16, 4, 4]))(torch.zeros(2, 8, 6, 6)).shape == (2, 16, 4, 4)
    assert regressor(torch.Size([2, 8, 9]), torch.Size([2, 5, 9]))(torch.zeros(2, 8, 9)).shape == (2, 5, 9)
    assert regressor(torch.Size([2, 8]), torch.Size([2, 5]))(torch.zeros(2, 8)).shape == (2, 5)
    for hint in ([2, 16, 8, 8], [2, 16]):
        with pytest.raises(InvalidInput, match="the student's map not the smaller one"):
            regressor(torch.Size([2, 8, 6, 6]), torch.Size(hint))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"teacher": "nowhere.onnx"}, "there is no teacher 'nowhere.onnx'"),
        ({"teacher": "empty"}, "teacher 'empty' has no task.py"),
        ({"teacher": "wide"}, "the student gives [2] for an example and the teacher [3]"),
        ({"teacher": "text.onnx"}, "text.onnx is"),
        ({"teacher": "large.onnx"}, "teacher large.onnx takes float32 [None, 1, 9, 9] as 'x', this task gives float32 [batch, 1, 8, 8]"),
        ({"teacher": "good.onnx"}, "the student gives [2] for an example and the teacher [10]"),
        ({"teacher": "good.onnx", "hint_student": "0", "hint_teacher": "0"}, "an ONNX file shows none of its layers"),
        ({"hint_student": "conv1", "hint_teacher": "1"}, "hint_student names layer 'conv1', which is not there: use one of 0, 1, 2"),
        ({"hint_student": "0"}, "hint_teacher names layer ''"),
    ],
)
def test_says_what_does_not_fit(network: Any, ctx: Context, options: dict[str, Any], says: str) -> None:
    (ctx.folder / "empty").mkdir()
    (ctx.folder / "text.onnx").write_text("<html>")
    (ctx.folder / "large.onnx").write_bytes(_onnx(side=9))
    assert says in _refusal(network, ctx, **options)


def test_refuses_probabilities_of_one_output(ctx: Context) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 1))
    ctx = replace(ctx, original=model)
    assert 'write match = "outputs"' in _refusal(model, ctx, hard_weight=0.0)
    assert _distilled(model, ctx, hard_weight=0.0, match="outputs") is not None


def test_refuses_a_teacher_whose_answers_are_not_finite(network: Any, ctx: Context) -> None:
    broken = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    with torch.no_grad():
        broken[1].bias[:] = float("nan")  # type: ignore[operator, index]
    assert "not all finite" in _refusal(network, replace(ctx, original=broken))


def test_refuses_answers_that_are_too_many_to_keep(network: Any, ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("argosy_controller.pipeline.methods.distilling._MOST_BYTES", 100)
    assert "at most 100 are kept" in _refusal(network, ctx)


def test_teacher_never_sees_test_data(network: Any, ctx: Context) -> None:
    hidden = replace(ctx.data, test=Split({"image": np.full((1, 1, 8, 8), np.nan, np.float32)}, np.zeros(1, np.int64)))
    one, two = (_distilled(network, replace(ctx, data=data), teacher="good") for data in (ctx.data, hidden))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
