"""The pages in a real Chromium, with the real service behind them.

``make screenshot`` runs this file with SCREENSHOT, the file that the picture for the README goes to.
"""

import os
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from accounts import tokens
from config.tests import browser
from streaming.models import PlaybackSession
from streaming.tests.player import play, seconds_played
from videos.models import Video
from videos.processing import growing
from videos.services import catalogue, sources
from videos.tests import processes
from videos.tests.media import ffmpeg, h264, tone
from videos.versions import GROWING

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.journeys]
PASSWORD = "a long pass phrase"
SIZE = "size=640x360:rate=25"
TEST_PICTURE = f"testsrc2={SIZE}"
# title: seconds, price in cents, creator, FFmpeg's picture
SHOWN = {
    "A walk along the coast": (9, 0, "Cleo Marsh",
        f"mandelbrot={SIZE}:start_scale=0.02:end_scale=0.005"),
    "Northern lights": (12, 499, "Nora Field",
        f"gradients={SIZE}:type=spiral:c0=#03121f:c1=#0f766e:c2=#22d3ee:c3=#4338ca:"
        "n=4:speed=0.03:seed=7"),
    "A total eclipse": (15, 1999, "Ines Rahal",
        f"gradients={SIZE}:type=radial:c0=#1c1917:c1=#b45309:c2=#fbbf24:c3=#7c2d12:"
        "n=4:speed=0.02:seed=3"),
}  # fmt: skip


@pytest.fixture
def process(tmp_path, media, received, process_next):
    """A function that makes a video, and processes a clip of an FFmpeg picture for it."""

    def make(creator, title, seconds, picture, **fields) -> Video:
        clip = tmp_path / "clip.mp4"
        ffmpeg(
            "-f", "lavfi", "-i", picture, *tone(seconds=seconds), *h264("-crf", "30"),
            "-c:a", "aac", "-t", seconds, clip,
        )  # fmt: skip
        video = catalogue.create_video(creator=creator, title=title, **fields)
        sources.attach_source(video=video, received=received(clip), actor=creator)
        process_next()
        video.refresh_from_db()
        assert video.status == Video.Status.READY
        return video

    return make


def test_a_visitor_finds_a_video_and_watches_it(chromium, process, make_user):
    for title, (seconds, price, name, picture) in SHOWN.items():
        creator = make_user("CREATOR", display_name=name)
        process(creator, title, seconds, picture, price=price, is_paid=price > 0)

    with processes.web() as (_, port), browser.run(chromium) as running:
        start = f"http://127.0.0.1:{port}/"
        for width, dark in ((1280, True), (390, False)):
            with browser.page(running, start, width=width, dark=dark) as page:
                expect(page.get_by_role("listitem").get_by_role("img")).to_have_count(len(SHOWN))
        with browser.page(running, start) as page:
            posters = (
                "[...document.querySelectorAll('.poster img')].map(img => img.naturalWidth > 0)"
            )
            assert page.evaluate(posters) == [True] * len(SHOWN)
            if path := os.environ.get("SCREENSHOT"):
                page.screenshot(path=path)
                assert Path(path).stat().st_size < 300_000

            page.get_by_role("link", name="A walk along the coast").click()
            expect(page.get_by_role("heading", level=1)).to_have_text("A walk along the coast")
            play(page, seconds=1)
            with page.expect_response("**/heartbeat"):
                page.locator("video").click()  # pause
            played = seconds_played(page)

    session = PlaybackSession.objects.get()
    assert session.video.title == "A walk along the coast"
    assert played > 1
    assert session.watched_seconds == pytest.approx(played, abs=0.1)
    assert session.rejected_seconds == 0


@pytest.fixture
def growing_video(received, media, creator, tmp_path, process_stage, monkeypatch, settings):
    """A growing version of which twelve seconds are there, and a function that adds the rest."""
    monkeypatch.setattr(growing, "SOON_SECONDS", -1.0)
    settings.FFMPEG_PRESET, settings.FFMPEG_THREADS = "slower", 1
    clip = tmp_path / "clip.mkv"
    ffmpeg("-f", "lavfi", "-i", TEST_PICTURE, *tone(seconds=24), "-c:v", "mpeg4", "-t", "24", clip)
    video = catalogue.create_video(creator=creator, title="Fresh")
    sources.attach_source(video=video, received=received(clip), actor=creator)
    process_stage()
    (folder,) = video.versions_folder.glob(f"{GROWING}*")
    Video.objects.update(current_version=folder.name, completeness=Video.Completeness.GROWING)
    whole = {path: path.read_text() for path in folder.glob("*.m3u8")}
    for path, text in whole.items():
        path.write_text("#EXTINF".join(text.split("#EXTINF")[:4]))

    def grow() -> None:
        for path, text in whole.items():
            path.write_text(text)

    return video, grow


def test_a_visitor_watches_a_video_whose_end_is_still_being_encoded(chromium, growing_video):
    video, grow = growing_video
    with (
        processes.web() as (_, port),
        browser.run(chromium) as running,
        browser.page(running, f"http://127.0.0.1:{port}/watch/{video.pk}") as page,
    ):
        page.locator("video").evaluate("video => { video.defaultPlaybackRate = 3 }")
        play(page, seconds=0.1)
        assert page.locator("video").evaluate("video => video.duration") < 13
        processes.wait_for(lambda: seconds_played(page) > 11.5)  # all that is there
        grow()
        processes.wait_for(lambda: seconds_played(page) > 14)
    session = PlaybackSession.objects.get()  # it is one and the same
    assert session.version.startswith(GROWING)


def sign_in(page: Page, email: str, password: str = PASSWORD) -> None:
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in and watch").click()


def test_a_buyer_signs_in_and_watches_until_the_session_is_stopped(
    chromium, process, make_user, creator, buy
):
    buyer = make_user(email="bea@example.com", password=PASSWORD)
    make_user(email="vic@example.com", password=PASSWORD)
    video = process(creator, "Sold", 9, TEST_PICTURE, price=499, is_paid=True)
    buy(buyer, video)
    bearer = {"Authorization": f"Bearer {tokens.issue(buyer).access}"}

    with processes.web() as (_, port), browser.run(chromium) as running:
        site = f"http://127.0.0.1:{port}"
        # Chromium itself reports each refused call to the console.
        with browser.page(
            running, f"{site}/watch/{video.pk}", width=390, forgive="Failed to load resource"
        ) as page:
            alert = page.get_by_role("alert")
            expect(alert).to_contain_text("Sign in to watch this video.")
            sign_in(page, "bea@example.com", "wrong")
            expect(alert).to_contain_text("password")
            sign_in(page, "vic@example.com")
            expect(alert).to_have_text("Buy this video or subscribe to watch it.")
            page.get_by_role("button", name="Use another account").click()
            sign_in(page, "bea@example.com")
            expect(alert).to_be_hidden()
            processes.wait_for(lambda: seconds_played(page) > 1)

            sessions = page.request.get(f"{site}/api/v1/stream/sessions/", headers=bearer).json()
            (session,) = sessions["results"]
            path = f"{site}/api/v1/stream/sessions/{session['id']}"
            assert page.request.delete(path, headers=bearer).status == 204
            page.locator("video").click()
            expect(alert).to_contain_text("This playback session has ended.")
            page.get_by_role("button", name="Watch here").click()  # the page is still signed in
            expect(alert).to_be_hidden()
            processes.wait_for(lambda: seconds_played(page) > 2)


@pytest.fixture
def video_page(chromium, make_video):
    """A running service with one video that has no files, and a browser."""
    video = make_video()
    with processes.web() as (_, port), browser.run(chromium) as running:
        yield running.new_page(), f"http://127.0.0.1:{port}/watch/{video.pk}"


def test_a_page_that_cannot_play_says_why_in_words(video_page):
    page, address = video_page
    stream, alert = "**/api/v1/stream/*", page.get_by_role("alert")

    page.route(stream, lambda route: route.abort())
    page.goto(address)
    expect(alert).to_contain_text("The service cannot be reached.")

    page.unroute(stream)
    body = '{"type": "client_error", "errors": [{"code": "throttled", "detail": "Too often."}]}'
    page.route(stream, lambda route: route.fulfill(status=429, body=body))
    page.get_by_role("button", name="Try again").click()
    expect(alert).to_have_text("Too often.")

    page.unroute(stream)
    page.route(stream, lambda route: route.fulfill(status=502, body="<h1>Bad gateway</h1>"))
    page.get_by_role("button", name="Try again").click()
    expect(alert).to_contain_text("The service answered with the error 502.")

    page.add_init_script(
        "HTMLMediaElement.prototype.canPlayType = () => ''; delete window.MediaSource;"
        " delete window.ManagedMediaSource"
    )
    page.goto(address)
    expect(alert).to_contain_text("This browser cannot play this video")
    expect(page.get_by_role("button", name="Try again")).to_be_hidden()
