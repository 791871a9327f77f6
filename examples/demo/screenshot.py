"""The picture of the dashboard in the README, taken from a running demo with a real browser."""

from __future__ import annotations

import shutil
from pathlib import Path

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync"]


def take(dashboard: str, password: str, path: Path, page: str = "/", width: int = 1440, height: int = 900, dark: bool = False) -> None:
    """Logs in and takes a picture of one page.

    Raises:
        SystemExit: no chromium is installed.
    """
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise SystemExit("no chromium is installed: apt-get install chromium")
    path.parent.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        view = browser.new_page(viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light")
        view.goto(dashboard)
        view.fill("#name", "admin")
        view.fill("#password", password)
        view.click("button")
        view.wait_for_load_state("load")
        view.goto(dashboard.rstrip("/") + page)
        view.wait_for_timeout(1500)  # charts draw themselves after the page is there
        view.screenshot(path=str(path))
        browser.close()
