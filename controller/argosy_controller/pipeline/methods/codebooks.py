"""Weights as indices into a codebook: k-means in one dimension, and training through the codebook."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

from argosy_controller.pipeline.methods.layer_names import by_layer
from argosy_controller.pipeline.methods.masks import layer_of, prunable
from argosy_controller.pipeline.passes.interface import Context
from argosy_controller.pipeline.passes.share_weights import ShareWeightsConfig
from argosy_controller.pipeline.training import fit


def shared(model: nn.Module, config: ShareWeightsConfig, ctx: Context) -> nn.Module:
    """As ShareWeights.apply."""
    bits = _bits(model, config)
    coded = Coded(model, bits, config.iterations)
    ctx.on_step(1, 1 + config.epochs)
    if config.epochs:
        coded = _trained(coded, config, ctx)
    return coded.decoded().eval()


def _trained(coded: Coded, config: ShareWeightsConfig, ctx: Context) -> Coded:
    result = fit(
        coded,
        ctx.task,
        ctx.data.train,
        config,
        seed=ctx.seed,
        on_epoch=lambda done, total: ctx.on_step(1 + done, 1 + total),
    )
    assert isinstance(result, Coded)
    return result


def _bits(model: nn.Module, config: ShareWeightsConfig) -> dict[str, int]:
    """Bits by parameter name."""
    names = list(prunable(model))
    own = by_layer(map(layer_of, names), config.layers)
    linear = {name: isinstance(model.get_submodule(layer_of(name)), nn.Linear) for name in names}
    return {name: own.get(layer_of(name), config.linear_bits if linear[name] else config.conv_bits) for name in names}


def k_means(values: torch.Tensor, count: int, iterations: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Clusters numbers around at most `count` centroids that start evenly spread from the least to the largest (Lloyd).

    In one dimension a cluster is an interval, so an iteration is a search among the midpoints. A centroid without values stays
    where it is, and is dropped in the end.

    Args:
        values: (n,), n > 0.

    Returns:
        Centroids in rising order, and the index of each value's centroid (n,).
    """
    exact = values.double()
    distinct = torch.unique(exact)
    if len(distinct) <= count:
        return distinct.to(values.dtype), torch.searchsorted(distinct, exact)
    centroids = torch.linspace(float(distinct[0]), float(distinct[-1]), count, dtype=torch.float64)
    index = _nearest(exact, centroids)
    for _ in range(iterations):
        sizes = torch.bincount(index, minlength=count)
        means = torch.bincount(index, exact, minlength=count) / sizes.clamp_min(1)
        centroids = torch.where(sizes > 0, means, centroids)
        before, index = index, _nearest(exact, centroids)
        if torch.equal(before, index):
            break
    used, index = torch.unique(index, return_inverse=True)
    return centroids[used].to(values.dtype), index


def _nearest(values: torch.Tensor, centroids: torch.Tensor) -> torch.Tensor:
    return torch.bucketize(values, (centroids[1:] + centroids[:-1]) / 2)


class _Lookup(torch.autograd.Function):
    """codebook[index]; the gradient of an entry is the sum over its uses, in a fixed order (indexing's own is not, on several threads)."""

    @staticmethod
    def forward(ctx: Any, codebook: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(index)
        ctx.size = len(codebook)
        return codebook[index]

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        (index,) = ctx.saved_tensors
        sums = torch.bincount(index.flatten(), gradients[0].flatten().double(), minlength=ctx.size)
        return sums.to(gradients[0].dtype), None


class Coded(nn.Module):
    """A model whose weights are looked up in codebooks; these are parameters, so training a Coded trains centroids.

    Args:
        bits: by parameter name of the model. Exact zeros stay zero and take one of the 2^bits values.
    """

    def __init__(self, model: nn.Module, bits: dict[str, int], iterations: int) -> None:
        super().__init__()
        self.inner = copy.deepcopy(model)
        self._names = list(bits)
        self.codebooks = nn.ParameterList()
        for number, (name, weight) in enumerate((name, self.inner.get_parameter(name)) for name in bits):
            centroids, index = _coded(weight.detach(), 1 << bits[name], iterations)
            self.codebooks.append(nn.Parameter(centroids))
            self.register_buffer(f"index{number}", index)
            weight.requires_grad_(False)

    def forward(self, *inputs: torch.Tensor) -> Any:
        return functional_call(self.inner, self._weights(), inputs)

    def _weights(self) -> dict[str, torch.Tensor]:
        return {
            name: _Lookup.apply(torch.cat([codebook.new_zeros(1), codebook]), self.get_buffer(f"index{number}"))  # type: ignore[no-untyped-call]
            for number, (name, codebook) in enumerate(zip(self._names, self.codebooks, strict=True))
        }

    @torch.no_grad()
    def decoded(self) -> nn.Module:
        """The plain model with the weights that the codebooks give."""
        result = copy.deepcopy(self.inner)
        for name, weight in self._weights().items():
            result.get_parameter(name).copy_(weight).requires_grad_(True)
        return result


def _coded(weight: torch.Tensor, count: int, iterations: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Centroids of what is not 0, and per weight 0 for a zero, else 1 + its centroid's number."""
    there = weight != 0
    index = torch.zeros(weight.shape, dtype=torch.int64)
    if not bool(there.any()):
        return weight.new_zeros(0), index
    centroids, found = k_means(weight[there], count if bool(there.all()) else count - 1, iterations)
    index[there] = found + 1
    return centroids, index
