"""From torch to a TFLite file whose batch is free, where that can be proven; else to one that takes one example at a time.

litert-torch is asked for batches of two sizes; what differs is the batch (tflite_batch). That is evidence, no proof: the file must
also answer batches that nobody converted it for, as the model answers each example alone, with XNNPACK and without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from argosy_controller.pipeline.exporters.interface import Source
from argosy_controller.pipeline.exporters.refusals import refusal
from argosy_controller.pipeline.exporters.tflite_batch import SIZES, Bound, fixed, freed, is_free, spread
from argosy_controller.pipeline.exporters.tflite_gather import gathering
from argosy_controller.pipeline.files.engines import TFLiteEngine
from argosy_controller.pipeline.files.needs_tflite import used, why_newer_only
from argosy_controller.pipeline.numbers.evaluation import as_declared
from argosy_controller.pipeline.task import Array

if TYPE_CHECKING:
    from torch import nn

#: Batches that a file must answer rightly.
_TRIED = (1, 3, 5)
#: Of an output's size, how far an answer in a batch may be off: the order of additions moves it less, another computation more.
#: In coarse numbers one rounding that goes the other way moves an answer by a step.
_LOOSE, _LOOSE_COARSE = 1e-3, 2e-2
_ONE = "takes one example at a time: "


def convert(source: Source, path: Path) -> None:
    """Writes the file; a note says why it takes one example at a time, where it does.

    Raises:
        Exception: whatever litert-torch says of a model that it does not convert.
    """
    from ai_edge_litert.tools import flatbuffer_utils as flatbuffers

    try:
        if not all(isinstance(one, np.ndarray) for one in source.calibration.inputs.values()):
            raise Bound("its examples have no dimension of their own")
        flatbuffers.write_model(freed(*(_converted(source, path, size) for size in SIZES)), str(path))
        _check_batches(path, source.arrays(slice(0, max(_TRIED))), _wanted(source), _LOOSE)
    except Exception as error:  # torch and litert-torch raise what they like
        flatbuffers.write_model(_converted(source, path, 1), str(path))
        source.note(path, _ONE + (str(error) if isinstance(error, Bound) else f"for more it does not convert ({refusal(error)[:200]})"))


def settle(source: Source, path: Path) -> str:
    """Looks at a file that was made of a free one, and fixes its batch where it must not stay free; the reason, or nothing.

    It must answer a batch as it answers each example alone. tflite-runtime 2.14 gets some quantised layers wrong in batches only:
    a device that has it is served by a file for one example at a time rather than by none.
    """
    from ai_edge_litert.tools import flatbuffer_utils as flatbuffers

    model = flatbuffers.read_model_from_bytearray(bytearray(path.read_bytes()))
    if not is_free(model):
        return ""
    spread(model)
    flatbuffers.write_model(model, str(path))
    reason = why_newer_only(used(path))
    try:
        _check_batches(path, source.arrays(slice(0, max(_TRIED))), {}, _LOOSE_COARSE)
    except Bound as error:
        flatbuffers.write_model(fixed(model), str(path))
        return f"{_ONE}{error}"
    if not reason:
        return ""
    flatbuffers.write_model(fixed(model), str(path))
    if not why_newer_only(used(path)):
        return f"{_ONE}of more, {reason.partition(': ')[2]}"
    flatbuffers.write_model(model, str(path))
    return ""


def _converted(source: Source, scratch: Path, size: int) -> Any:
    """The model with so many examples at a time, as an object."""
    import litert_torch
    import torch
    from ai_edge_litert.tools import flatbuffer_utils as flatbuffers

    examples = source.example(size)
    if size > 1:  # there may be fewer
        examples = {name: torch.cat([one] * size)[:size] for name, one in examples.items()}
    with gathering():
        litert_torch.convert(_named(source), sample_kwargs=examples).export(str(scratch))
    return flatbuffers.read_model_from_bytearray(bytearray(scratch.read_bytes()))  # read_model would map the file, which is written again


def _named(source: Source) -> nn.Module:
    from torch import nn

    from argosy_controller.pipeline.training import forward

    class Named(nn.Module):
        """Takes inputs and gives outputs by public name."""

        def __init__(self) -> None:
            super().__init__()
            self.model = source.network

        def forward(self, **inputs: object) -> dict[str, object]:
            ordered = [inputs[name] for name in source.calibration.inputs]
            return dict(zip(source.outputs, forward(self.model, ordered), strict=True))  # type: ignore[arg-type]

    return Named().eval()


def _wanted(source: Source) -> dict[str, Array]:
    """What the model answers to each example alone, of its outputs that are no whole numbers: of those, a tie may go either way."""
    import torch

    from argosy_controller.pipeline.training import forward

    given = list(source.example(max(_TRIED)).values())
    with torch.no_grad():
        each = [forward(source.network, [one[i : i + 1] for one in given]) for i in range(len(given[0]))]
    found = {name: torch.cat([one[k] for one in each]).numpy() for k, name in enumerate(source.outputs)}
    return {name: one for name, one in found.items() if one.dtype.kind == "f"}


def _check_batches(path: Path, examples: Mapping[str, Array], wanted: Mapping[str, Array], loose: float) -> None:
    """That a file answers each example in a batch as it is answered alone.

    Args:
        wanted: answers to each example, where somebody else knows them; else the file's own count.

    Raises:
        Bound: it does not, or fails.
    """
    count = len(next(iter(examples.values())))
    for plain in (False, True):
        try:
            engine = TFLiteEngine(path, plain)
            asked = as_declared(examples, engine.inputs)
            alone = [engine.run({name: one[i : i + 1] for name, one in asked.items()}) for i in range(count)]
            right = {name: np.concatenate([one[name] for one in alone]) for name in alone[0]} | dict(wanted)
            for size in _TRIED:
                places = np.arange(size) % count
                got = engine.run({name: np.ascontiguousarray(one[places]) for name, one in asked.items()})
                _check_answers(got, {name: one[places] for name, one in right.items()}, loose)
        except (ValueError, RuntimeError) as error:
            raise Bound("converted for more, it does not run") from error


def _check_answers(got: Mapping[str, Array], right: Mapping[str, Array], loose: float) -> None:
    for name, one in right.items():
        if got[name].shape != one.shape:
            raise Bound(f"in a batch, output {name!r} has another shape")
        off = np.abs(got[name].astype(np.float64) - one.astype(np.float64))
        allowed = loose * float(np.abs(one.astype(np.float64)).max(initial=0)) if one.dtype.kind == "f" else 0.0
        if not (off <= allowed + 1e-6).all():
            raise Bound(f"in a batch, it gives another output {name!r}")
