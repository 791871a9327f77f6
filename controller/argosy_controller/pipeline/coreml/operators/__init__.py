"""The operators of ML programs that are known here, by the name that MIL gives them."""

from __future__ import annotations

from argosy_controller.pipeline.coreml.operators.choosing import CHOOSING
from argosy_controller.pipeline.coreml.operators.elementwise import ELEMENTWISE
from argosy_controller.pipeline.coreml.operators.given import Kernel
from argosy_controller.pipeline.coreml.operators.layers import LAYERS
from argosy_controller.pipeline.coreml.operators.packed import PACKED
from argosy_controller.pipeline.coreml.operators.shapes import SHAPES

OPERATORS: dict[str, Kernel] = {**ELEMENTWISE, **LAYERS, **SHAPES, **CHOOSING, **PACKED}
