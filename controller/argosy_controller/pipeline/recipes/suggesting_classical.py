"""A first recipe's passes and variants for an estimator of scikit-learn."""

from __future__ import annotations

from typing import Literal

from argosy_controller.pipeline.processes.messages import Aim

#: What passes make of it: `linear` is every other estimator with a matrix of weights.
Estimator = Literal["", "tree", "forest", "machine", "perceptron", "linear", "other"]
_VALIDATION = "# {} chooses by validation data, and this task holds none back: return Data(..., validation=Split(...)) to use it"
_THIN = 'use = "thin-forest"        # trees that the others can do without go'
_PRUNE = 'use = "prune-tree"         # branches that win too little become leaves'
_REDUCE = 'use = "reduce-vectors"     # fewer support vectors: smaller and faster on every engine'
_ROUND = '[[passes]]\nuse = "round-thresholds"   # 16-bit thresholds where no training example goes another way: packs smaller'
_CHOOSING = {"tree": (_PRUNE,), "forest": (_THIN, _PRUNE), "machine": (_REDUCE,)}


def classical_passes(estimator: Estimator, aim: Aim, validation: bool, drop: float | None) -> list[str]:
    """Passes that fit it, each with its reason; a comment where they lack validation data.

    Args:
        drop: what the test set can decide; each pass may take a quarter of it on validation data.
    """
    if aim == "accuracy":
        return []
    found = [_pass(one, drop) if validation else _VALIDATION.format(one.split('"')[1]) for one in _CHOOSING.get(estimator, ())]
    return found + ([_ROUND] if estimator in ("tree", "forest") and aim == "size" else [])


def _pass(use: str, drop: float | None) -> str:
    share = f"{(drop or 0.02) / 4:g}"
    return "\n".join(["[[passes]]", use, f"drop_at_most = {share}".ljust(27) + "# of the metric, on validation data"])


def classical_variants(estimator: Estimator, aim: Aim) -> list[str]:
    """Files for every device; 8 bits where there are matrices of weights."""
    found = [
        '[[variants]]\nuse = "onnx-fp32"  # single precision: the same label as scikit-learn\'s',
        '[[variants]]\nuse = "tflite-fp32"  # for small devices',
    ]
    if estimator in ("perceptron", "machine") and aim != "accuracy":
        found.append('[[variants]]\nuse = "tflite-int8-dynamic"  # 8-bit weights; the columns may keep their different units')
    return found


def classical_summary(estimator: Estimator, aim: Aim) -> str:
    """What the recipe does, in a few words."""
    if aim == "accuracy" or estimator not in _CHOOSING:
        return "as fitted, in several forms"
    return {"tree": "a pruned tree", "forest": "fewer and smaller trees", "machine": "fewer support vectors"}[estimator]
