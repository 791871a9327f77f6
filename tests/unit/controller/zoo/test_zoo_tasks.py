"""Each network of the zoo as a task: it loads without a file, answers in its shape, and its recipe names every form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from argosy.errors import NotFound
from argosy_controller.cli import controller
from argosy_controller.pipeline.recipes import RECIPE_FILE
from argosy_controller.pipeline.recipes.recipe import read_recipe
from argosy_controller.pipeline.task import checked_data, load_task, task_model
from argosy_controller.zoo import FOLDER, names, summary, task_folder

SHAPES = {
    "mlp": (10,),
    "lenet-300-100": (10,),
    "lenet-5": (10,),
    "capsnet": (10,),
    "resnet-20": (10,),
    "resnext": (10,),
    "mobilenet": (10,),
    "transformer": (7,),
    "gru-seq2seq": (10, 11),
}
PARAMETERS = {"mlp": 101_770, "lenet-300-100": 266_610, "lenet-5": 431_080}


@pytest.mark.parametrize("name", SHAPES)
def test_network_answers_any_batch_in_its_shape_and_alike(name: str) -> None:
    task = load_task(task_folder(f"zoo:{name}"), {})
    split = checked_data(task, 0).test
    model = task_model(task, 0).eval()
    inputs = [torch.from_numpy(array[:3]) for array in split.inputs.values()]
    with torch.no_grad():
        together, alone = model(*inputs), model(*(one[:1] for one in inputs))
    assert together.shape == (3, *SHAPES[name])
    assert torch.allclose(together[:1], alone, atol=1e-5)
    assert len(split) >= 200
    assert name not in PARAMETERS or sum(one.numel() for one in model.parameters()) == PARAMETERS[name]


@pytest.mark.parametrize("name", names())
def test_task_is_called_as_its_folder_and_its_recipe_reads(name: str) -> None:
    assert load_task(FOLDER / name, {}).name == name
    assert {one.use for one in read_recipe(FOLDER / name / RECIPE_FILE).variants} >= {"onnx-fp32"}
    assert summary(name)


def test_unknown_model_is_named_with_the_nearest() -> None:
    with pytest.raises(NotFound, match=r"^there is no model 'lenet5' in the zoo \(`controller zoo` lists all\): did you mean 'lenet-5'\?$"):
        task_folder("zoo:lenet5")


@pytest.mark.parametrize("given", ["zoo:", "zoo:..", "zoo:../networks", "zoo:networks"])
def test_only_models_can_be_named(given: str) -> None:
    with pytest.raises(NotFound):
        task_folder(given)


def test_path_stays_a_path() -> None:
    assert str(task_folder("examples/digits")) == "examples/digits"


def test_command_lists_what_can_be_built() -> None:
    listed = json.loads(CliRunner().invoke(controller, ["zoo", "--json"]).output)
    assert [one["name"] for one in listed] == names()


def test_build_of_an_unknown_model_changes_nothing(tmp_path: Path) -> None:
    result = CliRunner().invoke(controller, ["build", "zoo:lenet5", "--out", str(tmp_path / "out")])
    assert isinstance(result.exception, NotFound)
    assert not (tmp_path / "out").exists()
