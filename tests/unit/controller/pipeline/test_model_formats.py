"""Which files are models, by content; what is done to an ONNX file before it is opened."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from argosy.errors import InvalidInput
from argosy_controller.pipeline.files.engines import OnnxEngine
from argosy_controller.pipeline.files.formats import detect, onnx_precision, prepared_onnx
from argosy_controller.pipeline.ready_files import checked_companions


def _doubling(weight: onnx.TensorProto | None = None) -> onnx.ModelProto:
    weight = weight or numpy_helper.from_array(np.array([2.0], np.float32), "two")
    tensor = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2])
    graph = helper.make_graph([helper.make_node("Mul", ["x", "two"], ["y"])], "doubling", [tensor], [result], [weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _saved(tmp_path: Path, content: bytes, name: str = "model.bin") -> Path:
    (tmp_path / name).write_bytes(content)
    return tmp_path / name


def test_format_is_told_by_content_not_by_ending(tmp_path: Path) -> None:
    assert detect(_saved(tmp_path, _doubling().SerializeToString(), "model.tflite")) == "onnx"
    assert detect(_saved(tmp_path, b"\x1c\x00\x00\x00TFL3rest", "model.onnx")) == "tflite"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "has 0 bytes"),
        (b"hello, world", "is neither an ONNX nor a TFLite model"),
        (b"PK\x03\x04....", "is a zip archive"),
        (b"\x80\x02}q\x00.", "is a Python pickle, which is never opened"),
        (b"\x89HDF\r\n", "is an HDF5 file"),
        (b"version https://git-lfs.github.com/spec/v1", "is a Git LFS pointer"),
        (b"<html>404</html>", "is a text file"),
    ],
)
def test_says_what_a_file_is_that_is_no_model(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        detect(_saved(tmp_path, content))
    assert says in str(caught.value)


def test_says_that_a_model_file_is_missing_or_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "no.onnx", tmp_path):
        with pytest.raises(InvalidInput, match="cannot be read"):
            detect(path)


def test_an_ordinary_onnx_file_is_kept_byte_for_byte(tmp_path: Path) -> None:
    raw = _doubling().SerializeToString()
    assert prepared_onnx(_saved(tmp_path, raw), tmp_path / "copy.onnx") == []
    assert (tmp_path / "copy.onnx").read_bytes() == raw


def test_every_truncation_of_an_onnx_file_is_refused(tmp_path: Path) -> None:
    raw = _doubling().SerializeToString()
    for length in range(1, len(raw) - 8, 7):
        path = _saved(tmp_path, raw[:length])
        with pytest.raises(InvalidInput, match=r"is damaged|holds no ONNX graph"):
            prepared_onnx(path, tmp_path / "copy.onnx")


def test_weights_in_other_files_are_refused_wherever_they_hide(tmp_path: Path) -> None:
    outside = numpy_helper.from_array(np.array([2.0], np.float32), "two")
    outside.data_location = TensorProto.EXTERNAL
    outside.external_data.add(key="location", value="../../etc/passwd")
    hidden = _doubling()
    inner = helper.make_graph([], "inner", [], [helper.make_tensor_value_info("z", TensorProto.FLOAT, [1])], [outside])
    hidden.graph.node.append(helper.make_node("If", ["c"], ["d"], then_branch=inner, else_branch=inner))
    for model in (_doubling(outside), hidden):
        with pytest.raises(InvalidInput, match="keeps weights in other files"):
            prepared_onnx(_saved(tmp_path, model.SerializeToString()), tmp_path / "copy.onnx")


def test_maps_of_scikit_learn_become_tensors_with_the_same_numbers(tmp_path: Path) -> None:
    from skl2onnx import to_onnx
    from sklearn.ensemble import RandomForestClassifier

    data = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    forest = RandomForestClassifier(n_estimators=3, random_state=0).fit(data, (data[:, 0] > 0).astype(int) + (data[:, 1] > 0))
    path = _saved(tmp_path, to_onnx(forest, data[:1]).SerializeToString())
    notes = prepared_onnx(path, tmp_path / "plain.onnx")
    assert notes == ["operator ZipMap was taken off output 'output_probability': it is a tensor now"]
    engine = OnnxEngine(tmp_path / "plain.onnx")
    assert [(one.name, one.dtype) for one in engine.outputs] == [("output_label", "int64"), ("output_probability", "float32")]
    answers = engine.run({engine.inputs[0].name: data})
    assert np.array_equal(answers["output_label"], forest.predict(data))
    assert np.allclose(answers["output_probability"], forest.predict_proba(data), atol=1e-6)


def test_precision_is_read_off_operators_and_weights(tmp_path: Path) -> None:
    half = _doubling(numpy_helper.from_array(np.ones(3, np.float16), "two"))
    quantised = _doubling()
    quantised.graph.node.append(helper.make_node("QuantizeLinear", ["y", "s", "z"], ["q"]))
    models = [(_doubling(), "fp32"), (half, "fp16"), (quantised, "int8")]
    assert [onnx_precision(_saved(tmp_path, model.SerializeToString())) for model, _ in models] == [want for _, want in models]


@pytest.mark.parametrize("name", ["card.json", "Probes.npz", "model.onnx", ".hidden", "tab\there", "with space.txt"])
def test_companions_with_reserved_or_unusable_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match=r"itself uses|is not usable"):
        checked_companions([_saved(tmp_path, b"x", name)])


def test_companions_must_exist_and_differ_in_name(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    one, two = _saved(tmp_path, b"x", "labels.txt"), _saved(tmp_path / "other", b"y", "labels.txt")
    assert checked_companions([one]) == [one]
    with pytest.raises(InvalidInput, match="two companions are called"):
        checked_companions([one, two])
    with pytest.raises(InvalidInput, match="is not a file that can be read"):
        checked_companions([tmp_path / "no.txt"])
