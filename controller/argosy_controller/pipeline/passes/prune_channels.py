"""Removes whole channels, so that the graph itself gets smaller and every engine runs it faster."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from argosy.errors import InvalidInput
from argosy_controller.pipeline.passes.interface import Config, Context, Pass

if TYPE_CHECKING:
    import torch
    from torch import nn


class PruneChannelsConfig(Config, frozen=True, kw_only=True):
    """Options.

    Attributes:
        share: of the channels (and neurons) of every layer that goes; the outputs' layer keeps all of its own.
        multiple_of: channels that stay are rounded to a multiple of this, which vector units like.
    """

    share: Annotated[float, Meta(ge=0, le=0.95, description="share of channels removed")] = 0.5
    multiple_of: Annotated[int, Meta(ge=1, le=64, description="channels that stay are a multiple of this")] = 4


class PruneChannels(Pass[PruneChannelsConfig]):
    """Before: Conv(1, 32) > Conv(32, 64) > Linear(64, 10). After, share 0.5: Conv(1, 16) > Conv(16, 32) > Linear(32, 10)."""

    name = "prune-channels"
    paper = "Fang et al., DepGraph: towards any structural pruning, CVPR 2023, arXiv:2301.12900; norms as Li et al. 2017, arXiv:1608.08710"
    config = PruneChannelsConfig
    reshapes = True

    def apply(self, model: nn.Module, config: PruneChannelsConfig, ctx: Context) -> nn.Module:
        """A copy without the channels whose group of weights has the smallest L2 norm."""
        import torch_pruning

        example = _example(ctx)
        pruned = copy.deepcopy(model).eval()
        pruner = torch_pruning.pruner.BasePruner(
            pruned,
            example,
            importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
            pruning_ratio=config.share,
            round_to=config.multiple_of,
            ignored_layers=_output_layers(pruned, example),
        )
        pruner.step()
        _check_outputs(model, pruned, example)
        ctx.on_step(1, 1)
        return pruned


def _example(ctx: Context) -> tuple[torch.Tensor, ...]:
    import torch

    return tuple(torch.from_numpy(array) for array in ctx.data.calibrating.take(slice(0, 2)).inputs.values())


def _shapes(model: nn.Module, example: tuple[torch.Tensor, ...]) -> list[tuple[int, ...]]:
    import torch

    from argosy_controller.pipeline.training import forward

    with torch.no_grad():
        return [tuple(one.shape) for one in forward(model, list(example))]


def _output_layers(model: nn.Module, example: tuple[torch.Tensor, ...]) -> list[nn.Module]:
    """The layers whose channels are the model's outputs: taking one channel away would change an output's shape."""
    before = _shapes(model, example)
    named = [name for name, layer in model.named_modules() if _channels(layer) > 1]
    return [model.get_submodule(name) for name in named if _shapes_without_one(model, name, example) != before]


def _channels(layer: Any) -> int:
    import torch

    if isinstance(layer, torch.nn.Linear):
        return layer.out_features
    return int(layer.out_channels) if isinstance(layer, (torch.nn.Conv1d, torch.nn.Conv2d)) else 0


def _shapes_without_one(model: nn.Module, name: str, example: tuple[torch.Tensor, ...]) -> list[tuple[int, ...]] | None:
    import torch_pruning

    trial = copy.deepcopy(model)
    layer = trial.get_submodule(name)
    graph = torch_pruning.DependencyGraph().build_dependency(trial, example_inputs=example)
    try:
        graph.get_pruning_group(layer, graph.get_pruner_of_module(layer).prune_out_channels, idxs=[0]).prune()
        return _shapes(trial, example)
    except (RuntimeError, ValueError, IndexError):
        return None  # a layer that cannot lose a channel is kept whole


def _check_outputs(before: nn.Module, after: nn.Module, example: tuple[torch.Tensor, ...]) -> None:
    try:
        same = _shapes(before, example) == _shapes(after, example)
    except RuntimeError as error:
        raise InvalidInput(f"pass prune-channels does not apply to this model: it no longer runs ({error})") from error
    if not same:
        raise InvalidInput("pass prune-channels does not apply to this model: its outputs would change their shape")
