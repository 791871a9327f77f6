"""Which devices can run a variant: devices in groups are judged as each by itself would be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy.matching import runtime_for
from argosy.protocol.card import Card, FileRef, Needs
from argosy.protocol.reported import Capabilities, Runtime
from argosy_controller.views.fitting import FitView, alike, fit, told

_RUNTIMES = [
    Runtime(name="onnxruntime", version="1.20.1", formats=["onnx"]),
    Runtime(name="onnxruntime", version="1.20.1", formats=["onnx"], opset=28),
    Runtime(name="tflite-runtime", version="2.14.0", formats=["tflite"]),
]
_CAPABILITIES = st.builds(
    Capabilities,
    runtimes=st.lists(st.sampled_from(_RUNTIMES), max_size=2),
    precisions=st.lists(st.sampled_from(["fp32", "int8"]), max_size=1),
    memory_bytes=st.sampled_from([0, 1 << 20, 3 << 20, 1 << 30]),
)


def _card(needs: Needs) -> Card:
    file = FileRef(name="model.onnx", sha256="ab" * 32, length=1)
    return Card(model="m", version=1, variant="v", format="onnx", precision="fp32", inputs=[], outputs=[], model_file=file, needs=needs)


@given(
    st.lists(_CAPABILITIES, max_size=8),
    st.builds(Needs, opset=st.sampled_from([0, 22]), memory_bytes=st.sampled_from([0, 2 << 20, 2 << 30])),
)
def test_a_fleet_in_groups_fits_as_its_devices_one_by_one(fleet: list[Capabilities], needs: Needs) -> None:
    card = _card(needs)
    devices = [(f"d{number}", has) for number, has in enumerate(fleet)]
    found = fit(card, alike(devices))
    alone = {name: runtime_for(card, has)[1] for name, has in devices}
    assert found.devices == len(devices)
    assert found.can == sum(not why for why in alone.values())
    assert {name: one.why for one in found.reasons for name in one.devices} == {name: why for name, why in alone.items() if why}
    assert [len(one.devices) for one in found.reasons] == sorted((len(one.devices) for one in found.reasons), reverse=True)


@pytest.mark.parametrize(
    ("devices", "can", "says"),
    [
        (0, 0, "no device has reported yet"),
        (1, 1, "the only device"),
        (1, 0, "none of 1 device"),
        (5, 5, "all 5 devices"),
        (5, 2, "2 of 5 devices"),
    ],
)
def test_a_fit_is_told_in_plain_numbers(devices: int, can: int, says: str) -> None:
    assert told(FitView(devices, can, ())) == says
