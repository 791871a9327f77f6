"""Consecutive layers between which a positive factor for each channel can move (torch part of `equalise-layers`)."""

from __future__ import annotations

import operator
from dataclasses import dataclass

import torch
from torch import fx, nn
from torch.nn import functional

from argosy_controller.pipeline.methods.tracing import PASSING, PASSING_MODULES, CallGraph, calls, traced
from argosy_controller.pipeline.methods.weight_layers import BatchNorm, WeightLayer, weight_layers
from argosy_controller.pipeline.task import Split
from argosy_controller.pipeline.training import forward, tensors

_PLACES = ((2,), (2, 3), (-2, -1), (-1, -2), (2, 3, 4))
_HOMOGENEOUS = (functional.relu, torch.relu, "relu", functional.leaky_relu, functional.avg_pool1d, functional.avg_pool2d)
_POOLING = (functional.adaptive_avg_pool1d, functional.adaptive_avg_pool2d, functional.adaptive_max_pool2d)
_HOMOGENEOUS_MODULES = (
    nn.ReLU,
    nn.LeakyReLU,
    nn.PReLU,
    nn.AvgPool1d,
    nn.AvgPool2d,
    nn.AvgPool3d,
    nn.AdaptiveAvgPool1d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveAvgPool3d,
)
#: A sweep that moves no channel by more than this share ends the work.
_STILL = 1e-3
#: Of an answer's size, what another order of multiplications may change in a deep network.
_ROUNDING = 1e-3


@dataclass(frozen=True)
class Layer:
    """A linear layer or convolution, and the batch norm right after it, if any."""

    layer: WeightLayer
    norm: BatchNorm | None

    def weight(self) -> torch.Tensor:
        """The weights (outputs, inputs of a group, *kernel) as they are after folding batch norm."""
        weight = self.layer.weight.detach()
        if self.norm is None:
            return weight
        assert self.norm.running_var is not None
        factor = self.norm.weight.detach() / (self.norm.running_var + self.norm.eps).sqrt()
        return weight * factor.view(-1, *[1] * (weight.dim() - 1))


@dataclass(frozen=True)
class Pair:
    """Two layers; `area` is how many inputs of the second each output channel of the first becomes by flattening."""

    first: Layer
    second: Layer
    area: int

    def ranges(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The largest absolute weight per channel between the layers: where the first writes, where the second reads."""
        written, read = self.first.weight(), self.second.weight()
        return written.abs().flatten(1).amax(1), self._by_channel(read).abs().amax((1, 3)).flatten()

    @torch.no_grad()
    def move(self, factor: torch.Tensor) -> None:
        """Divides each channel by its factor where it is written, and multiplies where it is read."""
        norm, layer = self.first.norm, self.first.layer
        scaled = [norm.weight, norm.bias] if norm is not None else [layer.weight, layer.bias]
        for one in scaled:
            if one is not None:
                one.div_(factor.view(-1, *[1] * (one.dim() - 1)))
        weight = self.second.layer.weight
        read = self._by_channel(weight)
        weight.copy_((read * factor.view(read.shape[0], 1, -1, 1)).reshape(weight.shape))

    def _by_channel(self, weight: torch.Tensor) -> torch.Tensor:
        """The second layer's weight as (groups, outputs of a group, channels of a group, the rest)."""
        groups = self.second.layer.groups if not isinstance(self.second.layer, nn.Linear) else 1
        outputs, inputs = weight.shape[:2]
        return weight.reshape(groups, outputs // groups, inputs // self.area, -1)


def layer_pairs(model: nn.Module) -> list[Pair]:
    """All pairs, in the order of the calls; none where the model cannot be traced."""
    graph = traced(model)
    if graph is None:
        return []
    shared = _shared_weights(model)
    found = []
    for node, module in graph.modules.items():
        first = _layer(node, module, graph)
        if first is not None and first.layer not in shared:
            found.append(_pair(first, node, graph))
    return [pair for pair in found if pair is not None and pair.second.layer not in shared]


def equalise(pairs: list[Pair]) -> bool:
    """One sweep, in place: afterwards both ranges of a channel are the root of their product (equation 11 of the paper).

    Returns:
        Whether anything moved by more than 0.1 %.
    """
    moved = False
    for pair in pairs:
        written, read = pair.ranges()
        factor = torch.where((written > 0) & (read > 0), (written / read).sqrt(), 1.0)
        factor = torch.where(torch.isfinite(factor) & (factor > 0), factor, 1.0)
        pair.move(factor)
        moved = moved or bool(((factor - 1).abs() > _STILL).any())
    return moved


@torch.no_grad()
def same_answers(one: nn.Module, two: nn.Module, examples: Split) -> bool:
    """Whether two models answer alike, but for the rounding of single precision."""
    inputs = tensors(examples)
    answers = zip(forward(one, inputs), forward(two, inputs), strict=True)
    return all(torch.allclose(first, second, rtol=0, atol=_ROUNDING * max(1.0, float(first.abs().max()))) for first, second in answers)


def _shared_weights(model: nn.Module) -> set[WeightLayer]:
    """Layers whose weight another module has, too: scaling one would change the other."""
    owners: dict[int, list[nn.Module]] = {}
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            owners.setdefault(id(parameter), []).append(module)
    return {one for one in weight_layers(model).values() if len(owners.get(id(one.weight), [])) != 1}


def _layer(node: fx.Node, module: nn.Module, graph: CallGraph) -> Layer | None:
    if not isinstance(module, WeightLayer):
        return None
    readers = graph.readers(node)
    norm = graph.modules.get(readers[0]) if len(readers) == 1 else None
    return Layer(module, norm if isinstance(norm, BatchNorm) and _usable(norm) else None)


def _usable(norm: BatchNorm) -> bool:
    return norm.affine and norm.running_var is not None


def _pair(first: Layer, node: fx.Node, graph: CallGraph) -> Pair | None:
    """Follows the only reader of the first layer until the second layer, or something that a factor does not pass."""
    flattened = False
    while len(readers := graph.readers(node)) == 1:
        node = readers[0]
        module = graph.modules.get(node)
        if isinstance(module, WeightLayer):
            return _fitting(first, _layer(node, module, graph), flattened)
        if not (module is first.norm and module is not None) and not _passes_factor(node, module):
            return None
        flattened = flattened or _flattens(node, module)
    return None


def _passes_factor(node: fx.Node, module: nn.Module | None) -> bool:
    if isinstance(module, (*PASSING_MODULES, *_HOMOGENEOUS_MODULES)) or calls(node, *PASSING, *_HOMOGENEOUS, *_POOLING):
        return True
    return _flattens(node, module)


def _flattens(node: fx.Node, module: nn.Module | None) -> bool:
    """Whether (examples, channels, places) become (examples, features), each feature of one channel, in their order."""
    if isinstance(module, nn.Flatten):
        return (module.start_dim, module.end_dim) == (1, -1)
    rest, named = node.args[1:], dict(node.kwargs)
    if calls(node, torch.flatten, "flatten"):
        return (rest == (1,) and not named) or (not rest and named == {"start_dim": 1})
    if calls(node, "view", "reshape"):
        return len(rest) == 2 and _counts_examples(rest[0]) and rest[1:] == (-1,)
    if calls(node, torch.mean, "mean"):
        where = rest[0] if rest else named.get("dim")
        return isinstance(where, (tuple, list)) and tuple(where) in _PLACES and len(rest) + len(named) == 1
    return False


def _counts_examples(size: object) -> bool:
    """Whether this is x.size(0) or x.shape[0]."""
    return isinstance(size, fx.Node) and calls(size, "size", operator.getitem) and size.args[1:] == (0,)


def _fitting(first: Layer, second: Layer | None, flattened: bool) -> Pair | None:
    """A pair, if channels of the first are what the second reads: convolutions, or linear layers, or one flattened."""
    if second is None:
        return None
    one, two = (isinstance(layer.layer, nn.Linear) for layer in (first, second))
    outputs = first.layer.weight.shape[0]
    inputs = second.layer.in_features if isinstance(second.layer, nn.Linear) else second.layer.in_channels
    fits = (one == two and not flattened and inputs == outputs) or (not one and two and flattened and inputs % outputs == 0)
    return Pair(first, second, inputs // outputs if flattened else 1) if fits else None
