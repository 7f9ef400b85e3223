"""Previews in real players: they play to their end and stop there, as HLS and as DASH."""

import json
import subprocess
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Response, expect

from config.tests import browser, cases, npm
from streaming.models import PlaybackSession
from streaming.tests.test_captions_in_browser import HERE, PLAYERS
from videos.models import Video
from videos.processing import tools
from videos.services import catalogue, sources
from videos.tests import processes, shared
from videos.tests.media import ffmpeg, h264, picture, tone

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.journeys]
PASSWORD = "a long pass phrase"
SECONDS, PREVIEW, ENDS = 20, 6, 8.0  # of segments of four seconds
OPEN = """async (video) => {
  const token = await (await fetch(`/api/v1/stream/${video}?preview=true`)).json();
  const headers = { Accept: "application/json" };
  window.session = await (await fetch(token.stream_url, { headers })).json();
  document.body.innerHTML = '<video id="v" muted></video>';
  window.v = document.getElementById("v");
  return session;
}"""


def make_clip(path: Path) -> None:
    ffmpeg(
        *picture(seconds=SECONDS), *tone(seconds=SECONDS), *tone(seconds=SECONDS, frequency=880),
        "-map", "0", "-map", "1", "-map", "2", *h264(), "-c:a", "aac",
        "-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=ger", path,
    )  # fmt: skip


@pytest.fixture
def video(media, received, process_next, creator, encoded_once) -> Video:
    """A paid video of 20 seconds with two sound tracks, and a preview of six."""
    clip = shared.clip("two-sounds-previews.mkv", make_clip)
    video = catalogue.create_video(
        creator=creator, title="A video", is_paid=True, price=999, preview_seconds=PREVIEW
    )
    sources.attach_source(video=video, received=received(clip), actor=creator)
    process_next()
    video.refresh_from_db()
    assert video.status == Video.Status.READY
    return video


@pytest.mark.parametrize("name", cases.chosen(PLAYERS, "Shaka, HLS", "dash.js"))
def test_a_player_plays_it_to_its_end(chromium, video, name):
    script, address, _ = PLAYERS[name]
    loads = {
        "hls.js": """(url) => { const player = new Hls();
            player.on(Hls.Events.ERROR, (_, data) => errors.push(data.details));
            player.loadSource(url); player.attachMedia(v); }""",
        "dash.js": """(url) => { const player = dashjs.MediaPlayer().create();
            player.on("error", (event) => errors.push(event.error.message));
            player.initialize(v, url, false); }""",
    }
    shaka = """async (url) => { shaka.polyfill.installAll(); const player = new shaka.Player();
        player.addEventListener("error", (event) => errors.push(event.detail.code));
        await player.attach(v); await player.load(url); }"""
    file = npm.installed(HERE) / script
    with processes.web() as (_, port), browser.run(chromium) as running:
        page = running.new_context(bypass_csp=True).new_page()
        refused: list[str] = []

        def note(answer: Response) -> None:
            if answer.status >= 400:
                refused.append(answer.url)

        page.on("response", note)
        page.goto(f"http://127.0.0.1:{port}/")
        refused.clear()
        session = page.evaluate(OPEN, str(video.pk))
        assert session["is_preview"] is True
        page.add_script_tag(path=file)
        page.evaluate("() => { window.errors = [] }")
        page.evaluate(loads.get(name, shaka), session[address])
        processes.wait_for(lambda: page.evaluate("v.duration > 0"))
        assert page.evaluate("v.duration") == pytest.approx(ENDS, abs=0.1)
        page.evaluate("() => { v.playbackRate = 2; return v.play() }")
        processes.wait_for(lambda: page.evaluate("v.ended"))
        assert page.evaluate("v.currentTime") == pytest.approx(ENDS, abs=0.1)
        assert page.evaluate("errors") == []
        assert refused == []


def _json(url: str) -> dict:
    request = Request(url, headers={"Accept": "application/json"})  # noqa: S310 - of the test
    with urlopen(request, timeout=10) as answer:  # noqa: S310
        return json.load(answer)


@pytest.mark.parametrize("address", ["hls_url", "dash_url"])
def test_ffmpeg_plays_it_to_its_end(video, address):
    with processes.web() as (_, port):
        at = f"http://127.0.0.1:{port}"
        token = _json(f"{at}/api/v1/stream/{video.pk}?preview=true")
        session = _json(at + token["stream_url"])
        done = subprocess.run(
            [str(tools.ffmpeg()), "-nostdin", "-v", "error", "-xerror", "-stats", "-i",
             session[address], "-map", "0:v:0", "-map", "0:a:0", "-f", "null", "-"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "time=00:00:08" in done.stderr or "time=00:00:07.9" in done.stderr
    assert "HTTP error" not in done.stderr


def test_the_page_plays_it_and_offers_the_video_at_its_end(chromium, video, make_user):
    make_user(email="bea@example.com", password=PASSWORD)
    with (
        processes.web() as (_, port),
        browser.run(chromium) as running,
        browser.page(running, f"http://127.0.0.1:{port}/watch/{video.pk}") as page,
    ):
        processes.wait_for(lambda: page.evaluate("document.querySelector('video').duration > 0"))
        page.evaluate(
            """() => { const v = document.querySelector("video"); v.muted = true;
            v.playbackRate = 2; return v.play(); }"""
        )
        sentence = page.get_by_role("alert")
        expect(sentence).to_contain_text("The preview ends here", timeout=30_000)
        expect(page.get_by_role("button", name="Sign in and watch")).to_be_visible()
        page.get_by_label("E-mail").fill("bea@example.com")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in and watch").click()

        expect(page.get_by_role("button", name="Buy: 9.99 USD")).to_be_visible()
        expect(sentence).to_contain_text("The preview ends here")
    kinds = {(session.access, session.counts) for session in PlaybackSession.objects.all()}
    assert kinds == {("preview", False)}
