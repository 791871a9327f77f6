"""Low-rank layers: one layer becomes two thin ones, by truncated singular value decomposition."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from argosy.errors import InvalidInput
from argosy_controller.pipeline.passes.interface import Config, Context, Pass

if TYPE_CHECKING:
    from torch import nn


class FactoriseConfig(Config, frozen=True, kw_only=True):
    """Options.

    Attributes:
        energy: of every layer's squared singular values; the smallest rank that keeps this share is taken.
        share: of a layer's full rank; when above 0 it is taken instead of `energy`.
        convolutions: `channel` makes k x k to few channels, then 1 x 1; `spatial` makes k x 1, then 1 x k (2-D only); `none` leaves
            them.
    """

    energy: Annotated[float, Meta(gt=0, le=1, description="share of the squared singular values kept; the rank follows")] = 0.9
    share: Annotated[float, Meta(ge=0, le=1, description="share of the full rank kept; 0 goes by energy")] = 0.0
    convolutions: Annotated[Literal["channel", "spatial", "none"], Meta(description="how kernels are split")] = "channel"


class Factorise(Pass[FactoriseConfig]):
    """Before: Linear(300, 100). After, rank 20: Linear(300, 20, no bias) > Linear(20, 100): 8,000 weights for 30,000.

    Only layers that get smaller are split. Errors add up over layers: fine-tune afterwards.
    """

    name = "factorise"
    paper = (
        "Denton et al., Exploiting linear structure within convolutional networks, 2014, arXiv:1404.0736; channel: Zhang et al. 2016, "
        "arXiv:1505.06798, section 3.1; spatial: Jaderberg et al. 2014, arXiv:1405.3866, solved as Tai et al. 2016, arXiv:1511.06067, theorem 1"
    )
    config = FactoriseConfig
    reshapes = True

    def apply(self, model: nn.Module, config: FactoriseConfig, ctx: Context) -> nn.Module:
        """A copy whose large layers are pairs of thin ones.

        Raises:
            InvalidInput: no layer gets smaller.
        """
        from argosy_controller.pipeline.methods.low_rank import can_be_split, split
        from argosy_controller.pipeline.methods.surgery import names_of, put

        result = copy.deepcopy(model).eval()
        layers = names_of(result, can_be_split)
        found = 0
        for done, names in enumerate(layers, start=1):
            pair = split(result.get_submodule(names[0]), config)
            found += pair is not None
            for name in names if pair is not None else []:
                result = put(result, name, pair)  # type: ignore[arg-type]
            ctx.on_step(done, len(layers))
        if not found:
            raise InvalidInput(
                f"pass {self.name} does not apply: of {len(layers)} layers none gets smaller with {_asked(config)}; ask for less"
            )
        return result.eval()


def _asked(config: FactoriseConfig) -> str:
    return f"share = {config.share}" if config.share else f"energy = {config.energy}"
