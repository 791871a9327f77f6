"""Mixed precision: which layers stay float, found with few evaluations.

Layers are ranked by what quantising each alone does to the outputs (no labels needed), then the metric is asked for few
sets only: none float, and by bisection the k most sensitive float. Wu et al. 2020 (arXiv:2004.09602, section 5.2) rank so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from argosy.errors import ArgosyError, InvalidInput
from argosy_controller.pipeline.exporters.faithful import strayed
from argosy_controller.pipeline.exporters.interface import Source
from argosy_controller.pipeline.exporters.options import MixedConfig
from argosy_controller.pipeline.files.engines import Engine, open_model
from argosy_controller.pipeline.numbers.evaluation import predict
from argosy_controller.pipeline.spelling import nearest
from argosy_controller.pipeline.task import Array

#: Examples on which a layer's sensitivity is seen.
_RANKED_ON = 64
#: Examples on which an estimator must answer as in float.
_ASKED = 512
#: What a report says of an estimator's files in few bits.
FLOAT_STAGES = "the scaler, the comparisons and the last steps stay in float; in few bits are products with weights and leaves of trees"
#: Writes the model with these layers float and all others quantised.
Make = Callable[[frozenset[str]], Path]


@dataclass(frozen=True)
class Choice:
    """Which layers stay float.

    Attributes:
        drop: how far the metric falls with these; `drop_of_none` with none float. Negative where it rises.
        evaluations: how often the metric was asked for.
    """

    floats: tuple[str, ...]
    drop: float
    drop_of_none: float
    evaluations: int


def choose(ranked: Callable[[], Sequence[str]], drop: Callable[[Sequence[str]], float], drop_at_most: float, most: int | None) -> Choice:
    """The fewest of the most sensitive layers with which the metric falls by no more than `drop_at_most`.

    Args:
        ranked: layers, the most sensitive first; only called when some must stay float.
        drop: how far the metric falls with these layers float; taken to fall with their number.
        most: no more layers than so many, even if the drop is larger then; None: as many as it takes.
    """
    of_none = drop(())
    if of_none <= drop_at_most:
        return Choice((), of_none, of_none, 1)
    order = tuple(ranked())
    found = {0: of_none}
    too_few, enough = 0, len(order) if most is None else min(most, len(order))
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        found[middle] = drop(order[:middle])
        too_few, enough = (too_few, middle) if found[middle] <= drop_at_most else (middle, enough)
    if enough not in found:
        found[enough] = drop(order[:enough])
    return Choice(order[:enough], found[enough], of_none, len(found))


def kept_float(
    source: Source, path: Path, config: MixedConfig, layers: Sequence[str], make: Make, plain: Path, form: str
) -> frozenset[str]:
    """The layers that stay float by a recipe's options; what was found is noted for `path`.

    Args:
        layers: all that could be quantised, by name, in the order of the model.
        plain: the file with all of them float; `form` is its format.

    Raises:
        InvalidInput: a pattern fits no layer; names the nearest.
    """
    if source.lowered and config.keep_float_at_most is None and config.mixed_drop_at_most is None and not config.keep_float:
        return _faithful(source, path, _Trials(source, make, frozenset(), layers, plain, form), plain, form)
    named = frozenset(name for pattern in config.keep_float for name in matching(pattern, layers))
    if named:
        source.note(path, f"stay float as asked: {_listed(one for one in layers if one in named)}")
    rest = [one for one in layers if one not in named]
    if config.mixed_drop_at_most is None and not config.keep_float_at_most:
        return named
    trials = _Trials(source, make, named, rest, plain, form)
    if config.mixed_drop_at_most is None:
        added = tuple(trials.ranked()[: config.keep_float_at_most])
        source.note(path, f"stay float as the most sensitive {len(added)} of {len(layers)} layers: {_listed(added)}")
        return named | frozenset(added)
    found = choose(trials.ranked, trials.drop, config.mixed_drop_at_most, config.keep_float_at_most)
    source.note(path, _told(found, config.mixed_drop_at_most, len(layers), source))
    return named | frozenset(found.floats)


def _faithful(source: Source, path: Path, trials: _Trials, plain: Path, form: str) -> frozenset[str]:
    """The fewest layers of an estimator with which it answers as in float."""
    found = choose(trials.that_matter, trials.strays, 1.0, None)
    source.note(path, FLOAT_STAGES)
    small, large = trials.bytes(found.floats), plain.stat().st_size
    if small >= large:
        source.note(path, f"few bits make this one no smaller ({small:,} bytes, {large:,} in single precision): take {form}-fp32")
    if found.floats:
        source.note(path, f"stay float because in few bits the answers would be others: {_listed(found.floats)}")
    return frozenset(found.floats)


def matching(pattern: str, layers: Sequence[str]) -> list[str]:
    """The layers that a pattern names; of an ONNX file that became torch's, also as the file calls them, `layer1.0` for `layer1_0`.

    Raises:
        InvalidInput: it names none; says which is nearest.
    """
    imported = re.sub(r"[^\w*?\[\]!-]", "_", pattern)
    found = [one for one in layers if fnmatchcase(one, pattern) or fnmatchcase(one, imported)]
    if not found:
        raise InvalidInput(f"keep_float: no layer is called {pattern!r}{nearest(pattern, layers)}")
    return found


def _listed(names: Collection[str] | object) -> str:
    return ", ".join(names)  # type: ignore[arg-type]


def _moved(drop: float) -> str:
    return f"falls by {drop:.4f}" if drop > 0 else f"rises by {-drop:.4f}" if drop < 0 else "stays the same"


def _told(found: Choice, wanted: float, layers: int, source: Source) -> str:
    asked = f"{found.evaluations + 1} evaluations on {len(source.judging)} examples that are not the test data"
    metric = source.task.judged_by.name
    if not found.floats:
        return f"no layer stays float: {metric} {_moved(found.drop)}, a fall of {wanted:g} was allowed ({asked})"
    short = "" if found.drop <= wanted else f", and {wanted:g} was allowed"
    return (
        f"{len(found.floats)} of {layers} layers stay float: {_listed(found.floats)}; {metric} {_moved(found.drop)}{short}; "
        f"with none float it {_moved(found.drop_of_none)} ({asked})"
    )


class _Trials:
    """Makes candidates and looks at them."""

    def __init__(self, source: Source, make: Make, named: frozenset[str], rest: Sequence[str], plain: Path, form: str) -> None:
        self._source, self._make, self._named, self._rest, self._form = source, make, named, rest, form
        self._plain = _opened(plain, form)
        self._best: float | None = None
        self._errors: dict[str, float] = {}

    def drop(self, floats: Sequence[str]) -> float:
        """How far the metric of the float file falls; an error's rise counts as its fall."""
        if self._best is None:
            self._best = self._figure(self._plain)
        fall = self._best - self._figure(self._opened(frozenset(floats)))
        return fall if self._source.task.judged_by.higher_is_better else -fall

    def ranked(self) -> list[str]:
        """Layers by the mean squared error of the outputs when each alone is quantised, the largest first."""
        wanted = predict(self._plain, self._source.calibration.take(slice(0, _RANKED_ON)))
        errors = self._errors = {one: self._error(one, wanted) for one in self._rest}
        return sorted(self._rest, key=lambda one: -errors[one])

    def bytes(self, floats: Sequence[str]) -> int:
        """Size of the file with these layers float."""
        return self._make(self._named | frozenset(floats)).stat().st_size

    def strays(self, floats: Sequence[str]) -> float:
        """How far the answers to calibration examples are from those of the float file: `faithful.strayed`."""
        examples = self._source.calibration.take(slice(0, _ASKED))
        return strayed(predict(self._plain, examples), predict(self._opened(frozenset(floats)), examples))

    def that_matter(self) -> list[str]:
        """As `ranked`, without those in few bits that change nothing, or that have none."""
        return [one for one in self.ranked() if self._errors[one] > 0]

    def _error(self, layer: str, wanted: dict[str, Array]) -> float:
        got = predict(self._opened(frozenset(self._rest) - {layer}), self._source.calibration.take(slice(0, _RANKED_ON)))
        return sum(float(np.mean((got[name].astype(np.float64) - one) ** 2)) for name, one in wanted.items() if one.dtype.kind == "f")

    def _opened(self, floats: frozenset[str]) -> Engine:
        return _opened(self._make(self._named | floats), self._form)

    def _figure(self, engine: Engine) -> float:
        judging = self._source.judging
        return self._source.task.judged_by.value(predict(engine, judging), judging.targets)


def _opened(path: Path, form: str) -> Engine:
    engine = open_model(form, path)
    if engine is None:
        raise ArgosyError(f"no engine here runs {form}: which layers may stay float cannot be found out")
    return engine
