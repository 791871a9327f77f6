"""Splits a layer into two thin ones by truncated singular value decomposition."""

from __future__ import annotations

from math import ceil

import torch
from torch import nn

from argosy_controller.pipeline.passes.factorise import FactoriseConfig

Convolution = nn.Conv1d | nn.Conv2d


def can_be_split(layer: nn.Module) -> bool:
    """Plain linear layers and ungrouped convolutions; of subclasses nobody knows how they use their weights."""
    if isinstance(layer, (nn.Conv1d, nn.Conv2d)):
        return type(layer) in (nn.Conv1d, nn.Conv2d) and layer.groups == 1 and layer.padding_mode == "zeros"
    return type(layer) is nn.Linear


@torch.no_grad()
def split(layer: nn.Module, config: FactoriseConfig) -> nn.Sequential | None:
    """The pair, or None where it would not be smaller than the layer."""
    if isinstance(layer, nn.Linear):
        return _linear(layer, config)
    assert isinstance(layer, (nn.Conv1d, nn.Conv2d))
    if config.convolutions == "channel":
        return _by_channel(layer, config)
    if config.convolutions == "spatial" and isinstance(layer, nn.Conv2d) and not isinstance(layer.padding, str):
        return _by_space(layer, config)
    return None


def factors(matrix: torch.Tensor, config: FactoriseConfig) -> tuple[torch.Tensor, torch.Tensor] | None:
    """`left (m, r) @ right (r, n)`, nearest to a matrix (m, n) of all of that rank (Eckart and Young 1936).

    Both carry the square root of the singular values. None when r (m + n) is not less than m n.
    """
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    rank = _rank(values, config)
    if rank * sum(matrix.shape) >= matrix.numel():
        return None
    root = values[:rank].sqrt()
    return left[:, :rank] * root, root[:, None] * right[:rank]


def _rank(values: torch.Tensor, config: FactoriseConfig) -> int:
    if config.share:
        return max(1, ceil(config.share * len(values) - 1e-9))
    kept = (values.double() ** 2).cumsum(0)
    return max(1, min(len(values), int((kept < (config.energy - 1e-9) * kept[-1]).sum()) + 1))


def _linear(layer: nn.Linear, config: FactoriseConfig) -> nn.Sequential | None:
    pair = factors(layer.weight, config)
    if pair is None:
        return None
    rank = len(pair[1])
    first, second = nn.Linear(layer.in_features, rank, bias=False), nn.Linear(rank, layer.out_features, bias=layer.bias is not None)
    return _filled(first, pair[1], second, pair[0], layer.bias)


def _by_channel(layer: Convolution, config: FactoriseConfig) -> nn.Sequential | None:
    """Weights as a matrix (out, in * kernel)."""
    pair = factors(layer.weight.flatten(1), config)
    if pair is None:
        return None
    rank, kind = len(pair[1]), type(layer)
    shape = {"stride": layer.stride, "padding": layer.padding, "dilation": layer.dilation}
    first = kind(layer.in_channels, rank, layer.kernel_size, bias=False, **shape)  # type: ignore[arg-type]
    second = kind(rank, layer.out_channels, 1, bias=layer.bias is not None)
    return _filled(first, pair[1], second, pair[0], layer.bias)


def _by_space(layer: nn.Conv2d, config: FactoriseConfig) -> nn.Sequential | None:
    """Weights as a matrix (in * height, out * width)."""
    out, into, height, width = layer.weight.shape
    pair = factors(layer.weight.permute(1, 2, 0, 3).reshape(into * height, out * width), config)
    if pair is None:
        return None
    rank = len(pair[1])
    first, second = (
        nn.Conv2d(
            *channels,
            kernel_size=_only(axis, layer.kernel_size, 1),
            stride=_only(axis, layer.stride, 1),
            padding=_only(axis, layer.padding, 0),
            dilation=_only(axis, layer.dilation, 1),
            bias=bias,
        )
        for axis, channels, bias in ((0, (into, rank), False), (1, (rank, out), layer.bias is not None))
    )
    down = pair[0].T.reshape(rank, into, height, 1)
    across = pair[1].reshape(rank, out, width).transpose(0, 1).reshape(out, rank, 1, width)
    return _filled(first, down, second, across, layer.bias)


def _only(axis: int, sizes: tuple[int, ...] | str, other: int) -> tuple[int, int]:
    """A size of a 2-D layer along one axis, with `other` along the other axis."""
    size = int(sizes[axis])
    return (size, other) if axis == 0 else (other, size)


def _filled(
    first: nn.Linear | Convolution, one: torch.Tensor, second: nn.Linear | Convolution, two: torch.Tensor, bias: torch.Tensor | None
) -> nn.Sequential:
    first.weight.copy_(one.reshape(first.weight.shape))
    second.weight.copy_(two.reshape(second.weight.shape))
    if bias is not None and second.bias is not None:
        second.bias.copy_(bias)
    return nn.Sequential(first, second).eval()
