"""Takes pictures of a running controller's pages: `python tests/screens/take.py --data DIR --out docs/images [--all]`.

Without --all only `dashboard.png`, the README's picture; with it every page at 1440 and 390 pixels, light and dark.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SIZES = {"1440": (1440, 900), "390": (390, 844)}


def main() -> None:
    """Signs in with the first password and takes the pictures."""
    options = _options()
    options.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_chromium(), args=FLAGS)
        try:
            if options.all:
                _take_all(browser, options.data, options.out)
            else:
                page = _signed_in(browser, options.data, "1440", "light", scale=1.5)
                page.goto(_base(options.data) + options.page)
                page.screenshot(path=options.out / "dashboard.png")
        finally:
            browser.close()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="data folder of the running controller")
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    parser.add_argument("--page", default="/", help="which page, without --all")
    parser.add_argument("--all", action="store_true")
    return parser.parse_args()


def _take_all(browser: Browser, data: Path, out: Path) -> None:
    for size in SIZES:
        for scheme in ("light", "dark"):
            page = _signed_in(browser, data, size, scheme)
            for path in _paths(page, _base(data)):
                page.goto(_base(data) + path)
                name = re.sub(r"[^a-z0-9]+", "-", path.lower()).strip("-") or "fleet"
                page.screenshot(path=out / f"{name}-{size}-{scheme}.png", full_page=True)
            page.context.clear_cookies()
            page.goto(_base(data) + "/login")
            page.screenshot(path=out / f"login-{size}-{scheme}.png")
            page.context.close()


def _paths(page: Page, base: str) -> list[str]:
    """Every section, and the first device, model, build and rollout."""
    paths = ["/", "/models", "/builds", "/rollouts", "/events", "/enrol", "/patterns"]
    for section, pattern in (("/", "/devices/"), ("/models", "/models/"), ("/builds", "/builds/"), ("/rollouts", "/rollouts/")):
        page.goto(base + section)
        links = [link.get_attribute("href") or "" for link in page.locator(f"table a[href^='{pattern}']").all()]
        paths += links[:1]
    return paths


def _signed_in(browser: Browser, data: Path, size: str, scheme: str, scale: float = 1.0) -> Page:
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        device_scale_factor=scale,
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.goto(_base(data) + "/login")
    page.fill("#name", "admin")
    page.fill("#password", (data / "admin-password").read_text().strip())
    page.click("button")
    page.wait_for_url(lambda url: "/login" not in url)
    return page


def _base(data: Path) -> str:
    dashboard: str = json.loads((data / "endpoints.json").read_text())["dashboard"]
    return dashboard.rstrip("/")


def _chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        raise SystemExit("no chromium here: install it, for example with 'apt-get install chromium'")
    return found


if __name__ == "__main__":
    main()
