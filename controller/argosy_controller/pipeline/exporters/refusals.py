"""What converters say when they give up, which is pages, in a few words: which operator, and where the model calls it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from argosy_controller.pipeline.spelling import first_line

_OURS = str(Path(__file__).parents[2])
_BY_VALUE = "it decides by the values of its inputs (an if or a loop over a tensor), which no file can hold: take torch.where"
_BATCH = "it takes batches of one size alone: let no shape in it be a fixed number where the batch stands (reshape with -1 there)"
_SHAPES = (
    "it makes tensors whose shapes depend on the values of its inputs (nonzero, unique, a mask as an index), which such a file cannot hold"
)
_SAYINGS = (
    (r"Lowering not found: (?:\w+\.)?(\w+)", "operator {!r} cannot be put into a TFLite file"),
    (r"convert function for op '([\w:.]+)' not implemented", "operator {!r} cannot be put into a Core ML file"),
    (r"No ONNX function found for <OpOverload\(op='(?:\w+\.)?(\w+)'", "operator {!r} cannot be put into an ONNX file"),
    (r"Could not find an implementation for (\w+)\(\d+\) node with name '([^']*)'", "onnxruntime cannot run operator {!r} (node {!r})"),
    (r"ConcretizationTypeError|Abstract tracer value encountered", _SHAPES),
    (r"data-dependent|Converting a tensor to a Python boolean", _BY_VALUE),
    (r"Constraints violated \(batch\)|Eq\(s\d+, \d+\) is inconsistent", _BATCH),
)


def refusal(error: BaseException) -> str:
    """The end of the sentence "the model does not convert to ...:"."""
    text = "\n".join(_texts(error))
    for pattern, saying in _SAYINGS:
        found = re.search(pattern, text)
        if found:
            return saying.format(*(one.strip("_") for one in found.groups())) + _where(text)
    return f"{type(error).__name__}: {first_line(error)}"


def _texts(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield str(error)
        error = error.__cause__ or error.__context__


def _where(text: str) -> str:
    """The innermost line of the model's own code that the text names."""
    lines = re.findall(r'File "([^"]+)", line (\d+)', text)
    libraries = ("<", sys.prefix, sys.base_prefix, _OURS)
    own = [(path, line) for path, line in lines if not path.startswith(libraries)]
    if own:
        return f" ({Path(own[-1][0]).name} line {own[-1][1]})"
    located = re.search(r"located at: '([^']+)'", text)
    return f" (at {located[1]})" if located else ""
