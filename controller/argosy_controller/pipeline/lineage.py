"""Where a variant comes from, in facts that do not change from run to run: versions, fingerprints, options."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import msgspec
import numpy as np

from argosy import __version__
from argosy_controller.pipeline.options import Config
from argosy_controller.pipeline.recipes.recipe import Step
from argosy_controller.pipeline.task import Array, Data, Split

_PACKAGES = (
    "torch",
    "torch-pruning",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "litert-torch",
    "ai-edge-litert",
    "ai-edge-quantizer",
    "coremltools",
    "scikit-learn",
    "skl2onnx",
    "numpy",
)


def sha256_file(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(data: Data) -> str:
    """A digest of all examples and targets, their order, dtypes and shapes."""
    digest = hashlib.sha256()
    for split in (data.train, data.calibrating, data.test):
        for part in _arrays(split):
            digest.update(f"{part.dtype.str}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()


def _arrays(split: Split) -> Iterable[Array]:
    yield from (split.inputs[name] for name in split.inputs)
    yield split.targets


def packages(names: Iterable[str] = _PACKAGES) -> dict[str, str]:
    """Installed versions, Argosy's and Python's first."""
    here = {name: found.version for name in names for found in metadata.distributions(name=name)}
    return {"argosy": __version__, "python": platform.python_version(), **here}


def machine(threads: int) -> dict[str, str]:
    """What else decides about bytes: the same seed gives the same ones on the same machine with as many threads."""
    return {"machine": platform.machine(), "cpus": str(os.cpu_count() or 1), "threads": str(threads)}


def spelled(steps: Iterable[Step]) -> str:
    """Passes in one line, with the options that differ from their defaults: `prune-channels(share=0.6) > finetune(epochs=4)`."""
    return " > ".join(f"{one.use}({', '.join(f'{key}={value}' for key, value in chosen(one.config).items())})" for one in steps)


def chosen(config: Config) -> dict[str, object]:
    """The options that differ from their defaults."""
    usual = msgspec.structs.asdict(type(config)())
    return {key: value for key, value in msgspec.structs.asdict(config).items() if value != usual[key]}
