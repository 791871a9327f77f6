"""Sets the smallest weights to zero. The tensors keep their sizes: this makes a model compressible, not faster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from argosy_controller.pipeline.passes.interface import Context, Pass, TrainingConfig

if TYPE_CHECKING:
    from torch import nn

Scope = Literal["layer", "model", "adaptive"]
Share = Annotated[float, Meta(ge=0, le=0.9999)]


class CutConfig(TrainingConfig, frozen=True, kw_only=True):
    """Options of passes that set single weights to 0, with training between and after the cuts.

    Attributes:
        share: of the weights of all convolutions and linear layers that become 0.
        scope: `layer` cuts the same share of every layer, `model` ranks all weights together, `adaptive` ranks them
            together after scaling each layer's (LAMP), which holds up best when few weights stay.
        layers: shares of single layers in place of `share`, by name or pattern: `{ "fc3" = 0.3 }`.
        rounds: how often it cuts and then trains `epochs`; each round cuts the same part of what is left. 1: at once.
        epochs: of training after each cut; 0 leaves training to a later pass.
    """

    share: Annotated[float, Meta(ge=0, le=0.9999, description="share of weights set to 0")] = 0.5
    scope: Annotated[Scope, Meta(description="what is ranked together: each layer, or the model (adaptive: scaled per layer, LAMP)")] = (
        "layer"
    )
    layers: Annotated[dict[str, Share], Meta(description="shares of single layers, by name or pattern")] = {}
    rounds: Annotated[int, Meta(ge=1, le=100, description="cuts, each followed by training")] = 1
    epochs: Annotated[int, Meta(ge=0, le=10_000, description="training after each cut; 0: none")] = 0


class PruneMagnitudeConfig(CutConfig, frozen=True, kw_only=True):
    """Options.

    Attributes:
        biases: are ranked and cut too. Only this pass keeps them cut: a later one that trains lets them grow again.
        method: `rounds` cuts and then trains; `gradual` cuts during training, along a cubic curve.
        begin, end: of `gradual`: when cutting starts and when the share is reached, as parts of all steps.
        every: of `gradual`: steps from one cut to the next.
        regrow: of `gradual`: cut weights go on learning unseen, and come back when they have grown past others.
    """

    biases: Annotated[bool, Meta(description="biases are ranked and cut too")] = False
    method: Annotated[Literal["rounds", "gradual"], Meta(description="cut then train, or cut during training")] = "rounds"
    begin: Annotated[float, Meta(ge=0, lt=1, description="of gradual: part of the steps before the first cut")] = 0.0
    end: Annotated[float, Meta(gt=0, le=1, description="of gradual: part of the steps when the share is reached")] = 0.7
    every: Annotated[int, Meta(ge=1, le=100_000, description="of gradual: steps between cuts")] = 50
    regrow: Annotated[bool, Meta(description="of gradual: cut weights may come back")] = False


class PruneMagnitude(Pass[PruneMagnitudeConfig]):
    """Before: weights [3, -1, 2, 0.5]. After, share 0.5: weights [3, 0, 2, 0]."""

    name = "prune-magnitude"
    paper = (
        "Han et al., Learning both weights and connections for efficient neural networks, 2015, arXiv:1506.02626; "
        "gradual: Zhu and Gupta, To prune, or not to prune, 2017, arXiv:1710.01878; "
        "adaptive: Lee et al., Layer-adaptive sparsity for the magnitude-based pruning, 2021, arXiv:2010.07611; "
        "regrow: Guo et al., Dynamic network surgery for efficient DNNs, 2016, arXiv:1608.04493"
    )
    config = PruneMagnitudeConfig

    def apply(self, model: nn.Module, config: PruneMagnitudeConfig, ctx: Context) -> nn.Module:
        """A copy with the share of weights that is smallest in absolute value set to 0, trained as the options say."""
        from argosy_controller.pipeline.methods import cutting

        if config.method == "gradual":
            return cutting.gradually(model, config, ctx)
        cutting.check(config)
        return cutting.in_rounds(model, config, ctx, lambda one: cutting.magnitudes(one, config.biases))
