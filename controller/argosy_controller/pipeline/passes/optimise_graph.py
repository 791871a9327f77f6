"""Simplifies an ONNX graph: constants folded, batch norms multiplied into the layers before them, dead operators left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from argosy_controller.pipeline.passes.interface import Config, Context, Pass

if TYPE_CHECKING:
    from torch import nn


class OptimiseGraph(Pass[Config]):
    """Before: Conv > BatchNormalization, Shape > Gather > Concat > Reshape. After: Conv, Reshape. Operators stay ONNX's own.

    By onnxruntime's basic rewriting, which every runtime understands; the result must answer the calibration data as before.
    """

    name = "optimise-graph"
    paper = "onnxruntime, Graph optimizations (basic level); batch norms as Jacob et al. 2018, arXiv:1712.05877, section 3.2"
    config = Config
    takes = frozenset({"graph"})
    reshapes = True

    def apply(self, model: nn.Module, config: Config, ctx: Context) -> nn.Module:
        """Another graph that computes the same.

        Raises:
            ArgosyError: it does not.
        """
        from argosy_controller.pipeline.methods.graph_rewriting import optimised
        from argosy_controller.pipeline.sources.graphs import OnnxGraph

        assert isinstance(model, OnnxGraph)
        return optimised(model, ctx)
