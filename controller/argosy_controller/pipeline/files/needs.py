"""What a model file asks of the device that is to run it, read from the file itself (argosy.protocol.card.Needs)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from argosy.protocol.card import Needs
from argosy_controller.pipeline.files.formats import all_nodes
from argosy_controller.pipeline.files.needs_tflite import NEWER_ONLY, used, why_newer_only
from argosy_controller.pipeline.spelling import first_line

if TYPE_CHECKING:
    import onnx

_DEFAULT_DOMAINS = ("", "ai.onnx")
_ML_DOMAIN = "ai.onnx.ml"


def needs_of(model_format: str, file: Path) -> tuple[Needs, list[str]]:
    """What a file needs, all but its memory, and what reports should say of it.

    A file that cannot be read so asks nothing, and the note says that.
    """
    try:
        if model_format == "onnx":
            return _onnx_needs(file), []
        return _tflite_needs(file) if model_format == "tflite" else (Needs(), [])
    except Exception as error:  # readers raise what they like
        return Needs(), [f"what it needs cannot be told: {first_line(error)}"]


def _onnx_needs(file: Path) -> Needs:
    import onnx

    model = onnx.load(file, load_external_data=False)
    return Needs(opset=_opset(model, _DEFAULT_DOMAINS), ml_opset=_opset(model, (_ML_DOMAIN,)), operators=sorted(_onnx_operators(model)))


def _opset(model: onnx.ModelProto, domains: Sequence[str]) -> int:
    """That the file names, whether it uses the domain's operators or not: runtimes refuse a newer one in either case."""
    return max((one.version for one in model.opset_import if one.domain in domains), default=0)


def _onnx_operators(model: onnx.ModelProto) -> set[str]:
    """Those of the graph and of the functions that the file itself defines; calls of these functions are none."""
    own = {(one.domain, one.name) for one in model.functions}
    nodes = [*all_nodes(model.graph), *(node for one in model.functions for node in one.node)]
    return {_named(node) for node in nodes if (node.domain, node.op_type) not in own}


def _named(node: onnx.NodeProto) -> str:
    return node.op_type if node.domain in _DEFAULT_DOMAINS else f"{node.domain}:{node.op_type}"


def _tflite_needs(file: Path) -> tuple[Needs, list[str]]:
    operators = used(file)
    why = why_newer_only(operators)
    return Needs(runtimes=list(NEWER_ONLY) if why else [], operators=sorted({one.name for one in operators})), [why] if why else []
