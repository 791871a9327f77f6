"""The passes that a recipe can name. Adding one is a file here, and a line below."""

from __future__ import annotations

from typing import Any

from argosy_controller.pipeline.passes.binarise import Binarise
from argosy_controller.pipeline.passes.correct_bias import CorrectBias
from argosy_controller.pipeline.passes.distil import Distil
from argosy_controller.pipeline.passes.equalise_layers import EqualiseLayers
from argosy_controller.pipeline.passes.factorise import Factorise
from argosy_controller.pipeline.passes.finetune import Finetune
from argosy_controller.pipeline.passes.fold_batch_norm import FoldBatchNorm
from argosy_controller.pipeline.passes.interface import Pass
from argosy_controller.pipeline.passes.optimise_graph import OptimiseGraph
from argosy_controller.pipeline.passes.prune_channels import PruneChannels
from argosy_controller.pipeline.passes.prune_magnitude import PruneMagnitude
from argosy_controller.pipeline.passes.prune_taylor import PruneTaylor
from argosy_controller.pipeline.passes.prune_tree import PruneTree
from argosy_controller.pipeline.passes.quantise_aware import QuantiseAware
from argosy_controller.pipeline.passes.reduce_vectors import ReduceVectors
from argosy_controller.pipeline.passes.round_thresholds import RoundThresholds
from argosy_controller.pipeline.passes.share_weights import ShareWeights
from argosy_controller.pipeline.passes.snip import Snip
from argosy_controller.pipeline.passes.swap_activation import SwapActivation
from argosy_controller.pipeline.passes.thin_forest import ThinForest

PASSES: dict[str, Pass[Any]] = {
    one.name: one
    for one in (
        PruneChannels(),
        PruneMagnitude(),
        PruneTaylor(),
        Snip(),
        ShareWeights(),
        Finetune(),
        SwapActivation(),
        FoldBatchNorm(),
        Factorise(),
        Distil(),
        EqualiseLayers(),
        CorrectBias(),
        QuantiseAware(),
        Binarise(),
        OptimiseGraph(),
        PruneTree(),
        ThinForest(),
        RoundThresholds(),
        ReduceVectors(),
    )
}
