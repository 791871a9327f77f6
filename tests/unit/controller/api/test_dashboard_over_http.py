"""The dashboard as a browser sees it: signing in, forms, headers, and that what devices say stays text."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sqlmodel import Session
from starlette.testclient import TestClient

from argosy.protocol.codec import to_json
from argosy.protocol.desired import SlotContent
from argosy.protocol.reported import Capabilities, Reported, Runtime, ServingState, SlotReport
from argosy_controller.dashboard.shown import POLICY, safe_target
from argosy_controller.db.tables import DeviceRow, EventRow
from argosy_controller.parts import Parts

PAGES = ["/", "/models", "/builds", "/rollouts", "/events", "/enrol", "/patterns"]
SCRIPT = "<script>alert(1)</script>"


def _form_token(browser: TestClient) -> str:
    found = re.search(r'name="form_token" value="([0-9a-f]{64})"', browser.get("/enrol").text)
    assert found is not None
    return found[1]


def _add_device(session: Session, name: str, now: float) -> None:
    content = SlotContent(model="digits", version=1, variant="onnx-fp32", sha256="a" * 64, length=5)
    capabilities = Capabilities(runtimes=[Runtime(name="onnxruntime", version=SCRIPT, formats=["onnx"])], machine=SCRIPT)
    slots = {"digits": SlotReport(state=ServingState.SERVING, content=content, confirmed=True)}
    report = Reported(device=name, boot="b", generation=1, at=now, capabilities=capabilities, slots=slots)
    session.add(
        DeviceRow(name=name, key_pem="", serial="", not_after=now + 9, enrolled=now, online=True, last_seen=now, reported=to_json(report))
    )


@pytest.mark.parametrize("path", [*PAGES, "/devices/pi-1", "/rollouts/1", "/models/digits"])
def test_nobody_sees_a_page_without_signing_in(operators: TestClient, path: str) -> None:
    answer = operators.get(path)
    assert answer.status_code == 303 and answer.headers["location"].startswith("/login")


@pytest.mark.parametrize("path", PAGES)
def test_pages_stand_without_any_data(browser: TestClient, path: str) -> None:
    answer = browser.get(path)
    assert answer.status_code == 200 and "Lab mode." in answer.text
    assert answer.headers["content-security-policy"] == POLICY


@pytest.mark.parametrize("path", [*PAGES, "/login"])
def test_pages_ask_no_other_host_and_hold_nothing_inline(browser: TestClient, path: str) -> None:
    text = browser.get(path).text
    assert not re.search(r"(?:src|href|action)=[\"']?(?:https?:)?//", text)
    assert not re.search(r"<script(?![^>]*src=)|\son\w+=|\sstyle=", text)


@pytest.mark.parametrize(
    ("path", "kind"), [("/static/argosy.css", "text/css"), ("/static/live.js", "text/javascript"), ("/static/logo.svg", "image/svg+xml")]
)
def test_static_files_are_there(operators: TestClient, path: str, kind: str) -> None:
    answer = operators.get(path)
    assert answer.status_code == 200 and answer.headers["content-type"].startswith(kind)


@pytest.mark.parametrize("name", ["../app.py", "..%2fapp.py", "%2e%2e/app.py", "/etc/passwd", "", "nothing.css"])
def test_path_tricks_in_static_names_find_nothing(operators: TestClient, name: str) -> None:
    assert operators.get(f"/static/{name}").status_code == 404


def test_cookie_cannot_be_read_by_scripts_nor_sent_by_other_sites(operators: TestClient, parts: Parts) -> None:
    password = parts.folder.admin_password.read_text().strip()
    answer = operators.post("/login", data={"name": "admin", "password": password}, headers={"Origin": "http://127.0.0.1"})
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie


def test_session_secret_is_not_in_the_database(browser: TestClient, parts: Parts) -> None:
    secret = browser.cookies["argosy_session"].encode()
    assert secret not in b"".join(path.read_bytes() for path in Path(parts.folder.root).glob("argosy.db*"))


def test_wrong_password_is_refused_and_then_slowed_down(operators: TestClient) -> None:
    operators.headers["Origin"] = "http://127.0.0.1"
    answers = [operators.post("/login", data={"name": "admin", "password": "wrong"}).status_code for _ in range(6)]
    assert answers == [401] * 5 + [503]


def test_login_from_another_site_is_refused(operators: TestClient, parts: Parts) -> None:
    password = parts.folder.admin_password.read_text().strip()
    for origin in ({}, {"Origin": "http://evil.example"}, {"Origin": "null"}):
        answer = operators.post("/login", data={"name": "admin", "password": password}, headers=origin)
        assert answer.status_code == 401 and "set-cookie" not in answer.headers


def test_form_without_its_token_changes_nothing(browser: TestClient) -> None:
    for token in ("", "0" * 64):
        answer = browser.post("/enrol", data={"form_token": token, "labels": "site=lab", "uses": "1", "expires": "1h"})
        assert answer.status_code == 401 and "No token was made." in answer.text


def test_form_from_another_site_changes_nothing(browser: TestClient) -> None:
    body = {"form_token": _form_token(browser), "labels": "", "uses": "1", "expires": "1h"}
    answer = browser.post("/enrol", data=body, headers={"Origin": "http://evil.example"})
    assert answer.status_code == 401 and "argosy1." not in answer.text


def test_token_is_made_from_the_page(browser: TestClient) -> None:
    body = {"form_token": _form_token(browser), "labels": "site=lab, tier=a", "uses": "2", "expires": "1h"}
    answer = browser.post("/enrol", data=body)
    assert answer.status_code == 200 and "argosy1." in answer.text
    assert "argosy1." not in browser.get("/enrol").text


@pytest.mark.parametrize(
    ("field", "value"), [("labels", "a/b=c"), ("labels", "site"), ("uses", "0"), ("uses", "many"), ("expires", "soon")]
)
def test_form_with_bad_input_says_what_is_wrong(browser: TestClient, field: str, value: str) -> None:
    body = {"form_token": _form_token(browser), "labels": "site=lab", "uses": "1", "expires": "1h", field: value}
    answer = browser.post("/enrol", data=body)
    assert answer.status_code == 422 and "No token was made." in answer.text


def test_signing_out_ends_the_session(browser: TestClient) -> None:
    secret, token = browser.cookies["argosy_session"], _form_token(browser)
    assert browser.post("/logout", data={"form_token": token}).status_code == 303
    assert browser.get("/", headers={"Cookie": f"argosy_session={secret}"}).status_code == 303


def test_what_a_device_says_stays_text(browser: TestClient, parts: Parts) -> None:
    now = parts.clock()
    with parts.database.write() as session:
        _add_device(session, "pi-1", now)
        session.add(EventRow(at=now, device="pi-1", boot="b", sequence=1, kind=SCRIPT, text=SCRIPT, code=SCRIPT))
    for path in ("/", "/devices/pi-1", "/events"):
        text = browser.get(path).text
        assert "<script>alert" not in text and "&lt;script&gt;alert" in text


def test_selector_narrows_the_fleet(browser: TestClient, parts: Parts) -> None:
    with parts.database.write() as session:
        _add_device(session, "pi-1", parts.clock())
        _add_device(session, "pi-2", parts.clock())
    text = browser.get("/", params={"selector": "device=pi-2"}).text
    assert 'href="/devices/pi-2"' in text and 'href="/devices/pi-1"' not in text
    broken = browser.get("/", params={"selector": "site=="})
    assert broken.status_code == 422 and "makes no sense at character" in broken.text


@pytest.mark.parametrize("path", ["/devices/nobody", "/models/nothing", "/rollouts/99"])
def test_page_of_what_is_not_there_says_so(browser: TestClient, path: str) -> None:
    answer = browser.get(path)
    assert answer.status_code == 404 and "There is no" in answer.text.replace("there is no", "There is no")


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example", "evil", "", "/a\nb"])
def test_signing_in_leads_nowhere_else(target: str) -> None:
    assert safe_target(target) == "/"


def test_lost_broker_is_said_on_every_page(browser: TestClient, parts: Parts) -> None:
    parts.link.listening_since = None  # type: ignore[misc]
    assert "is not connected." in browser.get("/models").text


def test_page_that_breaks_is_told_in_its_frame(browser: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the traceback must not be shown")

    monkeypatch.setattr("argosy_controller.dashboard.pages.events.list_events", broken)
    answer = browser.get("/events")
    assert answer.status_code == 500 and "This page broke" in answer.text and "traceback" not in answer.text
