"""The torch.fx graph in the making.

Every operator runs on example inputs while it is added, once per trial run. Trial runs differ in their batch alone, so a
size that is the same in all of them is a number, and one that differs stays a size.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn

from argosy_controller.pipeline.sources.onnx_to_torch.values import Const, Live, Size, Sizes, Undecided, Unsupported, Value

#: Numbers that one tensor may hold: 1 GB in single precision.
MOST_NUMBERS = 1 << 28


class Builder:
    """Adds operators to a graph; what depends on no input is computed at once.

    Attributes:
        fixed: inputs whose values decided which way the model takes, with those values.
        inputs: all, by name.
    """

    def __init__(self, runs: int) -> None:
        self.graph = fx.Graph()
        self.root = nn.Module()
        self.runs = runs
        self.fixed: dict[str, Any] = {}
        self.inputs: dict[str, Live] = {}
        self._stored: dict[int, tuple[torch.Tensor, fx.Node]] = {}
        self._modules: dict[tuple[Any, ...], tuple[str, tuple[Const, ...]]] = {}

    def input(self, name: str, seen: tuple[torch.Tensor, ...]) -> Live:
        """One of the model's inputs, with its examples."""
        found = self.inputs[name] = Live(self.graph.placeholder(re.sub(r"\W", "_", name)), seen, frozenset({name}))
        return found

    def call(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """A function on values, which may be nested in tuples and lists; a Const when all are, else a Live."""
        given = (arguments, options)
        lives = _lives(given)
        if not lives:
            return self._folded(function, arguments, options)
        seen = [self._run(function, given, number) for number in range(self.runs)]
        nodes = self._as_nodes(given)
        return Live(self.graph.call_function(function, *nodes), tuple(seen), frozenset().union(*(one.of for one in lives)))

    def part(self, several: Any, number: int) -> Value:
        """One of what a function gave together."""
        if isinstance(several, Live):
            return Live(
                self.graph.call_function(operator.getitem, (several.node, number)), tuple(one[number] for one in several.seen), several.of
            )
        found: Value = several[number]
        return found

    def module(self, kind: tuple[Any, ...], weights: tuple[Const, ...], make: Callable[[], nn.Module], x: Live) -> Live:
        """A layer called on one value, named after the first of its weights. The same kind and weights give the same layer."""
        key = (*kind, *(id(one.tensor) for one in weights))
        if key not in self._modules:
            name = weights[0].name
            path = self._free(re.sub(r"[._/]?(weight|kernel|W)$", "", name) or name or str(kind[0]).lower())
            self._put(path, make().eval())
            self._modules[key] = path, weights  # kept, or another tensor may get the same id
        path = self._modules[key][0]
        layer = self.root.get_submodule(path)
        return Live(self.graph.call_module(path, (x.node,)), tuple(_bounded(layer(one)) for one in x.seen), x.of)

    def size(self, x: Value, dimension: int) -> Size:
        """Of a tensor, along a dimension."""
        if isinstance(x, Const):
            return int(x.tensor.shape[dimension])
        if isinstance(x, Sizes):
            return len(x.items)
        sizes = [int(one.shape[dimension]) for one in x.seen]
        if len(set(sizes)) == 1:
            return sizes[0]
        return Live(self.graph.call_method("size", (x.node, dimension)), tuple(sizes))

    def materialised(self, value: Value) -> Const | Live:
        """Sizes as a tensor; others as they are."""
        if not isinstance(value, Sizes):
            return value
        parts = [self.call(torch.scalar_tensor, one, dtype=torch.int64) for one in value.items]
        found: Const | Live = parts[0] if value.scalar else self.call(torch.stack, parts)
        return found

    def _folded(self, function: Callable[..., Any], arguments: Any, options: Any) -> Any:
        result = function(*_plain(arguments, 0), **_plain(options, 0))
        return tuple(Const(_bounded(one)) for one in result) if isinstance(result, (tuple, list)) else Const(_bounded(result))

    def _run(self, function: Callable[..., Any], given: tuple[Any, Any], number: int) -> Any:
        arguments, options = _plain(given, number)
        return _bounded(function(*arguments, **options))

    def _as_nodes(self, given: Any) -> Any:
        return _mapped(given, lambda one: one.node if isinstance(one, Live) else self._attribute(one))

    def _attribute(self, const: Const) -> fx.Node:
        """A constant that the network keeps, once."""
        known = self._stored.get(id(const.tensor))
        if known is None:
            path = self._free(const.name or "constant")
            self._put(path, const.tensor)
            known = self._stored[id(const.tensor)] = (const.tensor, self.graph.get_attr(path))
        return known[1]

    def _free(self, name: str) -> str:
        """What the network calls its own attribute, after a name of the file: without dots, for the modules that these would
        name are never called, and converters name tensors after modules that are.
        """
        plain = re.sub(r"\W", "_", name)
        plain = f"_{plain}" if plain[:1].isdigit() or plain in _RESERVED else plain
        path, count = plain, 1
        while hasattr(self.root, path):
            count += 1
            path = f"{plain}_{count}"
        return path

    def _put(self, path: str, what: nn.Module | torch.Tensor) -> None:
        if isinstance(what, nn.Module):
            self.root.add_module(path, what)
        elif what.is_floating_point():
            self.root.register_parameter(path, nn.Parameter(what, requires_grad=False))
        else:
            self.root.register_buffer(path, what)

    def finished(self, outputs: list[Value]) -> Network:
        """The network that gives these, in order, as a tuple."""
        given = [self.materialised(one) for one in outputs]
        self.graph.output(tuple(one.node if isinstance(one, Live) else self._attribute(one) for one in given))
        network = fx.GraphModule(self.root, self.graph, "Imported")
        network.graph.eliminate_dead_code()
        network.delete_all_unused_submodules()
        network.recompile()
        return Network(network).eval()


class Network(nn.Module):
    """A torch.fx graph module that tracers see as one module with its layers below it.

    Attributes:
        graph: of its operators.
    """

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__()
        self.graph = module.graph
        self._code = type(module).forward
        for name, layer in module.named_children():
            self.add_module(name, layer)
        for name, parameter in module.named_parameters(recurse=False):
            self.register_parameter(name, parameter)
        for name, buffer in module.named_buffers(recurse=False):
            self.register_buffer(name, buffer)

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The outputs, in the file's order."""
        found: tuple[torch.Tensor, ...] = self._code(self, *inputs)
        return found


_RESERVED = frozenset({*dir(nn.Module()), "graph", "_code"})


@dataclass(frozen=True)
class At:
    """One operator of the file, where it stands.

    Attributes:
        opset: version of the file's default operators.
        attributes: by name, as Python values; tensors as torch's.
        outputs: how many of its results the file names.
    """

    builder: Builder
    opset: int
    attributes: dict[str, Any]
    outputs: int

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute."""
        return self.attributes.get(name, default)

    def plain(self, **expected: Any) -> None:
        """Refuses attributes with values that are not computed here."""
        for name, value in expected.items():
            if self.get(name, value) != value:
                raise Unsupported(f"has {name} = {self.get(name)!r:.60}, and only {value!r} converts")

    def call(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """As Builder.call, with sizes made tensors."""
        return self.builder.call(function, *_mapped(arguments, self.builder.materialised), **_mapped(options, self.builder.materialised))

    def sized(self, function: Callable[..., Any], x: Value, sizes: tuple[Size, ...]) -> Any:
        """A function of a tensor and sizes."""
        return self.builder.call(function, self.builder.materialised(x), sizes)

    def ints(self, value: Value | None, what: str) -> list[int]:
        """Integers that must be known now."""
        if isinstance(value, Const):
            return [int(one) for one in value.tensor.flatten().tolist()]
        if isinstance(value, Sizes):
            raise Undecided(f"has {what} that depend on the batch")
        raise Unsupported(f"has {what} that depend on the values of the model's inputs")

    def sizes(self, value: Value, what: str) -> tuple[Size, ...]:
        """Integers that may depend on the batch."""
        return value.items if isinstance(value, Sizes) else tuple(self.ints(value, what))

    def shape(self, x: Value) -> tuple[Size, ...]:
        """Of a tensor."""
        return tuple(self.builder.size(x, one) for one in range(rank(x)))


def rank(x: Value) -> int:
    """How many dimensions."""
    if isinstance(x, Sizes):
        return 0 if x.scalar else 1
    return x.tensor.dim()


def dtype(x: Value) -> torch.dtype:
    """Of a tensor's numbers."""
    return torch.int64 if isinstance(x, Sizes) else x.tensor.dtype


def _lives(given: Any) -> list[Live]:
    found: list[Live] = []
    _mapped(given, lambda one: found.append(one) if isinstance(one, Live) else None)
    return found


def _plain(given: Any, number: int) -> Any:
    return _mapped(given, lambda one: one.seen[number] if isinstance(one, Live) else one.tensor)


def _mapped(given: Any, change: Callable[[Any], Any]) -> Any:
    """Values inside tuples, lists, dictionaries and slices, changed."""
    if isinstance(given, (Const, Live, Sizes)):
        return change(given)
    if isinstance(given, (tuple, list)):
        return type(given)(_mapped(one, change) for one in given)
    if isinstance(given, dict):
        return {key: _mapped(one, change) for key, one in given.items()}
    if isinstance(given, slice):
        return slice(*(_mapped(one, change) for one in (given.start, given.stop, given.step)))
    return given


def _bounded(result: Any) -> Any:
    for one in result if isinstance(result, (tuple, list)) else (result,):
        if isinstance(one, torch.Tensor) and one.numel() > MOST_NUMBERS:
            raise Unsupported(f"gives {one.numel()} numbers, and at most {MOST_NUMBERS} are imported")
    return result
