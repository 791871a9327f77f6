"""Operators that unpack weights when a program is loaded, as coremltools documents them for iOS 16."""

from __future__ import annotations

import math

import numpy as np
import torch

from argosy.errors import InvalidInput
from argosy_controller.pipeline.coreml.operators.given import Given, Kernel, bounded


def _bits(packed: torch.Tensor, count: int) -> torch.Tensor:
    """Bits, the lowest of a byte first.

    Raises:
        InvalidInput: there are fewer.
    """
    if count > 8 * packed.numel():
        raise InvalidInput(f"it has {packed.numel()} bytes for {count} bits")
    return torch.from_numpy(np.unpackbits(packed.numpy().reshape(-1), count=count, bitorder="little"))


def _lut_to_dense(given: Given) -> torch.Tensor:
    """Each number is an index, of as many bits as the table's length asks for, into a table."""
    table, shape = given.tensor("lut").reshape(-1), bounded(given.integers("shape"))
    width = int(math.log2(max(1, len(table))))
    if not 1 <= width <= 8 or len(table) != 1 << width:
        raise InvalidInput(f"its table has {len(table)} numbers")
    bits = _bits(given.tensor("indices"), math.prod(shape) * width).reshape(-1, width).long()
    index = (bits << torch.arange(width)).sum(1)
    return table[index].reshape(shape)


def _affine_dequantize(given: Given) -> torch.Tensor:
    """(number - zero point) * scale, the latter two for the whole or for each index of an axis."""
    stored, axis = given.tensor("quantized_data").float(), given.integer("axis", 0)
    sizes = [1] * stored.dim()
    sizes[axis] = -1

    def along(name: str) -> torch.Tensor:
        values = given.tensor(name).float()
        return values.reshape(sizes) if values.dim() else values

    return (stored - along("zero_point")) * along("scale")


def _sparse_to_dense(given: Given) -> torch.Tensor:
    shape, values = bounded(given.integers("shape")), given.tensor("nonzero_data").reshape(-1)
    mask = _bits(given.tensor("mask"), math.prod(shape)).bool()
    if int(mask.sum()) != values.numel():
        raise InvalidInput(f"its mask and its {values.numel()} numbers do not fit together")
    dense = torch.zeros(mask.numel(), dtype=values.dtype)
    dense[mask] = values
    return dense.reshape(shape)


PACKED: dict[str, Kernel] = {
    "constexpr_lut_to_dense": _lut_to_dense,
    "constexpr_affine_dequantize": _affine_dequantize,
    "constexpr_sparse_to_dense": _sparse_to_dense,
    "constexpr_cast": lambda given: given.tensor("source_val"),
}
