"""Take the screenshots of the web page for the documentation, in Chromium.

python -m local.screenshots
"""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from local.serve import ROOT, Gateway, Handler, load_handler

CHROMIUM = shutil.which("chromium")
# Keep Chromium from calling Google's servers when it starts.
FLAGS = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run")
DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 860}}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}
SHOTS = {
    "page-light": DESKTOP,
    "page-dark": DESKTOP | {"color_scheme": "dark"},
    "page-phone": PHONE,
    # With the text of a line being corrected.
    "correction": DESKTOP,
}


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Debian's Chromium without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def served(function: Handler) -> Iterator[Gateway]:
    """Serve a function behind the local gateway on a free port."""
    with Gateway(0) as gateway:
        gateway.function = function
        thread = threading.Thread(target=gateway.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield gateway
        finally:
            gateway.shutdown()
            thread.join()


def main() -> None:
    """Read the sample, select one of its lines, and take the screenshots."""
    with served(load_handler()) as gateway, chromium() as browser:
        for name, options in SHOTS.items():
            context = browser.new_context(**options, reduced_motion="reduce")
            page = context.new_page()
            page.goto(gateway.url)
            page.click("#sample")
            page.wait_for_selector("#result:not([hidden])")
            page.locator("li[data-line]").nth(4).focus()
            if name == "correction":
                page.keyboard.press("Enter")
            page.screenshot(path=ROOT / "docs" / f"{name}.jpg", type="jpeg", quality=85)
            context.close()


if __name__ == "__main__":
    main()
