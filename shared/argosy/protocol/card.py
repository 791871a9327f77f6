"""The card of a variant: immutable facts, signed as a TUF target beside the model file.

TUF target paths of version 2 of `digits`, variant `onnx-int8` (all signed by the role `model/digits`):

    digits/2/onnx-int8/card.json      this document
    digits/2/onnx-int8/model.onnx     the model file; its sha256 names the variant's artifact
    digits/2/onnx-int8/probes.npz     golden probes
    digits/2/onnx-int8/labels.txt     companions, if any
"""

from __future__ import annotations

import msgspec

from argosy.errors import InvalidInput
from argosy.names import check_file_name, check_name, is_digest
from argosy.protocol.codec import Message

#: File name endings by format. A Core ML package is a folder; its artifact is a zip of it with fixed times.
MODEL_FILES = {"onnx": "model.onnx", "tflite": "model.tflite", "coreml": "model.mlpackage.zip"}
#: In what numbers a variant's weights and activations are kept: `int8` both, `int8-dynamic` activations while it runs,
#: `int16x8` activations 16 and weights 8 bits, `int8-weights` and `int4` weights alone, `packed` weights as indices or bits,
#: unpacked when loaded.
PRECISIONS = ("fp32", "fp16", "int16x8", "int8", "int8-dynamic", "int8-weights", "int4", "packed")
CARD_FILE = "card.json"
PROBES_FILE = "probes.npz"
MAX_CARD_BYTES = 1 << 20
MAX_COMPANIONS = 64


class TensorSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One input or output: its name, numpy dtype name (`str` for texts) and shape; None is a dimension that may vary.

    A name is the model's public name, the same in all its variants. The list of specs is in the order of the file's own
    inputs or outputs, so a runtime whose file calls them otherwise (TFLite) maps by position. Dtype and shape are those
    that the file itself declares: what a user sends is what the runtime takes.
    """

    name: str
    dtype: str
    shape: list[int | None]


class FileRef(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the artifact: its name inside the variant's folder, digest and size."""

    name: str
    sha256: str
    length: int


class Accuracy(msgspec.Struct, frozen=True, kw_only=True):
    """A metric on held-out data: point value and 95 % interval, from `examples` examples; of an error, less is better."""

    metric: str
    value: float
    low: float
    high: float
    examples: int
    higher_is_better: bool = True


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Measured where the card was made: one thread, warm, batch of one probe, in microseconds."""

    runtime: str
    p50_us: float
    p99_us: float


class Probes(msgspec.Struct, frozen=True, kw_only=True):
    """Golden probes: `probes.npz` holds, per input and output, an array `in.NAME` / `out.NAME` of shape (count, *tensor).

    A candidate passes when for every probe and output `|got - expected| <= atol + rtol * |expected|`. Quantised outputs
    (integers of 8 and 16 bits) may be off by `steps`; labels (integers of 32 and 64 bits, booleans, strings) must be equal.
    """

    count: int
    atol: float
    rtol: float
    steps: int = 0


class Parity(msgspec.Struct, frozen=True, kw_only=True):
    """How a file's answers differ from those of the model that it was made of, on the same real inputs.

    Attributes:
        source: what answered for the model: `torch`, `scikit-learn`, `onnxruntime`.
        verified_by: what ran the file: runtimes as devices name them, or another way in words; empty: not verified here.
        examples: inputs that both answered.
        max_abs_diff: the largest difference of any number in any output; None when nothing ran the file.
        agreement: share of the examples with the same label; None where the model names no classes.
        reason: why it was not verified, or why the difference is as large as it is.
    """

    source: str
    verified_by: list[str] = []
    examples: int = 0
    max_abs_diff: float | None = None
    agreement: float | None = None
    reason: str = ""


class Needs(msgspec.Struct, frozen=True, kw_only=True):
    """What a device must have to run a variant, beside a runtime for its format. Empty asks nothing.

    Attributes:
        runtimes: names of the only runtimes that run this file; empty: all that run the format.
        opset: of the file's default operators (ONNX); 0 where the format has none.
        ml_opset: of its operators of classical models (ONNX, domain `ai.onnx.ml`); 0 where the file does not name it.
        operators: that the file uses: ONNX `Conv`, other domains `com.microsoft:QGemm`; TFLite `CONV_2D`; sorted.
        memory_bytes: resident memory that loading and one answer took where the card was made; 0: not measured.
    """

    runtimes: list[str] = []
    opset: int = 0
    operators: list[str] = []
    memory_bytes: int = 0
    ml_opset: int = 0


class Card(Message, frozen=True, kw_only=True):
    """What is known about a variant before any device ran it.

    Attributes:
        format: `onnx`, `tflite` or `coreml`.
        precision: one of PRECISIONS.
        model_file: the model; its digest names the artifact.
        companions: probes and whatever the model needs beside it.
        accuracy: None when no held-out data or no engine for the format was there.
        parity: against the model that the file was made of; None for files that came ready.
        needs: matched with a device's capabilities before the variant is offered.
        lineage: how it came to be: task, recipe, seed, package versions, data fingerprint; flat, for people.
    """

    model: str
    version: int
    variant: str
    format: str
    precision: str
    inputs: list[TensorSpec]
    outputs: list[TensorSpec]
    model_file: FileRef
    companions: list[FileRef] = []
    probes: Probes | None = None
    accuracy: Accuracy | None = None
    timings: list[Timing] = []
    parity: Parity | None = None
    needs: Needs = Needs()
    lineage: dict[str, str] = {}

    @property
    def folder(self) -> str:
        """The variant's folder among the TUF targets."""
        return target_folder(self.model, self.version, self.variant)


def target_folder(model: str, version: int, variant: str) -> str:
    """The folder of a variant among the TUF targets, without a slash at the end."""
    return f"{model}/{version}/{variant}"


def check_card(card: Card) -> Card:
    """Returns `card` if it keeps the rules that every side relies on: its names become paths, so a stolen publisher's key
    or a bug must not write outside a folder.

    Raises:
        InvalidInput: with the first thing that is wrong.
    """
    check_name("model", card.model)
    check_name("variant", card.variant)
    if card.format not in MODEL_FILES or card.version < 0:
        raise InvalidInput(f"the card of {card.folder} has format {card.format!r:.40}: use one of {', '.join(MODEL_FILES)}")
    wanted = MODEL_FILES[card.format]
    if card.model_file.name != wanted:
        raise InvalidInput(f"the card of {card.folder} calls its model file {card.model_file.name!r:.80}: for {card.format} it is {wanted}")
    if card.model_file.length == 0:
        raise InvalidInput(f"the card of {card.folder} has an empty model file")
    _check_files(card)
    return card


def _check_files(card: Card) -> None:
    if len(card.companions) > MAX_COMPANIONS:
        raise InvalidInput(f"the card of {card.folder} names {len(card.companions)} companions, at most {MAX_COMPANIONS} are allowed")
    seen = {CARD_FILE}
    for file in (card.model_file, *card.companions):
        # Case is folded: two names that differ by case alone are one file on some disks.
        if check_file_name(file.name).lower() in seen:
            raise InvalidInput(f"the card of {card.folder} names file {file.name!r} twice, or as what it cannot be: give each its own name")
        if file.length < 0 or not is_digest(file.sha256):
            raise InvalidInput(f"the card of {card.folder} gives file {file.name} an impossible size or digest")
        seen.add(file.name.lower())
    if card.probes is not None and PROBES_FILE not in seen:
        raise InvalidInput(f"the card of {card.folder} speaks of probes but does not name {PROBES_FILE}")
