"""Model runtimes: which are here, and how a variant is loaded into one.

Finding out imports nothing, so the supervisor may ask; loading imports the runtime and belongs in worker, probe, or the
user's own process.
"""

from __future__ import annotations

import os
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from argosy.errors import InvalidInput, Unavailable
from argosy.matching import runtime_for
from argosy.protocol.reported import Capabilities, Runtime

if TYPE_CHECKING:
    from argosy.protocol.card import Card
    from argosy_agent.runtimes.session import Session

# onnxruntime (seen in 1.32) reports its use to its maker over HTTPS. Nothing leaves a device but what the agent reports;
# the library reads this when it is loaded, which happens in this package and nowhere else.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

#: Runtime name: the module that is looked for, the distributions it may come from, the formats it runs; in order of preference.
_KNOWN: dict[str, tuple[str, tuple[str, ...], list[str]]] = {
    "onnxruntime": ("onnxruntime", ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino"), ["onnx"]),
    "ai-edge-litert": ("ai_edge_litert", ("ai-edge-litert", "ai-edge-litert-nightly"), ["tflite"]),
    "tflite-runtime": ("tflite_runtime", ("tflite-runtime",), ["tflite"]),
}


def available() -> list[Runtime]:
    """The runtimes that are installed here, in order of preference; none is imported.

    A version that the installation does not tell (a vendor's own build) is `unknown`.
    """
    return [
        Runtime(name=name, version=_version(distributions), formats=list(formats))
        for name, (module, distributions, formats) in _KNOWN.items()
        if find_spec(module) is not None
    ]


def choose(card: Card, runtimes: list[Runtime]) -> str:
    """The first of `runtimes` that runs a variant.

    Raises:
        Unavailable: none does.
    """
    name, why = runtime_for(card, Capabilities(runtimes=runtimes))
    if not name:
        here = ", ".join(runtime.name for runtime in runtimes) or "none"
        raise Unavailable(f"no runtime on this device runs {card.variant}: {why} (installed: {here}): install one that does")
    return name


def lets_others_run(runtime: str) -> bool:
    """Whether other Python threads run while this runtime loads a model: TFLite keeps the interpreter lock (measured)."""
    return runtime == "onnxruntime"


def load(folder: Path, card: Card, runtime: str, threads: int = 1, copies: int = 1) -> Session:
    """Loads a variant.

    Args:
        folder: the variant's folder; its model file is trusted to be the one that the card names.
        card: the card in it.
        runtime: a name from `available`.
        threads: how many threads one run may use.
        copies: how many runs may go on at once where the runtime's interpreter serves one at a time (tflite); each copy
            costs the memory of the activations again.

    Raises:
        InvalidInput: the runtime is unknown or does not run the card's format, or the file is no model that it can load,
            or its inputs and outputs are not those of the card.
        Unavailable: the runtime is not installed here.
    """
    if runtime not in _KNOWN or card.format not in _KNOWN[runtime][2]:
        raise InvalidInput(f"runtime {runtime!r:.60} does not run the format {card.format!r:.20}: choose from {', '.join(_KNOWN)}")
    prepare(runtime)
    path = folder / card.model_file.name
    if runtime == "onnxruntime":
        from argosy_agent.runtimes.onnxruntime_session import OnnxSession

        return OnnxSession(path, card, threads)
    from argosy_agent.runtimes.tflite_session import TfliteSession

    return TfliteSession(path, card, _KNOWN[runtime][0], threads, copies)


def prepare(runtime: str) -> None:
    """Imports a runtime, which costs memory and time of its own, apart from any model's.

    Raises:
        Unavailable: it is not installed here, or its installation is broken.
    """
    module = _KNOWN[runtime][0] if runtime in _KNOWN else ""
    if not module or find_spec(module) is None:
        raise Unavailable(f"runtime {runtime!r:.60} is not installed in this Python environment: install it, or use another variant")
    try:
        import_module(module if runtime == "onnxruntime" else f"{module}.interpreter")
    except Exception as error:  # a broken installation may raise anything
        raise Unavailable(f"runtime {runtime!r} is installed but cannot be imported ({error!s:.200}): install it again") from error


def _version(distributions: tuple[str, ...]) -> str:
    installed = (found for name in distributions for found in metadata.distributions(name=name))
    first = next(installed, None)
    return "unknown" if first is None else first.version
