"""The stack's nginx checks and sends the files of videos itself, from the bucket and from a folder."""

import json
import re
import signal
import socket
import ssl
import time
from pathlib import Path

import httpx
import psutil
import pytest

from config.tests import browser, npm
from stack.tests.load import API, PRICE, card
from stack.tests.running import Stack, addresses, running, watch
from streaming.tests import test_captions_in_browser as players
from streaming.tests.test_captions_in_browser import OPEN
from streaming.tests.test_delivery_engines import TRICKS
from videos.processing.synthesis import synthesise

pytestmark = [pytest.mark.stack, pytest.mark.programs, pytest.mark.xdist_group("stack")]
PACKAGES = Path(players.__file__).parent / "players"
SHAKA = "shaka-player/dist/shaka-player.compiled.js"
WITH_SHAKA = """async (url) => {
  shaka.polyfill.installAll();
  const player = new shaka.Player();
  await player.attach(v);
  await player.load(url);
  v.play();
}"""
PLAYERS = {
    "hls.js": (
        "hls.js/dist/hls.min.js",
        "hls_url",
        """(url) => {
          const player = new Hls();
          player.loadSource(url);
          player.attachMedia(v);
          v.play();
        }""",
    ),
    "Shaka, HLS": (SHAKA, "hls_url", WITH_SHAKA),
    "Shaka, DASH": (SHAKA, "dash_url", WITH_SHAKA),
    "dash.js": (
        "dashjs/dist/modern/umd/dash.all.min.js",
        "dash_url",
        "(url) => { dashjs.MediaPlayer().create().initialize(v, url, true); }",
    ),
}
READY_SECONDS, ENDED_SECONDS = 600.0, 2.0


class People:
    """The people of a stack, and a free and a paid video."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.stack = stack
        made = json.loads(stack.python("-m", "attacks.people", "2").splitlines()[-1])
        self.viewer, self.other = (each["access"] for each in made["viewers"])
        self.admin, self.creator = made["admin"]["access"], made["creator"]["access"]
        clip = synthesise(folder / "clip.mp4", seconds=8, size="320x180", rate=15).read_bytes()
        self.free = self._publish(clip)
        self.paid = self._publish(clip, is_paid="true", price=PRICE)

    def ask(self, method: str, path: str, access: str = "", **more) -> httpx.Response:
        headers = {"Accept": "application/json"} | more.pop("headers", {})
        if access:
            headers["Authorization"] = f"Bearer {access}"
        return self.stack.http.request(method, path, headers=headers, **more)

    def _publish(self, clip: bytes, **form: str) -> str:
        files = {"file": ("clip.mp4", clip, "video/mp4")}
        data = {"title": "Delivered", **form}
        made = self.ask("POST", f"{API}/videos/", self.creator, data=data, files=files)
        video = made.raise_for_status().json()["id"]

        def status() -> str:
            return self.ask("GET", f"{API}/videos/{video}", self.creator).json()["status"]

        self.stack.wait_for(lambda: status() in ("READY", "FAILED"), READY_SECONDS)
        assert status() == "READY"
        return video

    def start(self, video: str, access: str) -> dict[str, str]:
        """Start a session, and return it with the address of its first segment."""
        token = self.ask("GET", f"{API}/stream/{video}", access).raise_for_status().json()
        session = self.ask("GET", token["stream_url"]).raise_for_status().json()
        found = addresses(self.stack.http, self.stack.plan.url, session["hls_url"])
        return {**session, "segment": found[0], "all": found}

    def status(self, address: str, **headers: str) -> int:
        return self.stack.http.get(address, headers=headers).status_code

    def assert_ends(self, address: str) -> None:
        """See that an address that was open is refused with 410 in time."""
        began = time.monotonic()
        while (status := self.status(address)) == 200:
            assert time.monotonic() - began < ENDED_SECONDS
        answer = self.stack.http.get(address)
        assert (status, answer.json()["errors"][0]["code"]) == (410, "session_ended")


@pytest.fixture(scope="module", params=["s3", "local"])
def people(request, tmp_path_factory):
    """Two stacks, one after the other: each stops when its tests have ended."""
    with running(storage=request.param) as stack:
        yield People(stack, tmp_path_factory.mktemp("clip"))


def test_nginx_sends_the_files_itself(people):
    answer, address = watch(people.stack, people.free)
    assert answer.status_code == 200
    settings = people.stack.python(
        "manage.py", "shell", "-v", "0", "-c",
        "from django.conf import settings as s; print(s.DELIVERY, s.STORAGE)",
    )  # fmt: skip
    assert settings.split() == ["nginx", people.stack.plan.storage]
    webs = [psutil.Process(people.stack.pid(name)) for name in ("web-1", "web-2")]
    webs += [child for web in webs for child in web.children(recursive=True)]
    for web in webs:
        web.send_signal(signal.SIGSTOP)
    try:
        assert people.stack.http.get(address).content == answer.content
        began = time.monotonic()
        while people.status(address) == 200:  # without news of ended sessions nothing is sent
            assert time.monotonic() - began < 10
            time.sleep(0.1)
        assert people.status(address) == 503
    finally:
        for web in webs:
            web.send_signal(signal.SIGCONT)
    people.stack.wait_for(lambda: people.status(address) == 200, 60)


def test_the_journey_of_a_demo(people):
    done = people.stack.command("demo", "--seconds", "2", "--size", "320x180")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_session_that_its_viewer_ends_is_refused(people):
    session = people.start(people.free, people.viewer)
    other = people.start(people.free, people.viewer)
    assert {people.status(each) for each in session["all"]} == {200}
    ended = people.ask("DELETE", f"{API}/stream/sessions/{session['session_id']}", people.viewer)
    assert ended.status_code == 204
    people.assert_ends(session["segment"])
    assert people.status(session["segment"], Range="bytes=0-9") == 410
    assert people.status(other["segment"]) == 200


def test_a_refund_ends_playback(people):
    bought = people.ask(
        "POST", f"{API}/payments/purchase/{people.paid}", people.viewer, json=card(),
        headers={"Idempotency-Key": "a-purchase-of-tests"},
    )  # fmt: skip
    order = bought.raise_for_status().json()["order"]["id"]
    people.stack.wait_for(
        lambda: people.ask("GET", f"{API}/stream/{people.paid}", people.viewer).status_code == 200,
        60,
    )
    session = people.start(people.paid, people.viewer)
    assert people.status(session["segment"]) == 200
    path = f"{API}/payments/admin/orders/{order}/refund"
    refunded = people.ask("POST", path, people.admin, json={"reason": "asked"})
    assert refunded.status_code in (200, 201, 202), refunded.text
    people.assert_ends(session["segment"])
    assert people.ask("GET", f"{API}/stream/{people.paid}", people.viewer).status_code == 403


@pytest.mark.parametrize("name", PLAYERS)
def test_a_real_player_plays_what_nginx_sends(people, chromium, name):
    script, address, code = PLAYERS[name]
    file = npm.installed(PACKAGES) / script
    with browser.run(chromium) as running_browser:
        context = running_browser.new_context(bypass_csp=True, ignore_https_errors=True)
        page = context.new_page()
        page.goto(people.stack.plan.url)
        session = page.evaluate(OPEN, people.free)
        page.add_script_tag(path=file)
        page.evaluate(code, session[address])

        def seconds() -> float:
            return page.evaluate("() => v.currentTime")

        people.stack.wait_for(lambda: seconds() > 3, 60)
        assert page.evaluate("() => v.videoWidth") > 0


def test_the_leak_check_finds_nothing(people):
    output = people.stack.python("manage.py", "leakcheck", people.stack.plan.url, "--insecure")
    assert "Nothing leaks, and everybody has what is theirs." in output


def test_leaks(people):
    """Every way to a paid file but a grant of its own is refused."""
    free = people.start(people.free, people.viewer)["segment"]
    grant = free.split("/")[4]  # https://host/media/<grant>/<video>/…
    assert people.ask("GET", f"{API}/stream/{people.paid}", people.other).status_code == 403
    assert people.ask("GET", f"{API}/stream/{people.paid}").status_code in (401, 403)
    stolen = free.replace(people.free, people.paid)
    assert people.status(stolen) == 403
    for wrong in ("x", "", grant[:-1], grant.swapcase()):
        assert people.status(free.replace(grant, wrong)) in (401, 404), wrong
    flipped = grant[:40] + ("A" if grant[40] != "A" else "B") + grant[41:]
    assert people.status(free.replace(grant, flipped)) == 401
    for path in ("/internal/delivery", "/internal/bucket", "/ranged" + free.partition("2443")[2]):
        assert people.stack.http.post(path).status_code in (403, 404, 405)
    headers = people.stack.http.get(free).headers
    assert not [name for name in headers if name.startswith("x-amz")]
    assert headers["cache-control"].startswith("private")


def test_tricks_with_paths(people):
    session = people.start(people.free, people.viewer)
    grant, video = session["segment"].split("/")[4:6]
    content = people.stack.http.get(session["segment"]).content
    for trick in TRICKS:
        path = f"/media/{grant}/{trick.format(video=video)}"
        answer = raw(people.stack, path)
        assert answer.split(b" ", 2)[1] in (b"404", b"400"), (trick, answer[:200])
        assert content[:16] not in answer


def raw(stack: Stack, path: str) -> bytes:
    """Ask for a path as it is written, over TLS, and return the whole answer."""
    trust = ssl.create_default_context(cafile=str(stack.plan.certificate))
    place = ("127.0.0.1", stack.plan.ports["nginx"])
    with (
        socket.create_connection(place, 30) as plain,
        trust.wrap_socket(plain, server_hostname="127.0.0.1") as client,
    ):
        client.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()
        )
        answer = b""
        while data := client.recv(65536):
            answer += data
    return answer


def test_the_files_of_nginx_are_private(people):
    folder = people.stack.folder / "nginx"
    for name in ("delivery.json", "key.pem"):
        assert (folder / name).stat().st_mode & 0o077 == 0, name
    for path in people.stack.folder.glob("*/log"):
        assert not re.search(r"/media/\S{64}/", path.read_text(errors="replace")), path
