"""The passes that a recipe can name. Adding one is a file here, and a line below."""

from __future__ import annotations

from typing import Any

from argosy_controller.pipeline.passes.finetune import Finetune
from argosy_controller.pipeline.passes.interface import Pass
from argosy_controller.pipeline.passes.prune_channels import PruneChannels
from argosy_controller.pipeline.passes.prune_magnitude import PruneMagnitude

PASSES: dict[str, Pass[Any]] = {
    one.name: one
    for one in (
        PruneChannels(),
        PruneMagnitude(),
        Finetune(),
    )
}
