"""Players in a real Chromium play versions of the lab's inputs to their ends."""

import base64
import contextlib
import functools
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from django.test import override_settings
from playwright.sync_api import Browser, Page, Request, TimeoutError

from config.tests import browser, cases, npm
from videos.processing import manifests

from .lab import pattern, played
from .lab.sources import CASES
from .lab.truth import Truth
from .test_lab import process

pytestmark = [pytest.mark.journeys, pytest.mark.xdist_group("players")]
HERE = Path(__file__).parent / "lab" / "players"
PLAYERS = ("hls.js", "Shaka HLS", "Shaka DASH", "dash.js", "native")
SPEED = 2
PATIENCE = (
    90  # seconds for all players of one version, which play at the same time on a busy machine
)
IN_BROWSERS = [case for case in CASES if case.browser]
# `make lab` plays them all; each takes ten seconds, and every one of the players plays each of these.
CHOSEN = IN_BROWSERS if os.environ.get("LAB_PLAYED") == "all" else IN_BROWSERS[::4]
TWO_CODECS = next(case for case in CASES if case.name == "fragmented_mp4_without_b_frames")


class Handler(SimpleHTTPRequestHandler):
    """Sends the files of a folder with the types that players ask for."""

    extensions_map = {
        **SimpleHTTPRequestHandler.extensions_map,
        ".m3u8": "application/vnd.apple.mpegurl",
        ".mpd": "application/dash+xml",
        ".m4s": "video/iso.segment",
    }

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture(scope="module")
def versions(tmp_path_factory) -> dict[str, tuple[Path, Truth, str]]:
    """For each chosen input: the folder of its version, the truth, and a refusal."""
    folder = tmp_path_factory.mktemp("versions")

    def made(case) -> tuple[str, tuple[Path, Truth, str]]:
        own = folder / case.name
        own.mkdir()
        truth = case.make(own / "source")
        _, refusal = process(own / "source", own / "work")
        return case.name, (own / "work" / "out", truth, refusal)

    with ThreadPoolExecutor(2) as pool:
        return dict(pool.map(made, CHOSEN))


@pytest.fixture(scope="module")
def site(versions) -> Iterator[str]:
    """The address of a server that has the page, the players and the versions."""
    root = next(iter(versions.values()))[0].parent.parent.parent
    (root / "page.html").symlink_to(HERE / "page.html")
    (root / "node_modules").symlink_to(npm.installed(HERE))
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(root)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def running(chromium) -> Iterator[Browser]:
    with browser.run(chromium) as running:
        yield running


@pytest.mark.parametrize("name", [case.name for case in CHOSEN])
def test_every_player_plays_it_to_its_end(running, site, versions, name):
    _, truth, refusal = versions[name]
    assert not refusal

    pages = {player: running.new_page() for player in PLAYERS}
    for player, page in pages.items():
        page.goto(f"{site}/page.html?player={player}&folder={name}/work/out")
        page.locator("video").evaluate(f"video => {{ video.defaultPlaybackRate = {SPEED} }}")
    until = time.monotonic() + PATIENCE
    for page in pages.values():
        await_end(page, until - time.monotonic())
    faults = [
        f"{player}: {fault}" for player, page in pages.items() for fault in wrong(page, truth)
    ]
    for page in pages.values():
        page.close()
    assert not faults, "\n".join(faults)


def await_end(page: Page, seconds: float) -> None:
    """Wait until a player has ended or reports an error; ``wrong`` says whether it has.

    dash.js 5.2.1 tells the browser only once that nothing more comes, and not at all while a buffer is
    busy at that moment (MediaSourceController.signalEndOfStream). So it may play the video once more.
    """
    over = "seen.ended || seen.error !== ''"
    with contextlib.suppress(TimeoutError):
        page.wait_for_function(over, timeout=max(1, 1000 * seconds))
    if "player=dash.js" in page.url and not page.evaluate(over):
        page.reload()
        with contextlib.suppress(TimeoutError):
            page.wait_for_function(over, timeout=1000 * PATIENCE)


def wrong(page: Page, truth: Truth) -> list[str]:
    """Return what a player did wrong, each as a sentence."""
    seen = page.evaluate("seen")
    duration, at, width, height = page.locator("video").evaluate(
        "v => [v.duration, v.currentTime, v.videoWidth, v.videoHeight]"
    )
    faults = []
    if seen["error"]:
        faults.append(f"It reports {seen['error']}.")
    if not seen["ended"]:
        faults.append(f"It has not ended: it is at {at:.3f} of {duration} s.")
    elif abs(at - truth.seconds) > 0.1 + truth.slack:
        faults.append(f"It ended at {at:.3f} s instead of {truth.seconds:.3f} s.")
    aspect = truth.aspect or (truth.size and truth.size[0] / truth.size[1])
    if aspect and (not height or abs(width / height / aspect - 1) > 0.03):
        faults.append(f"It shows {width}x{height}.")
    return faults


@pytest.fixture(scope="module")
def two_codecs(site, versions) -> tuple[str, Truth]:
    """A version with renditions in AV1 beside those in H.264: its folder on the site, and the truth."""
    root = next(iter(versions.values()))[0].parent.parent.parent
    own = root / "two-codecs"
    own.mkdir()
    truth = TWO_CODECS.make(own / "source")
    with override_settings(LADDER_CODECS=["h264", "av1"]):
        process(own / "source", own / "work")
    out = own / "work" / "out"
    manifests.compose(out, texts=[], sounds=manifests.sounds_of(out), seconds=truth.seconds)
    return f"{own.name}/work/out", truth


@pytest.mark.parametrize("player", cases.chosen(PLAYERS, "Shaka DASH", "native"))
def test_every_player_plays_one_of_two_codecs(running, site, two_codecs, player):
    """Chromium's own player changes codecs on the way and fails: it gets a playlist of one."""
    folder, truth = two_codecs
    page, asked = running.new_page(), set[bool]()

    def note(sent: Request) -> None:
        if sent.url.endswith(".m4s") and "/audio-" not in sent.url:
            asked.add("-av1/" in sent.url)

    page.on("request", note)
    native = f"&native={folder}/{manifests.ONE_CODEC}" if player == "native" else ""
    page.goto(f"{site}/page.html?player={player}&folder={folder}{native}")
    await_end(page, PATIENCE)

    faults = wrong(page, truth)
    page.close()
    assert not faults, "\n".join(faults)
    assert asked == {player != "native"}


@pytest.mark.parametrize("codec", ["vp8", "vp9"])
def test_what_a_browser_records_is_there_whole(running, tmp_path, codec):
    """A canvas of changing size, recorded by MediaRecorder; its numbers are hundredths of seconds."""
    page = running.new_page()
    page.goto((HERE / "recorder.html").as_uri())
    sizes = [[320, 180], [640, 360], [320, 180]]
    page.evaluate(
        "asked => { record(...asked).then(made => (window.made = made)) }", [codec, sizes, 4]
    )
    page.wait_for_function("window.made")
    recorded, seconds = page.evaluate("made")
    page.close()
    (tmp_path / "source").write_bytes(base64.b64decode(recorded))

    output, refusal = process(tmp_path / "source", tmp_path / "work")

    assert output, refusal
    assert output.duration_seconds == pytest.approx(seconds, abs=0.4)
    shown = played.play(output.directory)
    assert len({listed.name for listed, _ in shown.audios}) == 1
    for _, decoded in shown.videos:
        read = [pattern.read_picture(frame) for frame in decoded.frames]
        assert {seen.corners for seen in read} == {pattern.UPRIGHT}
        numbers = [seen.number or 0 for seen in read]
        assert numbers == sorted(numbers)
        assert numbers[-1] / 100 == pytest.approx(seconds, abs=0.3)
        # A busy machine draws late, but always by the same clock.
        offs = [
            number / 100 - start for number, (start, _) in zip(numbers, decoded.times, strict=True)
        ]
        assert max(offs) - min(offs) < 0.4
