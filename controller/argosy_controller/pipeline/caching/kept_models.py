"""A model's weights in the cache: kept only where they and the model before tell all of it."""

from __future__ import annotations

import copy
import json
import logging

import torch
from torch import nn

from argosy_controller.pipeline.caching.cache import Cache
from argosy_controller.pipeline.sources.graphs import Foreign
from argosy_controller.pipeline.training import forward

_log = logging.getLogger(__name__)
_PLAIN = (bool, int, float, str, tuple, type(None))


def load(cache: Cache, key: str, before: nn.Module) -> tuple[nn.Module, float] | None:
    """The model that was kept, made of a copy of the one before it, and the seconds that it took; None when there is none.

    Args:
        before: has the same layers, of the same sizes.
    """
    from safetensors.torch import load as tensors_of

    raw = cache.read(key)
    if raw is None:
        return None
    try:
        model = _filled(before, tensors_of(raw))
        seconds = float(json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])["__metadata__"]["seconds"])
    except Exception:  # damaged, or of a model with other layers, or one that cannot be copied: it is computed again
        return None
    return model, seconds


def keep(cache: Cache, key: str, before: nn.Module, model: nn.Module, example: tuple[torch.Tensor, ...], seconds: float) -> None:
    """Keeps a model, unless more of it changed than weights.

    Args:
        before: what `load` will be given.
        example: inputs (batch, ...) on which the model and its copy must answer the same.
    """
    from safetensors.torch import save

    if isinstance(before, Foreign) or isinstance(model, Foreign):
        return  # tensors do not tell all of it, and what makes it takes no longer than reading it

    state = {name: tensor.detach().contiguous().clone() for name, tensor in model.state_dict().items() if isinstance(tensor, torch.Tensor)}
    try:
        if _is_told_by(state, before, model, example):
            cache.keep(key, save(state, {"seconds": repr(seconds)}))
    except Exception as error:  # a model that cannot be copied or asked is not kept; the build has it all the same
        _log.info("cache: a model was not kept (%s)", error)


def _filled(before: nn.Module, state: dict[str, torch.Tensor]) -> nn.Module:
    model = copy.deepcopy(before)
    model.load_state_dict(state, strict=True)
    return model.eval()


def _is_told_by(state: dict[str, torch.Tensor], before: nn.Module, model: nn.Module, example: tuple[torch.Tensor, ...]) -> bool:
    """Whether the model comes back whole: a pass may have swapped a layer, set an attribute or hung a hook."""
    again = _filled(before, state)
    if str(again) != str(model) or [_facts(one) for one in again.modules()] != [_facts(one) for one in model.modules()]:
        return False
    with torch.no_grad():
        return all(torch.equal(one, two) for one, two in zip(forward(again, example), forward(model, example), strict=True))


def _facts(module: nn.Module) -> tuple[object, ...]:
    plain = {name: value for name, value in vars(module).items() if name != "training" and isinstance(value, _PLAIN)}
    hooks = len(module._forward_hooks), len(module._forward_pre_hooks)
    return plain, sorted(vars(module)), hooks, [one.requires_grad for one in module.parameters(recurse=False)]
