"""What every pass must keep, checked for every registered pass with several options each, on a model of a kind that it takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_type_hints

import msgspec
import numpy as np
import pytest
import torch

from argosy_controller.pipeline.classical.fitted import Fitted
from argosy_controller.pipeline.exporters.interface import Source
from argosy_controller.pipeline.exporters.onnx_fp32 import OnnxFp32
from argosy_controller.pipeline.passes import PASSES
from argosy_controller.pipeline.passes.interface import Config, Context
from argosy_controller.pipeline.sources.graphs import OnnxGraph
from argosy_controller.pipeline.task import Data, Split, Task
from argosy_controller.pipeline.training import forward

OPTIONS: dict[str, list[dict[str, Any]]] = {
    "prune-channels": [
        {},
        {"share": 0.0},
        {"share": 0.5, "multiple_of": 1},
        {"macs_share": 0.5, "multiple_of": 1, "importance": "taylor", "scope": "model", "rounds": 2, "epochs": 1},
        {"importance": "thinet"},
        {"importance": "thinet", "scope": "model", "layers": {"0": 0.25}, "multiple_of": 2},
    ],
    "prune-magnitude": [
        {},
        {"share": 0.9, "scope": "model"},
        {"share": 0.9, "scope": "adaptive", "rounds": 2, "epochs": 1, "biases": True},
        {"share": 0.9, "method": "gradual", "epochs": 2, "every": 1},
        {"share": 0.9, "method": "gradual", "epochs": 2, "every": 1, "regrow": True, "layers": {"0": 0.2}},
    ],
    "prune-taylor": [{}, {"share": 0.9, "rounds": 2, "epochs": 1}],
    "snip": [{}, {"reinitialise": True}],
    "share-weights": [{}, {"epochs": 0, "conv_bits": 1, "linear_bits": 2}],
    "finetune": [{"epochs": 1}],
    "distil": [{"epochs": 1}, {"epochs": 1, "match": "outputs", "fresh": True}, {"epochs": 1, "hint_student": "2", "hint_teacher": "3"}],
    "factorise": [{}, {"share": 0.3}, {"share": 0.3, "convolutions": "spatial"}],
    "fold-batch-norm": [{}],
    "optimise-graph": [{}],
    "swap-activation": [{}, {"old": "relu", "new": "hard-swish"}],
    "equalise-layers": [{}, {"sweeps": 1}],
    "correct-bias": [{}, {"bits": 4, "per_channel": False}],
    "quantise-aware": [{"epochs": 1}, {"epochs": 1, "bits": 4, "activation_bits": 32, "snap": False}],
    "binarise": [
        {"epochs": 1},
        {"epochs": 1, "method": "binary-connect-stochastic", "optimiser": "sgd"},
        {"epochs": 1, "method": "xnor-net", "activations": True, "layers": "all"},
    ],
    "prune-tree": [{}, {"alpha": 0.01}, {"drop_at_most": 0.2}],
    "thin-forest": [{}, {"trees": 3}],
    "round-thresholds": [{}],
    "reduce-vectors": [{}, {"share": 0.3}, {"share": 0.3, "method": "centres"}],
}
CASES = [(name, options) for name in PASSES for options in OPTIONS.get(name, [{}])]


class Blooms(Task):
    """Iris, for passes that take estimators: with validation data, by which they choose."""

    name = "blooms"
    outputs = ("scores", "label")

    def data(self, seed: int) -> Data:
        from sklearn.datasets import load_iris

        table = load_iris()
        order = np.random.default_rng(seed).permutation(len(table.target))
        blooms = Split({"features": table.data.astype(np.float32)}, table.target).take(order)
        return Data(train=blooms.take(slice(0, 90)), validation=blooms.take(slice(90, 120)), test=blooms.take(slice(120, None)))


@pytest.fixture
def context(name: str, task: Task) -> Context:
    """A context of a task whose model the pass takes."""
    given = Blooms({}) if PASSES[name].takes == {"estimator"} else task
    return Context(given, given.data(0), seed=3, on_step=lambda done, total: None)


@pytest.fixture
def network(name: str, context: Context) -> Any:
    """A model that the pass takes."""
    if "network" in PASSES[name].takes:
        torch.manual_seed(0)
        return context.task.model(0).eval()
    if "graph" in PASSES[name].takes:
        torch.manual_seed(0)
        return as_graph(context.task.model(0).eval(), context)
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.svm import SVC

    estimator = SVC() if name == "reduce-vectors" else RandomForestClassifier(8)
    return Fitted(estimator, "features", context.task.outputs).fitted_on(context.data.train, 0)


def as_graph(model: torch.nn.Module, context: Context) -> OnnxGraph:
    """The same model as an ONNX file."""
    data, task = context.data, context.task
    with TemporaryDirectory() as scratch:
        source = Source(model, task.outputs, data.calibrating, data.judging, task, Path(scratch))
        return OnnxGraph(source.file(OnnxFp32()).read_bytes(), tuple(data.train.inputs), task.outputs, "model.onnx")


def _applied(name: str, options: dict[str, Any], model: torch.nn.Module, context: Context) -> torch.nn.Module:
    one = PASSES[name]
    return one.apply(model, msgspec.convert(options, one.config), context)


def _images(context: Context) -> list[torch.Tensor]:
    return [torch.from_numpy(array[:4]) for array in context.data.test.inputs.values()]


@pytest.mark.parametrize(("name", "options"), CASES)
def test_pass_leaves_its_input_model_untouched(name: str, options: dict[str, Any], network: Any, context: Context) -> None:
    before = {key: value.clone() for key, value in network.state_dict().items()}
    mode = network.training
    result = _applied(name, options, network, context)
    assert result is not network
    assert network.training == mode
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


@pytest.mark.parametrize(("name", "options"), CASES)
def test_pass_keeps_shapes_and_types_of_inputs_and_outputs(name: str, options: dict[str, Any], network: Any, context: Context) -> None:
    result = _applied(name, options, network, context)
    with torch.no_grad():
        before, after = forward(network, _images(context)), forward(result, _images(context))
    assert [(one.shape, one.dtype) for one in before] == [(one.shape, one.dtype) for one in after]
    assert all(bool(torch.isfinite(one).all()) for one in after)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_pass_gives_the_same_model_for_the_same_seed(name: str, options: dict[str, Any], network: Any, context: Context) -> None:
    one, two = (_applied(name, options, network, context).state_dict() for _ in range(2))
    assert list(one) == list(two)
    assert all(torch.equal(one[key], two[key]) for key in one)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_pass_leaves_the_model_in_evaluation_mode(name: str, options: dict[str, Any], network: Any, context: Context) -> None:
    assert not any(module.training for module in _applied(name, options, network, context).modules())


@pytest.mark.parametrize(("name", "options"), CASES)
def test_pass_never_looks_at_test_data(name: str, options: dict[str, Any], network: Any, context: Context) -> None:
    hidden = context.data.test.take(slice(0, 0))
    blind = replace(context, data=replace(context.data, test=hidden))
    one, two = (_applied(name, options, network, ctx).state_dict() for ctx in (context, blind))
    assert all(np.array_equal(one[key], two[key]) for key in one)


@pytest.mark.parametrize("name", list(PASSES))
def test_pass_reports_steps_up_to_the_last(name: str, network: Any, context: Context) -> None:
    steps: list[tuple[int, int]] = []
    listening = replace(context, on_step=lambda done, total: steps.append((done, total)))
    _applied(name, {}, network, listening)
    assert steps[-1][0] == steps[-1][1]
    assert steps == sorted(steps)


@pytest.mark.parametrize("name", list(PASSES))
def test_pass_declares_name_paper_and_defaults(name: str) -> None:
    one = PASSES[name]
    assert one.name == name
    assert one.paper
    assert issubclass(one.config, Config)
    assert one.config() == msgspec.convert({}, one.config)
    assert set(get_type_hints(one.config)) >= set(one.config.__struct_fields__)
