"""Request and response bodies of the Open Inference Protocol: JSON, with binary tensors after it where asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from argosy.errors import InvalidInput
from argosy.tensors import datatype_of, decode_binary, decode_json, encode_binary, encode_json
from argosy_agent.runtimes.session import Array

_MAX_TENSORS = 256
_Parameters = dict[str, bool | int | float | str]


class _Input(msgspec.Struct):
    name: str
    datatype: str
    shape: list[int]
    parameters: _Parameters = {}
    data: msgspec.Raw = msgspec.Raw()


class _Output(msgspec.Struct):
    name: str
    parameters: _Parameters = {}


class _Request(msgspec.Struct):
    inputs: list[_Input]
    id: str | None = None
    parameters: _Parameters = {}
    outputs: list[_Output] = []


@dataclass(frozen=True)
class InferRequest:
    """A decoded request: arrays by input name; for each output that was asked for, whether as binary; none asked for: all."""

    id: str | None
    inputs: dict[str, Array]
    outputs: dict[str, bool]
    binary: bool


_DECODER = msgspec.json.Decoder(_Request)


def read_request(body: bytes, json_length: str | None) -> InferRequest:
    """Decodes a request.

    Args:
        body: the whole body, bounded by the caller.
        json_length: header Inference-Header-Content-Length: how many bytes of the body are JSON; None for all.

    Raises:
        InvalidInput: anything wrong with it.
    """
    split = _split_at(body, json_length)
    try:
        request = _DECODER.decode(memoryview(body)[:split])
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise InvalidInput(f"the request is no inference request: {error}") from error
    if len(request.inputs) > _MAX_TENSORS or len(request.outputs) > _MAX_TENSORS:
        raise InvalidInput(f"the request has more than {_MAX_TENSORS} inputs or outputs")
    inputs, at = {}, split
    for tensor in request.inputs:
        if tensor.name in inputs:
            raise InvalidInput(f"input {tensor.name!r:.80} comes twice")
        size = _binary_size(tensor, len(body) - at)
        inputs[tensor.name] = _decoded(tensor, None if size is None else memoryview(body)[at : at + size])
        at += size or 0
    if at != len(body):
        raise InvalidInput(f"the request has {len(body) - at} bytes after its last input")
    default = _flag(request.parameters, "binary_data_output")
    outputs = {output.name: _flag(output.parameters, "binary_data", default) for output in request.outputs}
    return InferRequest(request.id, inputs, outputs, default)


def write_response(request: InferRequest, outputs: Mapping[str, Array], slot: str, version: str) -> tuple[bytes, int | None]:
    """The body, and the length of its JSON part when binary tensors follow it.

    Raises:
        InvalidInput: the request asked for an output that the model does not have.
    """
    wanted = request.outputs or dict.fromkeys(outputs, request.binary)
    described: list[dict[str, Any]] = []
    tail: list[bytes] = []
    for name, binary in wanted.items():
        if name not in outputs:
            raise InvalidInput(f"the model has no output {name!r:.80}: it gives {', '.join(outputs)}")
        described.append(_described(name, outputs[name], tail if binary else None))
    head: dict[str, Any] = {"model_name": slot, "model_version": version, "outputs": described}
    if request.id is not None:
        head["id"] = request.id
    text = msgspec.json.encode(head)
    return (b"".join([text, *tail]), len(text)) if any(wanted.values()) else (text, None)


def _described(name: str, array: Array, tail: list[bytes] | None) -> dict[str, Any]:
    tensor: dict[str, Any] = {"name": name, "datatype": datatype_of(array.dtype.name), "shape": list(array.shape)}
    if tail is None:
        tensor["data"] = encode_json(array)
    else:
        tail.append(encode_binary(array))
        tensor["parameters"] = {"binary_data_size": len(tail[-1])}
    return tensor


def _split_at(body: bytes, json_length: str | None) -> int:
    if json_length is None:
        return len(body)
    if not (json_length.isascii() and json_length.isdigit() and len(json_length) <= 12) or int(json_length) > len(body):
        raise InvalidInput(f"header Inference-Header-Content-Length is {json_length!r:.40}, the body has {len(body)} bytes")
    return int(json_length)


def _binary_size(tensor: _Input, left: int) -> int | None:
    """How many bytes of binary data belong to an input; None when its data are JSON."""
    size = tensor.parameters.get("binary_data_size")
    if size is None:
        return None
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= left:
        raise InvalidInput(f"input {tensor.name!r:.80} has binary_data_size {size!r:.40}, {left} bytes are left in the body")
    return size


def _decoded(tensor: _Input, binary: memoryview | None) -> Array:
    try:
        if binary is not None:
            return decode_binary(tensor.datatype, tensor.shape, binary)
        if not tensor.data:
            raise InvalidInput("it has neither data nor binary_data_size")
        return decode_json(tensor.datatype, tensor.shape, tensor.data)
    except InvalidInput as error:
        raise InvalidInput(f"input {tensor.name!r:.80}: {error}") from error


def _flag(parameters: _Parameters, name: str, default: bool = False) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise InvalidInput(f"parameter {name} is {value!r:.40}: use true or false")
    return value
