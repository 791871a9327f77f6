"""Models that are not made of torch's layers: ONNX graphs here, fitted estimators of scikit-learn in pipeline/classical."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from argosy.errors import InvalidInput
from argosy_controller.pipeline.passes.interface import Kind
from argosy_controller.pipeline.task import Array

if TYPE_CHECKING:
    from argosy_controller.pipeline.sources.onnx_to_torch.importing import Imported


class Foreign(nn.Module):
    """A model that torch did not make, standing where a network of layers stands, so that one path serves all.

    Attributes:
        kind: of model, for passes.
        runtime: what answers when it is called, as argosy.protocol.card.Parity names it.
    """

    kind: Kind
    runtime: str

    @abstractmethod
    def weights(self) -> list[torch.Tensor]:
        """Its numbers that are counted as parameters."""

    @abstractmethod
    def onnx(self) -> bytes:
        """The model as an ONNX file, with the task's public names."""

    @abstractmethod
    def network(self) -> nn.Module:
        """The same computation by torch's operators, for converters that start there.

        Raises:
            InvalidInput: an operator or option has no counterpart; named, with where it stands.
        """


def kind_of(model: nn.Module) -> Kind:
    """What a model is made of."""
    return model.kind if isinstance(model, Foreign) else "network"


def runtime_of(model: nn.Module) -> str:
    """What answers when a model is called."""
    return model.runtime if isinstance(model, Foreign) else "torch"


class OnnxGraph(Foreign):
    """An ONNX file, run by onnxruntime.

    Its bytes are the module's one buffer, so that two files are two models.
    """

    kind: Kind = "graph"
    runtime = "onnxruntime"

    def __init__(
        self,
        content: bytes,
        inputs: tuple[str, ...],
        outputs: tuple[str, ...],
        name: str,
        example: Mapping[str, Array] | None = None,
        changing: Collection[str] = (),
    ) -> None:
        """Opens it, and checks that it has the task's public names, in the task's order.

        Args:
            name: of the file, for messages.
            example: one real request, as the file takes it; `network` needs it where inputs are integers or have free sizes
                beside the batch.
            changing: inputs that are known to differ from request to request: none of them may decide which way the model takes.

        Raises:
            InvalidInput: it does not open here, or has other names.
        """
        super().__init__()
        self.register_buffer("bytes", torch.frombuffer(bytearray(content), dtype=torch.uint8))
        self._session: Any = _session(content, name)
        _check_names(name, "inputs", [one.name for one in self._session.get_inputs()], inputs)
        _check_names(name, "outputs", [one.name for one in self._session.get_outputs()], outputs)
        self._inputs, self._outputs, self._name = inputs, outputs, name
        self._example, self._changing = dict(example or {}), frozenset(changing)
        self._one_by_one = _one_by_one(self._session)
        self.eval()

    @cached_property
    def imported(self) -> Imported:
        """The file as torch's operators, and for what it holds.

        Raises:
            InvalidInput: an operator or option has no counterpart; named, with its node.
        """
        from argosy_controller.pipeline.sources.onnx_to_torch.checking import checked, made_up
        from argosy_controller.pipeline.sources.onnx_to_torch.importing import imported

        content = self.onnx()
        example = self._example or made_up(self._session, self._name)
        return checked(imported(content, self._name, example, self._changing), self._session, example, self._name)

    def rewritten(self, content: bytes) -> OnnxGraph:
        """Another graph in place of this one, with the same names."""
        return OnnxGraph(content, self._inputs, self._outputs, self._name, self._example, self._changing)

    def onnx(self) -> bytes:
        """The file: one, with no weights beside it."""
        return self.get_buffer("bytes").numpy().tobytes()

    def network(self) -> nn.Module:
        """As `imported` has it."""
        return self.imported.network

    def weights(self) -> list[torch.Tensor]:
        """The file's floating-point weights."""
        import onnx
        from onnx import numpy_helper

        tensors = (numpy_helper.to_array(one) for one in onnx.load_from_string(self.onnx()).graph.initializer)
        return [torch.from_numpy(one.copy()) for one in tensors if one.dtype.kind == "f"]

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """As the file answers."""
        if self._one_by_one and len(inputs[0]) > 1:
            rows = [self(*(one[i : i + 1] for one in inputs)) for i in range(len(inputs[0]))]
            return tuple(torch.cat(parts) for parts in zip(*rows, strict=True))
        given = {name: one.detach().numpy() for name, one in zip(self._inputs, inputs, strict=True)}
        return tuple(torch.from_numpy(one) for one in self._session.run(list(self._outputs), given))

    def __deepcopy__(self, memo: dict[int, object]) -> OnnxGraph:
        """Itself: nothing about it can change, and a session cannot be copied."""
        return self


def _one_by_one(session: Any) -> bool:
    """Whether the file takes one example at a time."""
    return all(one.shape and one.shape[0] == 1 for one in session.get_inputs())


def _session(content: bytes, name: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime raises what it likes
        raise InvalidInput(f"{name} does not open in onnxruntime: {str(error).splitlines()[0][:300]}") from error


def _check_names(file: str, kind: str, found: list[str], wanted: tuple[str, ...]) -> None:
    if found != list(wanted):
        raise InvalidInput(f"{file} has {kind} {found}, the task {list(wanted)}: name the task's data and outputs as the file does")
