"""Limits and uploads: what is too much, too slow, or somewhere else is refused, and what is right arrives byte for byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Message

from argosy.errors import InvalidInput, Unavailable
from argosy_controller.accounts.throttle import FORGET_S, FREE_TRIES, Throttle
from argosy_controller.api.uploads import receive_bundle
from argosy_controller.cli.multipart import Multipart
from argosy_controller.web.limits import BodyLimit, Bucket, Shedding

BOUNDARY = "x" * 20


def _receive(body: bytes, folder: Path, content_type: str = f"multipart/form-data; boundary={BOUNDARY}", piece: int = 1000) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(body), piece):
            yield body[at : at + piece]

    asyncio.run(receive_bundle(content_type, pieces(), folder, max_file_bytes=10_000))


def _part(name: str, content: bytes = b"x") -> bytes:
    return f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="f"\r\n\r\n'.encode() + content + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=3000), piece=st.integers(1, 700))
def test_what_is_uploaded_arrives_byte_for_byte(tmp_path_factory: pytest.TempPathFactory, content: bytes, piece: int) -> None:
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("target")
    (source / "model.onnx").write_bytes(content)
    sent: list[int] = []
    body = Multipart({"variants/onnx-fp32/model.onnx": source / "model.onnx"})
    raw = b"".join(body.pieces(sent.append))
    assert len(raw) == body.length and sum(sent) == len(content)
    _receive(raw, target, body.content_type, piece)
    assert (target / "variants" / "onnx-fp32" / "model.onnx").read_bytes() == content


@pytest.mark.parametrize(
    "name",
    [
        "../report.json",
        "/etc/passwd",
        "variants/../x",
        "variants/a/../../x",
        "variants/a/b/c",
        "report.json/x",
        "variants/A/x",
        "",
        "x",
        "variants/a/..",
    ],
)
def test_path_tricks_in_part_names_write_nothing(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "inside"
    folder.mkdir()
    with pytest.raises(InvalidInput, match="not expected"):
        _receive(_part(name) + END, folder)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", f"multipart/form-data; boundary={BOUNDARY}"),
        (b"garbage", f"multipart/form-data; boundary={BOUNDARY}"),
        (_part("report.json"), f"multipart/form-data; boundary={BOUNDARY}"),
        (_part("report.json")[:60], f"multipart/form-data; boundary={BOUNDARY}"),
        (_part("report.json") * 2 + END, f"multipart/form-data; boundary={BOUNDARY}"),
        (_part("report.json") + END, "application/json"),
        (_part("report.json") + END, "multipart/form-data"),
        (_part("report.json", b"x" * 20_000) + END, f"multipart/form-data; boundary={BOUNDARY}"),
        (_part("a" * 5000) + END, f"multipart/form-data; boundary={BOUNDARY}"),
    ],
    ids=["empty", "garbage", "no end", "cut", "twice", "other type", "no boundary", "too large", "endless header"],
)
def test_damaged_uploads_are_refused(tmp_path: Path, body: bytes, content_type: str) -> None:
    with pytest.raises(InvalidInput):
        _receive(body, tmp_path, content_type)


async def _echo(scope: Any, receive: Any, send: Any) -> None:
    body = await Request(scope, receive).body()
    await PlainTextResponse(body)(scope, receive, send)


def _ask(app: Any, pieces: Iterator[bytes], path: str = "/x", wait_s: float = 0.0) -> tuple[int, dict[bytes, bytes]]:
    """Status and headers of the answer to a request whose body comes in pieces."""
    sent: list[Message] = []

    async def receive() -> Message:
        await asyncio.sleep(wait_s)
        piece = next(pieces, None)
        return {"type": "http.request", "body": piece or b"", "more_body": piece is not None}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": path, "headers": [], "query_string": b""}
    asyncio.run(app(scope, receive, send))
    return sent[0]["status"], dict(sent[0]["headers"])


def test_body_within_its_limit_passes() -> None:
    assert _ask(BodyLimit(_echo, lambda path: 100), iter([b"x" * 50, b"x" * 50]))[0] == 200


def test_endless_body_is_cut_at_its_limit() -> None:
    with pytest.raises(HTTPException) as refused:
        _ask(BodyLimit(_echo, lambda path: 100), iter([b"x" * 60] * 1_000_000))
    assert refused.value.status_code == 413


def test_body_that_trickles_is_cut_off() -> None:
    with pytest.raises(HTTPException) as refused:
        _ask(BodyLimit(_echo, lambda path: 100, timeout_s=0.01), iter([b"x"]), wait_s=5.0)
    assert refused.value.status_code == 408


def test_shed_request_says_when_to_come_back() -> None:
    shedding = Shedding(_echo, most=0, most_large=1, large_prefix="/large")
    status, headers = _ask(shedding, iter([]))
    assert status == 503 and int(headers[b"retry-after"]) >= 1
    assert _ask(shedding, iter([]), "/large/x")[0] == 200
    assert shedding.active == {True: 0, False: 0}


@given(st.lists(st.floats(0, 10), max_size=50))
def test_bucket_never_lets_more_through_than_its_rate(pauses: list[float]) -> None:
    now = [0.0]
    bucket = Bucket(rate=2.0, burst=3.0, clock=lambda: now[0])
    passed = 0
    for pause in pauses:
        now[0] += pause
        passed += bucket.take() == 0
    assert passed <= 3 + 2 * now[0] + 1e-6


def test_throttle_waits_longer_each_time_and_forgets() -> None:
    throttle = Throttle()
    for _ in range(FREE_TRIES):
        throttle.check(("name:admin",), 0.0)
        throttle.failed(("name:admin",), 0.0)
    with pytest.raises(Unavailable) as first:
        throttle.check(("name:admin",), 0.0)
    throttle.failed(("name:admin",), 0.0)
    with pytest.raises(Unavailable) as second:
        throttle.check(("name:admin",), 0.0)
    assert first.value.retry_after_s is not None and second.value.retry_after_s == 2 * first.value.retry_after_s
    throttle.check(("name:somebody",), 0.0)
    throttle.check(("name:admin",), FORGET_S + 1)
