"""A real Chromium for tests of pages: the installed one, steered by Playwright."""

import contextlib
from collections.abc import Iterator
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, sync_playwright


@contextlib.contextmanager
def run(chromium: str) -> Iterator[Browser]:
    """Run the browser of the fixture ``chromium``.

    Django refuses the test's own database queries until the browser is closed.
    """
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium)
        try:
            yield running
        finally:
            running.close()


@contextlib.contextmanager
def page(
    running: Browser,
    address: str,
    *,
    width: int = 1280,
    dark: bool = False,
    forgive: str = "\0",
    session: str = "",
) -> Iterator[Page]:
    """Open an address, and fail at the end if the page misbehaved.

    It may neither report an error, except one with the text ``forgive``, nor ask another host for
    anything, nor be wider than its window. ``session`` is the key of a session of the admin site.
    """
    size, scheme = {"width": width, "height": 800}, "dark" if dark else "light"
    opened = running.new_page(viewport=size, color_scheme=scheme)  # type: ignore[arg-type]  # literals
    if session:
        site = (
            f"http://{urlsplit(address).netloc}/"  # with a path, the cookie would be for it alone
        )
        opened.context.add_cookies([{"name": "sessionid", "value": session, "url": site}])
    errors: list[str] = []
    hosts: set[str] = set()
    opened.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
    opened.goto(address, wait_until="networkidle")
    yield opened
    unforgiven = [text for text in errors if forgive not in text]
    assert unforgiven == [], unforgiven
    assert hosts - {""} == {urlsplit(address).netloc}, hosts
    found = opened.evaluate("document.documentElement.scrollWidth")
    assert found <= width, f"the page is {found} pixels wide"
    opened.close()
