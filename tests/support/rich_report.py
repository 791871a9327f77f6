"""Reports with every part filled: one that a good build gives, and one in which every text is an attack."""

from __future__ import annotations

import math
from typing import Any

from argosy.protocol.card import Accuracy, Timing
from argosy_controller.pipeline.numbers.goals import Judgement
from argosy_controller.pipeline.report import Baseline, Confusion, Drop, Layer, Report, SearchReport, Step, Trial, VariantReport

LABELS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
ATTACKS = [
    "<script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    '" onload="alert(1)" x=\'',
    "<svg/onload=alert(1)>",
    "javascript:alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "\u202egnp.exe\u2066\u200b\x1b[31m\x00",
    "</title><img src=http://attacker.invalid/x.png>",
    "x" * 10_000,
    "-->]]><!--",
]


def rich_report() -> Report:
    """A build with a search, in which one goal was missed."""
    return Report(
        kind="build",
        model="spoken-digits",
        summary="half the channels, fine-tuned, int8",
        variants=_variants(),
        goals=_goals(),
        interval="Clopper-Pearson (exact), 95 %",
        baseline=Baseline(accuracy=_accuracy(976), parameters=96_202, bytes=384_808, macs=3_400_000),
        steps=_steps(),
        search=_search(),
        lineage={
            "task": "speech",
            "recipe": "recipe.toml",
            "seed": "7",
            "data_sha256": "9f" * 32,
            "packages": "argosy 0.1.0, python 3.11.7, torch 2.13.0, numpy 2.4.6",
            "machine": "x86_64",
            "threads": "1",
        },
        reproduce="controller build speech --recipe recipe.toml --seed 7 --out bundle --no-register",
    )


def _accuracy(right: int, examples: int = 1000) -> Accuracy:
    value = right / examples
    half = 1.96 * math.sqrt(value * (1 - value) / examples) + 0.5 / examples
    return Accuracy(metric="accuracy", value=value, low=value - half, high=min(value + half, 1.0), examples=examples)


def _drop(points: float, half: float) -> Drop:
    return Drop(
        metric="accuracy", value=points / 100, low=(points - half) / 100, high=(points + half) / 100, examples=1000, method="exact, paired"
    )


def _variants() -> list[VariantReport]:
    rows = [
        ("onnx-fp32", "onnx", "fp32", 118_400, 973, (0.3, 0.5), ("onnxruntime", 41.0, 60.2)),
        ("onnx-int8", "onnx", "int8", 38_212, 969, (0.7, 0.6), ("onnxruntime", 58.7, 101.0)),
        ("onnx-mixed", "onnx", "mixed", 52_900, 972, (0.4, 0.5), ("onnxruntime", 47.2, 66.0)),
        ("tflite-fp32", "tflite", "fp32", 120_912, 973, (0.3, 0.5), ("ai-edge-litert", 38.1, 44.0)),
        ("tflite-int8", "tflite", "int8", 36_048, 968, (0.8, 0.7), ("ai-edge-litert", 22.4, 29.7)),
        ("tflite-int4", "tflite", "int4", 21_120, 921, (5.5, 1.6), ("ai-edge-litert", 31.5, 39.0)),
    ]
    found = [_variant(*row) for row in rows]
    note = "not measured here: no engine on this machine runs the format coreml; it was converted, not run"
    return [*found, VariantReport(name="coreml-fp16", format="coreml", precision="fp16", sha256="c0" * 32, bytes=66_210, notes=[note])]


def _variant(
    name: str, kind: str, precision: str, size: int, right: int, drop: tuple[float, float], timing: tuple[str, float, float]
) -> VariantReport:
    return VariantReport(
        name=name,
        format=kind,
        precision=precision,
        sha256="ab" * 32,
        bytes=size,
        accuracy=_accuracy(right),
        drop=_drop(*drop),
        timings=[Timing(runtime=timing[0], p50_us=timing[1], p99_us=timing[2])],
        layers=_layers(32.0 if precision == "fp32" else 4.0 if precision == "int4" else 8.0),
        confusion=_confusion(976 - right),
        notes=["4-bit weights are unpacked before they are used: smaller, not faster"] if precision == "int4" else [],
    )


def _layers(bits: float) -> list[Layer]:
    shapes = [("features.0", "Conv1d", [16, 40, 5]), ("features.3", "Conv1d", [32, 16, 5]), ("features.6", "Conv1d", [64, 32, 3])]
    shapes += [("head.0", "Linear", [128, 128]), ("head.2", "Linear", [10, 128])]
    costs = [0.0, 0.001, 0.004, 0.002, -0.001]
    shares = [0.05, 0.12, 0.55, 0.2, 0.08]
    return [
        Layer(
            name=name,
            kind=kind,
            shape=shape,
            sparsity=0.05 * index,
            bits=bits,
            bytes=int(math.prod(shape) * bits / 8),
            macs=math.prod(shape) * (100 if kind == "Conv1d" else 1),
            error_share=None if bits == 32 else shares[index],
            accuracy_cost=None if bits == 32 else costs[index],
        )
        for index, (name, kind, shape) in enumerate(shapes)
    ]


def _confusion(lost: int) -> Confusion:
    before = [[97 if i == j else 0 for j in range(10)] for i in range(10)]
    after = [list(row) for row in before]
    for k in range(lost):
        i, j = (5, 9) if k % 3 else (1, 9)
        after[i][i] -= 1
        after[i][j] += 1
    after[0][0] += 1
    after[0][6] -= 0
    return Confusion(labels=LABELS, before=before, after=after)


def _goals() -> list[Judgement]:
    found = []
    for one in _variants():
        low = one.accuracy.low if one.accuracy else None
        met = None if low is None else low >= 0.95
        value = one.accuracy.value if one.accuracy else None
        missed = max(0.0, 0.95 - low) if low is not None else 0.0
        found.append(Judgement(variant=one.name, goal="accuracy_at_least", target=0.95, value=value, judged=low, met=met, missed_by=missed))
        found.append(Judgement(variant=one.name, goal="bytes_at_most", target=130_000, value=one.bytes, judged=one.bytes, met=True))
    return found


def _steps() -> list[Step]:
    return [
        Step(step="train", options={"epochs": 20, "learning_rate": 2e-3}, parameters=96_202, not_zero=96_202, macs=3_400_000, seconds=48.2),
        Step(step="prune-channels", options={"share": 0.6}, parameters=29_050, not_zero=29_050, macs=910_000, seconds=0.31),
        Step(step="finetune", options={"epochs": 8}, parameters=29_050, not_zero=29_050, macs=910_000, seconds=11.0),
    ]


def _search() -> SearchReport:
    trials = [_trial(number) for number in range(24)]
    return SearchReport(
        method="bayes (TPE)", judged_on="1,200 validation examples", objectives=["accuracy", "bytes"], trials=trials, chosen=14
    )


def _trial(number: int) -> Trial:
    point: dict[str, Any] = {
        "prune-channels.share": round(0.3 + 0.025 * (number * 7 % 20), 3),
        "finetune.learning_rate": 10 ** -(2 + number % 5 / 2),
    }
    if number == 3:
        return Trial(number=number, point=point, values={}, state="failed", seconds=1.2, reason="the loss of task 'speech' is not finite")
    if number % 6 == 5:
        return Trial(
            number=number, point=point, values={"accuracy": 0.41}, state="hopeless", seconds=3.1, reason="worse than half of the others"
        )
    accuracy = 0.955 + 0.02 * (1 - math.exp(-number / 6)) - 0.008 * (number * 5 % 7) / 7
    size = 130_000 * (1 - point["prune-channels.share"]) / 2
    return Trial(
        number=number,
        point=point,
        values={"accuracy": accuracy, "bytes": size},
        state="complete",
        seconds=9.0 + number % 4,
        front=number in (8, 14, 21),
    )


def hostile_report() -> Report:
    """The rich report with an attack in every text."""
    source = rich_report()
    attack = iter(ATTACKS * 10_000)

    def swapped(value: Any) -> Any:
        if isinstance(value, str):
            return next(attack)
        if isinstance(value, dict):
            return {next(attack) + str(number): swapped(one) for number, one in enumerate(value.values())}
        return [swapped(one) for one in value] if isinstance(value, list) else value

    import msgspec

    def through(one: Any) -> Any:
        if isinstance(one, msgspec.Struct):
            return type(one)(**{name: through(getattr(one, name)) for name in one.__struct_fields__})
        if isinstance(one, list):
            return [through(item) for item in one]
        if isinstance(one, dict):
            return swapped(one)
        return swapped(one)

    found = through(source)
    assert isinstance(found, Report)
    return _still_wired(found)


def _still_wired(report: Report) -> Report:
    """Names that must fit together to be drawn: goals of variants, objectives of a search, states of its trials."""
    import msgspec

    search = rich_report().search
    assert search is not None
    trials = [msgspec.structs.replace(one, reason=ATTACKS[0], point={ATTACKS[1]: ATTACKS[2]}) for one in search.trials]
    goals = [
        msgspec.structs.replace(one, variant=report.variants[index // 2].name, goal=ATTACKS[index % len(ATTACKS)])
        for index, one in enumerate(rich_report().goals)
    ]
    search = msgspec.structs.replace(search, trials=trials, method=ATTACKS[3], judged_on=ATTACKS[7])
    return msgspec.structs.replace(report, goals=goals, search=search)
