"""The dashboard in a real browser: it asks no other host, fits both widths, stays current, and is readable without scripts."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from controller_process import ControllerProcess
from playwright.sync_api import Browser, Page, sync_playwright

pytestmark = pytest.mark.integration
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
PAGES = ["/", "/models", "/builds", "/rollouts", "/events", "/enrol", "/patterns"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium here: apt-get install chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield started
        started.close()


def _signed_in(browser: Browser, controller: ControllerProcess, **context: Any) -> Page:
    page = browser.new_context(base_url=controller.endpoints["dashboard"], **context).new_page()
    page.goto("/login")
    page.fill("#name", "admin")
    page.fill("#password", (controller.data / "admin-password").read_text().strip())
    page.click("button")
    page.wait_for_selector("#live")
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_pages_fit_ask_no_other_host_and_break_no_rule(browser: Browser, controller: ControllerProcess, width: int, scheme: Any) -> None:
    page = _signed_in(browser, controller, viewport={"width": width, "height": 800}, color_scheme=scheme)
    said: list[str] = []
    hosts: set[str] = set()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: hosts.add(request.url.split("/")[2]))
    for path in PAGES:
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        unnamed = page.evaluate("[...document.querySelectorAll('input:not([type=hidden]),select')].filter(e => !e.labels.length).length")
        assert unnamed == 0, path
    assert said == []
    assert hosts == {controller.endpoints["dashboard"].split("/")[2]}
    page.context.close()


def test_page_changes_by_itself_and_keeps_what_was_typed(browser: Browser, controller: ControllerProcess) -> None:
    page = _signed_in(browser, controller)
    page.goto("/enrol")
    page.fill("#labels", "half=typ")
    assert page.locator("#token-1").count() == 0
    assert controller.run("tokens", "create", "--label", "site=lab").code == 0
    page.wait_for_selector("#token-1", timeout=10_000)
    assert page.input_value("#labels") == "half=typ"
    page.context.close()


def test_pages_are_readable_without_scripts(browser: Browser, controller: ControllerProcess) -> None:
    page = _signed_in(browser, controller, java_script_enabled=False)
    for path in PAGES:
        page.goto(path)
        assert page.locator("h1").inner_text()
    page.goto("/enrol")
    page.fill("#labels", "site=page")
    page.click("form[action='/enrol'] button")
    assert "argosy1." in page.locator("#line").inner_text()
    page.context.close()


def test_lost_controller_is_said_on_the_page(browser: Browser, controller: ControllerProcess) -> None:
    page = _signed_in(browser, controller)
    page.route("**/*", lambda route: route.abort())
    page.wait_for_selector("#connection-lost:not([hidden])", timeout=10_000)
    page.unroute("**/*")
    page.wait_for_selector("#connection-lost", state="hidden", timeout=10_000)
    page.context.close()
