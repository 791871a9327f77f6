"""A first recipe for a task, from a few facts about it: what fits its layers, and goals that its test set can decide.

Pure text making, a comment for every line; it promises a good start, not the best recipe: that is what a search is for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import msgspec

from argosy_controller.pipeline.processes.messages import Aim
from argosy_controller.pipeline.recipes.suggesting_classical import Estimator, classical_passes, classical_summary, classical_variants

Family = Literal["convolutions", "dense", "other", "unknown"]
#: Drops in the metric's unit that people set as goals.
_DROPS = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2)
#: Of the test examples, what a good compressed model loses and wins against the trained one: half a point is lost in all.
_LOST, _WON = 0.015, 0.01
_SMALL_BYTES = 100_000
#: Below, most of a file is its frame: there is nothing to win by cutting.
_TINY_MODEL = 2000
_SMALL_MODEL = 20_000
#: Steps of the optimiser that win back what a cut cost, however few examples there are.
_STEPS = 200
_ROOM = 1.3
_FEWEST_EXAMPLES = 20


class TaskFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a recipe depends on.

    Attributes:
        metric: its name; `share`: it is a share of right answers; `bounded`: it lies between 0 and 1.
        train, test: numbers of examples.
        parameters: of the model; 0 when the task has none of its own.
        convolutions, dense, recurrent: how many such layers it has.
        slow_activations: sigmoids and tanhs, which cost much on small processors.
        floats: all inputs are floating-point numbers.
        epochs, batch_size, learning_rate: of the first training; 0 epochs: the model comes trained.
        estimator: what kind of scikit-learn's it is, empty for a network; `validation`: the task holds examples back for choices.
    """

    name: str
    metric: str
    share: bool
    bounded: bool
    train: int
    test: int
    parameters: int
    convolutions: int
    dense: int
    recurrent: int
    slow_activations: int
    floats: bool
    epochs: int
    batch_size: int
    learning_rate: float
    estimator: Estimator = ""
    validation: bool = False

    @property
    def family(self) -> Family:
        """What of compression fits the layers."""
        if self.parameters == 0:
            return "unknown"
        if self.recurrent:
            return "other"
        return "convolutions" if self.convolutions else "dense" if self.dense else "other"


def smallest_drop(examples: int, decides: Callable[[int, int, int, float], bool]) -> float | None:
    """The smallest usual drop that a test set of this size can show to be kept; None when it can show none.

    Args:
        decides: (lost, won, examples, drop) to whether those counts prove the drop (`intervals.drop_is_below`).
    """
    lost, won = math.ceil(_LOST * examples), math.ceil(_WON * examples)
    if examples < _FEWEST_EXAMPLES:
        return None
    return next((drop for drop in _DROPS if decides(lost, won, examples, drop)), None)


def drop_beyond(mistakes: float) -> float | None:
    """The smallest usual drop with room above what a set without a single mistake leaves possible (`intervals.most_mistakes`)."""
    return next((drop for drop in _DROPS if drop >= _ROOM * mistakes), None)


def suggestion(facts: TaskFacts, aim: Aim, drop: float | None) -> str:
    """The recipe's text, which `parse_recipe` reads; `drop`: what the test set can decide."""
    if facts.estimator:
        passes = classical_passes(facts.estimator, aim, facts.validation, drop)
        blocks = [_head(facts, aim), _goals(facts, aim, drop), *passes, *classical_variants(facts.estimator, aim)]
    else:
        blocks = [_head(facts, aim), _goals(facts, aim, drop), *_passes(facts, aim), *_variants(facts, aim, drop)]
    return "\n\n".join(blocks) + "\n"


def _head(facts: TaskFacts, aim: Aim) -> str:
    made = f"{facts.parameters:,} parameters" if facts.parameters else "a model that comes with --from FILE"
    made = "an estimator of scikit-learn" if facts.estimator else made
    layers = {"convolutions": f"{facts.convolutions} convolutions", "dense": f"{facts.dense} dense layers"}
    kind = f", {layers[facts.family]}" if facts.family in layers else ""
    summary = _SUMMARIES["unknown" if facts.parameters < _TINY_MODEL else facts.family][aim]
    summary = classical_summary(facts.estimator, aim) if facts.estimator else summary
    return "\n".join(
        [
            f"# A first recipe for {facts.name}, for {aim}: {made}{kind}, {facts.train:,} training and {facts.test:,} test examples.",
            "# Build it:            controller build TASK --recipe THIS --out DIR     (then open DIR/report.html)",
            "# What may stand here: controller recipes, controller recipes NAME",
            f'summary = "{summary}"',
        ]
    )


_POST_TRAINING: dict[Aim, str] = {
    "size": "8-bit weights, as trained",
    "speed": "as trained, in several forms",
    "accuracy": "as trained, in several forms",
}
_SUMMARIES: dict[Family, dict[Aim, str]] = {
    "convolutions": {
        "size": "half the channels, fine-tuned, int8",
        "speed": "half the multiplications, fine-tuned",
        "accuracy": "quantised with care",
    },
    "dense": {
        "size": "the least weights cut, fine-tuned",
        "speed": "half the multiplications, fine-tuned",
        "accuracy": "quantised with care",
    },
    "other": _POST_TRAINING,
    "unknown": _POST_TRAINING,
}


def _goals(facts: TaskFacts, aim: Aim, drop: float | None) -> str:
    lines = ["[goals]  # of every variant; no version is registered when one is missed"]
    lines += _drop_goal(facts, drop)
    if facts.share and facts.test > 0:
        best = 0.025 ** (1 / facts.test)
        lines.append(
            f"# accuracy_at_least = 0.9  # set what you need; {facts.test:,} test examples cannot prove more than {math.floor(1000 * best) / 1000:g}"
        )
    if aim == "speed":
        lines.append("# p50_us_at_most = 1000  # median of a request here, in microseconds; devices differ, so measure there too")
    return "\n".join(lines)


def _drop_goal(facts: TaskFacts, drop: float | None) -> list[str]:
    metric = _plain(facts.metric)
    if facts.share and drop is not None:
        why = f"{100 * drop:g} points of {metric} against the trained model, paired"
        return [f"accuracy_drop_at_most = {drop:g}  # {why}: about what {facts.test:,} test examples can decide"]
    if facts.bounded and drop is not None:
        return [
            f"accuracy_drop_at_most = {drop:g}  # of {metric}, paired, at the bad end of its 95 % interval: about what the test data can decide"
        ]
    if facts.share or facts.bounded:
        return [f"# accuracy_drop_at_most = 0.02  # {facts.test:,} test examples are too few to decide about a drop: hold out more"]
    return [f"# accuracy_drop_at_most = 0.1  # how much worse {metric} may get, in its own unit, at the bad end of its 95 % interval"]


def _passes(facts: TaskFacts, aim: Aim) -> list[str]:
    if aim == "accuracy" or facts.family in ("other", "unknown") or facts.parameters < _TINY_MODEL:
        return []
    if facts.family == "dense" and aim == "size":
        return [_cut_weights(facts)]
    return [_cut_channels(facts, aim), _finetune(facts)]


def _cut_channels(facts: TaskFacts, aim: Aim) -> str:
    what = "channels" if facts.family == "convolutions" else "neurons"
    setting = (
        "macs_share = 0.5  # so many go that half of the multiplications are left"
        if aim == "speed"
        else f"share = 0.5  # of every layer's {what}"
    )
    return "\n".join(["[[passes]]", f'use = "prune-channels"  # whole {what} go: smaller and faster on every engine', setting])


def _cut_weights(facts: TaskFacts) -> str:
    return "\n".join(
        [
            "[[passes]]",
            'use = "prune-magnitude"  # single weights become 0: onnx-packed stores them in little space; no engine gets faster by it',
            f"share = {0.9 if facts.parameters > _SMALL_MODEL else 0.5}              # of all weights",
            'scope = "model"          # ranked together, so that layers which need their weights keep more of them',
            "rounds = 3               # cut and train three times: more can go than at once",
            f"epochs = {_epochs(facts)}".ljust(25) + "# of training after each cut",
            f"learning_rate = {_rate(facts)}",
        ]
    )


def _finetune(facts: TaskFacts) -> str:
    return "\n".join(
        [
            "[[passes]]",
            'use = "finetune"  # wins back what pruning cost',
            f"epochs = {_epochs(facts)}",
            f"learning_rate = {_rate(facts)}  # half of the first training's",
        ]
    )


def _epochs(facts: TaskFacts) -> int:
    """A quarter of the first training, and enough steps where examples are few."""
    steps = max(1, math.ceil(facts.train / max(facts.batch_size, 1)))
    return max(3, min(max(facts.epochs // 4, math.ceil(_STEPS / steps)), max(facts.epochs, 10)))


def _rate(facts: TaskFacts) -> str:
    return f"{min(max(facts.learning_rate / 2, 1e-6), 10.0):.6g}"


def _variants(facts: TaskFacts, aim: Aim, drop: float | None) -> list[str]:
    found = [_variant("onnx-fp32", "single precision: what the others are compared with")]
    if not facts.floats or facts.recurrent:
        return [*found, _variant("onnx-int8-dynamic", "8-bit weights; ranges of activations are found while it runs", _limit(facts, aim))]
    if facts.family == "dense" and aim == "size" and facts.parameters >= _TINY_MODEL:
        found.append(_variant("onnx-packed", "exactly the fp32 model's numbers; cut weights take little space"))
    careful = [f"mixed_drop_at_most = {(drop or 0.02) / 2:g}  # layers stay float until the drop is at most this, on validation data"]
    found.append(
        _variant(
            "onnx-int8",
            "8 bits: a quarter of the bytes; measured, since it is not faster everywhere",
            careful if aim == "accuracy" else _limit(facts, aim),
        )
    )
    if aim != "size":
        found.append(_variant("tflite-fp32", "for small devices"))
    if aim != "accuracy":
        found.append(_variant("tflite-int8", "8 bits for small devices and microcontrollers", _limit(facts, aim)))
    return found


def _limit(facts: TaskFacts, aim: Aim) -> list[str]:
    """A goal for the bytes, where the weights and not the file's frame decide about them."""
    whole = 4 * facts.parameters
    if aim != "size" or whole < _SMALL_BYTES:
        return []
    layers = facts.convolutions + facts.dense + facts.recurrent
    most = _rounded_up(whole // 3 + 20_000 + 4000 * layers)
    return [f"goals = {{ bytes_at_most = {most} }}  # single precision needs {whole:,} for the weights alone"]


def _rounded_up(value: int) -> str:
    """Two digits are enough for a goal: 153,210 becomes 160_000."""
    step = 10 ** (len(str(value)) - 2)
    return f"{math.ceil(value / step) * step:_}"


def _variant(use: str, why: str, more: list[str] | None = None) -> str:
    return "\n".join(["[[variants]]", f'use = "{use}"  # {why}', *(more or [])])


def _plain(text: str) -> str:
    """A user's word in a comment: one line, nothing that TOML forbids there."""
    return "".join(one for one in " ".join(text.split()) if one.isprintable())[:40] or "the metric"
