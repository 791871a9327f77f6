"""A variant that a device cannot run is not offered to it, and command, API and dashboard say why."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
import small_models
from fleet_of_two import SLOT, FleetOfTwo
from onnx_bundle import bundle_of

from argosy.protocol.card import Needs

pytestmark = pytest.mark.integration
_MACHINE = 1 << 50  # bytes; more than any test machine has


_NEEDS = {
    "onnx-fp16": Needs(opset=99),
    "onnx-fp32": Needs(operators=["Conv", "org.acme:Fold"]),
    "onnx-int4": Needs(memory_bytes=_MACHINE),
    "onnx-int8": Needs(runtimes=["another"]),
}
_SAYS = "; ".join(
    (
        r"no runnable variant: onnx-fp16 \(uses ONNX opset 99, onnxruntime [\d.]+ takes \d+ at most\)",
        r"onnx-fp32 \(uses org.acme:Fold, which onnxruntime [\d.]+ does not bring\)",
        r"onnx-int4 \(needs 1,073,741,824 MiB of memory, the device has [\d,]+ MiB\)",
        r"onnx-int8 \(runs in another alone, the device has onnxruntime [\d.]+\)",
    )
)


def test_each_device_that_gets_nothing_has_its_reasons_everywhere(fleet: FleetOfTwo, tmp_path: Path) -> None:
    rollout = fleet.roll_out(bundle_of(small_models.constant_bytes(1.0), tmp_path, "tiny", _NEEDS))
    assert (rollout["state"], rollout["reason"]) == (
        "paused",
        f"no selected device can run any variant of tiny@{rollout['version']}: add a variant for them, or abort",
    )
    reasons = {one["device"]: one["reason"] for one in rollout["devices"]}
    assert set(reasons) == {"newer", "older"}
    assert all(re.fullmatch(_SAYS, one) for one in reasons.values()), reasons
    _said_everywhere(fleet, rollout["rollout"], reasons)
    fleet.abort(rollout["rollout"])
    assert not any(list((one.state / "variants").glob("tiny@*")) for one in fleet.devices)


def test_the_variant_that_runs_is_sent_and_the_other_is_explained(fleet: FleetOfTwo, tmp_path: Path) -> None:
    needs = {"onnx-fp32": Needs(opset=99), "onnx-fp16": Needs()}
    rollout = fleet.roll_out(bundle_of(small_models.constant_bytes(2.0), tmp_path, "tiny", needs))
    assert rollout["state"] == "finished"
    for device in fleet.devices:
        part = next(one for one in rollout["devices"] if one["device"] == device.name)
        assert (part["state"], part["variant"]) == ("confirmed", "onnx-fp16")
        assert "; not offered: onnx-fp32 (uses ONNX opset 99, " in part["reason"]
        assert device.about(SLOT)["versions"] == [str(rollout["version"])]


def _said_everywhere(fleet: FleetOfTwo, number: int, reasons: dict[str, str]) -> None:
    controller = fleet.controller
    machine = {one["device"]: one["reason"] for one in controller.run("rollouts", "show", str(number), "--json").document["devices"]}
    assert machine == reasons
    people = _words(controller.run("rollouts", "show", str(number)).out)
    page = html.unescape(_page(controller, f"/rollouts/{number}"))
    for device, reason in reasons.items():
        assert {device, *_words(reason)} <= people  # a narrow terminal breaks the lines
        assert reason in page


def _words(text: str) -> set[str]:
    return set(re.findall(r"[\w.@:-]+", text))


def _page(controller: Any, path: str) -> str:
    password = (controller.data / "admin-password").read_text().strip()
    with httpx.Client(base_url=controller.endpoints["dashboard"], trust_env=False, follow_redirects=True) as browser:
        origin = controller.endpoints["dashboard"].rstrip("/")
        browser.post("/login", data={"name": "admin", "password": password}, headers={"Origin": origin})
        answer = browser.get(path)
    assert answer.status_code == 200 and answer.url.path == path
    return answer.text
