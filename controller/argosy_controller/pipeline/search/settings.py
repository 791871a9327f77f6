"""A recipe's [search] table."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from argosy_controller.pipeline.options import Config

Method = Literal["grid", "random", "bayes", "gradient"]
Objective = Literal["accuracy", "bytes", "p50_us", "macs", "not_zero"]
MOST_TRIALS = 10_000
_USUAL_TRIALS = 24
_USUAL_HOPELESS = 0.5


class SearchConfig(Config, frozen=True, kw_only=True):
    """How to search; every field has a default that is right for most.

    Attributes:
        trials: candidates that are tried; 0 means all points of a grid, else 24.
        objectives: the first one decides among those that meet the goals; with several, the report shows the Pareto front.
        judge: name of the variant whose file is measured; empty takes the recipe's first.
        workers: processes that try candidates at the same time, one thread each.
        seed: of what is proposed; None takes the build's. Trainings always have the build's.
        hopeless: a trial whose validation loss is worse than that of this share of the earlier trials at the same epoch is given
            up; 1 gives none up, as method `gradient` always does. None takes 0.5 where accuracy is the only objective, else 1: a
            small model may be less accurate.
        gradient: of method `gradient`: through the steps of training, or through the condition for its end.
        step: of method `gradient`: its first step, as a share of a dimension's range.
    """

    method: Annotated[Method, Meta(description="how points are proposed")] = "bayes"
    trials: Annotated[int, Meta(ge=0, le=MOST_TRIALS, description="candidates tried; 0: the whole grid, else 24")] = 0
    objectives: Annotated[tuple[Objective, ...], Meta(min_length=1, max_length=5, description="what to make good, the first decides")] = (
        "accuracy",
    )
    judge: Annotated[str, Meta(description="the variant whose file is measured; empty: the first")] = ""
    workers: Annotated[int, Meta(ge=1, le=64, description="processes, one thread each")] = 1
    seed: Annotated[int, Meta(ge=0, lt=1 << 32, description="of what is proposed; absent: the build's")] | None = None
    hopeless: Annotated[float, Meta(ge=0, le=1, description="worse than this share of earlier trials: given up; 1: never")] | None = None
    gradient: Annotated[Literal["unrolled", "implicit"], Meta(description="how hypergradients are made")] = "unrolled"
    step: Annotated[float, Meta(gt=0, le=0.5, description="first step of method gradient, as a share of each range")] = 0.15

    @property
    def most_trials(self) -> int:
        """How many candidates there may be; of a grid without a limit, all."""
        return self.trials or (MOST_TRIALS if self.method == "grid" else _USUAL_TRIALS)

    @property
    def patience(self) -> float:
        """`hopeless`, decided; a descent needs the end of every trial."""
        if self.method == "gradient":
            return 1.0
        return self.hopeless if self.hopeless is not None else _USUAL_HOPELESS if self.objectives == ("accuracy",) else 1.0
