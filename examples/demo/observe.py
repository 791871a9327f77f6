"""The observer: believes nobody. It reads what the clients wrote down, hashes files again, and asks the API as an operator would."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

#: A swap, as a client sees it, with the loading and proving before it: requests in this time count as "swapping", seconds.
BEFORE_SWAP_S, AFTER_SWAP_S = 3.0, 1.0


@dataclass(frozen=True)
class Request:
    """One line of a client: seconds since 1970, microseconds, whether it was answered well, and by which version."""

    at: float
    took_us: float
    good: bool
    version: str


def requests_of(folder: Path, device: str) -> list[Request]:
    """What the client of one device wrote down, in order; a line that is being written now is left for the next look."""
    try:
        text = (folder / f"{device}.csv").read_text()
    except FileNotFoundError:
        return []
    rows = (line.split(",") for line in text[: text.rfind("\n") + 1].splitlines())
    return [Request(float(at), float(took), good == "1", version) for at, took, good, version in rows]


def versions_in_order(requests: Iterable[Request]) -> list[str]:
    """The versions that answered, each change once: ["1", "2", "3", "2"] is a way back."""
    order: list[str] = []
    for one in requests:
        if one.good and (not order or order[-1] != one.version):
            order.append(one.version)
    return order


def changes(requests: list[Request]) -> list[float]:
    """When a client first heard from another version than before."""
    good = [one for one in requests if one.good]
    return [after.at for before, after in pairwise(good) if before.version != after.version]


def split_by_swaps(requests: list[Request], without: str) -> tuple[list[float], list[float]]:
    """Latencies in microseconds: steady, and around swaps. Answers of version `without` belong to neither: it is slow on purpose."""
    around = [(at - BEFORE_SWAP_S, at + AFTER_SWAP_S) for at in changes(requests)]
    steady: list[float] = []
    swapping: list[float] = []
    for one in requests:
        if one.good and one.version != without:
            near = any(start <= one.at <= end for start, end in around)
            (swapping if near else steady).append(one.took_us)
    return steady, swapping


def percentile(values: list[float], share: float) -> float | None:
    """The value below which a share of them lies; None for none."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else None


def served_file(state: Path, slot: dict[str, Any]) -> Path:
    """The model file that a device's slot serves, on the device's own disk."""
    folder = state / "variants" / f"{slot['model']}@{slot['version']}+{slot['variant']}"
    return next(path for path in folder.iterdir() if path.name.startswith("model."))


def sha256_of(path: Path) -> str:
    """The digest of a file's bytes as they lie there now."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def desired_envelope(data: Path, device: str) -> bytes:
    """The signed document that the controller made for a device, read from its database without asking it."""
    return bytes(_ask(data, "SELECT envelope FROM desired WHERE device = ?", device)[0][0])


def count_windows(data: Path, slot: str) -> tuple[int, int, int]:
    """Telemetry in the database: windows, requests, errors."""
    windows, requests, errors = _ask(data, "SELECT count(*), total(requests), total(errors) FROM window WHERE slot = ?", slot)[0]
    return int(windows), int(requests), int(errors)


def _ask(data: Path, question: str, *values: str) -> list[Any]:
    connection = sqlite3.connect(f"file:{data / 'argosy.db'}?mode=ro", uri=True, timeout=10)
    try:
        return connection.execute(question, values).fetchall()
    finally:
        connection.close()


def stock_client_gets(endpoints: dict[str, Any], root: bytes, target: str) -> str:
    """The sha256 of a target as an untouched TUF client downloads it: it knows nothing of this project, only the root."""
    from tuf.ngclient import Updater

    with tempfile.TemporaryDirectory() as folder:
        updater = Updater(
            metadata_dir=f"{folder}/metadata",
            metadata_base_url=endpoints["tuf_metadata"],
            target_dir=folder,
            target_base_url=endpoints["tuf_targets"],
            bootstrap=root,
        )
        found = updater.get_targetinfo(target)
        if found is None:
            return "unknown to the repository"
        return sha256_of(Path(updater.download_target(found)))


def first_root(state: Path) -> bytes:
    """The trusted root on a device, as bytes."""
    return (state / "tuf" / "root.json").read_bytes()


def write_samples(bundle: Path, out: Path) -> int:
    """Takes the golden inputs of a bundle for the clients to ask with; returns how many there are."""
    import numpy as np

    kinds = {"float32": "FP32", "float64": "FP64", "int64": "INT64", "int32": "INT32", "uint8": "UINT8"}
    source = next(path for path in sorted(bundle.glob("variants/*/probes.npz")) if "onnx-fp32" in str(path))
    inputs: dict[str, Any] = {}
    count = 0
    with np.load(source, allow_pickle=False) as probes:
        for name in probes.files:
            if name.startswith("in."):
                array = probes[name]
                count, shape = len(array), [int(n) for n in array.shape[1:]]
                rows = [row.ravel().tolist() for row in array]
                inputs[name[3:]] = {"datatype": kinds[array.dtype.name], "shape": shape, "rows": rows}
    out.write_text(json.dumps({"count": count, "inputs": inputs}))
    return count
