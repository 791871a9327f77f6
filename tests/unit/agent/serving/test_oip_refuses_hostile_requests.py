"""Open Inference Protocol: what is right is answered, and nothing that a client sends gives a 5xx."""

from __future__ import annotations

import io
import json
import tracemalloc

import numpy as np
import pytest
import small_models
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto

from argosy.protocol.card import Card
from argosy.protocol.codec import from_json
from argosy.protocol.desired import SlotContent
from argosy_agent.runtimes.session import ModelFailed
from argosy_agent.serving.endpoint import Endpoint, parse_endpoint
from argosy_agent.serving.handle import Handle, Model
from argosy_agent.serving.loading import load_model
from argosy_agent.serving.oip import Application, metadata

GOOD = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]}
PATH = "/v2/models/digits/infer"


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """Slot `digits` serves constants, `words` strings, `empty` nothing."""
    handles = {name: Handle(name) for name in ("digits", "words", "empty")}
    for name, raw in (("digits", small_models.constant_bytes(7)), ("words", small_models.identity_bytes(TensorProto.STRING))):
        folder = tmp_path_factory.mktemp(name)
        content = small_models.write_onnx_variant(folder, raw)
        handles[name].swap(load_model(folder, "onnxruntime", content))
    return Application(handles)


def call(app, method, path, body=b"", **headers):
    """Status, headers and body of one request."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    got = []
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "CONTENT_LENGTH": str(len(raw)),
        "wsgi.input": io.BytesIO(raw),
        **{f"HTTP_{key.upper()}": value for key, value in headers.items()},
    }
    answer = b"".join(app(environ, lambda status, fields: got.extend([int(status[:3]), dict(fields)])))
    assert got[1]["Content-Length"] == str(len(answer))
    return got[0], got[1], answer


def infer(app, body, path=PATH, **headers):
    status, _, raw = call(app, "POST", path, body, **headers)
    return status, json.loads(raw)


def test_answers_json_with_id_and_version(app):
    status, answer = infer(app, {**GOOD, "id": "42"})
    assert status == 200 and answer["id"] == "42" and answer["model_name"] == "digits" and answer["model_version"] == "1"
    assert answer["outputs"][0] == {"name": "y", "datatype": "FP32", "shape": [1, 4], "data": [7.0] * 4}
    assert infer(app, GOOD, "/v2/models/digits/versions/1/infer")[0] == 200


def test_answers_binary_where_asked(app):
    head = {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "parameters": {"binary_data_size": 16}}],
        "outputs": [{"name": "again", "parameters": {"binary_data": True}}, {"name": "y"}],
    }
    text = json.dumps(head).encode()
    status, headers, raw = call(app, "POST", PATH, text + np.zeros(4, "<f4").tobytes(), inference_header_content_length=str(len(text)))
    split = int(headers["Inference-Header-Content-Length"])
    assert status == 200 and [one["name"] for one in json.loads(raw[:split])["outputs"]] == ["again", "y"]
    assert np.frombuffer(raw[split:], "<f4").tolist() == [7.0] * 4


def test_carries_strings(app):
    body = {"inputs": [{"name": "x", "datatype": "BYTES", "shape": [1, 2], "data": ["é", 'a,"b']}]}
    assert infer(app, body, "/v2/models/words/infer")[1]["outputs"][0]["data"] == ["é", 'a,"b']


def test_routes_and_their_statuses(app):
    expected = {
        "/v2": 200,
        "/v2/health/live": 200,
        "/v2/health/ready": 200,
        "/v2/models/digits": 200,
        "/v2/models/digits/ready": 200,
        "/v2/models/digits/versions/1": 200,
        "/v2/models/digits/versions/2/ready": 404,
        "/v2/models/digits/versions/x": 404,
        "/v2/models/digits/nonsense": 404,
        "/v2/models/absent": 404,
        "/v2/models/empty/ready": 503,
        "/v2/models/empty": 503,
        "/": 404,
        "/v1/models": 404,
        "/v2/models/..%2f..": 404,
        "/v2/models/digits/infer": 405,
    }
    assert {path: call(app, "GET", path)[0] for path in expected} == expected
    assert infer(app, GOOD, "/v2/models/empty/infer")[0] == 503


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [1, 3]},
        {"shape": [4]},
        {"shape": [1, 1 << 62]},
        {"shape": [-1, 4]},
        {"shape": "4"},
        {"datatype": "FP64"},
        {"datatype": "BF16"},
        {"datatype": 3},
        {"name": "z"},
        {"data": [1, 2, 3]},
        {"data": [1, 2, 3, "4"]},
        {"data": [[1, 2], [3, 4]]},
        {"data": None},
        {"data": {"a": 1}},
        {"parameters": {"binary_data_size": 16}},
        {"parameters": {"binary_data_size": -1}},
        {"parameters": {"binary_data_size": True}},
        {"parameters": {"binary_data_size": "16"}},
    ],
)
def test_refuses_a_wrong_tensor_with_400_and_a_sentence(app, change):
    status, answer = infer(app, {"inputs": [{**GOOD["inputs"][0], **change}]})
    assert status == 400 and len(answer["error"]) > 20


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"", {}),
        (b"not json", {}),
        (b"[]", {}),
        (b"{}", {}),
        (b"[" * 100_000, {}),
        (b'{"inputs":' + b"[" * 100_000, {}),
        (b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,4],"data":' + b"[" * 100_000, {}),
        ({"inputs": []}, {}),
        ({"inputs": GOOD["inputs"] * 2}, {}),
        ({"inputs": GOOD["inputs"] * 300}, {}),
        ({**GOOD, "outputs": [{"name": "z"}]}, {}),
        ({**GOOD, "parameters": {"binary_data_output": "yes"}}, {}),
        ({**GOOD, "id": 7}, {}),
        (b'{"inputs":[{"name":"x","datatype":"BYTES","shape":[1,1],"data":["\\ud800"]}]}', {}),
        (b'{"inputs":[{"name":"x","datatype":"BYTES","shape":[1,1],"data":["\xff"]}]}', {}),
        (GOOD, {"inference_header_content_length": "9999999"}),
        (GOOD, {"inference_header_content_length": "-1"}),
        (GOOD, {"inference_header_content_length": "x"}),
        (GOOD, {"inference_header_content_length": "3"}),
    ],
)
def test_refuses_a_wrong_request_with_400_and_a_sentence(app, body, headers):
    status, answer = infer(app, body, **headers)
    assert status == 400 and answer["error"]


def test_refuses_compressed_bodies(app):
    assert infer(app, GOOD, content_encoding="gzip")[0] == 415


def test_a_short_request_cannot_make_the_server_allocate_much(app):
    requests = [{"inputs": [{**GOOD["inputs"][0], "shape": [1 << 20, 1 << 20]}]}, {"inputs": [{**GOOD["inputs"][0], "shape": [1 << 22]}]}]
    tracemalloc.start()
    try:
        assert [infer(app, request)[0] for request in requests] == [400, 400]
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


_json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
_tensors = st.fixed_dictionaries(
    {},
    optional={
        "name": st.just("x") | _json_values,
        "datatype": st.sampled_from(["FP32", "FP64", "INT8", "BYTES", "BOOL"]) | _json_values,
        "shape": st.lists(st.integers(-1, 5), max_size=3) | st.just([1, 4]) | _json_values,
        "data": st.lists(st.floats(width=32), max_size=6) | _json_values,
        "parameters": st.dictionaries(st.just("binary_data_size"), st.integers(-1, 40), max_size=1) | _json_values,
    },
)
_requests = st.fixed_dictionaries(
    {"inputs": st.lists(_tensors, max_size=3) | _json_values},
    optional={
        "outputs": st.lists(st.fixed_dictionaries({"name": st.sampled_from(["y", "z"])}), max_size=2) | _json_values,
        "id": _json_values,
    },
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(
    body=st.binary(max_size=200) | _requests.map(lambda value: json.dumps(value).encode()),
    tail=st.binary(max_size=40),
    length=st.none() | st.integers(-5, 400).map(str) | st.text(max_size=5),
    slot=st.sampled_from(["digits", "words"]),
)
def test_random_requests_never_give_a_5xx(app, body, tail, length, slot):
    headers = {} if length is None else {"inference_header_content_length": length}
    status, _, _ = call(app, "POST", f"/v2/models/{slot}/infer", body + tail, **headers)
    assert status in (200, 400)


@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "X"]),
    path=st.text(max_size=60)
    | st.lists(st.sampled_from(["v2", "models", "digits", "infer", "versions", "1", "", ".."]), max_size=7).map("/".join),
)
def test_random_paths_never_give_a_5xx(app, method, path):
    assert call(app, method, "/" + path)[0] < 500


def test_model_that_fails_gives_500_with_a_sentence():
    class Broken:
        def run(self, inputs):
            raise ModelFailed("the runtime failed on the model: no memory")

    handle = Handle("digits")
    card = from_json(Card, json.dumps(_CARD).encode())
    handle.swap(Model(SlotContent(model="m", version=1, variant="v", sha256="0" * 64, length=1), card, Broken(), "fake"))
    status, answer = infer(Application({"digits": handle}), GOOD)
    assert status == 500 and "no memory" in answer["error"]
    assert handle.collect()[0].errors == 1
    assert metadata("digits", handle.model)["platform"] == "onnx_fake"


_CARD = {
    "model": "m",
    "version": 1,
    "variant": "v",
    "format": "onnx",
    "precision": "fp32",
    "inputs": [],
    "outputs": [],
    "model_file": {"name": "model.onnx", "sha256": "0" * 64, "length": 1},
}


@pytest.mark.parametrize(
    ("text", "expected"), [("127.0.0.1:0", ("127.0.0.1", 0)), ("[::1]:80", ("::1", 80)), ("localhost:8080", ("localhost", 8080))]
)
def test_endpoints_parse(text, expected):
    assert parse_endpoint(text) == expected


@pytest.mark.parametrize("text", ["", "127.0.0.1", ":80", "127.0.0.1:", "127.0.0.1:99999", "127.0.0.1:-1", "host:8x"])
def test_refuses_endpoints_that_do_not_parse(text):
    with pytest.raises(Exception, match="write HOST:PORT"):
        parse_endpoint(text)


def test_refuses_an_address_of_another_machine():
    with pytest.raises(Exception, match=r"cannot listen on 203\.0\.113\.1:0"):
        Endpoint(Application({}), "203.0.113.1", 0)
