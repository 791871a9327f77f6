"""ONNX files in onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnxruntime

from argosy.errors import InvalidInput
from argosy.protocol.card import Card
from argosy_agent.runtimes.session import Array, ModelFailed, Signature, first_line

_ERRORS_ONLY = 3


class OnnxSession:
    """An onnxruntime session; threads may share it."""

    def __init__(self, path: Path, card: Card, threads: int) -> None:
        self.signature = Signature(card.inputs)
        try:
            self._session = onnxruntime.InferenceSession(str(path), _options(threads), providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors share no base class of their own
            raise InvalidInput(f"onnxruntime cannot load {path.name}: {first_line(error)}") from error
        ours, theirs = [spec.name for spec in card.inputs], [node.name for node in self._session.get_inputs()]
        self._outputs = [spec.name for spec in card.outputs]
        self._fetched = matched(self._outputs, [node.name for node in self._session.get_outputs()], "outputs", path.name)
        renamed = dict(zip(ours, matched(ours, theirs, "inputs", path.name), strict=True))
        self._renamed = {} if all(key == value for key, value in renamed.items()) else renamed
        self._run = self._session.run

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """As `Session.run`."""
        self.signature.check(inputs)
        feed = {self._renamed[name]: value for name, value in inputs.items()} if self._renamed else inputs
        try:
            values = self._run(self._fetched, feed)
        except Exception as error:  # as above
            raise ModelFailed(f"onnxruntime failed on the model: {first_line(error)}") from error
        return dict(zip(self._outputs, values))  # noqa: B905 -- onnxruntime gives one value for each name asked for


def matched(ours: list[str], theirs: list[str], what: str, file: str) -> list[str]:
    """The file's names in the card's order: by name where all agree, else by position.

    Raises:
        InvalidInput: the card has a different number of them.
    """
    if set(ours) <= set(theirs) and (what == "outputs" or len(ours) == len(theirs)):
        return ours
    if len(ours) != len(theirs):
        raise InvalidInput(f"{file} has {len(theirs)} {what} ({', '.join(theirs):.200}), its card {len(ours)}: they do not belong together")
    return theirs


def _options(threads: int) -> Any:
    """One thread by default and no spinning: a device has other work, and a spinning pool would slow the serving thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = _ERRORS_ONLY
    return options
