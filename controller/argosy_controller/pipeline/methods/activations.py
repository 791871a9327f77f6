"""Which activations a model uses, as modules or as functions, and how they are exchanged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from argosy_controller.pipeline.methods.surgery import Calls, names_of, outputs, put

MODULES: dict[str, type[nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "leaky-relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "softplus": nn.Softplus,
    "hard-sigmoid": nn.Hardsigmoid,
    "hard-swish": nn.Hardswish,
}
FUNCTIONS: dict[str, tuple[Callable[..., Any], ...]] = {
    "sigmoid": (torch.sigmoid, functional.sigmoid, torch.Tensor.sigmoid),
    "tanh": (torch.tanh, functional.tanh, torch.Tensor.tanh),
    "relu": (torch.relu, functional.relu, torch.Tensor.relu, torch.relu_, torch.Tensor.relu_),
    "relu6": (functional.relu6,),
    "leaky-relu": (functional.leaky_relu,),
    "elu": (functional.elu,),
    "gelu": (functional.gelu,),
    "silu": (functional.silu,),
    "mish": (functional.mish,),
    "softplus": (functional.softplus,),
    "hard-sigmoid": (functional.hardsigmoid,),
    "hard-swish": (functional.hardswish,),
}
_SHAPING = frozenset({"squeeze", "unsqueeze", "view", "reshape", "flatten", "permute", "transpose", "contiguous"})
_METHODS = {"sigmoid": "sigmoid", "tanh": "tanh", "relu": "relu", "relu_": "relu"}
_NAMES = {function: name for name, functions in FUNCTIONS.items() for function in functions}


def used(model: nn.Module, inputs: tuple[torch.Tensor, ...]) -> Counter[str]:
    """How often each activation is called between a model's layers; one that gives an output is not counted."""
    with _Listening() as heard:
        answer = outputs(model.eval() if model.training else model, inputs)
    return Counter(name for name, made in heard.calls if not _is_output(made, answer))


class _Listening(TorchFunctionMode):
    """Hears every call of a function that is an activation; a module's call is one such call."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, Any]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        with torch._C.DisableTorchFunction():  # a functional is written with others: one call must count once
            made = func(*args, **(kwargs or {}))
        name = "relu6" if func is functional.hardtanh and _is_relu6(kwargs or {}) else _NAMES.get(func)
        if name is not None:
            self.calls.append((name, made))
        return made


def _is_relu6(options: Mapping[str, Any]) -> bool:
    """nn.ReLU6 is written as a hard tanh."""
    return options.get("min_val") == 0 and options.get("max_val") == 6


def _is_output(made: Any, answer: tuple[torch.Tensor, ...]) -> bool:
    """Whether it is an output, or an output is another view of it."""
    return any(made.untyped_storage().data_ptr() == one.untyped_storage().data_ptr() for one in answer)


def swapped(model: nn.Module, old: set[str], new: str, inputs: tuple[torch.Tensor, ...]) -> nn.Module:
    """The model, changed: modules in place, then functions where torch.fx can trace it (the result is then a graph)."""
    calls = Calls(model, inputs)
    kinds = tuple(MODULES[name] for name in old)
    for names in names_of(model, lambda layer: type(layer) in kinds):
        if not any(_is_output(made, calls.answer) for name in names for made in calls.made.get(name, ())):
            for name in names:
                model = put(model, name, MODULES[new]().eval())
    return model if not any(used(model, inputs)[name] for name in old) else _swapped_functions(model, old, new)


def _swapped_functions(model: nn.Module, old: set[str], new: str) -> nn.Module:
    try:
        traced = fx.symbolic_trace(model)
    except Exception:  # models that decide by the numbers cannot be traced; the caller sees that activations are left
        return model
    results = _giving_outputs(traced.graph)
    for node in traced.graph.nodes:
        if node not in results and _name(node) in old:
            node.op, node.target = "call_function", FUNCTIONS[new][0]
            node.args, node.kwargs = node.args[:1] or (node.kwargs["input"],), {}
    traced.recompile()
    return traced


def _giving_outputs(graph: fx.Graph) -> set[fx.Node]:
    """Nodes whose results are outputs, but for their shape."""
    found = [one for node in graph.nodes if node.op == "output" for one in node.all_input_nodes]
    for node in found:
        if getattr(node.target, "__name__", node.target) in _SHAPING:
            found += node.all_input_nodes
    return set(found)


def _name(node: fx.Node) -> str | None:
    if node.op == "call_method":
        return _METHODS.get(str(node.target))
    return _NAMES.get(node.target) if node.op == "call_function" else None  # type: ignore[arg-type]
