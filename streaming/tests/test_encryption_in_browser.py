"""Encrypted segments from another host in a real Chromium: hls.js and Shaka Player; its own HLS refuses.

The players come from npm (`streaming/tests/players`). Keys and playlists come from the service, and
segments from a second server, which knows no grant and sends only what may be public. Safari is not
tested.
"""

import contextlib
import re
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.management import call_command
from django.db import connections

from config.tests import browser, npm
from streaming import sessions
from streaming.models import PlaybackSession
from streaming.tests.test_captions_in_browser import OPEN
from videos.encryption import keys
from videos.models import Video
from videos.services import catalogue, sources
from videos.tests import processes, shared
from videos.tests.media import make_clip

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.journeys]
HERE = Path(__file__).parent / "players"
SECONDS = 24
# What docs/operations.md allows everybody to read.
PUBLIC = re.compile(r"/[0-9a-f-]{36}/k[^/]+/(?:[^/]+/init\.mp4|[^/]+/[0-9]+\.m4s)")
HLS_JS = (
    "hls.js/dist/hls.min.js",
    """async (url) => {
      window.errors = [];
      const player = new Hls({ maxBufferLength: 4, maxMaxBufferLength: 4, maxBufferSize: 1 });
      player.on(Hls.Events.ERROR, (_, data) => errors.push(`${data.details} ${data.response?.code}`));
      player.loadSource(url);
      player.attachMedia(v);
      await new Promise((done) => player.on(Hls.Events.MANIFEST_PARSED, done));
    }""",
)
SHAKA = (
    "shaka-player/dist/shaka-player.compiled.js",
    """async (url) => {
      window.errors = [];
      shaka.polyfill.installAll();
      const player = new shaka.Player();
      await player.attach(v);
      player.addEventListener("error", (event) => errors.push(String(event.detail.code)));
      await player.load(url);
    }""",
)
PLAYERS = {"hls.js": HLS_JS, "Shaka, HLS": SHAKA}
STATE = "() => [v.currentTime, v.error?.code ?? 0, v.videoWidth]"


@contextlib.contextmanager
def elsewhere(root: Path) -> Iterator[tuple[str, list[str]]]:
    """A server of public files on another origin; yields its address, and the paths it was asked for."""
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments, **more):
            super().__init__(*arguments, directory=str(root), **more)

        def do_GET(self):
            asked.append(self.path)
            if PUBLIC.fullmatch(self.path):
                super().do_GET()
            else:
                self.send_error(403)

        def end_headers(self):
            self.send_header("Access-Control-Allow-Origin", "*")
            super().end_headers()

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def cdn(media) -> Iterator[tuple[str, list[str]]]:
    with elsewhere(media / "videos") as running:
        yield running


@pytest.fixture
def video(
    media, received, process_next, creator, settings, monkeypatch, cdn, encoded_once
) -> Video:
    """A video of 24 seconds whose periods have one segment, encrypted after it was published."""
    monkeypatch.setattr(keys, "PERIOD_SECONDS", 4)
    settings.HLS_ENCRYPTION, settings.CDN_URL = "none", ""
    write = partial(make_clip, seconds=SECONDS, size="426x240")
    clip = shared.clip("encryption.mp4", write)
    video = catalogue.create_video(creator=creator, title="A video")
    sources.attach_source(video=video, received=received(clip), actor=creator)
    process_next()
    settings.HLS_ENCRYPTION, settings.CDN_URL = "aes-128", cdn[0]
    call_command("encrypt_videos")
    video.refresh_from_db()
    assert keys.is_encrypted(video.current_version)
    return video


@contextlib.contextmanager
def opened(chromium, video, address):
    """A page of the service with a session of the video; the page may load what its policy allows."""
    changes = {"HLS_ENCRYPTION": "aes-128", "CDN_URL": address}
    with processes.web(**changes) as (_, port), browser.run(chromium) as running:
        context = running.new_context(bypass_csp=True)  # for the script of the player
        page = context.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"http://127.0.0.1:{port}/")
        session = page.evaluate(OPEN, str(video.pk))
        assert session["dash_url"] is None
        yield page, session, asked


def stop(session_id: str) -> None:
    """Stop a session, in a thread: Django refuses queries where the browser's loop runs."""

    def run() -> None:
        session = PlaybackSession.objects.get(pk=session_id)
        sessions.stop(session=session, actor=AnonymousUser())
        connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


@pytest.mark.parametrize("name", PLAYERS)
def test_a_player_plays_it_with_keys_from_here_and_segments_from_there(chromium, video, cdn, name):
    script, code = PLAYERS[name]
    file = npm.installed(HERE) / script
    with opened(chromium, video, cdn[0]) as (page, session, asked):
        page.add_script_tag(path=file)
        page.evaluate(code, session["hls_url"])
        page.evaluate("() => v.play()")
        processes.wait_for(lambda: page.evaluate(STATE)[0] > 1)
        page.evaluate("() => { v.currentTime = 17 }")
        processes.wait_for(lambda: page.evaluate(STATE)[0] > 18)
        assert page.evaluate(STATE)[1:] == [0, 426]
        assert page.evaluate("() => errors") == []
    names = [url.partition("?")[0] for url in asked]
    assert len({url for url in names if "/keys/" in url}) >= 3
    assert all("/media/" in url for url in names if "/keys/" in url)
    assert not [url for url in names if url.endswith((".m4s", ".mp4")) and cdn[0] not in url]
    assert cdn[1]
    assert all(PUBLIC.fullmatch(path) for path in cdn[1])


def test_a_session_that_has_ended_plays_no_further_than_its_period(chromium, video, cdn):
    script, code = HLS_JS
    file = npm.installed(HERE) / script
    with opened(chromium, video, cdn[0]) as (page, session, _):
        page.add_script_tag(path=file)
        page.evaluate(code, session["hls_url"])
        page.evaluate("() => v.play()")
        processes.wait_for(lambda: page.evaluate(STATE)[0] > 0.5)
        stop(session["session_id"])
        # Nothing keeps the player from the segments: the other host knows of no session.
        errors = partial(page.evaluate, "() => errors")
        page.evaluate("() => { setTimeout(() => { v.currentTime = 20 }, 1500) }")
        processes.wait_for(lambda: any("keyLoadError" in each for each in errors()))
        assert "keyLoadError 410" in errors()
        assert page.evaluate("() => [...Array(v.buffered.length).keys()].every("
                             "(n) => v.buffered.end(n) < 20)")  # fmt: skip


def test_chromiums_own_hls_refuses_it(chromium, video, cdn):
    """So a page must prefer hls.js wherever it runs (docs/operations.md)."""
    with opened(chromium, video, cdn[0]) as (page, session, _):
        page.evaluate("(url) => { v.src = url; v.play().catch(() => 0) }", session["hls_url"])
        processes.wait_for(lambda: page.evaluate(STATE)[1] > 0)
        assert page.evaluate(STATE)[0] == 0
