"""Every adapter speaks the card's names, refuses what is not the card's, and says what is wrong in a sentence."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import small_models
from msgspec.structs import replace
from onnx import TensorProto

from argosy.errors import InvalidInput, Unavailable
from argosy.protocol.card import Card, Needs, TensorSpec
from argosy.protocol.codec import from_json
from argosy.protocol.reported import Runtime
from argosy_agent import runtimes
from argosy_agent.runtimes.session import fits, same_dtype

DATA = Path(__file__).parent / "data"
IN, OUT = TensorSpec(name="x", dtype="float32", shape=[1, 4]), TensorSpec(name="y", dtype="float32", shape=[1, 3])


def _card(folder: Path) -> Card:
    return from_json(Card, (folder / "card.json").read_bytes())


def _tflite(folder: Path, file: str = "dense", inputs=(IN,), outputs=(OUT,), **load):
    small_models.write_variant(folder, "tflite", (DATA / f"{file}.tflite").read_bytes(), list(inputs), list(outputs), {})
    return runtimes.load(folder, _card(folder), "ai-edge-litert", **load)


@pytest.fixture
def onnx(tmp_path):
    small_models.write_onnx_variant(tmp_path, small_models.cnn_bytes(side=8))
    return runtimes.load(tmp_path, _card(tmp_path), "onnxruntime")


def test_available_imports_no_runtime():
    code = (
        "import sys; from argosy_agent import runtimes; found = runtimes.available();"
        "assert {'onnxruntime', 'ai_edge_litert', 'tflite_runtime', 'numpy'}.isdisjoint(sys.modules), sys.modules;"
        "print(' '.join(one.name for one in found))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == [one.name for one in runtimes.available()]


def test_available_tells_version_and_formats():
    found = {one.name: one for one in runtimes.available()}
    assert found["onnxruntime"].formats == ["onnx"] and found["onnxruntime"].version[0].isdigit()
    assert found["ai-edge-litert"].formats == ["tflite"]


def test_choose_takes_the_first_that_runs_the_variant(tmp_path):
    here = [Runtime(name="a", version="1", formats=["onnx"]), Runtime(name="b", version="1", formats=["tflite", "onnx"])]
    small_models.write_onnx_variant(tmp_path, small_models.constant_bytes(1.0))
    card = _card(tmp_path)
    assert runtimes.choose(card, here) == "a"
    assert runtimes.choose(replace(card, format="tflite"), here) == "b"
    assert runtimes.choose(replace(card, needs=Needs(runtimes=["b"])), here) == "b"
    with pytest.raises(Unavailable, match="no runtime on this device runs onnx-fp32: no runtime for coreml on the device"):
        runtimes.choose(replace(card, format="coreml"), here)


def test_onnx_runs_any_size_of_a_free_dimension(onnx):
    for rows in (1, 3, 2):
        assert onnx.run({"x": np.zeros((rows, 1, 8, 8), np.float32)})["y"].shape == (rows, 10)


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ({}, "input 'x' is missing"),
        ({"z": np.zeros((1, 1, 8, 8), np.float32)}, "no input 'z'"),
        ({"x": np.zeros((1, 1, 8, 8))}, "dtype float64, the model takes float32"),
        ({"x": np.zeros((1, 1, 8, 8), ">f4")}, "dtype >f4, the model takes float32"),
        ({"x": np.zeros((1, 8, 8), np.float32)}, r"shape \[1, 8, 8\], the model takes \[any, 1, 8, 8\]"),
        ({"x": [[1.0]]}, "a list, not a numpy array"),
    ],
)
def test_refuses_inputs_that_are_not_the_cards(onnx, inputs, sentence):
    onnx.run({"x": np.zeros((1, 1, 8, 8), np.float32)})
    for _ in range(2):
        with pytest.raises(InvalidInput, match=sentence):
            onnx.run(inputs)


@pytest.mark.parametrize("dtype", ["FLOAT16", "DOUBLE", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64", "BOOL"])
def test_onnx_carries_every_dtype(tmp_path, dtype):
    small_models.write_onnx_variant(tmp_path, small_models.identity_bytes(getattr(TensorProto, dtype)))
    card = _card(tmp_path)
    value = np.ones((2, 2), {"FLOAT16": "float16"}.get(dtype, card.inputs[0].dtype))
    answer = runtimes.load(tmp_path, card, "onnxruntime").run({"x": value})["y"]
    assert answer.dtype == value.dtype and (answer == value).all()


def test_onnx_carries_strings_and_refuses_other_objects(tmp_path):
    small_models.write_onnx_variant(tmp_path, small_models.identity_bytes(TensorProto.STRING))
    session = runtimes.load(tmp_path, _card(tmp_path), "onnxruntime")
    words = np.array([["é", "a,b"]], object)
    assert session.run({"x": words})["y"].tolist() == words.tolist()
    assert session.run({"x": words.astype(str)})["y"].tolist() == words.tolist()
    with pytest.raises(InvalidInput, match="not str"):
        session.run({"x": np.array([[1, {}]], object)})


def test_tflite_maps_names_by_position_and_agrees_with_itself(tmp_path):
    session = _tflite(tmp_path)
    x = np.arange(4, dtype=np.float32).reshape(1, 4)
    answer = session.run({"x": x})
    assert list(answer) == ["y"] and answer["y"].shape == (1, 3)
    assert (session.run({"x": x})["y"] == answer["y"]).all()


def test_tflite_refuses_a_batch_that_its_card_fixes_to_one(tmp_path):
    with pytest.raises(InvalidInput, match=r"shape \[2, 4\], the model takes \[1, 4\]"):
        _tflite(tmp_path).run({"x": np.zeros((2, 4), np.float32)})


def test_tflite_resizes_a_dimension_that_its_card_leaves_free(tmp_path):
    free_in, free_out = TensorSpec(name="x", dtype="float32", shape=[None, 4]), TensorSpec(name="y", dtype="float32", shape=[None, 3])
    session = _tflite(tmp_path, inputs=[free_in], outputs=[free_out])
    rows = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    together = session.run({"x": rows})["y"]
    alone = [session.run({"x": row[None]})["y"][0] for row in rows]
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)


def test_tflite_refuses_a_batch_of_nothing_and_answers_on(tmp_path):
    free_in, free_out = TensorSpec(name="x", dtype="float32", shape=[None, 4]), TensorSpec(name="y", dtype="float32", shape=[None, 3])
    session = _tflite(tmp_path, inputs=[free_in], outputs=[free_out])
    with pytest.raises(InvalidInput, match=r"shape \[0, 4\], which holds nothing"):
        session.run({"x": np.zeros((0, 4), np.float32)})
    assert session.run({"x": np.zeros((2, 4), np.float32)})["y"].shape == (2, 3)


def test_tflite_int8_file_takes_and_gives_what_it_declares(tmp_path):
    inputs, outputs = TensorSpec(name="x", dtype="int8", shape=[1, 4]), TensorSpec(name="y", dtype="int8", shape=[1, 3])
    exact, quantised = _tflite(tmp_path / "a"), _tflite(tmp_path / "b", "dense_int8", [inputs], [outputs])
    row = np.random.default_rng(1).uniform(-1, 1, size=(1, 4)).astype(np.float32)
    got = quantised.run({"x": np.rint(row / 0.00797776 + 6).astype(np.int8)})["y"]  # scales and zero points of the file
    assert got.dtype == np.int8
    wanted = np.clip(exact.run({"x": row})["y"] / 0.00093749 - 128, -128, 127)
    np.testing.assert_allclose(got, wanted, atol=40)
    with pytest.raises(InvalidInput, match="float32 on its card"):
        _tflite(tmp_path / "c", "dense_int8")


def test_tflite_serves_many_threads(tmp_path):
    session, failures = _tflite(tmp_path, copies=2), []
    rows = np.random.default_rng(2).normal(size=(8, 1, 4)).astype(np.float32)
    expected = [session.run({"x": row})["y"] for row in rows]

    def call(number):
        for _ in range(200):
            if not (session.run({"x": rows[number]})["y"] == expected[number]).all():
                failures.append(number)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.parametrize("kind", ["onnx", "tflite"])
@pytest.mark.parametrize("content", [b"", b"this is no model", b"\x08\x07\x12\xff\xff\xff\xff\x0f" * 20])
def test_refuses_a_file_that_is_no_model(tmp_path, kind, content):
    small_models.write_variant(tmp_path, kind, content, [IN], [OUT], {})
    with pytest.raises(InvalidInput, match=f"cannot load model.{kind}"):
        runtimes.load(tmp_path, _card(tmp_path), {"onnx": "onnxruntime", "tflite": "ai-edge-litert"}[kind])


def test_refuses_a_truncated_model(tmp_path):
    small_models.write_variant(tmp_path, "onnx", small_models.cnn_bytes()[:-200], [IN], [OUT], {})
    with pytest.raises(InvalidInput, match="cannot load"):
        runtimes.load(tmp_path, _card(tmp_path), "onnxruntime")


def test_refuses_a_card_of_another_file(tmp_path):
    with pytest.raises(InvalidInput, match="do not belong together"):
        _tflite(tmp_path, inputs=[IN, IN])
    with pytest.raises(InvalidInput, match=r"float32 in model\.tflite and int32 on its card"):
        _tflite(tmp_path, inputs=[TensorSpec(name="x", dtype="int32", shape=[1, 4])])
    with pytest.raises(InvalidInput, match=r"shape \[1, 4\] in model\.tflite and \[1, 5\] on its card"):
        _tflite(tmp_path, inputs=[TensorSpec(name="x", dtype="float32", shape=[1, 5])])


def test_refuses_a_runtime_that_does_not_run_the_format(tmp_path):
    small_models.write_onnx_variant(tmp_path, small_models.constant_bytes(1))
    with pytest.raises(InvalidInput, match="does not run the format 'onnx'"):
        runtimes.load(tmp_path, _card(tmp_path), "ai-edge-litert")
    with pytest.raises(InvalidInput, match="does not run"):
        runtimes.load(tmp_path, _card(tmp_path), "nonsense")


def test_dtype_and_shape_rules():
    assert same_dtype("object", np.dtype("<U3")) and same_dtype("str", np.dtype(object)) and not same_dtype("object", np.dtype("int8"))
    assert fits([None, 2], [5, 2]) and not fits([None, 2], [5, 3]) and not fits([None], [1, 2]) and fits([], [])


def test_onnxruntime_keeps_no_identity_for_telemetry_of_its_own(tmp_path: Path) -> None:
    model, home = tmp_path / "model", tmp_path / "home"
    home.mkdir()
    small_models.write_onnx_variant(model, small_models.cnn_bytes(side=8))
    code = (
        "import sys; from pathlib import Path; from argosy.protocol.card import Card; from argosy.protocol.codec import from_json\n"
        "from argosy_agent import runtimes; folder = Path(sys.argv[1])\n"
        "runtimes.load(folder, from_json(Card, (folder / 'card.json').read_bytes()), 'onnxruntime')"
    )
    subprocess.run([sys.executable, "-c", code, str(model)], env={"PATH": "/usr/bin:/bin", "HOME": str(home)}, check=True, timeout=60)
    assert list(home.rglob("*")) == []
