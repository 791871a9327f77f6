"""What report.json holds, once: builds write it, report.html and the dashboard draw it.

Every field that a later reader may not find has a default, so that older reports keep being read. Texts that come from
outside (names, labels, summaries, errors of user code) are untrusted: whoever draws them escapes them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from argosy.errors import InvalidInput
from argosy.protocol.card import Accuracy, Needs, Parity, Probes, Timing
from argosy_controller.pipeline.numbers.goals import Judgement

REPORT_FILE = "report.json"
_MAX_BYTES = 4 << 20


class Drop(msgspec.Struct, frozen=True, kw_only=True):
    """What compression cost, as a paired comparison on the same examples with the model before any pass.

    Attributes:
        value: how much worse the variant is in the metric's own unit; negative when it is better.
        low, high: 95 % interval of the drop.
        method: by which the interval was made, in words.
        lost, won: of a share: examples that only the model before got right, and those that only the variant did.
    """

    metric: str
    value: float
    low: float
    high: float
    examples: int
    method: str
    lost: int | None = None
    won: int | None = None


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    """One weight tensor of a variant.

    Attributes:
        name: as in the torch model, or of the initializer in a ready file.
        kind: of layer, for people: Conv2d, Linear.
        shape: of the weight.
        sparsity: share of weights that are 0.
        bits: of one weight as the file keeps it, without scales and tables.
        bytes: of the weight in the file, with its scales and tables.
        macs: multiply-accumulates for one example; None where not counted.
        error_share: of the squared change of the model's first output, when the layers are changed one at a time; sums to 1.
        accuracy_cost: drop of the metric when only this layer is as in the variant, on the judging data.
        note: why a figure is missing.
    """

    name: str
    kind: str
    shape: list[int]
    sparsity: float
    bits: float
    bytes: int
    macs: int | None = None
    error_share: float | None = None
    accuracy_cost: float | None = None
    note: str = ""


class Confusion(msgspec.Struct, frozen=True, kw_only=True):
    """Counts [true class][answered class] on the test data, of the model before any pass and of the variant."""

    labels: list[str]
    before: list[list[int]]
    after: list[list[int]]


class VariantReport(msgspec.Struct, frozen=True, kw_only=True):
    """One variant. `notes`: what people must know, above all what was not measured and why."""

    name: str
    format: str
    precision: str
    sha256: str
    bytes: int
    accuracy: Accuracy | None = None
    drop: Drop | None = None
    timings: list[Timing] = []
    probes: Probes | None = None
    layers: list[Layer] = []
    confusion: Confusion | None = None
    parity: Parity | None = None
    needs: Needs = Needs()
    notes: list[str] = []


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """The trained model before the first pass: what every drop is measured against.

    Attributes:
        bytes: of its parameters in single precision.
        macs: multiply-accumulates for one example.
    """

    accuracy: Accuracy | None
    parameters: int
    bytes: int
    macs: int | None = None


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What the first training or a pass did: options that differ from the defaults, and the model's size after it.

    Attributes:
        notes: what the pass decided by itself.
    """

    step: str
    options: dict[str, Any]
    parameters: int
    not_zero: int
    macs: int | None = None
    seconds: float = 0.0
    notes: list[str] = []


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One candidate of a search.

    Attributes:
        point: what was chosen, by dimension ("finetune.learning_rate": 1e-3).
        values: what was measured on validation data, by objective.
        state: `complete`, `hopeless` (stopped early) or `failed`.
        reason: why it failed or was stopped.
        front: nothing that was tried is better in one objective and no worse in the others.
    """

    number: int
    point: dict[str, Any]
    values: dict[str, float]
    state: str
    seconds: float = 0.0
    reason: str = ""
    front: bool = False


class SearchReport(msgspec.Struct, frozen=True, kw_only=True):
    """A search: how, on what, everything that was tried, and which was built in the end (`chosen`, a trial's number)."""

    method: str
    judged_on: str
    objectives: list[str]
    trials: list[Trial]
    chosen: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A whole report.

    Attributes:
        kind: `build` or `import`.
        interval: how the accuracies' intervals were made.
        lineage: facts that do not change from run to run; flat, for people.
        reproduce: the command that makes the same again.
    """

    schema: int = 2
    kind: str
    model: str
    summary: str
    variants: list[VariantReport]
    goals: list[Judgement] = []
    interval: str = ""
    baseline: Baseline | None = None
    steps: list[Step] = []
    search: SearchReport | None = None
    lineage: dict[str, str] = {}
    reproduce: str = ""


def write_report(folder: Path, report: Report) -> None:
    """Writes report.json, indented where that fits: people read it."""
    raw = msgspec.json.encode(report)
    indented = msgspec.json.format(raw, indent=2)
    (folder / REPORT_FILE).write_bytes(indented if len(indented) <= _MAX_BYTES else raw)


def read_report(raw: bytes) -> Report:
    """A report of this or an older schema.

    Raises:
        InvalidInput: it is none, or too large.
    """
    if len(raw) > _MAX_BYTES:
        raise InvalidInput(f"the report has {len(raw)} bytes, at most {_MAX_BYTES} are read")
    try:
        return msgspec.json.decode(raw, type=Report)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidInput(f"this is no report of a build or import: {error}") from error
