"""Golden probes: reading `probes.npz` without trusting it, and comparing answers by the card's rule."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from argosy.errors import InvalidInput
from argosy.protocol.card import PROBES_FILE, Card, Probes, TensorSpec
from argosy_agent.runtimes.session import Array, fits, is_string, same_dtype

#: The most that all probes may take in memory, in bytes.
MAX_PROBES_BYTES = 256 << 20
_BROKEN = (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, MemoryError)


@dataclass(frozen=True)
class Golden:
    """All probes of a card: arrays by tensor name, first axis the probe."""

    count: int
    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]

    def pairs(self) -> Iterator[tuple[dict[str, Array], dict[str, Array]]]:
        """Inputs and expected outputs of each probe in turn."""
        for number in range(self.count):
            yield (
                {name: values[number] for name, values in self.inputs.items()},
                {name: values[number] for name, values in self.outputs.items()},
            )


def read_golden(folder: Path, card: Card) -> Golden | None:
    """The probes in a variant's folder; None when the card has none.

    Raises:
        InvalidInput: the file is missing, broken, too large when unpacked, holds Python objects, or does not fit the card.
    """
    if card.probes is None:
        return None
    try:
        arrays = _arrays(folder / PROBES_FILE)
    except _BROKEN as error:
        raise InvalidInput(f"{PROBES_FILE} cannot be read ({type(error).__name__}: {error})") from error
    count = card.probes.count
    return Golden(count, _taken(arrays, "in", card.inputs, count), _taken(arrays, "out", card.outputs, count))


def first_difference(got: Mapping[str, Array], expected: Mapping[str, Array], rule: Probes) -> str:
    """What differs first between two answers, for people; empty when they agree by the card's rule.

    Numbers agree when `|got - expected| <= atol + rtol * |expected|`, integers of 8 and 16 bits (quantised) when they are at most
    `steps` apart; longer integers, booleans and strings when they are equal.
    """
    for name, wanted in expected.items():
        found = got[name]
        if found.shape != wanted.shape:
            return f"output {name!r} has shape {list(found.shape)} where {list(wanted.shape)} was expected"
        same = _agree(found, wanted, rule)
        if not same.all():
            at = tuple(int(i) for i in np.argwhere(~same)[0])
            return f"output {name!r} at {list(at)} is {found[at]!s:.40} where {wanted[at]!s:.40} was expected{_tolerance(wanted, rule)}"
    return ""


def _arrays(path: Path) -> dict[str, Array]:
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > MAX_PROBES_BYTES:
            raise ValueError(f"{unpacked} bytes when unpacked, at most {MAX_PROBES_BYTES} are allowed")
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def _taken(arrays: Mapping[str, Array], prefix: str, specs: list[TensorSpec], count: int) -> dict[str, Array]:
    taken = {}
    for spec in specs:
        values = arrays.get(f"{prefix}.{spec.name}")
        if values is None:
            raise InvalidInput(f"{PROBES_FILE} has no array '{prefix}.{spec.name}', which the card promises")
        if count < 1 or len(values.shape) < 1 or len(values) != count or not fits(spec.shape, values.shape[1:]):
            raise InvalidInput(
                f"{PROBES_FILE}: '{prefix}.{spec.name}' has shape {list(values.shape)}, the card promises {count} of its tensors"
            )
        if not same_dtype(spec.dtype, values.dtype):
            raise InvalidInput(f"{PROBES_FILE}: '{prefix}.{spec.name}' has dtype {values.dtype}, the card says {spec.dtype}")
        taken[spec.name] = values
    return taken


def _agree(found: Array, wanted: Array, rule: Probes) -> NDBool:
    if _is_quantised(wanted) and _is_quantised(found):
        return np.asarray(np.abs(found.astype(np.int64) - wanted) <= rule.steps)
    if wanted.dtype.kind not in "fc" or found.dtype.kind not in "fc":
        return np.asarray(_plain(found) == _plain(wanted))
    with np.errstate(invalid="ignore", over="ignore"):
        # Equal covers infinities, whose difference is no number; two NaN are the same answer as the signed one.
        near = np.abs(found.astype(np.float64) - wanted) <= rule.atol + rule.rtol * np.abs(wanted.astype(np.float64))
        finite = np.isfinite(found) & np.isfinite(wanted)
        return np.asarray((near & finite) | (found == wanted) | (np.isnan(found) & np.isnan(wanted)))


def _is_quantised(values: Array) -> bool:
    return values.dtype.kind in "iu" and values.dtype.itemsize <= 2


def _plain(values: Array) -> Array:
    return values.astype(str) if is_string(values.dtype.name) or values.dtype.kind == "S" else values


def _tolerance(wanted: Array, rule: Probes) -> str:
    if _is_quantised(wanted):
        return f" (within {rule.steps} steps)"
    return f" (within {rule.atol:g} + {rule.rtol:g} of it)" if wanted.dtype.kind in "fc" else ""


NDBool = np.ndarray[Any, np.dtype[np.bool_]]
