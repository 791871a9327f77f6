"""Exporters without a model: what is absent, what refusals say, 4-bit numbers, which layers a file has."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import onnx
import pytest

from argosy.errors import InvalidInput
from argosy.protocol.card import MODEL_FILES, PRECISIONS
from argosy_controller.pipeline.exporters import EXPORTERS
from argosy_controller.pipeline.exporters.absent import ABSENT
from argosy_controller.pipeline.exporters.onnx_graph import layers, name_nodes
from argosy_controller.pipeline.exporters.onnx_int4 import quantised_blocks
from argosy_controller.pipeline.exporters.refusals import refusal
from argosy_controller.pipeline.exporters.tflite_fp32 import module_named
from argosy_controller.pipeline.recipes.recipe import parse_recipe

_LITERT = """Lowering not found: aten._linalg_svd.default

While executing %_linalg_svd : [num_users=1] = call_function[target=torch.ops.aten._linalg_svd.default](args = (%view,), kwargs = {})
Original traceback:
File "/home/someone/task.py", line 11, in forward
    return torch.linalg.svd(x)[1]
"""


def test_every_format_and_precision_is_there_or_says_why_not() -> None:
    wanted = {f"{form}-{precision}" for form in MODEL_FILES for precision in PRECISIONS}
    assert wanted == set(EXPORTERS) | set(ABSENT)
    assert not set(EXPORTERS) & set(ABSENT)


@pytest.mark.parametrize("name", sorted(ABSENT))
def test_a_variant_that_is_absent_is_answered_with_why_and_what_to_take(name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_recipe(f'[[variants]]\nuse = "{name}"\n', "recipe.toml")
    assert str(caught.value).startswith(f"recipe.toml line 2: there is no variant {name!r}: ")
    assert any(one in str(caught.value).partition("take ")[2] for one in EXPORTERS)


@pytest.mark.parametrize("name", sorted(EXPORTERS))
def test_an_exporter_is_called_after_its_format_and_precision_and_has_defaults(name: str) -> None:
    one = EXPORTERS[name]
    assert one.format in MODEL_FILES
    assert one.precision in PRECISIONS
    assert one.config() == msgspec.convert({}, one.config)
    assert hash(one.config()) == hash(one.config())


def test_options_of_mixed_precision_are_read_from_a_recipe() -> None:
    text = '[[variants]]\nuse = "onnx-int8"\nkeep_float = ["conv1", "layer3.*"]\nmixed_drop_at_most = 0.005\ncalibration = "mse"\n'
    config: Any = parse_recipe(text).variants[0].config
    assert (config.keep_float, config.mixed_drop_at_most, config.calibration) == (("conv1", "layer3.*"), 0.005, "mse")


@pytest.mark.parametrize(
    ("option", "says"),
    [("percentile = 20", "'percentile' is 20"), ("calibration = 'kl'", "'calibration' is 'kl'"), ("mixed_drop_at_most = -1", "is -1")],
)
def test_options_out_of_range_are_refused(option: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        parse_recipe(f'[[variants]]\nuse = "onnx-int8"\n{option}\n')


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (_LITERT, "operator 'linalg_svd' cannot be put into a TFLite file (task.py line 11)"),
        ("PyTorch convert function for op 'linalg_svd' not implemented.", "operator 'linalg_svd' cannot be put into a Core ML file"),
        (
            "x\nNo ONNX function found for <OpOverload(op='prims.bessel_j1', overload=",
            "operator 'bessel_j1' cannot be put into an ONNX file",
        ),
        ("Could not guard on data-dependent expression Eq(u0, 1)", "it decides by the values of its inputs"),
        ("Constraints violated (batch)! For more", "it takes batches of one size alone"),
        ("something else\nand more", "RuntimeError: something else"),
    ],
)
def test_pages_of_a_converter_become_one_sentence(text: str, says: str) -> None:
    assert refusal(RuntimeError(text)).startswith(says)
    wrapped = ValueError("Failed to export the model")
    wrapped.__cause__ = RuntimeError(text)
    if "else" not in text:
        assert refusal(wrapped).startswith(says)


def test_a_block_in_4_bits_as_computed_by_hand() -> None:
    """Largest -4: scale 0.5, so numbers are twice the weights. Largest 4: scale -0.5; 3.9 becomes -7.8, which is -8."""
    blocks = np.float32([[[-4, 1, 0.6, 3.5], [4, 3.9, 0, -3.5]]])
    numbers, scales = quantised_blocks(blocks, search=False)
    assert scales.ravel().tolist() == [0.5, -0.5]
    assert numbers.tolist() == [[[-8, 2, 1, 7], [-8, -8, 0, 7]]]


def test_searched_scales_are_never_worse_and_zeros_stay_zeros() -> None:
    blocks = np.random.default_rng(0).normal(size=(8, 4, 32)).astype(np.float32)
    blocks[0, 0] = 0

    def error(search: bool) -> np.ndarray[Any, Any]:
        numbers, scales = quantised_blocks(blocks, search)
        return ((numbers * scales.astype(np.float32) - blocks) ** 2).sum(axis=2)

    assert (error(True) <= error(False)).all()
    assert error(True)[0, 0] == 0


def test_layers_of_a_graph_are_called_as_torch_calls_them() -> None:
    h, array = onnx.helper, onnx.numpy_helper.from_array
    kernels = [array(np.zeros(shape, np.float32), name) for name, shape in (("body.conv.weight", (4, 3, 1, 1)), ("val_0", (4, 2)))]
    kernels.append(array(np.zeros(2, np.float32), "head.bias"))
    nodes = [
        h.make_node("Conv", ["x", "body.conv.weight"], ["a"]),
        h.make_node("Relu", ["a"], ["b"]),
        h.make_node("ReduceMean", ["b"], ["c"]),
        h.make_node("MatMul", ["c", "val_0"], ["d"]),
        h.make_node("Add", ["d", "head.bias"], ["e"]),
        h.make_node("Add", ["e", "e"], ["y"]),
    ]
    model = h.make_model(h.make_graph(nodes, "g", [], [], kernels))
    name_nodes(model)
    found = layers(model)
    assert [(one.name, len(one.nodes), one.operator) for one in found] == [("body.conv", 3, "Conv"), ("head", 3, "MatMul")]
    assert [node for one in found for node in one.nodes] == [one.name for one in model.graph.node]


def test_tensors_of_a_tflite_file_are_called_after_torchs_modules() -> None:
    name = "x.<locals>.Named/net.Res_Net_model/torch.nn.modules.container.Sequential_layer1/net.My_Block_0/torch.nn.modules.conv.Conv2d_conv1;1"
    modules = ["layer1", "layer1.0", "layer1.0.conv1", "layer1.0.conv1_1", "conv1"]
    assert module_named(name, modules) == "layer1.0.conv1"
    assert module_named("x.Named/bn1;;" + name, modules) == "layer1.0.conv1"
    assert module_named("arith.constant", modules) == ""
