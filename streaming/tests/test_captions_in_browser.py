"""Captions and sound tracks in a real Chromium: hls.js, Shaka Player, dash.js and the player page.

The players come from npm (`streaming/tests/players`), and play what the real service delivers.
"""

import contextlib
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from config.tests import browser, cases, npm
from videos.models import Video
from videos.presentation import captioning, cues
from videos.services import catalogue, sources
from videos.tests import processes, shared
from videos.tests.media import ffmpeg, h264, picture, tone

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.journeys]
HERE = Path(__file__).parent / "players"
SECONDS = 12
# Opens the session of a video as a page of the service would, and returns it.
OPEN = """async (video) => {
  const token = await (await fetch(`/api/v1/stream/${video}`)).json();
  const headers = { Accept: "application/json" };
  window.session = await (await fetch(token.stream_url, { headers })).json();
  document.body.innerHTML = '<video id="v" muted loop></video>';
  window.v = document.getElementById("v");
  return session;
}"""
SHAKA = """async (url) => {
  shaka.polyfill.installAll();
  const player = new shaka.Player();
  await player.attach(v);
  await player.load(url);
  window.pick = (language) => {
    const track = player.getTextTracks().find((track) => track.language === language && !track.forced);
    player.selectTextTrack(track);
  };
  return {
    texts: player.getTextTracks().map((track) => [track.label, track.language, track.forced]),
    sounds: player.getAudioTracks().map((track) => [track.label, track.language]),
  };
}"""
PLAYERS = {
    "hls.js": (
        "hls.js/dist/hls.min.js",
        "hls_url",
        """async (url) => {
          const player = new Hls();
          player.loadSource(url);
          player.attachMedia(v);
          await new Promise((done) => player.on(Hls.Events.SUBTITLE_TRACKS_UPDATED, done));
          window.pick = (language) => {
            player.subtitleTrack = player.subtitleTracks.findIndex(
              (track) => track.lang === language && !track.forced);
          };
          return {
            texts: player.subtitleTracks.map((track) => [track.name, track.lang, track.forced]),
            sounds: player.allAudioTracks.map((track) => [track.name, track.lang]),
          };
        }""",
    ),
    "Shaka, HLS": ("shaka-player/dist/shaka-player.compiled.js", "hls_url", SHAKA),
    "Shaka, DASH": ("shaka-player/dist/shaka-player.compiled.js", "dash_url", SHAKA),
    "dash.js": (
        "dashjs/dist/modern/umd/dash.all.min.js",
        "dash_url",
        """async (url) => {
          const player = dashjs.MediaPlayer().create();
          player.initialize(v, url, false);
          await new Promise((done) => player.on("allTextTracksAdded", done));
          v.play(); // it appends no text before
          const forced = (track) => track.roles.some((role) => role.value === "forced-subtitle");
          const label = (track) => track.labels[0].text;
          window.pick = (language) => player.setTextTrack(player.getTracksFor("text").findIndex(
            (track) => track.lang === language && !forced(track)));
          return {
            texts: player.getTracksFor("text").map((each) => [label(each), each.lang, forced(each)]),
            sounds: player.getTracksFor("audio").map((each) => [label(each), each.lang]),
          };
        }""",
    ),
}
ACTIVE = """() => [...v.textTracks]
  .filter((track) => track.mode === "showing")
  .flatMap((track) => [...(track.activeCues ?? [])].map((cue) => cue.text))"""
# A player that is told to seek may break off its loading of a text, so that the texts are awaited first.
LOADED = """(label) => [...v.textTracks].some((track) => track.mode === "showing"
  && [...(track.cues ?? [])].some((cue) => cue.text.startsWith(label)))"""
TEXTS: list[list[Any]] = [
    ["English", "en", False],
    ["Deutsch", "de", False],
    ["Schilder", "de", True],
]
SOUNDS = [["English", "en"], ["Deutsch", "de"]]


def make_clip(path: Path) -> None:
    ffmpeg(
        *picture(seconds=SECONDS), *tone(seconds=SECONDS), *tone(seconds=SECONDS, frequency=880),
        "-map", "0", "-map", "1", "-map", "2", *h264(), "-c:a", "aac",
        "-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=ger", path,
    )  # fmt: skip


@pytest.fixture
def video(media, received, process_next, creator, encoded_once) -> Video:
    """A video of two sound tracks and three captions, each with a text for every second."""
    clip = shared.clip("two-sounds-captions.mkv", make_clip)
    video = catalogue.create_video(creator=creator, title="A video")
    sources.attach_source(video=video, received=received(clip), actor=creator)
    process_next()
    for label, language, forced in TEXTS:
        texts = [
            cues.Cue(1000 * second + 300, 1000 * second + 900, f"{label} {second}")
            for second in range(SECONDS)
        ]
        captioning.add_caption(
            video=video, actor=creator, cues=texts, language=language, label=label,
            is_forced=forced, is_default=language == "en",
        )  # fmt: skip
    return video


def shows(page: Page, texts: list[str]) -> bool:
    return page.evaluate(ACTIVE) == texts


def choose(page: Page, language: str, label: str) -> None:
    """Choose a text and wait until it is loaded.

    On a busy machine Shaka Player now and then drops a choice that is made while it loads the text that
    it has chosen by itself. Viewers would choose another one and come back.
    """
    for _ in range(5):
        page.evaluate("(language) => pick(language)", language)
        with contextlib.suppress(AssertionError):
            processes.wait_for(partial(page.evaluate, LOADED, label), seconds=10)
            return
        page.evaluate("(language) => pick(language)", "de" if language == "en" else "en")
    pytest.fail(f"The text {label} was not loaded.")


def seek(page: Page, language: str, label: str, second: int) -> None:
    """Go to the text of a second. A text that a busy player lost on the way is chosen again."""
    for _ in range(5):
        page.evaluate("(time) => { v.currentTime = time }", second + 0.6)
        with contextlib.suppress(AssertionError):
            processes.wait_for(partial(shows, page, [f"{label} {second}"]), seconds=15)
            return
        choose(page, language, label)
    pytest.fail(f"It shows {page.evaluate(ACTIVE)} instead of {label} {second}.")


@pytest.mark.parametrize("name", cases.chosen(PLAYERS, "hls.js", "Shaka, DASH"))
def test_a_player_lists_and_shows_captions_and_sound_tracks(chromium, video, name):
    script, address, code = PLAYERS[name]
    file = npm.installed(HERE) / script
    with processes.web() as (_, port), browser.run(chromium) as running:
        page = running.new_context(bypass_csp=True).new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        session = page.evaluate(OPEN, str(video.pk))
        page.add_script_tag(path=file)
        found = page.evaluate(code, session[address])
        assert found == {"texts": TEXTS, "sounds": SOUNDS}
        for language, label in (("en", "English"), ("de", "Deutsch")):
            choose(page, language, label)
            for second in (5, 9):
                seek(page, language, label, second)
                page.evaluate("(time) => { v.currentTime = time }", second + 0.95)
                processes.wait_for(partial(shows, page, []))


def test_the_player_page_shows_captions(chromium, video):
    with processes.web() as (_, port), browser.run(chromium) as running:
        address = f"http://127.0.0.1:{port}/watch/{video.pk}"
        with browser.page(running, address) as page:
            tracks = "() => [...document.querySelectorAll('track')].map(each => each.label)"
            processes.wait_for(lambda: page.evaluate(tracks) == [label for label, *_ in TEXTS])
            page.evaluate("document.querySelector('video').currentTime = 5.6")
            drawn = "document.querySelector('.captions').textContent"
            processes.wait_for(lambda: page.evaluate(drawn) == "English 5")
