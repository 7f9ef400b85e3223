"""The player in a real Chromium with the real service: on its page, and in frames of other sites.

Pictures of it go to the folder that PLAYER_PICTURES names, if it is set.
"""

import contextlib
import functools
import http.server
import os
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.db import connections
from playwright.sync_api import Frame, Page, expect

from accounts import tokens
from config.tests import browser, npm
from config.tests.axe import assert_accessible
from streaming import sessions
from streaming.models import PlaybackSession
from streaming.tests.player import play, seconds_played
from videos.models import Video
from videos.presentation import captioning, chapters, cues
from videos.services import catalogue, sources
from videos.tests import processes
from videos.tests.media import ffmpeg, h264, tone

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.journeys]
PASSWORD = "a long pass phrase"
SECONDS = 24
REFUSED = "Failed to load resource"  # Chromium itself reports each refused call to the console


@pytest.fixture(autouse=True)
def patient():
    """Wait longer for what a page shows: the machine may be busy."""
    expect.set_options(timeout=30_000)
    yield
    expect.set_options(timeout=5_000)


@pytest.fixture
def make(tmp_path, media, received, process_next, creator):
    """A function that makes a video of two sound tracks, with captions and chapters."""

    def made(title: str = "Harbour at night", **fields) -> Video:
        clip = tmp_path / "clip.mkv"
        ffmpeg(
            "-f", "lavfi", "-i", "testsrc2=size=854x480:rate=25", *tone(seconds=SECONDS),
            *tone(seconds=SECONDS, frequency=880), "-map", "0", "-map", "1", "-map", "2",
            *h264("-crf", "32"), "-c:a", "aac", "-t", SECONDS,
            "-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=ger", clip,
        )  # fmt: skip
        video = catalogue.create_video(creator=creator, title=title, **fields)
        sources.attach_source(video=video, received=received(clip), actor=creator)
        process_next()
        for label, language in (("English", "en"), ("Deutsch", "de")):
            texts = [
                cues.Cue(1000 * second, 1000 * second + 990, f"{label} {second}")
                for second in range(SECONDS)
            ]
            captioning.add_caption(
                video=video, actor=creator, cues=texts, language=language, label=label
            )
        parts = [(0, "Arriving"), (8, "The pier"), (16, "Leaving")]
        chapters.set_chapters(
            video=video,
            actor=creator,
            chapters=[{"start_seconds": start, "title": name} for start, name in parts],
        )
        video.refresh_from_db()
        return video

    return made


@contextlib.contextmanager
def service(chromium: str, **settings: str):
    """Run the service and a browser; give the browser and the address of the service."""
    with processes.web(**settings) as (_, port), browser.run(chromium) as running:
        yield running, f"http://127.0.0.1:{port}"


def shoot(page: Page, name: str) -> None:
    if folder := os.environ.get("PLAYER_PICTURES"):
        page.screenshot(path=Path(folder) / f"{name}.png")


def sign_in(page: Page, email: str) -> None:
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in and watch").click()


def bar(page: Page):
    return page.get_by_role("slider", name="Place in the video")


def test_a_viewer_plays_seeks_and_chooses(chromium, make, creator, make_video):
    video = make()
    later = make_video(title="The morning after", creator=creator)
    with service(chromium) as (running, site):
        with browser.page(running, f"{site}/watch/{video.pk}") as page:
            assert_accessible(page)
            shoot(page, "desktop-before")
            buffered = "v => v.buffered.length ? v.buffered.end(0) : 0"
            assert page.locator("video").evaluate(buffered) < 10  # what is delivered counts
            play(page, seconds=1)
            assert_accessible(page)

            page.keyboard.press("8")  # eighty percent
            processes.wait_for(lambda: seconds_played(page) > 19)
            expect(bar(page)).to_have_attribute("aria-valuetext", _holds("Leaving"))
            page.keyboard.press("k")
            assert page.locator("video").evaluate("v => v.paused")
            page.keyboard.press("j")
            processes.wait_for(lambda: 8 < seconds_played(page) < 12)

            page.keyboard.press("c")
            expect(page.locator(".captions")).to_have_text(_holds("English "))
            page.get_by_role("button", name="Captions").click()
            page.get_by_label("Language").select_option("Deutsch")
            page.get_by_label("Size").select_option("Very large")
            page.get_by_label("Background").select_option("White")
            expect(page.locator(".captions")).to_have_text(_holds("Deutsch "))
            assert_accessible(page)
            shoot(page, "desktop-captions")
            page.keyboard.press("Escape")
            expect(page.get_by_role("button", name="Captions")).to_be_focused()

            page.get_by_role("button", name="Settings").click()
            quality = page.get_by_label("Quality")
            names = quality.locator("option").all_text_contents()
            assert names[0].startswith("Auto")
            assert len(names) > 2, names
            quality.select_option(names[-1])
            page.get_by_label("Sound track").select_option(index=1)
            page.get_by_label("Speed").select_option("1.5")
            shoot(page, "desktop-settings")
            page.keyboard.press("Escape")
            page.keyboard.press("k")
            height = int(names[-1].split("p")[0])
            shown = "v => Math.min(v.videoHeight, v.videoWidth)"
            processes.wait_for(lambda: page.locator("video").evaluate(shown) == height)

            page.get_by_role("button", name="Chapters").click()
            page.get_by_role("button", name="The pier").click()
            processes.wait_for(lambda: 8 <= seconds_played(page) < 14)
            place = bar(page).bounding_box()
            page.mouse.move(place["x"] + place["width"] * 0.7, place["y"] + 5)
            expect(page.locator(".preview")).to_contain_text("Leaving · 0:1")
            picture = "f => getComputedStyle(f).backgroundImage"
            assert "sprite-1.jpg" in page.locator(".preview .frame").evaluate(picture)
            shoot(page, "desktop-preview")

            page.keyboard.press("?")
            expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
            assert_accessible(page)
            shoot(page, "desktop-keys")
            page.keyboard.press("Escape")
            page.keyboard.press("m")
            assert page.locator("video").evaluate("v => v.muted")
            page.locator("video").evaluate("v => { v.currentTime = v.duration - 1 }")
            link = page.locator("#next").get_by_role("link", name="The morning after")
            expect(link).to_be_visible()
            assert link.get_attribute("href") == f"/watch/{later.pk}"
            shoot(page, "desktop-end")

        with browser.page(running, f"{site}/watch/{video.pk}", width=390, dark=True) as page:
            shoot(page, "phone-dark-before")
            play(page, seconds=1)
            page.keyboard.press("c")
            page.get_by_role("button", name="Settings").click()
            assert_accessible(page)
            shoot(page, "phone-dark-settings")

    session = PlaybackSession.objects.order_by("created_at")[0]
    assert session.startup_ms is not None
    assert session.rejected_seconds == 0


def _holds(text: str) -> re.Pattern[str]:
    return re.compile(re.escape(text))


def test_a_buyer_pays_goes_on_elsewhere_and_hears_of_the_refund(chromium, make, make_user, admin):
    make_user(email="bea@example.com", password=PASSWORD)
    video = make("Sold", price=499, is_paid=True, rental_price=199, rental_hours=48)
    boss = {"Authorization": f"Bearer {tokens.issue(admin).access}"}
    with service(chromium) as (running, site):
        address = f"{site}/watch/{video.pk}"
        with browser.page(running, address, width=390, forgive=REFUSED) as page:
            alert = page.get_by_role("alert")
            expect(alert).to_contain_text("Sign in to watch this video. Buy: 4.99 USD")
            assert_accessible(page)
            shoot(page, "phone-sign-in")
            sign_in(page, "bea@example.com")
            expect(alert).to_have_text("Buy this video or subscribe to watch it.")
            expect(page.get_by_role("button", name="Rent for 48 hours: 1.99 USD")).to_be_visible()
            expect(page.get_by_role("button", name="Subscribe (Monthly): 9.99")).to_be_visible()
            assert_accessible(page)
            shoot(page, "phone-paywall")

            page.get_by_text("I have a coupon").click()
            page.get_by_label("Coupon", exact=True).fill("NONE")
            page.get_by_role("button", name="Buy: 4.99 USD").click()
            expect(alert).to_contain_text("coupon")
            page.get_by_label("Coupon", exact=True).fill("")
            page.get_by_role("button", name="Buy: 4.99 USD").click()
            page.get_by_role("button", name="Pay", exact=True).click()
            page.get_by_role("link", name="Back to the video service").click()
            expect(page.locator("#notice")).to_be_hidden()
            video_element = page.locator("video")
            processes.wait_for(lambda: video_element.evaluate("v => v.readyState > 0"))
            if video_element.evaluate("v => v.paused"):
                video_element.click()
            processes.wait_for(lambda: seconds_played(page) > 5)
            with page.expect_response("**/heartbeat"):
                video_element.click()
            stopped_at = seconds_played(page)

        with browser.page(running, address, dark=True, forgive=REFUSED) as page:
            sign_in(page, "bea@example.com")
            expect(page.locator("#toast")).to_contain_text("You were at 0:0")
            processes.wait_for(lambda: seconds_played(page) > stopped_at)  # it plays by itself
            shoot(page, "desktop-dark-resumed")
            orders = page.request.get(
                f"{site}/api/v1/payments/orders",
                headers={"Authorization": f"Bearer {_token(page, site)}"},
            ).json()["results"]
            refunded = page.request.post(
                f"{site}/api/v1/payments/admin/orders/{orders[0]['id']}/refund",
                headers=boss | {"Idempotency-Key": "refund-of-a-test"},
                data={},
            )
            assert refunded.ok, refunded.text()
            alert = page.get_by_role("alert")
            expect(alert).to_contain_text("Your access to this video has ended")
            expect(page.get_by_role("button", name="Buy: 4.99 USD")).to_be_visible()
            assert page.locator("video").evaluate("v => v.buffered.length") == 0
            shoot(page, "desktop-dark-refunded")
    assert PlaybackSession.objects.filter(end_reason="revoked").exists()


def _token(page: Page, site: str) -> str:
    body = {"email": "bea@example.com", "password": PASSWORD}
    return page.request.post(f"{site}/api/v1/auth/login", data=body).json()["access_token"]


def test_a_viewer_takes_over_from_another_device(chromium, make, make_user):
    make_user(email="bea@example.com", password=PASSWORD)
    video = make()
    with service(chromium, MAX_CONCURRENT_STREAMS="1") as (running, site):
        page = running.new_page()
        bearer = {"Authorization": f"Bearer {_token(page, site)}"}
        stream = page.request.get(f"{site}/api/v1/stream/{video.pk}", headers=bearer).json()
        page.request.get(site + stream["stream_url"], headers={"Accept": "application/json"})
        # The page asks as a stranger first, whom the limit does not concern.
        page.route(
            f"**/api/v1/stream/{video.pk}",
            lambda route: route.fulfill(status=401, body="{}"),
            times=1,
        )
        page.goto(f"{site}/watch/{video.pk}")
        sign_in(page, "bea@example.com")
        expect(page.get_by_role("alert")).to_contain_text("at once")
        shoot(page, "desktop-take-over")
        page.get_by_role("button", name="Stop it and watch here instead").click()
        processes.wait_for(lambda: seconds_played(page) > 1)
    first, second = PlaybackSession.objects.order_by("created_at")
    assert (first.end_reason, second.end_reason) == ("stopped", "")


def test_a_lost_network_is_said_and_playback_goes_on(chromium, make):
    video = make()
    with service(chromium) as (running, site):
        page = running.new_page()
        page.goto(f"{site}/watch/{video.pk}")
        processes.wait_for(lambda: page.locator("video").evaluate("v => v.readyState > 2"))
        page.context.set_offline(True)
        page.locator("video").click()
        expect(page.locator("#toast")).to_contain_text("The connection is lost")
        shoot(page, "desktop-offline")
        page.context.set_offline(False)
        expect(page.locator("#toast")).to_be_hidden()
        processes.wait_for(lambda: seconds_played(page) > 12)


def aside(act):
    """Use the database in another thread: Playwright's own has an event loop."""

    def run():
        try:
            return act()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result()


def end_all(reason: str) -> None:
    aside(lambda: sessions.end(PlaybackSession.objects.all(), PlaybackSession.EndReason(reason)))


# So that a slow machine does not get there before the test has seen what it looks for.
FAR_FROM_THE_END = """() => {
  const video = document.querySelector("video");
  [video.currentTime, video.playbackRate] = [2, 0.25];
}"""


@pytest.mark.parametrize("is_all_reported", [True, False])
def test_after_a_pause_of_hours_one_press_goes_on(chromium, make, is_all_reported):
    """The session ended meanwhile, by nobody's deed: no message, and the same place in the video.

    What was not reported before the pause is reported in it, and the answer tells of the end.
    """
    video = make()
    with service(chromium) as (running, site):
        page = running.new_page()
        page.clock.install()
        page.goto(f"{site}/watch/{video.pk}")
        play(page, seconds=2)
        if not is_all_reported:
            page.route("**/heartbeat", lambda route: route.abort())
        page.locator("video").click()
        end_all("idle")
        place = seconds_played(page)
        page.unroute_all()
        page.clock.fast_forward("02:00:00")

        page.locator("video").click()

        processes.wait_for(lambda: aside(PlaybackSession.objects.count) == 2)
        processes.wait_for(lambda: seconds_played(page) > place + 3)
        assert not page.get_by_role("alert").is_visible()

        # A session that ends while it plays is somebody's deed: that is said, and not undone.
        page.evaluate(FAR_FROM_THE_END)
        end_all("stopped")
        page.clock.fast_forward("00:11")
        expect(page.get_by_role("alert")).to_contain_text("ended")
    assert PlaybackSession.objects.count() == 2


HOST_PAGE = """<!doctype html><meta charset="utf-8"><title>A blog</title><h1>A blog</h1>
<iframe src="{frame}" width="640" height="360" allow="autoplay; fullscreen"></iframe>
<script>
  window.told = [];
  addEventListener("message", ({{ data, origin }}) => told.push({{ ...data, origin }}));
  window.command = (body) =>
    document.querySelector("iframe").contentWindow.postMessage({{ vod: 1, ...body }}, "*");
</script>"""


@contextlib.contextmanager
def another_site(folder: Path, frame: str) -> Iterator[int]:
    """Serve a page with the player in a frame on 127.0.0.1, and give the port."""
    (folder / "index.html").write_text(HOST_PAGE.format(frame=frame))
    handler = functools.partial(Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        return


def framed(page: Page) -> Frame:
    return page.frames[1]


def test_a_site_that_the_owner_allows_embeds_the_player_and_steers_it(chromium, make, tmp_path):
    video = make(embed_domains=["localhost"])
    folder = tmp_path / "blog"
    folder.mkdir()
    with (
        service(chromium) as (running, site),
        another_site(folder, f"{site}/embed/{video.pk}") as port,
    ):
        page = running.new_page()
        errors: list[str] = []
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        page.goto(f"http://localhost:{port}/index.html", wait_until="networkidle")
        told = "name => told.filter(each => each.event === name)"
        processes.wait_for(lambda: page.evaluate(told, "ready"))
        (frame,) = page.frames[1:]
        video_element = frame.locator("video")
        processes.wait_for(lambda: video_element.evaluate("v => v.readyState > 0"))
        page.evaluate("command({command: 'seek', seconds: 10})")
        processes.wait_for(lambda: video_element.evaluate("v => v.currentTime") >= 10)
        page.locator("iframe").click()  # a frame plays with sound once it was clicked
        processes.wait_for(lambda: page.evaluate(told, "timeupdate"))
        page.evaluate("command({command: 'pause'})")
        processes.wait_for(lambda: page.evaluate(told, "pause"))
        assert video_element.evaluate("v => v.paused")
        last = page.evaluate(told, "pause")[-1]
        assert last["origin"] == site
        assert last["seconds"] > 10
        assert frame.evaluate("document.cookie") == ""
        shoot(page, "embed")
        assert_accessible(frame)
        assert [text for text in errors if "favicon" not in text and "404" not in text] == []

        # The same page under a name that is not allowed shows nothing of it, and reads nothing.
        page.goto(f"http://127.0.0.1:{port}/index.html", wait_until="networkidle")
        assert page.evaluate("told") == []
        assert any("frame-ancestors" in text for text in errors)


def test_what_must_be_paid_for_is_watched_on_the_page_of_the_video(chromium, make, tmp_path):
    video = make("Sold", price=499, is_paid=True, embed_domains=["*"])
    folder = tmp_path / "blog"
    folder.mkdir()
    with (
        service(chromium) as (running, site),
        another_site(folder, f"{site}/embed/{video.pk}") as port,
    ):
        page = running.new_page()
        page.goto(f"http://localhost:{port}/index.html", wait_until="networkidle")
        refused = "told.filter(each => each.event === 'refused').map(each => each.status)"
        processes.wait_for(lambda: page.evaluate(refused))
        assert page.evaluate(refused) == [401]
        frame = page.frames[1]
        expect(frame.get_by_role("alert")).to_have_text("Sign in to watch this video.")
        link = frame.get_by_role("link", name="Open the video's page to watch it")
        assert link.get_attribute("href") == f"/watch/{video.pk}"
        assert frame.locator("form:not([method=dialog])").count() == 0
        shoot(page, "embed-paid")


def test_hls_js_is_the_file_of_the_locked_package():
    locked = npm.installed(Path(__file__).parent / "players") / "hls.js"
    ours = Path(__file__).parents[1] / "static" / "streaming" / "hls"
    assert (ours / "hls.min.js").read_bytes() == (locked / "dist" / "hls.min.js").read_bytes()
    assert (ours / "LICENSE").read_bytes() == (locked / "LICENSE").read_bytes()
