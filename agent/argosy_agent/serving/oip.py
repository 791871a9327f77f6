"""The Open Inference Protocol ("v2", as KServe and Triton speak it) over HTTP, as a WSGI application.

    GET  /v2                              what this server is
    GET  /v2/health/live, /v2/health/ready
    GET  /v2/models/SLOT[/versions/N]     names, datatypes and shapes of the serving model
    GET  /v2/models/SLOT[/versions/N]/ready
    POST /v2/models/SLOT[/versions/N]/infer

A model's name is its slot's; `versions/N` answers only while version N serves. Tensors are JSON, or binary after the JSON
(header Inference-Header-Content-Length). Errors are `{"error": sentence}`. Source: the protocol's REST specification and
Triton's extension_binary_data.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import msgspec

from argosy import __version__
from argosy.errors import ArgosyError, InvalidInput, NotFound, Unavailable
from argosy.protocol.card import TensorSpec
from argosy.tensors import datatype_of
from argosy_agent.serving.handle import Handle, Model
from argosy_agent.serving.oip_body import read_request, write_response

#: The longest request body, in bytes.
MAX_BODY_BYTES = 64 << 20
_JSON = ("Content-Type", "application/json")
_HEADER_LENGTH = "Inference-Header-Content-Length"
_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 413: "Content Too Large"} | {
    415: "Unsupported Media Type",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
#: Statuses of errors in this protocol, which knows no 422.
_STATUS = {InvalidInput: 400, NotFound: 404, Unavailable: 503}

Environ: TypeAlias = dict[str, Any]
StartResponse: TypeAlias = Callable[[str, list[tuple[str, str]]], Any]


class Answer(msgspec.Struct, frozen=True):
    """A response before it is written."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = (_JSON,)


class Application:
    """Answers for the slots that `slots` holds; the mapping may change while this serves.

    Args:
        slots: slot name to handle.
    """

    def __init__(self, slots: Mapping[str, Handle]) -> None:
        self._slots = slots

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """WSGI entry point; nothing that a client sends makes it raise."""
        try:
            answer = self._answer(environ)
        except ArgosyError as error:
            answer = problem(next((status for kind, status in _STATUS.items() if isinstance(error, kind)), error.status), str(error))
        headers = [*answer.headers, ("Content-Length", str(len(answer.body)))]
        start_response(f"{answer.status} {_REASONS[answer.status]}", headers)
        return [answer.body]

    def _answer(self, environ: Environ) -> Answer:
        path = environ.get("PATH_INFO", "").split("/")[1:]
        slot, version, action = _route(path)
        wanted = "POST" if action == "infer" else "GET"
        if environ["REQUEST_METHOD"] != wanted:
            return Answer(
                405, _error_body(f"{environ['REQUEST_METHOD']:.16} is not possible here: use {wanted}"), (_JSON, ("Allow", wanted))
            )
        if action in _SERVER:
            return _SERVER[action]()
        if slot not in self._slots:
            raise NotFound(f"there is no slot {slot!r:.80} on this device")
        handle = self._slots[slot]
        return self._infer(handle, version, environ) if action == "infer" else _about(handle, version, action)

    def _infer(self, handle: Handle, version: int | None, environ: Environ) -> Answer:
        if environ.get("HTTP_CONTENT_ENCODING", "identity") not in ("", "identity"):
            return problem(415, "compressed requests are not taken: send the body as it is")
        length = int(environ.get("CONTENT_LENGTH") or 0)
        if length > MAX_BODY_BYTES:
            return problem(413, f"the request has {length} bytes, at most {MAX_BODY_BYTES} are taken")
        request = read_request(environ["wsgi.input"].read(length), environ.get("HTTP_INFERENCE_HEADER_CONTENT_LENGTH"))
        outputs, model = handle.answer(request.inputs, version)
        body, json_length = write_response(request, outputs, handle.slot, str(model.content.version))
        if json_length is None:
            return Answer(200, body)
        return Answer(200, body, (("Content-Type", "application/octet-stream"), (_HEADER_LENGTH, str(json_length))))


def problem(status: int, sentence: str) -> Answer:
    """An error in the protocol's form."""
    return Answer(status, _error_body(sentence))


def metadata(slot: str, model: Model) -> dict[str, Any]:
    """What the protocol says of a model; -1 is a dimension that may vary."""
    return {
        "name": slot,
        "versions": [str(model.content.version)],
        "platform": f"{model.card.format}_{model.runtime}",
        "inputs": [_tensor(spec) for spec in model.card.inputs],
        "outputs": [_tensor(spec) for spec in model.card.outputs],
    }


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": datatype_of(spec.dtype), "shape": [-1 if size is None else size for size in spec.shape]}


def _route(path: list[str]) -> tuple[str, int | None, str]:
    """Slot, version and what is asked for; the actions of the server itself have no slot."""
    match path:
        case ["v2"] | ["v2", ""]:
            return "", None, "server"
        case ["v2", "health", "live" | "ready" as which]:
            return "", None, which
        case ["v2", "models", slot, "versions", version, *rest]:
            return slot, _version(version), _action(rest)
        case ["v2", "models", slot, *rest]:
            return slot, None, _action(rest)
    raise NotFound(f"there is nothing at /{'/'.join(path)!s:.120}: the Open Inference Protocol begins at /v2")


def _action(rest: list[str]) -> str:
    if rest in ([], ["infer"]):
        return rest[0] if rest else "about"
    if rest == ["ready"]:
        return "model-ready"
    raise NotFound(f"a slot has ready and infer below it, not {'/'.join(rest)!r:.80}")


def _version(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise NotFound(f"{text!r:.40} is no version number")
    return int(text)


def _about(handle: Handle, version: int | None, action: str) -> Answer:
    model = handle.model
    if model is not None and version not in (None, model.content.version):
        raise NotFound(f"slot {handle.slot!r} serves version {model.content.version}, not {version}")
    if model is None:
        return problem(503, f"slot {handle.slot!r} serves nothing yet: wait until a version is rolled out to it")
    if action == "model-ready":
        return _document({"name": handle.slot, "ready": True})
    return _document(metadata(handle.slot, model))


def _document(content: Mapping[str, Any]) -> Answer:
    return Answer(200, msgspec.json.encode(content))


def _error_body(sentence: str) -> bytes:
    return msgspec.json.encode({"error": sentence})


_SERVER: dict[str, Callable[[], Answer]] = {
    "server": lambda: _document({"name": "argosy", "version": __version__, "extensions": ["binary_tensor_data"]}),
    "live": lambda: _document({"live": True}),
    # Ready to be asked; whether a slot has a model is told per model.
    "ready": lambda: _document({"ready": True}),
}
