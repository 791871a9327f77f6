"""The operators' API: who gets in, what answers look like, what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from argosy.protocol.enrolment import read_line
from argosy_controller.api.app import API
from argosy_controller.api.deps import bearer
from argosy_controller.commands import create_api_token
from argosy_controller.parts import Parts


def _problem(answer: Any, status: int, kind: str) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["type"] == f"urn:argosy:problem:{kind}" and body["status"] == status
    return str(body["detail"])


def test_every_route_of_the_api_asks_who_is_there(operators: TestClient) -> None:
    app = operators.app
    assert isinstance(app, FastAPI)
    for path, methods in app.openapi()["paths"].items():
        for method in methods:
            answer = operators.request(method, path.replace("{rollout}", "1").replace("{version}", "1"))
            assert answer.status_code == 401, (method, path)
            assert "WWW-Authenticate" in answer.headers
    assert bearer is not None


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer x", "Basic YWRtaW46eA==", "Bearer " + "a" * 5000])
def test_refuses_what_is_no_token(operators: TestClient, header: str) -> None:
    _problem(operators.get(f"{API}/devices", headers={"Authorization": header}), 401, "not-allowed")


def test_expired_api_token_opens_nothing(operators: TestClient, parts: Parts) -> None:
    made = create_api_token(parts, "admin", "short", lifetime_s=1e-9)
    _problem(operators.get(f"{API}/devices", headers={"Authorization": f"Bearer {made.token}"}), 401, "not-allowed")


def test_browser_session_is_no_api_token(browser: TestClient) -> None:
    secret = browser.cookies["argosy_session"]
    _problem(browser.get(f"{API}/devices", headers={"Authorization": f"Bearer {secret}"}), 401, "not-allowed")
    _problem(browser.get(f"{API}/devices"), 401, "not-allowed")


def test_token_line_pins_ca_and_root(api: TestClient, parts: Parts) -> None:
    made = api.post(f"{API}/tokens", json={"labels": {"site": "lab"}, "uses": 3, "expires_s": 60}).json()
    assert set(made) == {"line", "expires", "uses", "labels"} and made["uses"] == 3 and made["labels"] == {"site": "lab"}
    line = read_line(made["line"])
    assert (line.ca, line.root, line.url) == (parts.authority.ca_pin, parts.repository.repository_id, "https://127.0.0.1:8443")
    assert line.secret not in api.get(f"{API}/tokens").text


@pytest.mark.parametrize(
    "body",
    [
        {"labels": {"a/b": "c"}},
        {"labels": {"site": "a/b"}},
        {"labels": {"device": "x"}},
        {"uses": 0},
        {"expires_s": -1},
        {"expires_s": 1e12},
        {"surprise": 1},
        {"labels": ["site"]},
        [],
        "x",
    ],
)
def test_refuses_a_token_that_makes_no_sense(api: TestClient, body: Any) -> None:
    _problem(api.post(f"{API}/tokens", json=body), 422, "invalid-input")
    assert api.get(f"{API}/tokens").json() == []


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/devices/nobody", "not-found"),
        ("/models/nothing", "not-found"),
        ("/models/nothing/versions/1", "not-found"),
        ("/rollouts/7", "not-found"),
        ("/nowhere", "not-found"),
    ],
)
def test_what_is_not_there_is_said(api: TestClient, path: str, kind: str) -> None:
    _problem(api.get(API + path), 404, kind)


def test_selector_that_does_not_parse_is_refused(api: TestClient) -> None:
    assert "character" in _problem(api.get(f"{API}/devices", params={"selector": "site=="}), 422, "invalid-input")


def test_body_over_its_limit_is_refused(api: TestClient) -> None:
    _problem(api.post(f"{API}/tokens", content=b"x" * 70_000), 413, "too-large")
    pieces = (b"x" * 10_000 for _ in range(10))  # without a Content-Length
    _problem(api.post(f"{API}/tokens", content=pieces, headers={"Content-Type": "application/json"}), 413, "too-large")


def test_other_host_names_are_refused_on_loopback(api: TestClient) -> None:
    _problem(api.get(f"{API}/status", headers={"Host": "evil.example"}), 403, "not-allowed")
    assert api.get(f"{API}/status", headers={"Host": "localhost:8080"}).status_code == 200


def test_status_names_lab_mode(api: TestClient) -> None:
    assert api.get(f"{API}/status").json()["lab_mode"] is True


def test_changes_are_in_the_audit_log(api: TestClient) -> None:
    api.post(f"{API}/tokens", json={})
    assert [line["action"] for line in api.get(f"{API}/audit").json()] == ["token.create"]


def test_revoking_an_unknown_device_changes_nothing(api: TestClient, parts: Parts) -> None:
    _problem(api.post(f"{API}/devices/nobody/revoke"), 404, "not-found")
    assert api.get(f"{API}/audit").json() == []


@pytest.mark.parametrize("change", ["pause", "resume", "abort"])
def test_rollout_that_does_not_exist_cannot_be_changed(api: TestClient, change: str) -> None:
    _problem(api.post(f"{API}/rollouts/7/{change}"), 404, "not-found")
