"""Builds over HTTP: uploads that may come in, who may send them, pages that stay text, reports without scripts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from starlette.testclient import TestClient

from argosy_controller.accounts import roles
from argosy_controller.api.routes import builds as routes
from argosy_controller.db.tables import BuildRow
from argosy_controller.parts import Parts
from argosy_controller.pipeline.numbers.goals import Judgement
from argosy_controller.pipeline.report import Report, Step

SCRIPT = "<script>alert(1)</script>"
RECIPE = '[[variants]]\nuse = "onnx-fp32"\n'
WISH = {"task": "digits", "recipe": "recipe/r.toml", "seed": 7}


def send(api: TestClient, wish: dict[str, Any] | None = None, **files: str) -> Any:
    parts = {"request.json": json.dumps(WISH if wish is None else wish), "task/task.py": "1/0", "recipe/r.toml": RECIPE, **files}
    return api.post("/api/v1/builds", files=[(name, (name, text.encode())) for name, text in parts.items()])


def add(parts: Parts, **columns: Any) -> int:
    values: dict[str, Any] = {"task": "digits", "recipe": "task/r.toml", "created": parts.clock(), **columns}
    with parts.database.write() as session:
        row = BuildRow(**values)
        session.add(row)
    return row.id or 0


def add_report(parts: Parts, number: int, name: str = "digits") -> Path:
    goal = Judgement(variant=name, goal="bytes_at_most", target=10.0, value=20.0, judged=20.0, met=False, missed_by=10.0)
    step = Step(step="train", options={}, parameters=1, not_zero=1)
    report = Report(kind="build", model=name, summary=name, variants=[], goals=[goal], steps=[step])
    place = parts.builds.places.of(number)
    place.out.mkdir(parents=True)
    place.report.write_bytes(msgspec.json.encode(report))
    return place.root


def test_uploaded_task_is_queued_with_its_files(api: TestClient, parts: Parts) -> None:
    answer = send(api)
    found = answer.json()
    assert answer.status_code == 201 and (found["build"], found["state"], found["seed"]) == (1, "queued", 7)
    inputs = parts.builds.places.of(1).inputs
    assert (inputs / "task" / "digits" / "task.py").read_text() == "1/0" and (inputs / "recipe" / "r.toml").read_text() == RECIPE
    assert list(parts.folder.uploads.iterdir()) == []
    assert api.get("/api/v1/builds").json() == [api.get("/api/v1/builds/1").json()]
    assert api.get("/api/v1/audit").json()[0]["action"] == "build.queue"


@pytest.mark.parametrize("name", ["task/../../x", "task/.env", "report.json", "variants/a/card.json", "recipe/a/b"])
def test_upload_with_another_name_is_refused_and_leaves_nothing(api: TestClient, parts: Parts, name: str) -> None:
    answer = send(api, **{name: "x"})
    assert answer.status_code == 422 and "is not expected" in answer.json()["detail"]
    assert list(parts.folder.uploads.iterdir()) == [] and not parts.builds.places.root.exists()
    assert api.get("/api/v1/builds").json() == []


def test_mistake_in_the_recipe_is_told_before_anything_is_queued(api: TestClient) -> None:
    answer = send(api, **{"recipe/r.toml": "[[variants]]\nuse = 'onnx-fp31'\n"})
    assert answer.status_code == 422 and "r.toml line 2" in answer.json()["detail"]


def test_upload_over_its_limit_is_refused(api: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "MAX_TASK_BYTES", 100)
    answer = send(api, **{"task/data.npz": "x" * 101})
    assert answer.status_code == 422 and "over 100 bytes" in answer.json()["detail"]


@pytest.mark.parametrize("role", [roles.Role.VIEWER, roles.Role.OPERATOR, roles.Role.PUBLISHER])
def test_only_administrators_send_and_cancel(api: TestClient, parts: Parts, monkeypatch: pytest.MonkeyPatch, role: roles.Role) -> None:
    number = add(parts)
    monkeypatch.setattr("argosy_controller.accounts.credentials.role_named", lambda _: role)
    assert send(api).status_code == 403 and api.post(f"/api/v1/builds/{number}/cancel").status_code == 403
    assert api.get(f"/api/v1/builds/{number}").status_code == 200


def test_cancelled_build_says_by_whom(api: TestClient) -> None:
    send(api)
    assert api.post("/api/v1/builds/1/cancel").json()["state"] == "cancelled"
    assert api.get("/api/v1/builds/1").json()["reason"] == "cancelled by admin"
    again = api.post("/api/v1/builds/1/cancel")
    assert again.status_code == 409 and "ended already" in again.json()["detail"]


def test_time_left_follows_the_pace_of_the_stage(api: TestClient, parts: Parts) -> None:
    number = add(parts, state="running", stage="train", done=10, total=30, stage_began=parts.clock() - 20)
    assert api.get(f"/api/v1/builds/{number}").json()["left_s"] == pytest.approx(40, abs=2)


def test_log_is_told_from_its_end(api: TestClient, parts: Parts) -> None:
    number = add(parts)
    assert api.get(f"/api/v1/builds/{number}/log").json() == {"text": "", "bytes": 0}
    log = parts.builds.places.of(number).log
    log.parent.mkdir(parents=True)
    log.write_bytes(b"a" * 100_000 + b"\xffend")
    found = api.get(f"/api/v1/builds/{number}/log").json()
    assert found["bytes"] == 100_004 and found["text"].endswith("\ufffdend") and len(found["text"]) <= 65_536


@pytest.mark.parametrize("path", ["../log.txt", "report.json/../../log.txt", "nothing", "link"])
def test_only_files_of_the_result_are_given_out(api: TestClient, parts: Parts, path: str) -> None:
    number = add(parts)
    root = add_report(parts, number)
    (root / "log.txt").touch()
    (root / "out" / "link").symlink_to("/etc/hostname")
    assert [one["path"] for one in api.get(f"/api/v1/builds/{number}/files").json()] == ["report.json"]
    assert api.get(f"/api/v1/builds/{number}/files/report.json").status_code == 200
    assert api.get(f"/api/v1/builds/{number}/files/{path.replace('..', '%2e%2e')}").status_code == 404


@pytest.mark.parametrize("path", ["/api/v1/builds/9", "/api/v1/builds/9/log", "/api/v1/builds/9/report", "/api/v1/builds/9/files"])
def test_build_that_is_not_there_is_not_found(api: TestClient, path: str) -> None:
    answer = api.get(path)
    assert answer.status_code == 404 and "there is no build 9" in answer.json()["detail"]


def test_pages_show_names_as_text(browser: TestClient, parts: Parts) -> None:
    number = add(
        parts, task=SCRIPT, reason=f"{SCRIPT}\n{SCRIPT}", state="running", stage=SCRIPT, done=1, total=3, settings={SCRIPT: SCRIPT}
    )
    add_report(parts, number, SCRIPT)
    parts.builds.places.of(number).log.write_text(SCRIPT)
    for path in ("/builds", f"/builds/{number}"):
        text = browser.get(path).text
        assert SCRIPT not in text and "&lt;script&gt;" in text


def test_page_of_a_build_tells_goals_and_frames_the_report(browser: TestClient, parts: Parts) -> None:
    number = add(parts, state="failed", reason="1 of 1 goals was not met")
    add_report(parts, number)
    text = browser.get(f"/builds/{number}").text
    assert "missed" in text and re.search(rf'<iframe class="report-frame" sandbox="" [^>]*src="/builds/{number}/report"', text)


def test_report_runs_no_script_and_has_no_origin(browser: TestClient, parts: Parts) -> None:
    number = add(parts, state="failed")
    add_report(parts, number, SCRIPT)
    answer = browser.get(f"/builds/{number}/report")
    policy = answer.headers["content-security-policy"]
    assert answer.status_code == 200 and policy.startswith("sandbox; default-src 'none'") and "allow-scripts" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff" and SCRIPT not in answer.text


@pytest.mark.parametrize("path", ["/builds", "/builds/1", "/models/tiny/versions/1"])
def test_nobody_sees_pages_of_builds_without_signing_in(operators: TestClient, path: str) -> None:
    assert operators.get(path).status_code == 303


@pytest.mark.parametrize("path", ["/builds/1/report", "/models/tiny/versions/1/report"])
def test_nobody_sees_a_report_without_signing_in(operators: TestClient, path: str) -> None:
    assert operators.get(path).status_code == 401


def test_damaged_report_breaks_no_page(browser: TestClient, parts: Parts) -> None:
    number = add(parts)
    place = parts.builds.places.of(number)
    place.out.mkdir(parents=True)
    place.report.write_bytes(b'{"kind": 7}')
    assert browser.get(f"/builds/{number}").status_code == 200
    assert browser.get(f"/builds/{number}/report").status_code == 404


def test_cancelling_on_the_page_needs_its_form(browser: TestClient, parts: Parts) -> None:
    number = add(parts)
    token = re.search(r'name="form_token" value="([0-9a-f]{64})"', browser.get(f"/builds/{number}").text)
    assert token is not None
    assert browser.post(f"/builds/{number}/cancel", data={"form_token": "0" * 64}).status_code in (401, 403)
    assert "cancelled" not in browser.get("/builds").text
    assert browser.post(f"/builds/{number}/cancel", data={"form_token": token[1]}).status_code == 303
    assert "cancelled by admin" in browser.get("/builds").text
