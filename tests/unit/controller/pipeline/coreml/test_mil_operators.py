"""Every operator of the MIL interpreter, beside numbers worked out by hand or the operator of torch that means the same."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from argosy.errors import InvalidInput
from argosy_controller.pipeline.coreml.operators import OPERATORS
from argosy_controller.pipeline.coreml.operators.elementwise import ELEMENTWISE
from argosy_controller.pipeline.coreml.operators.given import Given

SIGNED = torch.tensor([-2.0, -0.5, 0.0, 0.5, 2.0])
INSIDE = torch.tensor([-0.9, -0.5, 0.0, 0.5, 0.9])
ABOVE = torch.tensor([0.25, 0.5, 1.0, 2.0, 4.0])
IMAGE = torch.arange(32.0).reshape(1, 2, 4, 4)
NOISE = torch.randn(2, 4, 7, 6, generator=torch.Generator().manual_seed(0))
KERNEL = torch.randn(6, 2, 3, 2, generator=torch.Generator().manual_seed(1))
GRID = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


def _asked(kind: str, dtype: torch.dtype = torch.float32, results: int = 1, **arguments: Any) -> Any:
    def value(one: Any) -> Any:
        return np.array(one) if isinstance(one, str) else one if isinstance(one, torch.Tensor) else torch.tensor(one)

    given = {key: [value(each) for each in one] if isinstance(one, tuple) else [value(one)] for key, one in arguments.items()}
    return OPERATORS[kind](Given(given, dtype, results))


UNARY: dict[str, tuple[torch.Tensor, Callable[[float], float]]] = {
    "abs": (SIGNED, abs),
    "acos": (INSIDE, math.acos),
    "asin": (INSIDE, math.asin),
    "atan": (SIGNED, math.atan),
    "atanh": (INSIDE, math.atanh),
    "ceil": (SIGNED, math.ceil),
    "cos": (SIGNED, math.cos),
    "cosh": (SIGNED, math.cosh),
    "erf": (SIGNED, math.erf),
    "exp": (SIGNED, math.exp),
    "exp2": (SIGNED, lambda x: 2.0**x),
    "floor": (SIGNED, math.floor),
    "identity": (SIGNED, lambda x: x),
    "cast": (SIGNED, lambda x: x),
    "relu": (SIGNED, lambda x: max(x, 0.0)),
    "relu6": (4 * SIGNED, lambda x: min(max(x, 0.0), 6.0)),
    "round": (SIGNED, round),
    "sigmoid": (SIGNED, lambda x: 1 / (1 + math.exp(-x))),
    "sign": (SIGNED, lambda x: float(x > 0) - float(x < 0)),
    "silu": (SIGNED, lambda x: x / (1 + math.exp(-x))),
    "sin": (SIGNED, math.sin),
    "sinh": (SIGNED, math.sinh),
    "softplus": (SIGNED, lambda x: math.log1p(math.exp(x))),
    "softsign": (SIGNED, lambda x: x / (1 + abs(x))),
    "sqrt": (ABOVE, math.sqrt),
    "square": (SIGNED, lambda x: x * x),
    "tan": (INSIDE, math.tan),
    "tanh": (SIGNED, math.tanh),
    "log": (ABOVE, math.log),
    "inverse": (ABOVE, lambda x: 1 / (x + 1e-4)),
    "rsqrt": (ABOVE, lambda x: 1 / math.sqrt(x + 1e-12)),
    "gelu": (SIGNED, lambda x: x * 0.5 * (1 + math.erf(x / math.sqrt(2)))),
}
PAIRS: dict[str, Callable[[float, float], float]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "real_div": lambda x, y: x / y,
    "floor_div": lambda x, y: x // y,
    "mod": lambda x, y: x % y,
    "pow": lambda x, y: abs(x) ** y,
    "maximum": max,
    "minimum": min,
    "equal": lambda x, y: x == y,
    "not_equal": lambda x, y: x != y,
    "greater": lambda x, y: x > y,
    "greater_equal": lambda x, y: x >= y,
    "less": lambda x, y: x < y,
    "less_equal": lambda x, y: x <= y,
}
#: Operator, arguments, what comes out.
CASES: list[tuple[str, dict[str, Any], Any]] = [
    ("logical_not", {"x": [True, False]}, [False, True]),
    ("logical_and", {"x": [True, True, False], "y": [True, False, False]}, [True, False, False]),
    ("logical_or", {"x": [True, True, False], "y": [True, False, False]}, [True, True, False]),
    ("logical_xor", {"x": [True, True, False], "y": [True, False, False]}, [False, True, False]),
    ("clip", {"x": SIGNED, "alpha": -1.0, "beta": 1.0}, [-1.0, -0.5, 0.0, 0.5, 1.0]),
    ("threshold", {"x": SIGNED, "alpha": -1.0}, [-1.0, -0.5, 0.0, 0.5, 2.0]),
    ("elu", {"x": SIGNED, "alpha": 2.0}, functional.elu(SIGNED, 2.0)),
    ("leaky_relu", {"x": SIGNED, "alpha": 0.1}, [-0.2, -0.05, 0.0, 0.5, 2.0]),
    ("prelu", {"x": GRID[None] * -1, "alpha": [0.5, 0.25]}, -GRID[None] * torch.tensor([[0.5], [0.25]])),
    ("thresholded_relu", {"x": SIGNED, "alpha": 0.5}, [0.0, 0.0, 0.0, 0.5, 2.0]),
    ("clamped_relu", {"x": SIGNED, "alpha": 0.5, "beta": 1.0}, [-1.0, -0.25, 0.0, 0.5, 1.0]),
    ("linear_activation", {"x": SIGNED, "alpha": 2.0, "beta": 1.0}, [-3.0, 0.0, 1.0, 2.0, 5.0]),
    ("scaled_tanh", {"x": SIGNED, "alpha": 2.0, "beta": 0.5}, 2 * torch.tanh(SIGNED / 2)),
    ("sigmoid_hard", {"x": SIGNED, "alpha": 0.5, "beta": 0.5}, [0.0, 0.25, 0.5, 0.75, 1.0]),
    (
        "softplus_parametric",
        {"x": GRID[None], "alpha": [1.0, 2.0], "beta": [1.0, 0.5]},
        torch.tensor([[1.0], [2.0]]) * torch.log1p(torch.exp(torch.tensor([[1.0], [0.5]]) * GRID[None])),
    ),
    ("gelu", {"x": SIGNED, "mode": "TANH_APPROXIMATION"}, functional.gelu(SIGNED, approximate="tanh")),
    ("gelu", {"x": SIGNED, "mode": "SIGMOID_APPROXIMATION"}, SIGNED * torch.sigmoid(1.702 * SIGNED)),
    ("softmax", {"x": GRID, "axis": 0}, torch.softmax(GRID, 0)),
    ("select", {"cond": [True, False], "a": [1.0, 2.0], "b": [3.0, 4.0]}, [1.0, 4.0]),
    (
        "conv",
        {
            "x": NOISE,
            "weight": KERNEL,
            "groups": 2,
            "strides": [2, 1],
            "dilations": [1, 2],
            "pad_type": "custom",
            "pad": [1, 2, 0, 1],
            "bias": [1.0] * 6,
        },
        functional.conv2d(functional.pad(NOISE, (0, 1, 1, 2)), KERNEL, torch.ones(6), (2, 1), 0, (1, 2), 2),
    ),
    (
        "conv",
        {"x": NOISE, "weight": KERNEL[:, :, :, :1], "groups": 2, "pad_type": "same"},
        functional.conv2d(NOISE, KERNEL[:, :, :, :1], None, 1, (1, 0), 1, 2),
    ),
    ("conv", {"x": [[[1.0, 2.0, 3.0]]], "weight": [[[1.0, 10.0]]], "pad_type": "same"}, [[[21.0, 32.0, 3.0]]]),
    ("conv", {"x": [[[1.0, 2.0, 3.0]]], "weight": [[[1.0, 10.0]]], "pad_type": "same_lower"}, [[[10.0, 21.0, 32.0]]]),
    (
        "conv_transpose",
        {"x": NOISE, "weight": KERNEL[:4], "strides": [2, 2], "pad_type": "custom", "pad": [1, 1, 0, 0]},
        functional.conv_transpose2d(NOISE, KERNEL[:4], None, 2, (1, 0)),
    ),
    (
        "conv_transpose",
        {"x": NOISE, "weight": KERNEL[:4], "strides": [2, 2], "pad_type": "custom", "pad": [1, 1, 0, 0], "output_shape": [2, 2, 14, 12]},
        functional.conv_transpose2d(NOISE, KERNEL[:4], None, 2, (1, 0), (1, 0)),
    ),
    (
        "max_pool",
        {"x": NOISE, "kernel_sizes": [3, 2], "strides": [2, 2], "pad_type": "custom", "pad": [1, 1, 0, 0]},
        functional.max_pool2d(NOISE, (3, 2), 2, (1, 0)),
    ),
    (
        "max_pool",
        {"x": NOISE, "kernel_sizes": [2, 2], "strides": [2, 2], "pad_type": "valid", "ceil_mode": True},
        functional.max_pool2d(NOISE, 2, 2, ceil_mode=True),
    ),
    (
        "avg_pool",
        {"x": NOISE, "kernel_sizes": [3, 3], "strides": [2, 2], "pad_type": "custom", "pad": [1, 1, 1, 1]},
        functional.avg_pool2d(NOISE, 3, 2, 1),
    ),
    (
        "avg_pool",
        {
            "x": NOISE,
            "kernel_sizes": [3, 3],
            "strides": [2, 2],
            "pad_type": "custom",
            "pad": [1, 1, 1, 1],
            "ceil_mode": True,
            "exclude_padding_from_average": True,
        },
        functional.avg_pool2d(NOISE, 3, 2, 1, ceil_mode=True, count_include_pad=False),
    ),
    (
        "avg_pool",
        {"x": NOISE, "kernel_sizes": [2, 2], "strides": [2, 2], "pad_type": "custom", "pad": [0, 0, 0, 0], "ceil_mode": True},
        functional.avg_pool2d(NOISE, 2, 2, ceil_mode=True),
    ),
    ("linear", {"x": GRID, "weight": [[1.0, 0.0, 1.0]], "bias": [0.5]}, [[4.5], [10.5]]),
    ("matmul", {"x": GRID, "y": GRID, "transpose_y": True}, [[14.0, 32.0], [32.0, 77.0]]),
    ("matmul", {"x": GRID, "y": GRID, "transpose_x": True}, GRID.T @ GRID),
    ("einsum", {"values": (GRID, GRID.T), "equation": "ij,jk->ki"}, (GRID @ GRID.T).T),
    (
        "batch_norm",
        {
            "x": NOISE,
            "mean": [1.0, 2.0, 3.0, 4.0],
            "variance": [1.0, 4.0, 9.0, 16.0],
            "gamma": [1.0, 2.0, 1.0, 1.0],
            "beta": [0.0, 1.0, 0.0, 0.0],
            "epsilon": 1e-3,
        },
        functional.batch_norm(
            NOISE,
            torch.tensor([1.0, 2, 3, 4]),
            torch.tensor([1.0, 4, 9, 16]),
            torch.tensor([1.0, 2, 1, 1]),
            torch.tensor([0.0, 1, 0, 0]),
            eps=1e-3,
        ),
    ),
    (
        "instance_norm",
        {"x": NOISE, "gamma": [1.0, 2.0, 1.0, 1.0], "beta": [0.0, 1.0, 0.0, 0.0], "epsilon": 1e-3},
        functional.instance_norm(NOISE, weight=torch.tensor([1.0, 2, 1, 1]), bias=torch.tensor([0.0, 1, 0, 0]), eps=1e-3),
    ),
    (
        "layer_norm",
        {"x": GRID, "axes": [-1], "gamma": [1.0, 2.0, 3.0], "beta": [0.0, 0.0, 1.0]},
        functional.layer_norm(GRID, (3,), torch.tensor([1.0, 2, 3]), torch.tensor([0.0, 0, 1])),
    ),
    ("layer_norm", {"x": NOISE, "axes": [1, 2, 3]}, functional.layer_norm(NOISE, (4, 7, 6))),
    ("l2_norm", {"x": [[[3.0, 4.0]]], "epsilon": 0.0}, [[[0.6, 0.8]]]),
    (
        "local_response_norm",
        {"x": NOISE, "size": 3, "alpha": 0.1, "beta": 0.5, "k": 2.0},
        functional.local_response_norm(NOISE, 3, 0.1, 0.5, 2.0),
    ),
    ("reshape", {"x": GRID, "shape": [0, -1, 1]}, GRID[:, :, None]),
    ("expand_dims", {"x": GRID, "axes": [0, -1]}, GRID[None, :, :, None]),
    ("squeeze", {"x": GRID[None, :, :, None], "axes": [0, 3]}, GRID),
    ("squeeze", {"x": GRID[None, :, :, None]}, GRID),
    ("flatten2d", {"x": NOISE, "axis": 2}, NOISE.reshape(8, 42)),
    ("transpose", {"x": NOISE, "perm": [0, 2, 3, 1]}, NOISE.permute(0, 2, 3, 1)),
    ("reverse", {"x": GRID, "axes": [1]}, [[3.0, 2.0, 1.0], [6.0, 5.0, 4.0]]),
    ("reverse", {"x": GRID}, [[6.0, 5.0, 4.0], [3.0, 2.0, 1.0]]),
    ("shape", {"x": NOISE}, [2, 4, 7, 6]),
    (
        "slice_by_index",
        {"x": GRID, "begin": [0, 2], "end": [0, 0], "stride": [1, -1], "begin_mask": [True, False], "end_mask": [True, True]},
        [[3.0, 2.0, 1.0], [6.0, 5.0, 4.0]],
    ),
    ("slice_by_index", {"x": GRID, "begin": [-1, 0], "end": [0, -1], "squeeze_mask": [True, False]}, [4.0, 5.0]),
    ("slice_by_size", {"x": GRID, "begin": [0, 1], "size": [1, -1]}, [[2.0, 3.0]]),
    ("concat", {"values": (GRID, GRID), "axis": 1}, torch.cat([GRID, GRID], 1)),
    ("concat", {"values": (3, [4]), "axis": 0}, [3, 4]),
    ("stack", {"values": (GRID, GRID), "axis": 1}, torch.stack([GRID, GRID], 1)),
    ("pad", {"x": GRID, "pad": [1, 0], "constant_val": 9.0}, [[9.0, 1.0, 2.0, 3.0], [9.0, 4.0, 5.0, 6.0]]),
    ("pad", {"x": GRID, "pad": [0, 0, 0, 2], "mode": "reflect"}, [[1.0, 2.0, 3.0, 2.0, 1.0], [4.0, 5.0, 6.0, 5.0, 4.0]]),
    ("pad", {"x": GRID, "pad": [0, 1, 0, 0], "mode": "replicate"}, [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [4.0, 5.0, 6.0]]),
    ("fill", {"shape": [2, 1], "value": 3.0}, [[3.0], [3.0]]),
    ("fill_like", {"ref_tensor": GRID, "value": 3.0}, torch.full((2, 3), 3.0)),
    ("tile", {"x": GRID, "reps": [1, 2]}, torch.cat([GRID, GRID], 1)),
    ("range_1d", {"start": 1.0, "end": 6.0, "step": 2.0}, [1.0, 3.0, 5.0]),
    ("band_part", {"x": torch.ones(3, 3), "lower": 1, "upper": 0}, [[1.0, 0, 0], [1.0, 1, 0], [0, 1.0, 1]]),
    ("band_part", {"x": torch.ones(2, 3), "lower": 0, "upper": -1}, [[1.0, 1, 1], [0, 1.0, 1]]),
    ("depth_to_space", {"x": torch.arange(4.0).reshape(1, 4, 1, 1), "block_size": 2}, [[[[0.0, 1.0], [2.0, 3.0]]]]),
    ("space_to_depth", {"x": torch.arange(4.0).reshape(1, 1, 2, 2), "block_size": 2}, torch.arange(4.0).reshape(1, 4, 1, 1)),
    ("pixel_shuffle", {"x": torch.arange(8.0).reshape(1, 8, 1, 1), "upscale_factor": 2}, [[[[0.0, 1], [2, 3]], [[4, 5], [6, 7]]]]),
    ("pixel_unshuffle", {"x": torch.arange(8.0).reshape(1, 2, 2, 2), "downscale_factor": 2}, torch.arange(8.0).reshape(1, 8, 1, 1)),
    (
        "upsample_nearest_neighbor",
        {"x": [[[[1.0, 2.0]]]], "scale_factor_height": 2, "scale_factor_width": 2},
        [[[[1.0, 1, 2, 2], [1.0, 1, 2, 2]]]],
    ),
    (
        "upsample_bilinear",
        {"x": IMAGE, "scale_factor_height": 2, "scale_factor_width": 2, "align_corners": True},
        functional.interpolate(IMAGE, scale_factor=2, mode="bilinear", align_corners=True),
    ),
    (
        "upsample_bilinear",
        {"x": IMAGE, "scale_factor_height": 2, "scale_factor_width": 2, "align_corners": False},
        functional.interpolate(IMAGE, scale_factor=2, mode="bilinear"),
    ),
    ("reduce_sum", {"x": GRID, "axes": [0]}, [5.0, 7.0, 9.0]),
    ("reduce_mean", {"x": GRID, "axes": [-1], "keep_dims": True}, [[2.0], [5.0]]),
    ("reduce_max", {"x": GRID}, 6.0),
    ("reduce_min", {"x": GRID, "axes": [1]}, [1.0, 4.0]),
    ("reduce_prod", {"x": GRID, "axes": [0, 1]}, 720.0),
    ("reduce_l1_norm", {"x": SIGNED, "axes": [0]}, 5.0),
    ("reduce_l2_norm", {"x": [3.0, 4.0], "axes": [0]}, 5.0),
    ("reduce_sum_square", {"x": [3.0, 4.0], "axes": [0]}, 25.0),
    ("reduce_log_sum", {"x": [3.0, 4.0], "axes": [0]}, math.log(7)),
    ("reduce_log_sum_exp", {"x": GRID, "axes": [1]}, torch.logsumexp(GRID, 1)),
    ("reduce_argmax", {"x": GRID, "axis": 1}, [2, 2]),
    ("reduce_argmin", {"x": GRID, "axis": 0, "keep_dims": True}, [[0, 0, 0]]),
    ("gather", {"x": GRID, "indices": [[-1, 0]], "axis": 1}, [[[3.0, 1.0]], [[6.0, 4.0]]]),
    ("gather", {"x": GRID, "indices": 1, "axis": 0}, [4.0, 5.0, 6.0]),
    ("gather_along_axis", {"x": GRID, "indices": [[0, 2], [-1, 1]], "axis": 1}, [[1.0, 3.0], [6.0, 5.0]]),
    ("gather_nd", {"x": GRID, "indices": [[0, 2], [1, 0]]}, [3.0, 4.0]),
    ("scatter", {"data": GRID, "indices": [1], "updates": [[1.0, 1.0, 1.0]], "axis": 0}, [[1.0, 2.0, 3.0], [5.0, 6.0, 7.0]]),
    (
        "scatter",
        {"data": GRID, "indices": [1], "updates": [[1.0, 1.0, 1.0]], "axis": 0, "mode": "update"},
        [[1.0, 2.0, 3.0], [1.0, 1.0, 1.0]],
    ),
    (
        "scatter_along_axis",
        {"data": GRID, "indices": [[0], [2]], "updates": [[9.0], [9.0]], "axis": 1, "mode": "update"},
        [[9.0, 2.0, 3.0], [4.0, 5.0, 9.0]],
    ),
    (
        "scatter_along_axis",
        {"data": GRID, "indices": [[0], [2]], "updates": [[9.0], [9.0]], "axis": 1, "mode": "add"},
        [[10.0, 2.0, 3.0], [4.0, 5.0, 15.0]],
    ),
    ("scatter_nd", {"data": GRID, "indices": [[0, 2]], "updates": [9.0], "mode": "update"}, [[1.0, 2.0, 9.0], [4.0, 5.0, 6.0]]),
    ("argsort", {"x": [2.0, 3.0, 1.0], "axis": 0, "ascending": True}, [2, 0, 1]),
    ("argsort", {"x": [2.0, 3.0, 1.0]}, [1, 0, 2]),
    ("cumsum", {"x": GRID, "axis": 1}, [[1.0, 3.0, 6.0], [4.0, 9.0, 15.0]]),
    ("cumsum", {"x": GRID, "axis": 1, "exclusive": True, "reverse": True}, [[5.0, 3.0, 0.0], [11.0, 6.0, 0.0]]),
    ("one_hot", {"indices": [1, 0], "one_hot_vector_size": 3, "on_value": 2.0, "off_value": -1.0}, [[-1.0, 2.0, -1.0], [2.0, -1.0, -1.0]]),
    ("one_hot", {"indices": [1, 0], "one_hot_vector_size": 3, "axis": 0}, [[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]]),
    ("non_zero", {"x": [[0.0, 1.0], [2.0, 0.0]]}, [[0, 1], [1, 0]]),
    (
        "constexpr_lut_to_dense",
        {"lut": [0.0, 1.0, 2.0, 3.0], "indices": torch.tensor([0b11100100, 0b01], dtype=torch.uint8), "shape": [5]},
        [0.0, 1.0, 2.0, 3.0, 1.0],
    ),
    (
        "constexpr_affine_dequantize",
        {
            "quantized_data": torch.tensor([[1, 2], [3, 4]], dtype=torch.int8),
            "zero_point": torch.tensor([0, 1], dtype=torch.int8),
            "scale": [2.0, 10.0],
            "axis": 0,
        },
        [[2.0, 4.0], [20.0, 30.0]],
    ),
    (
        "constexpr_affine_dequantize",
        {
            "quantized_data": torch.tensor([[1, 2]], dtype=torch.uint8),
            "zero_point": torch.tensor(1, dtype=torch.uint8),
            "scale": 0.5,
            "axis": 1,
        },
        [[0.0, 0.5]],
    ),
    (
        "constexpr_sparse_to_dense",
        {"nonzero_data": [5.0, 6.0], "mask": torch.tensor([0b101], dtype=torch.uint8), "shape": [3]},
        [5.0, 0.0, 6.0],
    ),
    ("constexpr_cast", {"source_val": torch.tensor([1.5], dtype=torch.float16), "output_dtype": "fp32"}, [1.5]),
]


@pytest.mark.parametrize("kind", list(UNARY))
def test_operator_on_each_number_by_itself(kind: str) -> None:
    x, wanted = UNARY[kind]
    assert _asked(kind, x=x).tolist() == pytest.approx([wanted(one) for one in x.tolist()], rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("kind", list(PAIRS))
def test_operator_on_pairs_of_numbers(kind: str) -> None:
    x, y = SIGNED if kind != "pow" else SIGNED.abs(), ABOVE
    wanted = [PAIRS[kind](one, other) for one, other in zip(x.tolist(), y.tolist(), strict=True)]
    assert _asked(kind, x=x, y=y).tolist() == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize(("kind", "arguments", "wanted"), CASES, ids=[f"{one[0]}-{i}" for i, one in enumerate(CASES)])
def test_operator_gives_what_was_worked_out(kind: str, arguments: dict[str, Any], wanted: Any) -> None:
    got, expected = _asked(kind, **arguments), torch.as_tensor(wanted)
    assert got.shape == expected.shape
    assert torch.allclose(got.double(), expected.double(), rtol=1e-5, atol=1e-6)


def test_reshape_like_takes_parts_of_other_shapes() -> None:
    found = _asked("reshape_like", x=torch.arange(24.0), ref_tensors=(GRID, NOISE), begins=[0, 1], ends=[0, 2], end_masks=[True, False])
    assert found.shape == (2, 3, 4)


def test_split_gives_parts_of_equal_or_of_given_lengths() -> None:
    assert [one.tolist() for one in _asked("split", results=3, x=GRID, num_splits=3, axis=1)] == [
        [[1.0], [4.0]],
        [[2.0], [5.0]],
        [[3.0], [6.0]],
    ]
    assert [one.shape[1] for one in _asked("split", results=2, x=GRID, split_sizes=[1, 2], axis=1)] == [1, 2]


def test_topk_gives_values_and_places_from_either_end() -> None:
    values, places = _asked("topk", results=2, x=[[3.0, 1.0, 2.0]], k=2, axis=1)
    assert (values.tolist(), places.tolist()) == ([[3.0, 2.0]], [[0, 2]])
    values, places = _asked("topk", results=2, x=[[3.0, 1.0, 2.0]], k=2, axis=1, ascending=True)
    assert (values.tolist(), places.tolist()) == ([[1.0, 2.0]], [[1, 2]])


def test_every_operator_has_a_case_here() -> None:
    seen = {*UNARY, *PAIRS, *(one[0] for one in CASES), "split", "topk", "reshape_like"}
    assert seen == set(OPERATORS)
    assert set(UNARY) | set(PAIRS) <= set(ELEMENTWISE)


@pytest.mark.parametrize(
    ("kind", "arguments", "says"),
    [
        ("gelu", {"x": SIGNED, "mode": "GUESS"}, "its mode 'GUESS' is not known here"),
        ("gather", {"x": GRID, "indices": [0], "batch_dims": 1}, "its batch_dims 1 is not known here"),
        ("relu", {}, "it lacks the parameter 'x'"),
        ("fill", {"shape": [1 << 20, 1 << 20]}, "it asks for a tensor of shape"),
        ("tile", {"x": GRID, "reps": [1 << 20, 1 << 20]}, "it asks for a tensor of shape"),
        ("pad", {"x": GRID, "pad": [0, 1 << 30]}, "it asks for a tensor of shape"),
        ("range_1d", {"start": 0.0, "end": 1e12, "step": 1.0}, "it asks for a tensor of shape"),
        ("one_hot", {"indices": [0], "one_hot_vector_size": 1 << 30}, "it asks for a tensor of shape"),
        ("upsample_nearest_neighbor", {"x": IMAGE, "scale_factor_height": 1 << 24}, "it asks for a tensor of shape"),
        (
            "constexpr_lut_to_dense",
            {"lut": [1.0, 2.0, 3.0], "indices": torch.zeros(1, dtype=torch.uint8), "shape": [1]},
            "its table has 3 numbers",
        ),
        (
            "constexpr_lut_to_dense",
            {"lut": [1.0, 2.0], "indices": torch.zeros(1, dtype=torch.uint8), "shape": [9]},
            "it has 1 bytes for 9 bits",
        ),
        (
            "constexpr_sparse_to_dense",
            {"nonzero_data": [1.0], "mask": torch.zeros(1, dtype=torch.uint8), "shape": [8]},
            "do not fit together",
        ),
    ],
)
def test_operator_refuses_what_it_does_not_know_and_what_no_model_needs(kind: str, arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        _asked(kind, **arguments)
