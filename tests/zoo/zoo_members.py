"""Which models the matrix has, with the data that they are given: files where they are there, else what comes with Python."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from argosy_controller.pipeline.recipes import RECIPE_FILE
from argosy_controller.zoo import FOLDER, names

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("ARGOSY_SHARED_DATA") or ROOT.parent / "shared" / "data")
#: Every model is asked for each of these, also where its recipe does not name it: a cell without a file says why.
COLUMNS = (
    *("onnx-fp32", "onnx-int8"),
    *("tflite-fp32", "tflite-int8", "tflite-int8-dynamic", "tflite-int16x8"),
    *("coreml-fp32", "coreml-fp16", "coreml-packed", "coreml-int8-weights"),
)
#: In a quick run: these, with so much less to learn and to judge.
QUICK: dict[str, dict[str, int]] = {"mlp": {"epochs_of_digits": 5}, "transformer": {"epochs": 1, "held_out": 256}, "random-forest": {}}
_FILES = {
    "mnist": (DATA, "mnist-train.npz"),
    "images": (DATA, "cifar10-test-2k.npz"),
    "checkpoint": (DATA / "models" / "resnet20-cifar10-12fca82f.th", ""),
    "audio": (DATA / "spoken-digits-4-speakers.npz", ""),
}
_SETTINGS = {
    **dict.fromkeys(("mlp", "lenet-300-100", "lenet-5", "capsnet"), ("mnist",)),
    **dict.fromkeys(("resnext", "mobilenet"), ("images",)),
    "resnet-20": ("images", "checkpoint"),
    "spoken-digits": ("audio",),
}


@dataclass(frozen=True)
class Member:
    """One model of the matrix.

    Attributes:
        recipe: the recipe's text.
        settings: of its task.
        hyperparameters: set before the recipe's own.
    """

    name: str
    task: Path
    recipe: str
    settings: dict[str, str] = field(default_factory=dict)
    hyperparameters: dict[str, int] = field(default_factory=dict)


def members(quick: bool) -> list[Member]:
    """The models, in the order of the alphabet; a quick run has few, which need no files."""
    if quick:
        return [_of_zoo(name, {}, QUICK[name]) for name in names() if name in QUICK]
    listed = [_of_zoo(name, settings_of(name), {}) for name in names()]
    spoken = settings_of("spoken-digits")
    if spoken:  # sound comes with no package: without the file there is nothing to train on
        recipe = (Path(__file__).parent / "spoken-digits.toml").read_text()
        listed.append(Member("spoken-digits", ROOT / "examples" / "spoken-digits", recipe, spoken))
    return sorted(listed, key=lambda one: one.name)


def settings_of(name: str) -> dict[str, str]:
    """The files for a model's task that are there."""
    found = {setting: _FILES[setting] for setting in _SETTINGS.get(name, ())}
    return {setting: str(path) for setting, (path, inside) in found.items() if (path / inside).exists()}


def _of_zoo(name: str, settings: dict[str, str], hyperparameters: dict[str, int]) -> Member:
    return Member(name, FOLDER / name, (FOLDER / name / RECIPE_FILE).read_text(), settings, hyperparameters)
