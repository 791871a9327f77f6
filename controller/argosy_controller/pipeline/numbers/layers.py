"""A row for each weight tensor of a variant: what the file holds, and which of them cost the accuracy.

Attribution changes one layer at a time: the model before any pass gets one layer's weights as they come back from the
variant's file, and its answers are compared with what it answered before. Where passes changed shapes this cannot be done,
and the model after the passes takes its place: then the shares are of the export's error alone. Only weights are changed:
rounding of activations and changes of biases belong to no row.
"""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass, replace

import msgspec
import numpy as np
import torch
from torch import nn

from argosy.errors import ArgosyError
from argosy_controller.pipeline.exporters.interface import Source
from argosy_controller.pipeline.numbers.sizes import macs, parameters
from argosy_controller.pipeline.numbers.stored_weights import StoredWeight, stored_layer, stored_weights
from argosy_controller.pipeline.report import Layer
from argosy_controller.pipeline.spelling import first_line
from argosy_controller.pipeline.task import Array, Split, Task, blaming
from argosy_controller.pipeline.training import forward, tensors
from argosy_controller.pipeline.variants import Measured

_MOST_LAYERS = 64
_EXAMPLES, _FEWEST_EXAMPLES = 256, 8
#: Multiply-accumulates that attribution of one variant may take: some seconds on one core.
_BUDGET = 2e10
_ALIKE = 0.5
_FOLDED_BELOW, _FOLDED_ABOVE = 0.8, 0.02
_NO_ERROR = 1e-14
_PARAMETRISED = ".parametrizations.weight.original"
_UNKNOWN = "no layer of the model has this weight"
_RESHAPED = "passes changed its shape: the share is of the export's error alone"
_AFTER = "passes changed other layers' shapes: the share is of the export's error alone"
_FOLDED = "batch norm is folded in; compared without its factor"
_NOT_THE_LARGEST = f"not attributed: only the {_MOST_LAYERS} largest are"


@dataclass(frozen=True)
class _Row:
    """A stored weight with the torch parameter that it is; `values` in the parameter's layout."""

    layer: Layer
    parameter: str = ""
    values: torch.Tensor | None = None


def with_layers(variant: Measured, original: nn.Module, source: Source) -> Measured:
    """The variant with its layers' rows, if it was measured.

    Args:
        original: the model before any pass.
        source: the model after the passes, with examples to judge on; never test data.
    """
    if variant.accuracy is None:
        return variant
    try:
        rows = _attributed(_rows(stored_weights(variant.format, variant.file), source), original, source)
    except ArgosyError:
        raise
    except Exception as error:  # weights can be kept in ways that nothing here reads; the variant's other figures hold
        return replace(variant, notes=[*variant.notes, f"its layers cannot be told apart here: {first_line(error)}"])
    return replace(variant, layers=[one.layer for one in rows])


def _rows(stored: list[StoredWeight], source: Source) -> list[_Row]:
    """Each stored weight with the parameter that it resembles most; names decide between equals."""
    free = _kernels(source.model)
    counts = macs(source.model, tuple(source.example(1).values()))
    rows = []
    for weight in stored:
        name, values = _best(weight, free)
        if values is None:
            rows.append(_Row(_noted(stored_layer(weight), _UNKNOWN)))
            continue
        del free[name]
        rows.append(_Row(_named(stored_layer(weight), name, values, source.model, counts), name, values))
    return rows


def _kernels(model: nn.Module) -> dict[str, torch.Tensor]:
    """Matrices and kernels by the name that they have in the unchanged model."""
    found = {name.replace(_PARAMETRISED, ".weight"): one.detach() for name, one in model.named_parameters() if one.dim() > 1}
    return {name: one for name, one in found.items() if one.numel() > 1}


def _best(weight: StoredWeight, free: dict[str, torch.Tensor]) -> tuple[str, torch.Tensor | None]:
    best: tuple[float, str, torch.Tensor | None] = (_ALIKE, "", None)
    for name, kernel in free.items():
        bonus = 1.0 if any(source.startswith(name) for source in weight.sources) else 0.0
        for arranged in _arrangements(weight.values, tuple(kernel.shape)):
            likeness = _cosine(arranged, kernel) + bonus
            if likeness > best[0]:
                best = (likeness, name, arranged)
    return best[1], best[2]


def _arrangements(values: Array, shape: tuple[int, ...]) -> list[torch.Tensor]:
    """The file's numbers in all orders of axes that give the shape; axes of length 1 do not count."""
    core, wanted = values.squeeze(), tuple(one for one in shape if one != 1)
    if core.ndim > 4 or sorted(core.shape) != sorted(wanted):
        return []
    orders = [one for one in itertools.permutations(range(core.ndim)) if tuple(core.shape[i] for i in one) == wanted]
    return [torch.from_numpy(np.ascontiguousarray(core.transpose(one)).reshape(shape)) for one in orders]


def _cosine(one: torch.Tensor, other: torch.Tensor) -> float:
    length = float(one.norm() * other.norm())
    return float((one * other).sum()) / length if length > 0 else float(one.norm() == other.norm())


def _named(layer: Layer, name: str, values: torch.Tensor, model: nn.Module, counts: dict[str, int]) -> Layer:
    owner = name.rpartition(".")[0]
    module = dict(model.named_modules()).get(owner, model)
    kind = type(module).__name__.removeprefix("Parametrized")
    shown = owner if name.endswith(".weight") else name
    return _changed(layer, name=shown, kind=kind, shape=list(values.shape), macs=counts.get(owner))


def _changed(layer: Layer, **facts: object) -> Layer:
    return msgspec.structs.replace(layer, **facts)


def _noted(layer: Layer, note: str) -> Layer:
    return _changed(layer, note="; ".join(one for one in (layer.note, note) if one))


def _attributed(rows: list[_Row], original: nn.Module, source: Source) -> list[_Row]:
    known = [one for one in rows if one.values is not None]
    first = _kernels(original)
    reshaped = {one.parameter for one in known if one.parameter not in first or list(first[one.parameter].shape) != one.layer.shape}
    base = source.model if reshaped else original
    chosen = sorted(known, key=lambda one: -_size(one))[:_MOST_LAYERS]
    bench = _Bench(base, source.task, _examples(source, len(chosen)))
    found = {one.parameter: bench.swapped(one) for one in chosen}
    total = sum(error for error, _, _ in found.values())
    return [_told(one, found.get(one.parameter), total, bench.size, reshaped) for one in rows]


def _size(row: _Row) -> int:
    return row.values.numel() if row.values is not None else 0


def _examples(source: Source, layers: int) -> Split:
    """The first examples to judge on, as many as the time allows; fixed by the model, not by a clock."""
    work = max(macs(source.model, tuple(source.example(1).values()))[""], parameters(source.model), 1)
    count = int(min(_EXAMPLES, max(_FEWEST_EXAMPLES, _BUDGET / (work * max(1, layers)))))
    return source.judging.take(slice(0, count))


class _Bench:
    """A copy of a model that answers the same examples with one layer changed at a time."""

    def __init__(self, base: nn.Module, task: Task, split: Split) -> None:
        self._model = copy.deepcopy(base).eval()
        self._kernels = _kernels(self._model)
        self._task = task
        self._inputs = tensors(split)
        self._targets = split.targets
        self._norms = any(isinstance(one, nn.modules.batchnorm._BatchNorm) for one in base.modules())
        self._answers = self._run()
        self._value = self._figure(self._answers)
        self.size = float((self._answers[0].double() ** 2).sum())

    def swapped(self, row: _Row) -> tuple[float, float | None, bool]:
        """Squared change of the first output, drop of the metric, and whether batch norm's factor was taken out."""
        assert row.values is not None
        kernel = self._kernels[row.parameter]
        before = kernel.clone()
        values, folded = _unfolded(row.values, before) if self._norms else (row.values, False)
        kernel.copy_(values)
        answers = self._run()
        kernel.copy_(before)
        error = float(((answers[0].double() - self._answers[0].double()) ** 2).sum())
        return error, self._cost(self._figure(answers)), folded

    @torch.no_grad()
    def _run(self) -> tuple[torch.Tensor, ...]:
        return forward(self._model, self._inputs)

    def _figure(self, answers: tuple[torch.Tensor, ...]) -> float | None:
        """The metric; None where so few examples have none."""
        outputs = {name: one.numpy() for name, one in zip(self._task.outputs, answers, strict=True)}
        try:
            with blaming("the metric"):
                return self._task.judged_by.value(outputs, self._targets)
        except ArgosyError:
            return None

    def _cost(self, value: float | None) -> float | None:
        if value is None or self._value is None:
            return None
        return (self._value - value) * (1 if self._task.judged_by.higher_is_better else -1)


def _unfolded(values: torch.Tensor, before: torch.Tensor) -> tuple[torch.Tensor, bool]:
    """Weights without the factor of a batch norm that an exporter folded into them, one for each output channel.

    The factor is the least-squares one; it counts as folding when it explains most of a change that is no rounding.
    """
    flat, old = values.flatten(1), before.flatten(1)
    power = (old**2).sum(1, keepdim=True)
    factor = torch.where(power > 0, (flat * old).sum(1, keepdim=True) / power.clamp_min(1e-30), torch.ones_like(power))
    plain, left = float((flat - old).norm()), float((flat - factor * old).norm())
    if factor.abs().min() < 1e-6 or plain < _FOLDED_ABOVE * float(old.norm()) or left > _FOLDED_BELOW * plain:
        return values, False
    return (flat / factor).reshape(values.shape), True


def _told(row: _Row, found: tuple[float, float | None, bool] | None, total: float, size: float, reshaped: set[str]) -> _Row:
    """The row with what attribution found."""
    layer = row.layer
    if row.values is not None and found is None:
        layer = _noted(layer, _NOT_THE_LARGEST)
    if found is not None:
        error, cost, folded = found
        share = error / total if total > _NO_ERROR * max(size, 1e-30) else None
        layer = _changed(layer, error_share=share, accuracy_cost=cost)
        layer = _noted(layer, _FOLDED) if folded else layer
        if reshaped:
            layer = _noted(layer, _RESHAPED if row.parameter in reshaped else _AFTER)
    return replace(row, layer=layer)
