"""Removes whole channels, so that the graph itself gets smaller and every engine runs it faster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from argosy_controller.pipeline.passes.interface import Context, Pass, TrainingConfig

if TYPE_CHECKING:
    from torch import nn

Share = Annotated[float, Meta(ge=0, le=0.95)]


class PruneChannelsConfig(TrainingConfig, frozen=True, kw_only=True):
    """Options.

    Attributes:
        share: of the channels (and neurons) of every layer that goes; the outputs' layer keeps all of its own.
        macs_share: in place of `share`: channels go until the model's multiply-accumulates have fallen to this part.
        importance: `norm`: the weights that go with a channel; `taylor`: what the loss would feel; `thinet`: how far the next
            layer's output would move, which is then brought back by least squares.
        scope: `layer` takes the same share of every layer, `model` ranks the channels of all layers together.
        at_least: of scope `model`: the share of its channels that every layer keeps.
        layers: shares of single layers in place of `share`, by name or pattern: `{ "features.0" = 0 }` keeps it whole.
            Layers that a sum ties together lose the same channels, and take the least of their shares.
        multiple_of: channels that stay are rounded up to a multiple of this, which vector units like.
        examples: training examples that `taylor` and `thinet` look at.
        rounds: how often it removes and then trains `epochs`; each round removes the same part of what is left.
        epochs: of training after each removal; 0 leaves training to a later pass.
    """

    share: Annotated[float, Meta(ge=0, le=0.95, description="share of channels removed")] = 0.5
    macs_share: Annotated[float, Meta(gt=0, le=1, description="in place of share: part of the multiply-accumulates that stays")] | None = (
        None
    )
    importance: Annotated[Literal["norm", "taylor", "thinet"], Meta(description="by which the least channels are found")] = "norm"
    scope: Annotated[Literal["layer", "model"], Meta(description="what is ranked together")] = "layer"
    at_least: Annotated[float, Meta(ge=0.01, le=1, description="of scope model: share of channels every layer keeps")] = 0.1
    layers: Annotated[dict[str, Share], Meta(description="shares of single layers, by name or pattern")] = {}
    multiple_of: Annotated[int, Meta(ge=1, le=64, description="channels that stay are a multiple of this")] = 4
    examples: Annotated[int, Meta(ge=1, le=1_000_000, description="training examples that taylor and thinet look at")] = 256
    rounds: Annotated[int, Meta(ge=1, le=100, description="removals, each followed by training")] = 1
    epochs: Annotated[int, Meta(ge=0, le=10_000, description="training after each removal; 0: none")] = 0


class PruneChannels(Pass[PruneChannelsConfig]):
    """Before: Conv(1, 32) > Conv(32, 64) > Linear(64, 10). After, share 0.5: Conv(1, 16) > Conv(16, 32) > Linear(32, 10)."""

    name = "prune-channels"
    paper = (
        "Fang et al., DepGraph: towards any structural pruning, CVPR 2023, arXiv:2301.12900; norms as Li et al. 2017, "
        "arXiv:1608.08710; taylor: Molchanov et al., Importance estimation for neural network pruning, CVPR 2019, arXiv:1906.10771; "
        "thinet: Luo et al., ThiNet, ICCV 2017, arXiv:1707.06342"
    )
    config = PruneChannelsConfig
    reshapes = True

    def apply(self, model: nn.Module, config: PruneChannelsConfig, ctx: Context) -> nn.Module:
        """A copy without the least important channels, trained as the options say."""
        from argosy_controller.pipeline.methods.channel_pruning import pruned

        return pruned(model, config, ctx)
