"""One request to the running agent's endpoint, for `agent predict`: Open Inference Protocol v2 over HTTP, JSON."""

from __future__ import annotations

import http.client
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from argosy.errors import ArgosyError, InvalidInput, NotFound, Unavailable
from argosy.names import check_name
from argosy_agent.folder import StateFolder
from argosy_agent.status import read_status

if TYPE_CHECKING:
    import numpy as np

_TIMEOUT_S = 60.0
_MAX_ANSWER = 64 << 20
#: numpy dtype name to OIP datatype.
_DATATYPES = {
    "bool": "BOOL", "uint8": "UINT8", "uint16": "UINT16", "uint32": "UINT32", "uint64": "UINT64", "int8": "INT8", "int16": "INT16",
    "int32": "INT32", "int64": "INT64", "float16": "FP16", "float32": "FP32", "float64": "FP64",
}  # fmt: skip


def predict(folder: StateFolder, slot: str, source: Path, *, as_json: bool) -> str:
    """Sends the arrays of an .npz file as inputs and returns the outputs as text.

    Args:
        source: one array per input, named like it.
        as_json: the outputs as one JSON object, name to nested lists; else one line per output.

    Raises:
        InvalidInput: the file does not read, or the model does not take what is in it.
        NotFound: nothing serves in the slot.
        Unavailable: the agent does not run.
    """
    check_name("slot", slot)
    status = read_status(folder)
    if not status.running or not status.endpoint:
        raise Unavailable(f"the agent does not run: start it with 'agent run --state {folder.root}'")
    inputs = [_tensor(name, array) for name, array in _read(source).items()]
    answer = _ask(status.endpoint, slot, {"inputs": inputs})
    outputs = {output["name"]: _nested(output["data"], output["shape"]) for output in answer["outputs"]}
    if as_json:
        return json.dumps(
            {"model_name": answer.get("model_name", slot), "model_version": answer.get("model_version", ""), "outputs": outputs}
        )
    return "\n".join(f"{name}: {json.dumps(value)}" for name, value in outputs.items())


def _read(source: Path) -> dict[str, Any]:
    import numpy as np

    try:
        with np.load(source, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise InvalidInput(f"{source} is no .npz file of plain arrays: save one with numpy.savez({str(source)!r}, NAME=array)") from error


def _tensor(name: str, array: np.ndarray[Any, Any]) -> dict[str, Any]:
    text = array.dtype.kind in "US"
    datatype = "BYTES" if text else _DATATYPES.get(array.dtype.name)
    if datatype is None:
        raise InvalidInput(f"input {name!r} has dtype {array.dtype}, which no model takes: convert it, for example to float32")
    flat = array.astype(str).ravel().tolist() if text else array.ravel().tolist()
    return {"name": name, "shape": list(array.shape), "datatype": datatype, "data": flat}


def _ask(endpoint: str, slot: str, request: dict[str, Any]) -> Any:
    address = urlsplit(endpoint)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=_TIMEOUT_S)
    try:
        connection.request("POST", f"/v2/models/{slot}/infer", json.dumps(request), {"Content-Type": "application/json"})
        response = connection.getresponse()
        raw = response.read(_MAX_ANSWER)
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(f"the agent's endpoint {endpoint} does not answer ({error}): look at the agent's log") from error
    finally:
        connection.close()
    if response.status == 200:
        return json.loads(raw)
    raise _error(response.status)(_sentence(raw) or f"the endpoint answered {response.status}")


def _error(status: int) -> type[ArgosyError]:
    return {404: NotFound, 503: Unavailable}.get(status, InvalidInput if status < 500 else ArgosyError)


def _sentence(raw: bytes) -> str:
    try:
        return str(json.loads(raw)["error"])
    except (ValueError, KeyError, TypeError):
        return ""


def _nested(flat: list[Any], shape: list[int]) -> Any:
    """A flat list as nested lists of the shape; what is nested already stays."""
    if len(shape) <= 1 or (flat and isinstance(flat[0], list)):
        return flat
    step = len(flat) // shape[0] if shape[0] else 0
    return [_nested(flat[i * step : (i + 1) * step], shape[1:]) for i in range(shape[0])]
