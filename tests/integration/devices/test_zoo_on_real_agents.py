"""Every model of the zoo, as ONNX and as TFLite, by rollouts on real agents: the endpoint answers what the source answers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomllib
from fleet_of_two import SLOT, FleetOfTwo
from real_device import RealDevice
from zoo_versions import Made, allowed, made, requests_for

from argosy.protocol.card import Card
from argosy_controller.pipeline.recipes import RECIPE_FILE
from argosy_controller.zoo import FOLDER, names

pytestmark = pytest.mark.integration
#: Whether it learned anything does not matter here; what it answers does.
BARELY = {"epochs": 0, "held_out": 300}
ROOT = Path(__file__).parents[3]
AUDIO = Path(os.environ.get("ARGOSY_SHARED_DATA") or ROOT.parent / "shared" / "data") / "spoken-digits-4-speakers.npz"


def _check(fleet: FleetOfTwo, model: Made) -> None:
    for variant, card in model.cards.items():
        rollout = fleet.roll_out(model.bundles[variant])
        parts = {one["device"]: one for one in rollout["devices"]}
        assert parts["newer"]["state"] == "confirmed", (variant, rollout)
        if card.needs.runtimes == ["ai-edge-litert"]:
            assert parts["older"]["state"] == "excluded", (variant, rollout)
            assert "runs in ai-edge-litert alone, the device has tflite-runtime 2.14" in parts["older"]["reason"]
        else:
            assert parts["older"]["state"] == "confirmed", (variant, rollout)
        for device in fleet.devices:
            if parts[device.name]["state"] == "confirmed":
                held = device.state / "variants" / f"{model.name}@{rollout['version']}+{variant}"
                assert {one.name for one in card.companions} < {one.name for one in held.iterdir()}
                _compare(device, card, model)


def _compare(device: RealDevice, card: Card, model: Made) -> None:
    runtimes = {"onnx": ("onnxruntime",) * 2, "tflite": ("ai-edge-litert", "tflite-runtime")}[card.format]
    assert device.about(SLOT)["platform"] == f"{card.format}_{runtimes[device.name == 'older']}"
    for number, request in enumerate(requests_for(card, model.asked)):
        wanted = {name: array[number : number + 1] for name, array in model.wanted.items()}
        _near(device.infer(SLOT, request), wanted, card, f"{model.name} {card.variant} on {device.name}, request {number}")


def _near(got: Mapping[str, Any], wanted: Mapping[str, Any], card: Card, where: str) -> None:
    assert list(got) == list(wanted), where
    assert card.parity is not None
    for name, array in wanted.items():
        if array.dtype.kind == "f":
            np.testing.assert_allclose(got[name], array, rtol=1e-4, atol=allowed(card), err_msg=f"{where}: {name}")
        elif card.parity.agreement == 1.0:  # a label; where forms may give another, the numbers above say how near it was
            np.testing.assert_array_equal(got[name], array, err_msg=f"{where}: {name}")


_FEW = {
    "image": ("mlp", ("onnx-int8", "tflite-int8")),
    "text": ("transformer", ("onnx-fp32", "tflite-fp32", "tflite-int8-dynamic")),
    "table": ("random-forest", ("onnx-fp32", "tflite-fp32")),
}


@pytest.mark.parametrize("kind", list(_FEW))
def test_a_model_of_each_kind_answers_on_devices_as_its_source(kind: str, fleet: FleetOfTwo, tmp_path: Path) -> None:
    name, variants = _FEW[kind]
    _check(fleet, made(name, FOLDER / name, variants, tmp_path / name, BARELY, {}))


def _on_devices(recipe: Path) -> list[str]:
    """The variants of a recipe that agents can run."""
    named = [str(one["use"]) for one in tomllib.loads(recipe.read_text())["variants"]]
    return [one for one in named if one.startswith(("onnx-", "tflite-"))]


@pytest.mark.slow
@pytest.mark.parametrize("name", names())
def test_every_model_of_the_zoo_answers_on_devices_as_its_source(name: str, fleet: FleetOfTwo, tmp_path: Path) -> None:
    _check(fleet, made(name, FOLDER / name, _on_devices(FOLDER / name / RECIPE_FILE), tmp_path / name, BARELY, {}))


@pytest.mark.slow
def test_sound_is_answered_on_devices_as_by_its_source(fleet: FleetOfTwo, tmp_path: Path) -> None:
    if not AUDIO.is_file():
        pytest.skip("no spoken digits in the shared data folder")
    task = ROOT / "examples" / "spoken-digits"
    variants = _on_devices(FOLDER / "lenet-5" / RECIPE_FILE)
    _check(fleet, made("spoken-digits", task, variants, tmp_path / "sound", BARELY, {"audio": str(AUDIO)}))
