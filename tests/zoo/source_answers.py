"""A child: what a model answers to its first held-out examples, before any file. REQUEST.json OUT.npz.

It runs by itself, so that the same modules are loaded as in a build, and the trained model is found in the build's cache.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import numpy as np
import torch

from argosy_controller.pipeline.building import THREADS
from argosy_controller.pipeline.caching.remembering import remembering
from argosy_controller.pipeline.compressing import compressed
from argosy_controller.pipeline.measuring import answers
from argosy_controller.pipeline.numbers.parity import EXAMPLES
from argosy_controller.pipeline.processes.messages import BuildRequest
from argosy_controller.pipeline.recipes.recipe import read_recipe
from argosy_controller.pipeline.sources.graphs import runtime_of
from argosy_controller.pipeline.task import checked_data, load_task


def main(asked: Path, out: Path) -> None:
    """Writes arrays `in.NAME` and `out.NAME`, and the text `source`."""
    torch.set_num_threads(THREADS)
    request = msgspec.json.decode(asked.read_bytes(), type=BuildRequest)
    recipe = read_recipe(Path(request.recipe))
    task = load_task(Path(request.task), request.settings)
    task.set_hyperparameters(recipe.hyperparameters)
    data = checked_data(task, request.seed)
    memory = remembering(request, task, THREADS)
    made = compressed(recipe.steps, task, data, request.seed, Path(request.recipe).parent, lambda *_: None, memory)
    split = data.test.take(slice(0, EXAMPLES))
    found = answers(made.model, task, split)
    arrays = {f"in.{name}": array for name, array in split.inputs.items()} | {f"out.{name}": array for name, array in found.items()}
    np.savez(out, source=np.array(runtime_of(made.model)), classes=np.array(data.test.targets.dtype.kind in "biu"), **arrays)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
