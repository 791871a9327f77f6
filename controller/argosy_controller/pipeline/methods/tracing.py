"""A model's graph of calls by torch.fx, and the questions that passes ask of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from torch import fx, nn


@dataclass(frozen=True)
class CallGraph:
    """The nodes of a traced model, each with the module that it calls.

    Attributes:
        modules: of nodes that call a module which no other node calls.
    """

    graph: fx.Graph
    modules: dict[fx.Node, nn.Module]

    def readers(self, node: fx.Node) -> list[fx.Node]:
        """The nodes that use a node's values; those that only ask for its shape do not count."""
        return [one for one in node.users if not _asks_shape(one)]


def traced(model: nn.Module) -> CallGraph | None:
    """The calls of a model; None where its control flow depends on values, so that no fixed graph exists."""
    try:
        graph = fx.Tracer().trace(model)
    except Exception:
        return None  # a user's forward may raise anything when it meets a stand-in for a tensor
    called = [(node, model.get_submodule(str(node.target))) for node in graph.nodes if node.op == "call_module"]
    uses = Counter(id(module) for _, module in called)
    return CallGraph(graph, {node: module for node, module in called if uses[id(module)] == 1})


def _asks_shape(node: fx.Node) -> bool:
    if node.op == "call_method":
        return node.target in ("size", "dim")
    return node.op == "call_function" and node.target is getattr and node.args[1] in ("shape", "ndim", "dtype", "device")


def calls(node: fx.Node, *functions: object) -> bool:
    """Whether a node calls one of these functions, or the tensor method of the same name as a text given."""
    return (node.op == "call_function" and node.target in functions) or (node.op == "call_method" and node.target in functions)


#: Functions and methods that pass values on as they are, or the largest of some, each in its channel.
PASSING = (nn.functional.dropout, nn.functional.max_pool1d, nn.functional.max_pool2d, "contiguous")
#: The same as modules.
PASSING_MODULES = (
    nn.Identity,
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.MaxPool1d,
    nn.MaxPool2d,
    nn.MaxPool3d,
    nn.AdaptiveMaxPool1d,
    nn.AdaptiveMaxPool2d,
)
