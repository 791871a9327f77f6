"""How points are proposed: ask for one, tell how it ended. Tells come in the order of the trials' numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from argosy_controller.pipeline.search.choosing import costs
from argosy_controller.pipeline.search.outcome import Outcome
from argosy_controller.pipeline.search.settings import SearchConfig
from argosy_controller.pipeline.search.space import Dimension, Point, Space

if TYPE_CHECKING:
    import optuna

#: How many draws may repeat earlier points before a space counts as tried out.
_MOST_REPEATS = 200


class Method(ABC):
    """Proposes points.

    Attributes:
        lag: trial n is asked for when the trials up to n - lag, and no others, were told; 0: nothing that is told matters.
            So what is proposed depends on numbers, not on which worker was faster.
    """

    lag: int = 0

    @abstractmethod
    def ask(self) -> Point | None:
        """The next point, never an earlier one; None when there are no more."""

    def tell(self, point: Point, outcome: Outcome, missed: int) -> None:  # noqa: B027 - most need not know
        """How a point ended, and how many goals it missed."""


def method_for(config: SearchConfig, space: Space, seed: int, larger_is_better: Mapping[str, bool]) -> Method:
    """The method that a recipe names."""
    seed = seed if config.seed is None else config.seed
    match config.method:
        case "grid":
            return Grid(space)
        case "random":
            return Random(space, seed)
        case "bayes":
            return Bayes(space, seed, config.objectives, larger_is_better, config.workers)
        case "gradient":
            return Descent(space, config.step)


class Grid(Method):
    """Every combination, in order."""

    def __init__(self, space: Space) -> None:
        self._points = space.grid()

    def ask(self) -> Point | None:
        return next(self._points, None)


class Random(Method):
    """Points drawn evenly from the space (Bergstra and Bengio 2012, JMLR 13)."""

    def __init__(self, space: Space, seed: int) -> None:
        self._space = space
        self._random = np.random.default_rng(seed)
        self._asked = _Asked()

    def ask(self) -> Point | None:
        draws = (self._space.at(self._random.random(len(self._space.dimensions)).tolist()) for _ in range(_MOST_REPEATS))
        return next((one for one in draws if self._asked.is_new(one)), None)


class Bayes(Method):
    """Tree-structured Parzen estimators as Optuna has them (Bergstra et al. 2011, NeurIPS; for several objectives Ozaki et al.
    2022, JAIR 73), goals as constraints. With the same number of workers the same points are proposed; with another one the
    search takes another way, since each proposal knows the trials that ended before it, and there are fewer of these.
    """

    def __init__(self, space: Space, seed: int, objectives: Sequence[str], larger_is_better: Mapping[str, bool], workers: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.lag = workers
        self._space, self._objectives, self._larger = space, objectives, larger_is_better
        sampler = optuna.samplers.TPESampler(seed=seed)
        self._study = optuna.create_study(sampler=sampler, directions=["minimize"] * len(objectives))
        self._distributions = {one.name: _distribution(one) for one in space.dimensions}
        self._asked = _Asked()
        self._open: dict[bytes, optuna.Trial] = {}

    def ask(self) -> Point | None:
        import optuna

        for _ in range(_MOST_REPEATS):
            trial = self._study.ask(self._distributions)
            point = {one.name: _value(one, trial.params[one.name]) for one in self._space.dimensions}
            if self._asked.is_new(point):
                self._open[_key(point)] = trial
                return point
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
        return None

    def tell(self, point: Point, outcome: Outcome, missed: int) -> None:
        import optuna

        trial = self._open.pop(_key(point))
        trial.set_constraint("goals missed", missed)
        if outcome.state == "complete":
            self._study.tell(trial, costs(outcome.values, self._objectives, self._larger))
        elif outcome.curve and len(self._objectives) == 1:
            trial.report(outcome.curve[-1].loss, len(outcome.curve))
            self._study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)


def _distribution(one: Dimension) -> optuna.distributions.BaseDistribution:
    import optuna

    if one.ordered:
        return optuna.distributions.IntDistribution(0, len(one.choices) - 1)
    if one.choices:
        return optuna.distributions.CategoricalDistribution(one.choices)
    if one.integer:
        return optuna.distributions.IntDistribution(int(one.low), int(one.high), log=one.log)
    return optuna.distributions.FloatDistribution(one.low, one.high, log=one.log)


def _value(one: Dimension, proposed: bool | int | float | str) -> bool | int | float | str:
    if one.ordered:
        return one.choices[int(proposed)]
    return one.rounded(proposed) if isinstance(proposed, float) and not one.choices else proposed


class Descent(Method):
    """Down the gradient of the validation loss from the middle of the space, one step after another.

    A step's size is a share of each range, grows while a gradient keeps its sign and is halved when it turns: the sign alone
    counts, since hypergradients differ by orders of magnitude from one dimension to another (Riedmiller and Braun 1993, RPROP).
    """

    lag = 1

    def __init__(self, space: Space, step: float) -> None:
        self._space = space
        self._place = np.full(len(space.dimensions), 0.5)
        self._step = np.full(len(space.dimensions), step)
        self._most = step
        self._sign = np.zeros(len(space.dimensions))
        self._asked = _Asked()

    def ask(self) -> Point | None:
        point = self._space.at(self._place.tolist())
        return point if self._asked.is_new(point) else None

    def tell(self, point: Point, outcome: Outcome, missed: int) -> None:
        if not outcome.gradient:  # it failed: half-way back
            self._step /= 2
            self._place = np.clip(self._place + self._sign * self._step, 0, 1)
            return
        slopes = [outcome.gradient[one.name] * one.slope(float(point[one.name])) for one in self._space.dimensions]
        sign = np.sign(slopes)
        turned, kept = sign * self._sign < 0, sign * self._sign > 0
        self._step = np.where(turned, self._step / 2, np.where(kept, np.minimum(self._step * 1.2, self._most), self._step))
        self._sign = sign
        self._place = np.clip(self._place - sign * self._step, 0, 1)


class _Asked:
    """Points that were proposed already."""

    def __init__(self) -> None:
        self._keys: set[bytes] = set()

    def is_new(self, point: Point) -> bool:
        key = _key(point)
        if key in self._keys:
            return False
        self._keys.add(key)
        return True


def _key(point: Point) -> bytes:
    return msgspec.json.encode(point)
