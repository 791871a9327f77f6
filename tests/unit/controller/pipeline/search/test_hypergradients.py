"""Hypergradients against finite differences of whole trainings, in double precision."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
import pytest
import torch
from torch import nn

from argosy_controller.pipeline.options import TrainingConfig
from argosy_controller.pipeline.search.hypergradients import implicit, unrolled
from argosy_controller.pipeline.search.watching import validation_loss
from argosy_controller.pipeline.task import Data, Task
from argosy_controller.pipeline.training import fit

AGREES = 1e-3


def _data(task: Task) -> Data:
    return task.data(1)


def _start(task: Task) -> nn.Module:
    torch.manual_seed(5)
    return task.model(0)


def _trained_loss(task: Task, start: nn.Module, training: TrainingConfig) -> float:
    data = _data(task)
    assert data.validation is not None
    ended = fit(start, task, data.train, training, seed=3, on_epoch=lambda done, total: None)
    return validation_loss(ended, task, data.validation)


def _difference(task: Task, start: nn.Module, training: TrainingConfig, name: str, by: float) -> float:
    value = getattr(training, name)
    up, down = (msgspec.structs.replace(training, **{name: value + sign * by}) for sign in (1, -1))
    return (_trained_loss(task, start, up) - _trained_loss(task, start, down)) / (2 * by)


def _unrolled(task: Task, start: nn.Module, training: TrainingConfig, *names: str) -> Any:
    data = _data(task)
    assert data.validation is not None
    return unrolled(start, task, data.train, data.validation, training, names, seed=3)


@pytest.mark.parametrize("optimiser", ["sgd", "adam", "adamw", "adagrad"])
@pytest.mark.parametrize("name", ["learning_rate", "weight_decay"])
def test_unrolled_agrees_with_finite_differences_of_the_real_training(rings: Task, optimiser: Any, name: str) -> None:
    training = TrainingConfig(epochs=3, optimiser=optimiser, learning_rate=0.02, weight_decay=0.05)
    start = _start(rings)
    found = _unrolled(rings, start, training, name).gradient[name]
    assert found == pytest.approx(_difference(rings, start, training, name, 1e-5), rel=AGREES)


def test_unrolled_agrees_for_the_focal_gamma_and_several_at_once(rings: Task) -> None:
    training = TrainingConfig(epochs=3, optimiser="sgd", learning_rate=0.05, loss="focal", focal_gamma=1.5, schedule="constant")
    start = _start(rings)
    found = _unrolled(rings, start, training, "focal_gamma", "learning_rate").gradient
    for name in found:
        assert found[name] == pytest.approx(_difference(rings, start, training, name, 1e-5), rel=AGREES)


@pytest.mark.parametrize("optimiser", ["sgd", "adam", "adamw", "adagrad"])
def test_unrolled_does_the_very_training_that_fit_does(rings: Task, optimiser: Any) -> None:
    training = TrainingConfig(epochs=4, optimiser=optimiser, learning_rate=0.02, weight_decay=0.01)
    start = _start(rings)
    assert _unrolled(rings, start, training, "learning_rate").loss == pytest.approx(_trained_loss(rings, start, training), rel=1e-9)


def test_unrolled_keeps_what_pruning_cut(rings: Task) -> None:
    start: Any = _start(rings)
    start[0].weight.data[:3] = 0
    training = TrainingConfig(epochs=3, optimiser="sgd", learning_rate=0.05)
    found = _unrolled(rings, start, training, "learning_rate").gradient["learning_rate"]
    assert found == pytest.approx(_difference(rings, start, training, "learning_rate", 1e-5), rel=AGREES)


class Images(Task):
    """A convolution, batch norm, pooling and dropout: what real models have."""

    name = "images"
    batch_size = 8

    def data(self, seed: int) -> Data:
        from argosy_controller.pipeline.task import Split

        torch.manual_seed(seed)
        images, targets = torch.rand(40, 1, 6, 6, dtype=torch.float64).numpy(), torch.randint(0, 2, (40,)).numpy()
        every = Split({"image": images}, targets)
        return Data(train=every.take(slice(0, 24)), validation=every.take(slice(24, 32)), test=every.take(slice(32, None)))

    def model(self, seed: int) -> nn.Module:
        layers: list[nn.Module] = [nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.3)]
        return nn.Sequential(*layers, nn.Linear(12, 2)).double()


def test_unrolled_goes_through_convolutions_batch_norm_pooling_and_dropout() -> None:
    task = Images({})
    start = _start(task)
    training = TrainingConfig(epochs=2, optimiser="sgd", learning_rate=0.05, weight_decay=0.01)
    found = _unrolled(task, start, training, "learning_rate", "weight_decay").gradient
    for name in found:
        assert found[name] == pytest.approx(_difference(task, start, training, name, 1e-6), rel=AGREES)


def _converged(task: Task, start: nn.Module, training: TrainingConfig) -> nn.Module:
    """Trained to the end with Newton-like steps, so that the implicit theorem's condition holds."""
    from argosy_controller.pipeline.training import named_loss

    model = copy.deepcopy(start)
    split = _data(task).train
    inputs, targets = (torch.from_numpy(split.inputs["point"]),), torch.from_numpy(split.targets)
    optimiser = torch.optim.LBFGS(
        model.parameters(), max_iter=2000, tolerance_grad=1e-13, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        decay = sum((one**2).sum() for one in model.parameters()) / 2
        loss = named_loss(task, training)(model, inputs, targets) + training.weight_decay * decay
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    return model.eval()


@pytest.mark.parametrize(("name", "loss"), [("weight_decay", "task"), ("focal_gamma", "focal")])
def test_implicit_agrees_with_finite_differences_of_trainings_to_the_end(rings: Task, name: str, loss: Any) -> None:
    training = TrainingConfig(optimiser="sgd", weight_decay=0.02, loss=loss, focal_gamma=1.5)
    data, by = _data(rings), 1e-4
    assert data.validation is not None
    ended = _converged(rings, _start(rings), training)
    value = getattr(training, name)
    ends = [_converged(rings, ended, msgspec.structs.replace(training, **{name: value + sign * by})) for sign in (1, -1)]
    up, down = (validation_loss(one, rings, data.validation) for one in ends)
    found = implicit(ended, rings, data.train, data.validation, training, (name,), damping=0.0).gradient[name]
    assert found == pytest.approx((up - down) / (2 * by), rel=AGREES)


def test_implicit_agrees_with_a_case_computed_by_hand() -> None:
    """One weight, loss (w - 2)^2 / 2 + d w^2 / 2: w = 2 / (1 + d). Validation loss (w - 1)^2 / 2: its slope by d is -(w - 1) w / (1 + d)."""
    task = _OneWeight({})
    data = task.data(0)
    assert data.validation is not None
    decay = 0.25
    model = task.model(0)
    model.weight.data.fill_(2 / (1 + decay))
    training = TrainingConfig(optimiser="sgd", weight_decay=decay)
    found = implicit(model, task, data.train, data.validation, training, ("weight_decay",), damping=0.0).gradient["weight_decay"]
    weight = 2 / (1 + decay)
    assert found == pytest.approx(-(weight - 1) * weight / (1 + decay), rel=1e-9)


class _OneWeight(Task):
    name = "one"

    def data(self, seed: int) -> Data:
        import numpy as np

        from argosy_controller.pipeline.task import Split

        def one(target: float) -> Split:
            return Split({"x": np.ones((1, 1))}, np.array([[target]]))

        return Data(train=one(2.0), validation=one(1.0), test=one(0.0))

    def model(self, seed: int) -> Any:
        return nn.Linear(1, 1, bias=False).double()

    def loss(self, outputs: tuple[torch.Tensor, ...], targets: torch.Tensor) -> torch.Tensor:
        return ((outputs[0] - targets) ** 2).mean() / 2
