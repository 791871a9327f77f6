"""Runs a search: asks the method, hands candidates to workers, remembers how they ended, and names the winner."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from argosy.errors import InvalidInput
from argosy_controller.pipeline.caching.remembering import Memory, remembering
from argosy_controller.pipeline.compressing import untrained
from argosy_controller.pipeline.numbers.figures import Figures
from argosy_controller.pipeline.numbers.goals import judge
from argosy_controller.pipeline.numbers.metrics import Metric
from argosy_controller.pipeline.processes.messages import BuildRequest, Tell
from argosy_controller.pipeline.recipes.recipe import Recipe, Search, Variant, parse_recipe
from argosy_controller.pipeline.report import SearchReport, Trial
from argosy_controller.pipeline.search.binding import bound, check_judged
from argosy_controller.pipeline.search.candidate import Job, evaluate
from argosy_controller.pipeline.search.choosing import RULE, Candidate, front, winner
from argosy_controller.pipeline.search.hopeless import given_up, sentence
from argosy_controller.pipeline.search.journal import Journal
from argosy_controller.pipeline.search.methods import Method, method_for
from argosy_controller.pipeline.search.outcome import Curve, Outcome
from argosy_controller.pipeline.search.pool import ProcessPool
from argosy_controller.pipeline.search.space import Point
from argosy_controller.pipeline.sources.opening import open_trained
from argosy_controller.pipeline.task import Data, Task, held_back, load_task

STAGE = "search"
#: A trial is compared with those that are so many numbers before it, which have ended when it begins. Not the number of
#: workers, so that this does not decide who is given up; more workers than this wait for each other.
_WINDOW = 8
_DIED = "the worker's process died: out of memory, or a crash in a library; this trial will be tried again next time"


@dataclass(frozen=True)
class Found:
    """What a search found: the winner's plain recipe, and the report of everything that was tried."""

    recipe: Recipe
    report: SearchReport


def searched(
    request: BuildRequest, recipe: Recipe, task: Task, data: Data, memory: Memory | None, tell: Tell, executor: Executor | None = None
) -> Found:
    """Searches what the recipe leaves open. Test data play no part: every candidate is judged on validation data.

    Args:
        task: with the recipe's hyperparameters.
        data: as the task gives them; the validation part is held back here.
        memory: of the build; None keeps nothing beyond this call.
        executor: runs the candidates; None starts the recipe's number of processes, on this machine.

    Raises:
        InvalidInput: an open hyperparameter is none of the task's, a dimension has no gradient, or no candidate could be judged.
    """
    assert recipe.search is not None
    search = bound(recipe, task)
    judged = next(one for one in recipe.variants if one.name == search.judge)
    check_judged(judged, search.config)
    with ExitStack() as stack:
        if memory is None:
            scratch = stack.enter_context(tempfile.TemporaryDirectory())
            request = msgspec.structs.replace(request, cache=str(Path(scratch) / "cache"))
            memory = remembering(request, task, 1)
        assert memory is not None
        pool = executor or stack.enter_context(ProcessPool(search.config.workers))
        trials = _Trials(request, search, judged, task.judged_by, memory, _base_key(request, data, memory), tell, pool)
        trials.run()
    return _found(search, judged, data, request.seed, trials)


def _base_key(request: BuildRequest, data: Data, memory: Memory) -> str:
    """What all candidates have in common: the task as it is written, all data, the seed, packages and machine."""
    task = load_task(Path(request.task), request.settings)
    if request.trained:
        given = open_trained(Path(request.trained), task, data, request.seed, trust_pickle=request.trust_pickle)
        return memory.first(task, data, request.seed, given, given=True)
    return memory.first(task, data, request.seed, untrained(task, request.seed))


def _found(search: Search, judged: Variant, data: Data, seed: int, trials: _Trials) -> Found:
    complete = trials.complete()
    chosen = winner(complete, search.config.objectives, trials.larger_is_better)
    if chosen is None:
        reasons = [one.reason for one in trials.outcomes.values() if one.reason]
        why = f": {reasons[0]}" if reasons else ""
        raise InvalidInput(f"none of the {len(trials.points)} candidates of the search could be judged{why}")
    best = front(complete, search.config.objectives, trials.larger_is_better)
    examples = len(held_back(data, seed).validation or ())
    report = SearchReport(
        method=search.config.method,
        judged_on=f"variant {judged.name}, {examples} validation examples; chosen: {RULE}",
        objectives=list(search.config.objectives),
        trials=[_trial(number, point, trials.outcomes[number], number in best) for number, point in enumerate(trials.points)],
        chosen=chosen.number,
    )
    return Found(parse_recipe(search.text, search.name, trials.points[chosen.number]), report)


def _trial(number: int, point: Point, outcome: Outcome, on_front: bool) -> Trial:
    return Trial(
        number=number,
        point=dict(point),
        values=outcome.values,
        state=outcome.state,
        seconds=outcome.seconds,
        reason=outcome.reason,
        front=on_front,
    )


@dataclass
class _Trials:
    """All trials of one search, in the order of their numbers."""

    request: BuildRequest
    search: Search
    judged: Variant
    metric: Metric
    memory: Memory
    base_key: str
    tell: Tell
    executor: Executor
    points: list[Point] = field(default_factory=list)
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    _running: dict[Future[Outcome], tuple[int, str]] = field(default_factory=dict)
    _told: int = 0

    def __post_init__(self) -> None:
        self._journal = Journal(self.memory.cache.search / f"{self.base_key}.jsonl")
        self._method: Method = method_for(self.search.config, self.search.space, self.request.seed, self.larger_is_better)
        self._patience = self.search.config.patience
        self._lag = self._method.lag or (_WINDOW if self._patience < 1 else 0)
        self._most = min(self.search.config.most_trials, self.search.space.grid_size or self.search.config.most_trials)

    @property
    def larger_is_better(self) -> Mapping[str, bool]:
        return {one: one == "accuracy" and self.metric.higher_is_better for one in self.search.config.objectives}

    def run(self) -> None:
        """Until there are enough, or no more points."""
        self.tell(STAGE, 0, self._most)
        while len(self.points) < self._most:
            self._wait(lambda: len(self._running) < self.search.config.workers and self._ended_before(len(self.points)))
            self._tell_method()
            point = self._method.ask()
            if point is None:
                break
            self.points.append(point)
            self._begin(len(self.points) - 1, point)
        self._wait(lambda: not self._running)
        self.tell(STAGE, len(self.points), len(self.points))

    def complete(self) -> list[Candidate]:
        """The trials that were judged in every objective."""
        found = {number: one.values for number, one in self.outcomes.items() if one.state == "complete"}
        return [Candidate(number, values, self._missed(number)) for number, values in sorted(found.items())]

    def _missed(self, number: int) -> int:
        found = self.outcomes[number].judged
        if found is None:
            return 0
        figures = Figures(**msgspec.structs.asdict(found), best=self.metric.high, counted=self.metric.per_example)
        return sum(one.met is False for one in judge(self.judged.name, self.judged.goals, figures))

    def _ended_before(self, number: int) -> bool:
        """Whether everything has ended on which trial `number` may depend."""
        return not self._lag or all(one in self.outcomes for one in range(self._told, number - self._lag + 1))

    def _tell_method(self) -> None:
        """In the order of numbers, and exactly those that are `lag` back, so that points do not depend on who was faster."""
        upto = len(self.points) - self._method.lag + 1 if self._method.lag else 0
        while self._told < upto:
            self._method.tell(self.points[self._told], self.outcomes[self._told], self._missed(self._told))
            self._told += 1

    def _begin(self, number: int, point: Point) -> None:
        earlier = self._earlier(number)
        recipe = parse_recipe(self.search.text, self.search.name, point)
        key = self._key(recipe)
        known = self._journal.get(key)
        settled = _settled(known, earlier, self._patience) if known else None
        if settled is not None:
            self._end(number, settled)
        else:
            self._running[self.executor.submit(evaluate, self._job(point, earlier))] = (number, key)

    def _earlier(self, number: int) -> tuple[Curve, ...]:
        last = number - self._lag if self._patience < 1 else -1
        return tuple(self.outcomes[one].curve for one in range(last + 1))

    def _job(self, point: Point, earlier: tuple[Curve, ...]) -> Job:
        config = self.search.config
        return Job(
            request=self.request,
            text=self.search.text,
            name=self.search.name,
            point=point,
            judge=self.search.judge,
            timed=self._timed,
            compared=self._compared,
            earlier=earlier,
            patience=self._patience,
            cache=str(self.memory.cache.folder),
            base=self.memory.base,
            gradient=config.method == "gradient",
        )

    @property
    def _timed(self) -> bool:
        goals = self.judged.goals
        return "p50_us" in self.search.config.objectives or goals.p50_us_at_most is not None or goals.p99_us_at_most is not None

    @property
    def _compared(self) -> bool:
        return self.judged.goals.accuracy_drop_at_most is not None

    def _key(self, recipe: Recipe) -> str:
        """What decides about a candidate's outcome; not the space it is from, nor how many others are tried."""
        hyperparameters = msgspec.json.encode(recipe.hyperparameters, order="sorted").decode()
        key = hashlib.sha256(f"{self.base_key} {hyperparameters}".encode()).hexdigest()
        for number, step in enumerate(recipe.steps, start=1):
            key = self.memory.after(key, step, self.request.seed + number)
        variant = next(one for one in recipe.variants if one.name == self.search.judge)
        options = msgspec.json.encode(variant.config, order="sorted").decode()
        config = self.search.config
        how = config.gradient if config.method == "gradient" else ""
        return hashlib.sha256(f"{key} {variant.use} {options} {self._timed} {self._compared} {how}".encode()).hexdigest()

    def _wait(self, enough: Callable[[], bool]) -> None:
        while not enough():
            for future in wait(self._running, return_when=FIRST_COMPLETED).done:
                number, key = self._running.pop(future)
                outcome = _outcome(future)
                if outcome.lasting:
                    self._journal.keep(key, outcome)
                self._end(number, outcome)

    def _end(self, number: int, outcome: Outcome) -> None:
        missing = [one for one in self.search.config.objectives if one not in outcome.values]
        if outcome.state == "complete" and missing:
            outcome = msgspec.structs.replace(outcome, state="failed", reason=f"{missing[0]} of its file could not be measured here")
        self.outcomes[number] = outcome
        self.tell(STAGE, len(self.outcomes), self._most)


def _outcome(future: Future[Outcome]) -> Outcome:
    try:
        return future.result()
    except BrokenProcessPool:
        return Outcome(state="failed", reason=_DIED, lasting=False)


def _settled(known: Outcome, earlier: tuple[Curve, ...], patience: float) -> Outcome | None:
    """What a remembered trial is in this search: as it ended, or given up here; None when it must be tried after all."""
    place = given_up(known.curve, earlier, patience)
    if place is not None:
        curve = known.curve[: place + 1]
        return Outcome(state="hopeless", curve=curve, reason=sentence(curve[-1], patience), seconds=known.seconds)
    return None if known.state == "hopeless" else known
