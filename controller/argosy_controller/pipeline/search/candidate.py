"""One candidate, in a worker: built by the recipe at its point, exported, judged on validation data."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from torch import nn

from argosy.errors import ArgosyError, InvalidInput
from argosy_controller.pipeline.caching.cache import Cache
from argosy_controller.pipeline.caching.remembering import Memory
from argosy_controller.pipeline.compressing import Compressed, compressed
from argosy_controller.pipeline.exporters import EXPORTERS
from argosy_controller.pipeline.exporters.interface import Source
from argosy_controller.pipeline.files.engines import open_model
from argosy_controller.pipeline.measuring import before_passes
from argosy_controller.pipeline.numbers.comparison import Scored, drop
from argosy_controller.pipeline.numbers.evaluation import judged, predict, requests
from argosy_controller.pipeline.numbers.figures import Measures
from argosy_controller.pipeline.processes.messages import BuildRequest
from argosy_controller.pipeline.recipes.recipe import Recipe, Variant, parse_recipe
from argosy_controller.pipeline.search.hopeless import Hopeless
from argosy_controller.pipeline.search.latency import Latency, LocalLatency
from argosy_controller.pipeline.search.outcome import Curve, Outcome
from argosy_controller.pipeline.search.quiet import QuietRoom
from argosy_controller.pipeline.search.space import Point
from argosy_controller.pipeline.search.watching import Watch, WatchedMemory
from argosy_controller.pipeline.sources.opening import open_trained
from argosy_controller.pipeline.spelling import first_line
from argosy_controller.pipeline.task import Data, Split, Task, checked_data, held_back, load_task
from argosy_controller.pipeline.training import looked_on

#: Where objectives of time are measured.
_LATENCY: Latency = LocalLatency()
_TIMED_REQUESTS = 16


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is asked; plain data, so that a worker may be anywhere that has the task, the data and the cache.

    Attributes:
        request: of the build that searches.
        text, name: the recipe's.
        judge: name of the variant whose file is measured.
        timed, compared: whether latency, and the drop against the model before any pass, are asked for.
        earlier, patience: what decides whether it is hopeless.
        cache, base: folder, and the memory's digest of what does not change within the build.
        gradient: hypergradients at this point are asked for.
    """

    request: BuildRequest
    text: str
    name: str
    point: Point
    judge: str
    timed: bool
    compared: bool
    earlier: tuple[Curve, ...]
    patience: float
    cache: str
    base: str
    gradient: bool = False


def evaluate(job: Job) -> Outcome:
    """Tries one candidate. Every error of its own is an outcome; only the end of the process is none."""
    start = time.monotonic()
    try:
        outcome = _tried(job)
    except ArgosyError as error:
        outcome = Outcome(state="failed", reason=str(error))
    except Exception as error:  # libraries raise what they like; one candidate must not end a search
        outcome = Outcome(
            state="failed", reason=f"{type(error).__name__}: {first_line(error)}", lasting=not isinstance(error, (MemoryError, OSError))
        )
    return msgspec.structs.replace(outcome, seconds=round(time.monotonic() - start, 2))


@dataclass
class _Bench:
    """What stays between the candidates of a worker while their hyperparameters are the same."""

    key: bytes
    task: Task
    data: Data
    validation: Split
    given: nn.Module | None
    fingerprints: dict[int, tuple[Data, str]] = field(default_factory=dict)


_benches: list[_Bench] = []


def _bench(request: BuildRequest, recipe: Recipe) -> _Bench:
    key = msgspec.json.encode((request, recipe.hyperparameters), order="sorted")
    if not _benches or _benches[0].key != key:
        _benches[:] = [_fresh_bench(key, request, recipe)]
    return _benches[0]


def _fresh_bench(key: bytes, request: BuildRequest, recipe: Recipe) -> _Bench:
    task = load_task(Path(request.task), request.settings)
    task.set_hyperparameters(recipe.hyperparameters)
    data = held_back(checked_data(task, request.seed), request.seed)
    assert data.validation is not None
    given = open_trained(Path(request.trained), task, data, request.seed, trust_pickle=request.trust_pickle) if request.trained else None
    return _Bench(key, task, data, data.validation, given)


def _tried(job: Job) -> Outcome:
    room = QuietRoom(Path(job.cache) / "quiet")
    try:
        with room.working():
            return _tried_in(room, job)
    finally:
        room.close()


def _tried_in(room: QuietRoom, job: Job) -> Outcome:
    recipe = parse_recipe(job.text, job.name, job.point)
    bench = _bench(job.request, recipe)
    watch = Watch(bench.task, bench.validation, job.earlier, job.patience, room.pause)
    try:
        found = _judged(job, recipe, bench, watch, room)
    except Hopeless as stop:
        return Outcome(state="hopeless", curve=watch.curve, reason=str(stop))
    return Outcome(state="complete", judged=found, curve=watch.curve, gradient=_gradient(job, recipe, bench))


def _judged(job: Job, recipe: Recipe, bench: _Bench, watch: Watch, room: QuietRoom) -> Measures:
    folder = Path(job.request.recipe).parent
    memory = WatchedMemory(Cache(Path(job.cache)), job.base, folder, bench.fingerprints, watch)
    with looked_on(watch):
        made = compressed(recipe.steps, bench.task, bench.data, job.request.seed, folder, _silent, memory, bench.given)
    variant = next(one for one in recipe.variants if one.name == job.judge)
    with tempfile.TemporaryDirectory() as scratch:
        source = Source(made.model, bench.task.outputs, bench.data.calibrating, bench.data.judging, bench.task, Path(scratch))
        file = _exported(variant, source)
        return _measured(job, variant, file, made, bench, room)


def _exported(variant: Variant, source: Source) -> Path:
    try:
        return source.file(EXPORTERS[variant.use], variant.config)
    except ArgosyError:
        raise
    except Exception as error:
        raise InvalidInput(f"the model does not convert to {variant.use}: {type(error).__name__}: {first_line(error)}") from error


def _measured(job: Job, variant: Variant, file: Path, made: Compressed, bench: _Bench, room: QuietRoom) -> Measures:
    task, split, model_format = bench.task, bench.validation, EXPORTERS[variant.use].format
    engine = open_model(model_format, file)
    after: Scored | None = judged(task, predict(engine, split), split.targets) if engine else None
    compared = drop(task.judged_by, before_passes(made.original, task, split), after) if job.compared and after else None
    timing = None
    if job.timed:
        with room.alone():
            timing = _LATENCY.measure(file, model_format, list(requests(split.take(slice(0, _TIMED_REQUESTS)))))
    last = made.steps[-1]
    return Measures(
        bytes=file.stat().st_size,
        accuracy=after.accuracy if after else None,
        drop=compared,
        timing=timing,
        macs=last.macs,
        parameters=last.parameters,
        not_zero=last.not_zero,
    )


def _gradient(job: Job, recipe: Recipe, bench: _Bench) -> dict[str, float]:
    if not job.gradient:
        return {}
    from argosy_controller.pipeline.search.descending import hypergradients

    search = parse_recipe(job.text, job.name).search
    assert search is not None
    folder = Path(job.request.recipe).parent
    memory = Memory(Cache(Path(job.cache)), job.base, folder, bench.fingerprints)
    return hypergradients(search, recipe, bench.task, bench.data, job.request.seed, memory, bench.given)


def _silent(stage: str, done: int, total: int) -> None:
    """A candidate's own progress is not shown: that of the search is."""
