"""That what was imported computes what the file computes; and what to try it on where nobody gave an example."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from argosy.errors import InvalidInput
from argosy_controller.pipeline.sources.onnx_to_torch.importing import Imported
from argosy_controller.pipeline.task import Array

#: Of an output's size, what another order of additions in single precision may change.
_LARGEST_LOSS = 1e-4


def checked(found: Imported, session: Any, example: Mapping[str, Array], file: str) -> Imported:
    """The same, if it answers the example as onnxruntime does.

    Args:
        session: of onnxruntime, with the file.

    Raises:
        InvalidInput: it does not.
    """
    names = [one.name for one in session.get_outputs()]
    wanted = session.run(names, dict(example))
    with torch.no_grad():
        got = found.network(*(torch.from_numpy(np.array(example[one.name])) for one in session.get_inputs()))
    for name, one, other in zip(names, wanted, got, strict=True):
        off = _off(np.asarray(one), other.numpy())
        if not off <= _LARGEST_LOSS:
            raise InvalidInput(
                f"{file} does not convert: its output {name!r:.80} would be off by {off:.3g} of its size; take ONNX variants"
            )
    return found


def _off(wanted: Array, got: Array) -> float:
    if wanted.shape != got.shape:
        return float("inf")
    if wanted.dtype.kind != "f":
        return float((wanted != got).any())
    size = max(1.0, float(np.abs(wanted).max(initial=0.0)))
    return float(np.abs(wanted.astype(np.float64) - got).max(initial=0.0)) / size


def made_up(session: Any, file: str) -> dict[str, Array]:
    """Seeded standard normal inputs of one example.

    Raises:
        InvalidInput: an input is no float, or has a free size beside its first: only real inputs can say what is meant.
    """
    random = np.random.default_rng(0)
    found: dict[str, Array] = {}
    for one in session.get_inputs():
        if one.type != "tensor(float)":
            raise InvalidInput(
                f"{file}: input {one.name!r:.80} is a {one.type}, for which nothing can be made up: give real ones with --sample"
            )
        free = [i for i, size in enumerate(one.shape) if not isinstance(size, int) or size <= 0]
        if free and free != [0]:
            raise InvalidInput(
                f"{file}: input {one.name!r:.80} has a free size in place {free[-1] + 1}, "
                "and TFLite and Core ML files have fixed ones: give inputs of the size that you want with --sample"
            )
        found[one.name] = random.standard_normal([1 if i in free else size for i, size in enumerate(one.shape)]).astype(np.float32)
    return found
