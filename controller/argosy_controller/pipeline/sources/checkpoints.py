"""Weights by name, for a model whose layers a task writes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from argosy.errors import InvalidInput
from argosy_controller.pipeline.spelling import first_line, likeness

#: What training scripts wrap weights in, and what DataParallel puts before their names.
_WRAPPERS = ("state_dict", "model_state_dict", "model")
_PREFIX = "module."


def read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    """All tensors of a safetensors file; its header is checked by the library against the file's size.

    Raises:
        InvalidInput: it is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, RuntimeError, ValueError) as error:
        raise InvalidInput(f"{path.name} is a damaged safetensors file: {first_line(error)}") from error


def read_trusted_pickle(path: Path) -> nn.Module | dict[str, torch.Tensor]:
    """A whole module or its weights, out of a file that can run any code while it is read: only for a maker one trusts.

    Raises:
        InvalidInput: it is damaged, or holds something else.
    """
    try:
        found: Any = torch.load(path, map_location="cpu", weights_only=False)
    except Exception as error:  # unpickling raises what it likes
        raise InvalidInput(f"{path.name} cannot be read as a PyTorch file: {type(error).__name__}: {first_line(error)}") from error
    if isinstance(found, nn.Module):
        return found
    for key in _WRAPPERS:
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping) or not all(isinstance(one, torch.Tensor) for one in found.values()):
        raise InvalidInput(f"{path.name} holds a {type(found).__name__}, neither a module nor weights by name: save model.state_dict()")
    return {str(name): tensor for name, tensor in found.items()}


def with_weights(model: nn.Module, weights: Mapping[str, torch.Tensor], file: str) -> nn.Module:
    """Puts weights into a model, in place; every name and shape must fit.

    Raises:
        InvalidInput: a weight is missing, is one too many, or has another shape or is not finite.
    """
    wanted = model.state_dict()
    given = _unprefixed(weights) if not set(weights) & set(wanted) else dict(weights)
    missing = [name for name in wanted if name not in given and not name.endswith("num_batches_tracked")]
    if missing:
        raise InvalidInput(f"{file} lacks {missing[0]!r} of the task's model ({len(missing)} in all){likeness(missing[0], given)}")
    extra = [name for name in given if name not in wanted]
    if extra:
        raise InvalidInput(f"{file} has {extra[0]!r}, which the task's model lacks ({len(extra)} in all){likeness(extra[0], wanted)}")
    for name, tensor in given.items():
        if tensor.shape != wanted[name].shape:
            raise InvalidInput(f"{file}: {name!r} has shape {list(tensor.shape)}, the task's model {list(wanted[name].shape)}")
    model.load_state_dict(given, strict=False)
    return model


def _unprefixed(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(_PREFIX): one for name, one in weights.items()}
