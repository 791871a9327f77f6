"""Looks at a candidate after each epoch of its trainings, and gives up what is hopeless.

A training that the cache has does not run again, so the looks that were taken at it are kept beside its weights: whether a
trial is given up does not depend on what was in the cache.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import nn

from argosy_controller.pipeline.caching.cache import Cache
from argosy_controller.pipeline.caching.remembering import Memory
from argosy_controller.pipeline.recipes import recipe as recipes
from argosy_controller.pipeline.search.hopeless import Hopeless, given_up, sentence
from argosy_controller.pipeline.search.outcome import Curve, Look
from argosy_controller.pipeline.task import Data, Split, Task
from argosy_controller.pipeline.training import forward

#: Of the validation data; more does not change who is hopeless.
_MOST_EXAMPLES = 2000
_BATCH = 256


class Watch:
    """The looks at one candidate.

    Args:
        earlier: curves that it is compared with.
        between: called after each look, before training goes on.
    """

    def __init__(self, task: Task, validation: Split, earlier: tuple[Curve, ...], patience: float, between: Callable[[], None]) -> None:
        self._task = task
        self._split = validation.take(slice(0, _MOST_EXAMPLES))
        self._earlier, self._patience, self._between = earlier, patience, between
        self._stage = -1
        self.curve: Curve = ()

    def begin_stage(self) -> None:
        """The first training, or the next pass."""
        self._stage += 1

    @property
    def of_stage(self) -> Curve:
        """The looks of the stage that runs."""
        return tuple(one for one in self.curve if one.stage == self._stage)

    def __call__(self, model: nn.Module) -> None:
        """After an epoch.

        Raises:
            Hopeless: earlier trials were better.
        """
        self._add(validation_loss(model, self._task, self._split))
        self._between()

    def replay(self, curve: Curve) -> None:
        """The looks at a training that the cache had. Raises as a call."""
        for one in curve:
            self._add(one.loss)

    def _add(self, loss: float) -> None:
        self.curve = (*self.curve, Look(self._stage, len(self.of_stage) + 1, loss))
        if given_up(self.curve, self._earlier, self._patience) is not None:
            raise Hopeless(sentence(self.curve[-1], self._patience))


@torch.no_grad()
def validation_loss(model: nn.Module, task: Task, split: Split) -> float:
    """The task's own loss on a split, whatever the model is trained with; the model and torch's generator stay as they are."""
    training = [one for one in model.modules() if one.training]
    state = torch.get_rng_state()
    model.eval()
    try:
        parts = [_loss(model, task, split.take(slice(at, at + _BATCH))) for at in range(0, len(split), _BATCH)]
    finally:
        torch.set_rng_state(state)
        for one in training:
            one.training = True
    return sum(parts) / len(split)


def _loss(model: nn.Module, task: Task, part: Split) -> float:
    outputs = forward(model, [torch.from_numpy(one) for one in part.inputs.values()])
    return float(task.loss(outputs, torch.from_numpy(part.targets))) * len(part)


class WatchedMemory(Memory):
    """A build's memory for one candidate: every stage of the chain begins with the question for its key."""

    def __init__(self, cache: Cache, base: str, recipe_folder: Path, fingerprints: dict[int, tuple[Data, str]], watch: Watch) -> None:
        super().__init__(_WatchedCache(cache, watch), base, recipe_folder, fingerprints)
        self._watch = watch

    def first(self, *args: Any, **kwargs: Any) -> str:
        """As for a build."""
        self._watch.begin_stage()
        return super().first(*args, **kwargs)

    def after(self, key: str, step: recipes.Step, seed: int) -> str:
        """As for a build."""
        self._watch.begin_stage()
        return super().after(key, step, seed)


class _WatchedCache(Cache):
    def __init__(self, cache: Cache, watch: Watch) -> None:
        super().__init__(cache.folder)
        self._watch = watch

    def read(self, key: str) -> bytes | None:
        looks = super().read(_of_looks(key))
        found = super().read(key) if looks is not None else None
        if found is not None and looks is not None:
            self._watch.replay(msgspec.json.decode(looks, type=Curve))
        return found

    def keep(self, key: str, content: bytes) -> None:
        super().keep(key, content)
        super().keep(_of_looks(key), msgspec.json.encode(self._watch.of_stage))


def _of_looks(key: str) -> str:
    return hashlib.sha256(f"looks {key}".encode()).hexdigest()
