"""What a device says that it can run."""

from __future__ import annotations

import pytest

from argosy.protocol.reported import Runtime, newest_opset
from argosy_agent import capabilities
from argosy_agent.capabilities import capabilities_of
from argosy_agent.settings import Settings

HERE = [
    Runtime(name="onnxruntime", version="1.20.1", formats=["onnx"]),
    Runtime(name="tflite-runtime", version="2.14.0", formats=["tflite"]),
]


def test_a_device_tells_the_newest_opset_that_its_runtime_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capabilities, "available", lambda: HERE)
    told = capabilities_of(Settings()).runtimes
    assert [(one.name, one.opset) for one in told] == [("onnxruntime", 21), ("tflite-runtime", 0)]
    assert [newest_opset(one) for one in told] == [21, 0]


def test_the_order_of_the_settings_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capabilities, "available", lambda: HERE)
    told = capabilities_of(Settings(runtimes=("tflite-runtime", "onnxruntime")))
    assert [one.name for one in told.runtimes] == ["tflite-runtime", "onnxruntime"]
    assert told.memory_bytes > 1 << 20
