"""Multiplies batch norms into the layers before them: the same function with fewer layers."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from argosy.errors import InvalidInput
from argosy_controller.pipeline.passes.interface import Config, Context, Pass

if TYPE_CHECKING:
    import torch
    from torch import nn


class FoldBatchNorm(Pass[Config]):
    """Before: Conv(w, b) > BatchNorm(mean m, variance v, scale g, shift s). After: Conv(w g / sqrt(v), (b - m) g / sqrt(v) + s).

    A batch norm is folded where it is called directly on what a convolution or linear layer gives, and where the model answers the
    same afterwards; so it is found in any model that runs, also where torch.fx cannot trace. Others stay. Place it after the last
    pass that trains: a folded batch norm does not learn from batches any more.
    """

    name = "fold-batch-norm"
    paper = "Jacob et al., Quantization and training of neural networks for efficient inference, CVPR 2018, arXiv:1712.05877, section 3.2"
    config = Config
    reshapes = True

    def apply(self, model: nn.Module, config: Config, ctx: Context) -> nn.Module:
        """A copy with batch norms folded.

        Raises:
            InvalidInput: the model has batch norms, and none of them can be folded.
        """
        from argosy_controller.pipeline.methods.surgery import Calls, example

        folded = copy.deepcopy(model).eval()
        norms = _norms(folded)
        inputs = example(ctx.data.calibrating)
        calls = Calls(folded, inputs)
        found = 0
        for done, norm in enumerate(norms, start=1):
            found += any(_folded(folded, maker, norm, inputs, calls.answer) for maker in calls.feeding(norm))
            ctx.on_step(done, len(norms))
        if norms and not found:
            raise InvalidInput(
                f"pass {self.name} does not apply: none of the model's {len(norms)} batch norms directly follows a convolution or a "
                "linear layer that nothing else uses; leave the pass out"
            )
        if not norms:
            ctx.on_step(1, 1)
        return folded


def _norms(model: nn.Module) -> list[str]:
    """Batch norms that scale by what they learnt, not by the batch."""
    from torch import nn

    kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
    return [name for name, layer in model.named_modules() if isinstance(layer, kinds) and layer.running_mean is not None]


def _folded(model: nn.Module, maker: str, norm: str, inputs: tuple[torch.Tensor, ...], wanted: tuple[torch.Tensor, ...]) -> bool:
    """Folds a pair in place; puts both layers back when they do not fit or the model answers something else."""
    from torch import nn

    from argosy_controller.pipeline.methods.surgery import outputs, put, same

    before, after = model.get_submodule(maker), model.get_submodule(norm)
    fused = _fused(before, after) if maker else None
    if fused is None:
        return False
    put(model, maker, fused)
    put(model, norm, nn.Identity())
    if same(wanted, outputs(model, inputs)):
        return True
    put(model, maker, before)
    put(model, norm, after)
    return False


def _fused(layer: nn.Module, norm: nn.Module) -> nn.Module | None:
    from torch import nn
    from torch.nn.modules.batchnorm import _BatchNorm
    from torch.nn.utils import fusion

    assert isinstance(norm, _BatchNorm)
    if isinstance(layer, nn.Linear):
        return fusion.fuse_linear_bn_eval(layer, norm) if norm.num_features == layer.out_features else None
    if isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
        return fusion.fuse_conv_bn_eval(layer, norm)
    if isinstance(layer, (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)) and layer.groups == 1:
        return fusion.fuse_conv_bn_eval(layer, norm, transpose=True)
    return None
