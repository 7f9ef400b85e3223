"""The player page for tests in a browser."""

from playwright.sync_api import Page

from videos.tests import processes


def seconds_played(page: Page) -> float:
    return page.locator("video").evaluate("video => video.currentTime")


def play(page: Page, *, seconds: float) -> None:
    """Press play as a viewer would, and wait until so many seconds of the video were played."""
    video = page.locator("video")
    # Chromium ignores a click on a video whose first bytes have not arrived.
    processes.wait_for(lambda: video.evaluate("video => video.readyState > 0"))
    video.click()
    processes.wait_for(lambda: seconds_played(page) > seconds)
