"""Requests for probing a ready model: from a user's npz, or made up."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from argosy.errors import InvalidInput
from argosy.protocol.card import TensorSpec
from argosy_controller.pipeline.files.probes import COUNT
from argosy_controller.pipeline.spelling import nearest
from argosy_controller.pipeline.task import Array

_MAX_BYTES = 1 << 30
_BROKEN = (OSError, EOFError, zipfile.BadZipFile, zlib.error, KeyError, NotImplementedError, RuntimeError)
Request = dict[str, Array]


def sample_requests(path: Path, inputs: Sequence[TensorSpec]) -> tuple[list[Request], str]:
    """The first 8 examples of a sample, one request each, and a sentence that says so.

    An array holds examples along a leading dimension of its own, or along the model's first dimension where that is free
    or 1. An array that is exactly one input tensor (a sampling rate, an initial state) is used for every example.

    Raises:
        InvalidInput: it cannot be read, holds pickled objects, or a name, shape, dtype or count does not fit.
    """
    split, count = _split(path, inputs)
    requests = [{name: parts[i if len(parts) > 1 else 0] for name, parts in split.items()} for i in range(min(count, COUNT))]
    return requests, f"probes are the first {len(requests)} of {count} examples of {path.name}"


def sample_examples(path: Path, inputs: Sequence[TensorSpec]) -> dict[str, Array]:
    """All examples of a sample, by name in the order of the inputs: arrays along the first dimension where all of them lie so.

    Where one does not (a state whose batch is its second dimension, a scalar), all are `Whole` examples. Raises as
    `sample_requests`.
    """
    split, count = _split(path, inputs)
    parts = {spec.name: split[spec.name] * (1 if len(split[spec.name]) > 1 else count) for spec in inputs}
    if all(spec.shape and spec.shape[0] in (None, 1) and parts[spec.name][0].shape[0] == 1 for spec in inputs):
        return {name: np.concatenate(found) for name, found in parts.items()}
    return {name: cast(Array, Whole(found)) for name, found in parts.items()}


class Whole:
    """Examples of one input, each as the model takes it alone. Stands where an array (examples, ...) stands, for one at a time."""

    def __init__(self, parts: Sequence[Array]) -> None:
        self._parts = list(parts)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of each."""
        return self._parts[0].dtype

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, index: slice) -> Whole:
        return Whole(self._parts[index])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if len(self._parts) != 1:
            raise InvalidInput(f"{len(self._parts)} examples of this model make no batch: it takes one at a time")
        return np.array(self._parts[0], dtype=dtype)

    def copy(self) -> Array:
        """The one example."""
        return np.asarray(self)


def _split(path: Path, inputs: Sequence[TensorSpec]) -> tuple[dict[str, list[Array]], int]:
    """Per input its examples (or the one for all), and how many there are."""
    arrays = _read(path)
    known = {spec.name: spec for spec in inputs}
    for name in arrays:
        if name not in known:
            raise InvalidInput(f"sample {path.name} has an array {name!r:.80}, which is no input of the model{nearest(name, known)}")
    missing = [name for name in known if name not in arrays]
    if missing:
        raise InvalidInput(f"sample {path.name} lacks an array for input {missing[0]!r}: save it as numpy.savez(FILE, {missing[0]}=...)")
    split = {name: _examples(path.name, known[name], array) for name, array in arrays.items()}
    return split, _count(path.name, split)


def random_requests(inputs: Sequence[TensorSpec], seed: int) -> tuple[list[Request], str]:
    """Seeded standard normal inputs, free dimensions 1.

    Raises:
        InvalidInput: an input is no float: made-up integers and texts (indices, codes) mean nothing to a model.
    """
    for spec in inputs:
        if not spec.dtype.startswith("float"):
            raise InvalidInput(f"input {spec.name!r} takes {spec.dtype}, for which inputs cannot be made up: give real ones with --sample")
    random = np.random.default_rng(seed)
    requests = [{spec.name: _normal(random, spec) for spec in inputs} for _ in range(COUNT)]
    return requests, f"probes are {COUNT} random inputs (standard normal, seed {seed}): give real ones with --sample where you can"


def _normal(random: np.random.Generator, spec: TensorSpec) -> Array:
    return np.asarray(random.standard_normal([size or 1 for size in spec.shape]), dtype=spec.dtype)


def _read(path: Path) -> dict[str, Array]:
    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(entry.file_size for entry in archive.infolist())
        if total > _MAX_BYTES:
            raise InvalidInput(f"sample {path.name} unpacks to {total} bytes, at most {_MAX_BYTES} are read: a few examples are enough")
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except FileNotFoundError as error:
        raise InvalidInput(f"sample {path} does not exist: check its name") from error
    except ValueError as error:
        if "pickle" in str(error):
            raise InvalidInput(f"sample {path.name} holds pickled Python objects, which are never opened: save plain arrays") from error
        raise InvalidInput(f"sample {path.name} is a damaged npz file ({error})") from error
    except _BROKEN as error:
        raise InvalidInput(f"sample {path.name} is no npz file that can be read: make it with numpy.savez(FILE, NAME=array)") from error


def _examples(file: str, spec: TensorSpec, array: Array) -> list[Array]:
    if _dtype_name(array) != spec.dtype:
        raise InvalidInput(f"sample {file}: input {spec.name!r} has dtype {array.dtype}, the model takes {spec.dtype}")
    if array.ndim == len(spec.shape) + 1 and _fits(spec.shape, array.shape[1:]) and len(array):
        return list(array)
    if array.ndim == len(spec.shape) and array.size:
        if spec.shape and spec.shape[0] in (None, 1) and _fits(spec.shape[1:], array.shape[1:]):
            return [array[i : i + 1] for i in range(len(array))]
        if _fits(spec.shape, array.shape):
            return [array]
    wanted = ", ".join("any" if size is None else str(size) for size in spec.shape)
    raise InvalidInput(
        f"sample {file}: input {spec.name!r} has shape {list(array.shape)}, "
        f"the model takes [{wanted}] per example: put the examples along the first dimension"
    )


def _dtype_name(array: Array) -> str:
    return "str" if array.dtype.kind in "US" else array.dtype.name


def _fits(wanted: Sequence[int | None], shape: Sequence[int]) -> bool:
    return len(wanted) == len(shape) and all(one is None or one == size for one, size in zip(wanted, shape, strict=True))


def _count(file: str, split: Mapping[str, list[Array]]) -> int:
    counts = {name: len(parts) for name, parts in split.items() if len(parts) > 1}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise InvalidInput(f"sample {file}: the inputs have different numbers of examples ({told}): give as many of each")
    return max(counts.values(), default=1)
