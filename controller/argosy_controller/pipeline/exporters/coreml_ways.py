"""The ways from a torch model into coremltools, and where in the model it was when it gave up."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

#: The largest batch that a file takes: Core ML wants an end.
LARGEST_BATCH = 1024
_LOST = "Converting a tensor to a Python boolean"
_GAVE_UP = re.compile(r"(?:convert function for op|ERROR - converting) '([\w:.]+)'")
_MOST_PLACES = 20

Way = Callable[[nn.Module, tuple[torch.Tensor, ...]], Any]


class NotConvertedError(Exception):
    """coremltools gave up. Its text names the operator, and the lines of Python that call it, as refusals reads them."""


def traced(network: nn.Module, example: tuple[torch.Tensor, ...]) -> Any:
    """A trace keeps the one way that the example took; what the model would do for other values is lost, with a warning.

    torch's own code warns where it checks shapes, which is no loss.

    Raises:
        NotConvertedError: the model decides by the values of its inputs.
    """
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = torch.jit.trace(network, example)  # type: ignore[no-untyped-call]
    for one in told:
        if _LOST in str(one.message) and not one.filename.startswith(str(Path(torch.__file__).parent)):
            raise NotConvertedError(f'{_LOST}\nFile "{one.filename}", line {one.lineno}')
    return found


def exported(network: nn.Module, example: tuple[torch.Tensor, ...]) -> Any:
    """By torch.export, without the copies that coremltools has no operator for."""
    batch = torch.export.Dim("batch", min=1, max=LARGEST_BATCH)
    shapes: Any = tuple({0: batch} for _ in example) if len(example[0]) > 1 else None
    program = torch.export.export(network, example, dynamic_shapes=shapes).run_decompositions({})
    for node in list(program.graph.nodes):
        if node.target is torch.ops.aten.alias.default:
            node.replace_all_uses_with(node.args[0])
            program.graph.erase_node(node)
    return program


@contextmanager
def unfused() -> Iterator[None]:
    """torch's fused attention is one operator, which no converter has."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@contextmanager
def locating(program: Any) -> Iterator[None]:
    """Adds to an error of coremltools where the model calls the operator, which it tells at most its log.

    Raises:
        NotConvertedError: in place of whatever it raised.
    """
    logged: list[str] = []
    handler = _Collecting(logged)
    logger = logging.getLogger("coremltools")
    logger.addHandler(handler)
    try:
        yield
    except Exception as error:
        operator = _GAVE_UP.search("\n".join([str(error), *logged]))
        raise NotConvertedError("\n".join([str(error), *_places(program, operator[1] if operator else "")])) from error
    finally:
        logger.removeHandler(handler)


class _Collecting(logging.Handler):
    def __init__(self, to: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._to = to

    def emit(self, record: logging.LogRecord) -> None:
        self._to.append(record.getMessage())


def _places(program: Any, operator: str) -> list[str]:
    """The lines of Python behind an operator's uses, as tracebacks write them."""
    if not operator:
        return []
    if isinstance(program, torch.export.ExportedProgram):
        nodes = [one for one in program.graph.nodes if operator in str(one.target)]
        return [str(one.meta.get("stack_trace", "")) for one in nodes[:_MOST_PLACES]]
    found = [
        one for one in program.inlined_graph.nodes() if one.kind().rpartition("::")[2].strip("_") == operator.rpartition("::")[2].strip("_")
    ]
    return [_as_traceback(one.sourceRange()) for one in found[:_MOST_PLACES]]


def _as_traceback(places: str) -> str:
    """`/path/file.py(12): forward` as `File "/path/file.py", line 12`; the innermost last."""
    return "\n".join(f'File "{path}", line {line}' for path, line in reversed(re.findall(r"^(\S[^\n(]*)\((\d+)\)", places, re.MULTILINE)))
