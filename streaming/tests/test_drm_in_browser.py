"""Common encryption in a real Chromium: Shaka Player, dash.js, hls.js and the player page, by ClearKey.

The players come from npm (`streaming/tests/players`), and play what the real service delivers. Widevine,
PlayReady and FairPlay need a contract and a browser with them, and are not tested.
"""

import contextlib
import json
import threading
from base64 import urlsafe_b64encode
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from django.db import connections
from playwright.sync_api import expect

from accounts import tokens
from config.tests import browser, cases, npm
from payments.services.settling import refunds
from streaming.models import PlaybackSession
from streaming.tests.player import play
from streaming.tests.test_captions_in_browser import HERE, OPEN
from streaming.tests.test_encryption_in_browser import STATE, stop
from videos.encryption import content_keys, keys
from videos.models import Video
from videos.services import catalogue, sources
from videos.tests import processes, shared
from videos.tests.media import ffmpeg, h264, picture, tone

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.journeys]
SECONDS = 24
CBCS = {"HLS_ENCRYPTION": "cbcs"}
SHAKA = """async (url) => {
  window.errors = [];
  shaka.polyfill.installAll();
  const player = new shaka.Player();
  const servers = session.drm.systems.map((each) => [each.key_system, each.licence_url]);
  player.configure({ drm: { servers: Object.fromEntries(servers) }, streaming: { bufferingGoal: 4 } });
  await player.attach(v);
  player.addEventListener("error", (event) => errors.push(String(event.detail.code)));
  await player.load(url).catch((error) => errors.push(String(error.code)));
}"""
# dash.js takes the keys of ClearKey from the page: docs/operations.md, DRM.
DASH_JS = """async (url) => {
  window.errors = [];
  const [{ licence_url: licence }] = session.drm.systems;
  const mpd = new DOMParser().parseFromString(await (await fetch(url)).text(), "text/xml");
  const base64url = (hex) =>
    btoa(String.fromCharCode(...hex.match(/../g).map((byte) => parseInt(byte, 16))))
    .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  const kids = [...mpd.getElementsByTagName("ContentProtection")]
    .map((each) => each.getAttribute("cenc:default_KID"))
    .filter(Boolean)
    .map((kid) => base64url(kid.replaceAll("-", "")));
  const body = JSON.stringify({ kids, type: "temporary" });
  const asked = await fetch(licence, { method: "POST", body });
  if (!asked.ok) return errors.push(`licence ${asked.status}`);
  const { keys } = await asked.json();
  const clearkeys = Object.fromEntries(keys.map(({ kid, k }) => [kid, k]));
  const player = dashjs.MediaPlayer().create();
  player.on("error", (event) => errors.push(event.error.message));
  player.initialize(v);
  player.setProtectionData({ "org.w3.clearkey": { clearkeys } });
  player.attachSource(url);
}"""
HLS_JS = """async (url) => {
  window.errors = [];
  const { protectionOf } = await import("/static/streaming/player/protection.js");
  const player = new Hls({ ...protectionOf(session.drm), enableWorker: false });
  player.on(Hls.Events.ERROR, (_, data) => errors.push(`${data.details} ${data.response?.code}`));
  player.loadSource(url);
  player.attachMedia(v);
}"""
PLAYERS = {
    "Shaka, HLS": ("shaka-player/dist/shaka-player.compiled.js", "hls_url", SHAKA),
    "Shaka, DASH": ("shaka-player/dist/shaka-player.compiled.js", "dash_url", SHAKA),
    "dash.js": ("dashjs/dist/modern/umd/dash.all.min.js", "dash_url", DASH_JS),
    "hls.js": ("hls.js/dist/hls.min.js", "hls_url", HLS_JS),
}


def make_clip(path: Path) -> None:
    """Write a video of 24 seconds with two sound tracks."""
    ffmpeg(
        *picture(seconds=SECONDS, size="426x240"), *tone(seconds=SECONDS),
        *tone(seconds=SECONDS, frequency=880), "-map", "0", "-map", "1", "-map", "2",
        *h264(), "-c:a", "aac", "-metadata:s:a:0", "language=eng",
        "-metadata:s:a:1", "language=ger", path,
    )  # fmt: skip


@pytest.fixture
def make(media, received, process_next, creator, settings, encoded_once):
    """A function that makes a video in common encryption of the clip."""
    clip = shared.clip("drm.mkv", make_clip)

    def made(**fields) -> Video:
        settings.HLS_ENCRYPTION = "cbcs"
        video = catalogue.create_video(creator=creator, title="A video", **fields)
        sources.attach_source(video=video, received=received(clip), actor=creator)
        process_next()
        video.refresh_from_db()
        assert keys.is_common(video.current_version)
        return video

    return made


@contextlib.contextmanager
def opened(chromium, video):
    with processes.web(**CBCS) as (_, port), browser.run(chromium) as running:
        page = running.new_context(bypass_csp=True).new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(f"{request.method} {request.url}"))
        page.goto(f"http://127.0.0.1:{port}/")
        session = page.evaluate(OPEN, str(video.pk))
        yield page, session, asked


@pytest.mark.parametrize("name", cases.chosen(PLAYERS, "Shaka, HLS", "dash.js"))
def test_a_player_plays_it_by_clear_key(chromium, make, name):
    script, address, code = PLAYERS[name]
    file = npm.installed(HERE) / script
    with opened(chromium, make()) as (page, session, asked):
        assert session["drm"]["scheme"] == "cbcs"
        page.add_script_tag(path=file)
        page.evaluate(code, session[address])
        page.evaluate("() => { v.play().catch(() => 0) }")
        processes.wait_for(lambda: page.evaluate(STATE)[0] > 1)
        page.evaluate("() => { v.currentTime = 17 }")
        processes.wait_for(lambda: page.evaluate(STATE)[0] > 18)
        assert page.evaluate(STATE)[1:] == [0, 426]
        assert page.evaluate("() => errors") == []
        assert page.evaluate("() => v.mediaKeys !== null")  # the browser decrypted it
    licences = [each for each in asked if each.startswith("POST ") and each.endswith("/licence")]
    given = [each for each in asked if "/keys/" in each]
    assert licences or given
    assert all(f"/media/{session['grant']}/" in each for each in (*licences, *given))


@pytest.mark.parametrize("name", cases.chosen(PLAYERS, "Shaka, DASH", "hls.js"))
def test_a_session_that_has_ended_plays_nothing(chromium, make, name):
    script, address, code = PLAYERS[name]
    file = npm.installed(HERE) / script
    with opened(chromium, make()) as (page, session, _):
        assert page.evaluate(LICENCE, session)[0] == 404  # it is no id of a key
        stop(session["session_id"])
        processes.wait_for(lambda: page.evaluate(LICENCE, session)[0] == 410)
        page.add_script_tag(path=file)
        with contextlib.suppress(Exception):  # the page's own script cannot read the manifest
            page.evaluate(code, session[address])
        page.evaluate("() => { v.play().catch(() => 0) }")
        page.wait_for_timeout(1500)
        assert page.evaluate(STATE)[0] == 0


LICENCE = """async (session) => {
  const body = JSON.stringify({ kids: ["AAAAAAAAAAAAAAAAAAAAAA"] });
  const [{ licence_url: url }] = session.drm.systems;
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch(url, { method: "POST", body, headers });
  return [answer.status, await answer.text()];
}"""


def call(url: str, *, token: str = "", body: object = None, agent: str = "Test/1.0"):
    """Send a request as a client of the API; return the status and the JSON of the answer."""
    headers = {"Accept": "application/json", "User-Agent": agent}
    headers |= {"Authorization": f"Bearer {token}"} if token else {}
    headers |= {"Content-Type": "application/json"} if body is not None else {}
    data = None if body is None else json.dumps(body).encode()
    try:
        request = Request(url, data=data, headers=headers)  # noqa: S310 - of the test
        with urlopen(request, timeout=10) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except HTTPError as refusal:
        return refusal.code, json.load(refusal)


@pytest.mark.promise("refund-stops-playback")
def test_after_a_refund_the_licence_is_refused(make, make_user, buy, admin):
    video = make(is_paid=True, price=999)
    buyer, stranger = make_user(), make_user()
    order = buy(buyer, video)
    version = video.current_version
    given = content_keys.content_keys(video.pk, version)["video"]
    kid = {"kids": [licence_text(given.key_id)], "type": "temporary"}
    with processes.web(**CBCS) as (_, port):
        at = f"http://127.0.0.1:{port}"
        token = tokens.issue(buyer, user_agent="Test/1.0").access
        _, stream = call(f"{at}/api/v1/stream/{video.pk}", token=token)
        _, session = call(at + stream["stream_url"])
        licence = session["drm"]["systems"][0]["licence_url"]
        status, answer = call(licence, body=kid)
        assert (status, answer["keys"][0]["k"]) == (200, licence_text(given.key))

        other = tokens.issue(stranger, user_agent="Test/1.0").access
        assert call(f"{at}/api/v1/stream/{video.pk}", token=other)[0] == 403
        assert call(f"{at}/media/{'x' * 39}/{video.pk}/{version}/licence", body=kid)[0] == 401

        refunds.refund_order(order_id=order.pk, amount=None, reason="", actor=admin)
        processes.wait_for(lambda: call(licence, body=kid)[0] == 410)
        assert call(licence.removesuffix("licence") + "keys/video")[0] == 410
        assert PlaybackSession.objects.get(pk=session["session_id"]).end_reason == "revoked"


def licence_text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def test_the_page_plays_it(chromium, make):
    video = make()
    with (
        processes.web(**CBCS) as (_, port),
        browser.run(chromium) as running,
        browser.page(running, f"http://127.0.0.1:{port}/watch/{video.pk}") as page,
    ):
        play(page, seconds=3)
        assert page.evaluate("document.querySelector('video').mediaKeys !== null")


def test_the_page_says_why_a_browser_cannot_play_it(chromium, make):
    video = make()
    with processes.web(**CBCS) as (_, port), browser.run(chromium) as running:
        context = running.new_context()
        context.add_init_script(
            "Navigator.prototype.requestMediaKeySystemAccess = () => Promise.reject(new Error())"
        )
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{port}/watch/{video.pk}")
        expect(page.locator("#sentence")).to_contain_text("none of the key systems", timeout=30_000)
        expect(page.locator("#again")).to_be_hidden()
        page = running.new_context().new_page()
        page.add_init_script(
            "delete Navigator.prototype.requestMediaKeySystemAccess;"
            "Object.defineProperty(globalThis, 'isSecureContext', { value: false })"
        )
        page.goto(f"http://127.0.0.1:{port}/watch/{video.pk}")
        expect(page.locator("#sentence")).to_contain_text("only over HTTPS", timeout=30_000)


def in_thread(function) -> None:
    def run() -> None:
        function()
        connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


def test_the_page_says_that_access_has_ended(chromium, make):
    """A refusal while it plays: the page tells it as with clear segments."""
    video = make()
    with (
        processes.web(**CBCS) as (_, port),
        browser.run(chromium) as running,
        browser.page(
            running, f"http://127.0.0.1:{port}/watch/{video.pk}", forgive="Failed to load resource"
        ) as page,
    ):
        play(page, seconds=1)
        found: list[str] = []
        in_thread(lambda: found.extend(str(each.pk) for each in PlaybackSession.objects.all()))
        for each in found:
            stop(each)
        expect(page.locator("#sentence")).to_be_visible(timeout=40_000)
