"""Which runtime of a device runs a variant, by what the card says it needs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy.matching import runtime_for, why_not
from argosy.protocol.card import Card, FileRef, Needs
from argosy.protocol.codec import from_json, to_json
from argosy.protocol.reported import Capabilities, Runtime, newest_ml_opset, newest_opset

ORT = Runtime(name="onnxruntime", version="1.20.1", formats=["onnx"])
OLDER = Runtime(name="tflite-runtime", version="2.14.0", formats=["tflite"])
NEWER = Runtime(name="ai-edge-litert", version="2.3.0", formats=["tflite"])
FUTURE = Runtime(name="onnxruntime", version="9.0", formats=["onnx"])


def _card(form: str = "onnx", **needs: Any) -> Card:
    file = FileRef(name=f"model.{form}", sha256="ab" * 32, length=1)
    names = {"model": "m", "version": 1, "variant": "v", "format": form, "precision": "fp32"}
    return Card(inputs=[], outputs=[], model_file=file, needs=Needs(**needs), **names)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("card", "capabilities", "expected"),
    [
        (_card(), Capabilities(runtimes=[ORT]), ("onnxruntime", "")),
        (_card("tflite"), Capabilities(runtimes=[ORT]), ("", "no runtime for tflite on the device")),
        (_card(), Capabilities(runtimes=[ORT], precisions=["int8", "fp16"]), ("", "the device takes int8/fp16 alone")),
        (
            _card("tflite", runtimes=["ai-edge-litert"]),
            Capabilities(runtimes=[OLDER]),
            ("", "runs in ai-edge-litert alone, the device has tflite-runtime 2.14.0"),
        ),
        (_card("tflite", runtimes=["ai-edge-litert"]), Capabilities(runtimes=[OLDER, NEWER]), ("ai-edge-litert", "")),
        (_card("tflite"), Capabilities(runtimes=[OLDER, NEWER]), ("tflite-runtime", "")),
        (_card(opset=22), Capabilities(runtimes=[ORT]), ("", "uses ONNX opset 22, onnxruntime 1.20.1 takes 21 at most")),
        (_card(opset=21), Capabilities(runtimes=[ORT]), ("onnxruntime", "")),
        (_card(ml_opset=6), Capabilities(runtimes=[ORT]), ("", "uses ONNX-ML opset 6, onnxruntime 1.20.1 takes 5 at most")),
        (_card(ml_opset=5), Capabilities(runtimes=[ORT]), ("onnxruntime", "")),
        (_card(operators=["Conv", "ai.onnx.ml:SVMClassifier", "com.microsoft:QGemm"]), Capabilities(runtimes=[ORT]), ("onnxruntime", "")),
        (
            _card(operators=["Conv", "org.acme:Fold", "org.acme:Roll", "org.acme:Spin", "org.acme:Twist"]),
            Capabilities(runtimes=[ORT]),
            ("", "uses org.acme:Fold, org.acme:Roll, org.acme:Spin and 1 more, which onnxruntime 1.20.1 does not bring"),
        ),
        (
            _card(memory_bytes=3 << 29),
            Capabilities(runtimes=[ORT], memory_bytes=1 << 30),
            ("", "needs 1,536 MiB of memory, the device has 1,024 MiB"),
        ),
        (_card(memory_bytes=3 << 29), Capabilities(runtimes=[ORT]), ("onnxruntime", "")),
    ],
)
def test_needs_are_matched_with_what_a_device_says(card: Card, capabilities: Capabilities, expected: tuple[str, str]) -> None:
    assert runtime_for(card, capabilities) == expected


@pytest.mark.parametrize(
    ("version", "opset"),
    [("1.32.0", 28), ("1.31.1", 26), ("1.24.4", 25), ("1.22.1", 22), ("1.19.2", 21), ("1.16.3", 19), ("1.9", 15), ("1.0.0", 11)],
)
def test_an_opset_that_is_not_told_follows_from_the_version(version: str, opset: int) -> None:
    assert newest_opset(Runtime(name="onnxruntime", version=version, formats=["onnx"])) == opset


@pytest.mark.parametrize(
    ("version", "opset"),
    [("1.32.0", 5), ("1.20.1", 5), ("1.18.1", 5), ("1.17.3", 4), ("1.16.3", 3), ("1.12.0", 3), ("1.11.1", 2), ("1.0", 2)],
)
def test_an_opset_of_classical_models_follows_from_the_version(version: str, opset: int) -> None:
    assert newest_ml_opset(Runtime(name="onnxruntime", version=version, formats=["onnx"])) == opset


@pytest.mark.parametrize("version", ["unknown", "simulated", "", "1", "0.5.0", "1.33.0", "2.0", "v1.20", "1.99999999999"])
def test_a_version_that_says_nothing_speaks_against_nothing(version: str) -> None:
    runtime = Runtime(name="onnxruntime", version=version, formats=["onnx"])
    assert newest_opset(runtime) == newest_ml_opset(runtime) == 0
    assert why_not(_card(opset=99, ml_opset=99), runtime) == ""


def test_what_a_runtime_says_of_itself_counts_more_than_its_version() -> None:
    assert newest_opset(Runtime(name="onnxruntime", version="1.20.1", formats=["onnx"], opset=24)) == 24


def test_a_device_of_an_older_release_keeps_working() -> None:
    raw = to_json(Capabilities(runtimes=[ORT])).replace(b',"opset":0', b"")
    assert b"opset" not in raw
    assert runtime_for(_card(opset=20, operators=["Conv"], memory_bytes=1 << 40), from_json(Capabilities, raw)) == ("onnxruntime", "")


_RUNTIMES = st.lists(st.sampled_from([ORT, OLDER, NEWER, FUTURE]), max_size=4)
_NEEDS = st.builds(
    Needs,
    runtimes=st.lists(st.sampled_from(["onnxruntime", "tflite-runtime", "ai-edge-litert"]), max_size=2),
    opset=st.integers(0, 40),
    ml_opset=st.integers(0, 8),
    operators=st.lists(st.sampled_from(["Conv", "com.microsoft:QGemm", "org.acme:Fold"]), max_size=3),
    memory_bytes=st.integers(0, 8 << 30),
)


@given(_NEEDS, st.sampled_from(["onnx", "tflite", "coreml"]), _RUNTIMES, st.integers(0, 8 << 30))
def test_a_runtime_is_named_or_a_reason_never_both(needs: Needs, form: str, runtimes: list[Runtime], memory: int) -> None:
    card = _card(form, **{name: getattr(needs, name) for name in needs.__struct_fields__})
    name, why = runtime_for(card, Capabilities(runtimes=runtimes, memory_bytes=memory))
    assert bool(name) != bool(why)
    if name:
        chosen = next(one for one in runtimes if one.name == name and one.formats == [form] and not why_not(card, one))
        assert not needs.runtimes or chosen.name in needs.runtimes
        assert needs.memory_bytes <= memory or not memory


@given(_NEEDS, _RUNTIMES, st.sampled_from([ORT, OLDER, NEWER]))
def test_one_more_runtime_never_takes_a_variant_away(needs: Needs, runtimes: list[Runtime], more: Runtime) -> None:
    card = _card("tflite", **{name: getattr(needs, name) for name in needs.__struct_fields__})
    if runtime_for(card, Capabilities(runtimes=runtimes))[0]:
        assert runtime_for(card, Capabilities(runtimes=[*runtimes, more]))[0]
