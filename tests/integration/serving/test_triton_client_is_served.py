"""An untouched tritonclient[http] works against the worker's endpoint."""

from __future__ import annotations

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

pytestmark = pytest.mark.integration


@pytest.fixture
def worker(start_worker, constants):
    worker = start_worker()
    worker.serve("digits", *constants[1])
    return worker


@pytest.fixture
def client(worker):
    with triton.InferenceServerClient(worker.url) as client:
        yield client


def _x(binary: bool, rows: int = 2) -> triton.InferInput:
    x = triton.InferInput("x", [rows, 4], "FP32")
    x.set_data_from_numpy(np.arange(rows * 4, dtype=np.float32).reshape(rows, 4), binary_data=binary)
    return x


def test_client_sees_server_and_model_ready(client):
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("digits") and client.is_model_ready("digits", "1")
    assert not client.is_model_ready("digits", "2") and not client.is_model_ready("absent")


def test_client_reads_metadata(client):
    assert client.get_server_metadata()["name"] == "argosy"
    metadata = client.get_model_metadata("digits")
    assert metadata["name"] == "digits" and metadata["versions"] == ["1"]
    assert metadata["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]
    assert [output["name"] for output in metadata["outputs"]] == ["y", "again"]


@pytest.mark.parametrize("binary_in", [False, True])
@pytest.mark.parametrize("binary_out", [False, True])
def test_client_infers_with_json_and_binary(client, binary_in, binary_out):
    wanted = [triton.InferRequestedOutput("again", binary_data=binary_out)]
    answer = client.infer("digits", [_x(binary_in)], outputs=wanted, request_id="7")
    assert answer.as_numpy("again").tolist() == [[1.0] * 4] * 2
    assert answer.as_numpy("y") is None
    assert answer.get_response()["id"] == "7" and answer.get_response()["model_version"] == "1"


def test_client_infers_all_outputs_by_default(client):
    answer = client.infer("digits", [_x(True)])
    assert answer.as_numpy("y").shape == (2, 4) and answer.as_numpy("again").shape == (2, 4)


def test_client_reads_why_a_request_was_refused(client):
    wrong = triton.InferInput("x", [1, 3], "FP32")
    wrong.set_data_from_numpy(np.zeros((1, 3), np.float32))
    with pytest.raises(InferenceServerException, match=r"input 'x' has shape \[1, 3\], the model takes \[any, 4\]"):
        client.infer("digits", [wrong])
    with pytest.raises(InferenceServerException, match="no slot 'absent'"):
        client.infer("absent", [_x(True)])
    with pytest.raises(InferenceServerException, match="serves version 1, not 3"):
        client.infer("digits", [_x(True)], model_version="3")
    with pytest.raises(InferenceServerException, match="no output 'z'"):
        client.infer("digits", [_x(True)], outputs=[triton.InferRequestedOutput("z")])
