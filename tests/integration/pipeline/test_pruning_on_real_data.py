"""Pruning and weight sharing on real data: scanned digits, and CIFAR-10 with the published ResNet-20."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

from argosy_controller.pipeline.compressing import trained
from argosy_controller.pipeline.numbers.sizes import macs
from argosy_controller.pipeline.passes import PASSES
from argosy_controller.pipeline.passes.interface import Context
from argosy_controller.pipeline.task import Data, Split, Task

pytestmark = pytest.mark.integration

SHARED = Path(os.environ.get("ARGOSY_SHARED_DATA") or Path(__file__).parents[4] / "shared" / "data")
CHECKPOINT, TRAIN, TEST = (SHARED / one for one in ("models/resnet20-cifar10-12fca82f.th", "cifar10-train-30k.npz", "cifar10-test-2k.npz"))
Apply = Callable[..., Any]


class Digits(Task):
    """scikit-learn's 1,797 scanned digits; a small convolutional network."""

    name = "digits"
    outputs = ("logits",)
    epochs = 12
    learning_rate = 3e-3

    def data(self, seed: int) -> Data:
        images, targets = load_digits(return_X_y=True)
        examples = Split({"image": (images.reshape(-1, 1, 8, 8) / 16).astype(np.float32)}, targets)
        return Data(train=examples.take(slice(0, 1300)), test=examples.take(slice(1300, None)))

    def model(self, seed: int) -> nn.Module:
        first = [nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)]
        return nn.Sequential(
            *first, nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 10)
        )


def _right(model: nn.Module, split: Split) -> float:
    with torch.no_grad():
        answers = model(torch.from_numpy(np.ascontiguousarray(split.inputs["image"]))).argmax(1).numpy()
    return float((answers == split.targets).mean())


def _applying(task: Task, data: Data) -> Apply:
    context = Context(task, data, seed=1, on_step=lambda done, total: None)
    return lambda model, use, **options: PASSES[use].apply(model, msgspec.convert(options, PASSES[use].config), context)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """As builds do it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def digits() -> tuple[nn.Module, Data, Apply]:
    task = Digits({})
    data = task.data(0)
    return trained(task, data, 0, lambda done, total: None), data, _applying(task, data)


def _zeros(model: nn.Module) -> float:
    kernels = [one for one in model.parameters() if one.dim() > 1]
    return sum(int((one == 0).sum()) for one in kernels) / sum(one.numel() for one in kernels)


@pytest.mark.parametrize(
    "options",
    [
        {"use": "prune-magnitude", "scope": "model", "rounds": 3, "epochs": 4},
        {"use": "prune-magnitude", "scope": "adaptive", "method": "gradual", "epochs": 12, "every": 5},
        {"use": "prune-magnitude", "scope": "adaptive", "method": "gradual", "epochs": 12, "every": 5, "regrow": True},
        {"use": "prune-taylor", "rounds": 3, "epochs": 4},
    ],
)
def test_one_weight_in_ten_does_nearly_as_well_as_all(options: dict[str, Any], digits: tuple[nn.Module, Data, Apply]) -> None:
    dense, data, apply = digits
    pruned = apply(dense, share=0.9, learning_rate=2e-3, **options)
    assert _zeros(pruned) == pytest.approx(0.9, abs=1e-3)
    assert _right(pruned, data.test) > _right(dense, data.test) - 0.02


def test_network_sparse_from_birth_learns_and_better_than_one_cut_at_random(digits: tuple[nn.Module, Data, Apply]) -> None:
    _, data, apply = digits
    torch.manual_seed(0)
    born = Digits({}).model(0).eval()
    training = {"use": "finetune", "epochs": 15, "learning_rate": 1e-2}
    sparse = apply(born, "snip", share=0.95)
    by_chance = apply(born, "prune-magnitude", share=0.95, scope="model")  # magnitudes of an untrained network say little
    learnt, other = apply(sparse, **training), apply(by_chance, **training)
    assert _zeros(learnt) == pytest.approx(0.95, abs=1e-3)
    assert _right(learnt, data.test) > max(0.85, _right(other, data.test))


def test_network_of_sixteen_values_a_layer_does_nearly_as_well(digits: tuple[nn.Module, Data, Apply]) -> None:
    dense, data, apply = digits
    half = apply(dense, "prune-magnitude", share=0.5, epochs=3)
    shared = apply(half, "share-weights", conv_bits=4, linear_bits=3)
    assert all(len(one.unique()) <= 16 for one in shared.parameters() if one.dim() > 1)
    assert _zeros(shared) >= 0.5
    assert _right(shared, data.test) > _right(dense, data.test) - 0.02


@pytest.mark.parametrize("importance", ["norm", "taylor", "thinet"])
def test_half_the_multiply_accumulates_do_nearly_as_well(importance: str, digits: tuple[nn.Module, Data, Apply]) -> None:
    dense, data, apply = digits
    pruned = apply(dense, "prune-channels", macs_share=0.5, importance=importance, multiple_of=1, epochs=4)
    image = (torch.zeros(1, 1, 8, 8),)
    assert macs(pruned, image)[""] <= 0.5 * macs(dense, image)[""]
    assert _right(pruned, data.test) > _right(dense, data.test) - 0.02


class Block(nn.Module):
    """Two convolutions beside a shortcut that strides and pads its channels (option A)."""

    def __init__(self, ins: int, outs: int) -> None:
        super().__init__()
        self.stride, self.pad = (1, 0) if ins == outs else (2, (outs - ins) // 2)
        self.conv1, self.bn1 = nn.Conv2d(ins, outs, 3, self.stride, 1, bias=False), nn.BatchNorm2d(outs)
        self.conv2, self.bn2 = nn.Conv2d(outs, outs, 3, 1, 1, bias=False), nn.BatchNorm2d(outs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        short = functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.pad, self.pad)) if self.pad else x
        return functional.relu(self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x))))) + short)


class ResNet20(nn.Module):
    """For 32 x 32 images (He et al. 2015, arXiv:1512.03385, section 4.2)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        widths = [(16, 16), (16, 32), (32, 64)]
        self.layer1, self.layer2, self.layer3 = (nn.Sequential(Block(i, o), Block(o, o), Block(o, o)) for i, o in widths)
        self.linear = nn.Linear(64, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.layer3(self.layer2(self.layer1(functional.relu(self.bn1(self.conv1(image))))))
        logits: torch.Tensor = self.linear(x.mean((2, 3)))
        return logits


class Cifar(Task):
    """The published checkpoint, and a few of the images."""

    name = "cifar"
    outputs = ("logits",)
    epochs = 0

    def data(self, seed: int) -> Data:
        return Data(train=_images(TRAIN, 256), test=_images(TEST, 300))

    def model(self, seed: int) -> nn.Module:
        weights = torch.load(CHECKPOINT, weights_only=True, map_location="cpu")["state_dict"]
        model = ResNet20()
        model.load_state_dict({name.removeprefix("module."): one for name, one in weights.items()})
        return model.eval()


def _images(path: Path, count: int) -> Split:
    from PIL import Image

    with np.load(path, allow_pickle=False) as file:
        raw, offsets, labels = file["jpeg"], file["offsets"], file["labels"]
    chosen = np.random.default_rng(0).permutation(len(labels))[:count]
    files = [raw[offsets[i] : offsets[i + 1]].tobytes() for i in chosen]
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(one))) for one in files]).astype(np.float32) / 255
    scaled = (pixels - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225])
    return Split({"image": np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))}, labels[chosen].astype(np.int64))


@pytest.mark.skipif(not CHECKPOINT.exists(), reason="the published ResNet-20 checkpoint and CIFAR-10 images are not here")
def test_published_resnet20_loses_inner_channels_and_thinet_repairs_what_norms_do_not() -> None:
    task = Cifar({})
    data, whole = task.data(0), task.model(0)
    apply = _applying(task, data)
    image = (torch.zeros(1, 3, 32, 32),)
    found = {
        one: apply(whole, "prune-channels", macs_share=0.75, importance=one, multiple_of=1, examples=128) for one in ("norm", "thinet")
    }
    for pruned in found.values():
        assert 0.7 * macs(whole, image)[""] < macs(pruned, image)[""] <= 0.75 * macs(whole, image)[""]
        assert pruned.layer3[2].conv1.out_channels < 64
        assert pruned.layer3[2].conv2.out_channels == 64
    assert _right(whole, data.test) > 0.77
    assert _right(found["thinet"], data.test) > max(0.5, _right(found["norm"], data.test))
