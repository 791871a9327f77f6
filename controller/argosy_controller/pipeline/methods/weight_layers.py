"""Which layers of a model hold the weights that passes quantise, and how one layer takes another's place."""

from __future__ import annotations

from torch import nn
from torch.nn.utils import parametrize

WeightLayer = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d
BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d
_KINDS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def weight_layers(model: nn.Module) -> dict[str, WeightLayer]:
    """Linear layers and convolutions by name, in the order in which the model declares them; a shared one once."""
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, _KINDS)}


def batch_norms(model: nn.Module) -> list[BatchNorm]:
    """All batch norm layers."""
    return [layer for layer in model.modules() if isinstance(layer, _NORMS)]


def replace(model: nn.Module, old: nn.Module, new: nn.Module) -> None:
    """Puts `new` wherever `old` is a child inside the model."""
    parents = [(parent, name) for parent in model.modules() for name, child in parent.named_children() if child is old]
    for parent, name in parents:
        setattr(parent, name, new)


def plain_weight(layer: WeightLayer, *, computed: bool) -> None:
    """Ends a weight's parametrisation; `computed` leaves what it computed, else what it was computed from."""
    parametrize.remove_parametrizations(layer, "weight", leave_parametrized=computed)
    # Removing puts the weight last: files of layers that were never parametrised have it before the bias.
    layer.register_parameter("bias", layer._parameters.pop("bias"))
