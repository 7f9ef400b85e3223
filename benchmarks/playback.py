"""Measure the time to a video's first frame in Chromium, and the memory of many open sessions.

    .venv/bin/python benchmarks/playback.py [--runs 15] [--sessions 10000] [--chromium PATH]

Needs Chromium (Debian: apt-get install chromium). Uploads a video to a service of its own on 127.0.0.1,
and lets a worker process it. The first frame is asked for in three ways that take turns, each time with
an empty cache: on the service's player page from the moment when its address is entered, by the same
hls.js on an otherwise empty page of the service, from the request of the stream token on, and by that
page over raw nginx, from the request of the playlist on. Prints medians; a ratio is one to raw nginx.

Then so many viewers' sessions are opened over HTTP, each with its playlists, and the memory of all
processes of the web server (PSS) before and after is compared.
"""

import argparse
import contextlib
import http.client
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

from delivery_engines import nginx_program
from delivery_stage import NGINX, REPO, Server, environment, free_port, running
from uploads import creators_token

SECONDS = 20
CLIENTS = 16
HLS = "static/streaming/hls/hls.min.js"
# The time is that of the picture that the browser has shown, not of the event about it.
FIRST_FRAME = """
  const shown = video => new Promise(done => video.requestVideoFrameCallback((_, frame) =>
    done(frame.presentationTime)));
"""
BARE = """<!doctype html><title>bare</title><video muted width="640" height="360"></video>
<script src="/{hls}"></script>"""
PLAY = (
    FIRST_FRAME
    + """
  const begun = performance.now(), video = document.querySelector("video");
  let address = found;
  if (found.includes("/api/")) {
    const json = async at => (await fetch(at, {headers: {Accept: "application/json"}})).json();
    address = (await json((await json(found)).stream_url)).hls_url;
  }
  const hls = new Hls({enableWorker: false});
  hls.loadSource(address); hls.attachMedia(video); video.play();
  return (await shown(video)) - begun;
"""
)
ON_THE_PAGE = FIRST_FRAME + 'return shown(document.querySelector("video"));'


def main() -> int:
    options = arguments()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="playback-")))
        os.environ.update(RATE_LIMIT_DEFAULT="0", RATE_LIMIT_STREAM="0", MAX_CONCURRENT_STREAMS="0")
        environment(folder)
        os.environ["DELIVERY"] = "embedded"
        token = creators_token()
        service = stack.enter_context(start_service())
        video = published(folder, service.port, token)
        nginx = stack.enter_context(start_nginx(folder, video))
        first_frames(service, nginx, video, options)
        memory(service, video["id"], options.sessions)
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    options = parser.parse_args()
    if not options.chromium:
        sys.exit("Not installed: chromium. On Debian: apt-get install chromium")
    return options


# --- the stage ------------------------------------------------------------------------------------


def start_service() -> contextlib.AbstractContextManager[Server]:
    port = free_port()
    variables = {"PORT": str(port), "WEB_WORKERS": "2"}
    return running([sys.executable, str(REPO / "manage.py"), "run_web"], port, variables)


def published(folder: Path, port: int, token: str) -> dict:
    """Upload a clip as a free video, process it, and return the API's answer about it."""
    from videos.processing import tools

    clip = folder / "clip.mp4"
    subprocess.run(
        [
            str(tools.ffmpeg()), "-nostdin", "-v", "error", "-f", "lavfi", "-i",
            f"testsrc2=size=1280x720:rate=25:duration={SECONDS}", "-f", "lavfi", "-i",
            f"sine=frequency=440:duration={SECONDS}", "-pix_fmt", "yuv420p", "-c:v", "libx264",
            "-c:a", "aac", str(clip),
        ],
        check=True,
    )  # fmt: skip
    user = {"Authorization": f"Bearer {token}"}
    form = {**user, "Content-Type": "multipart/form-data; boundary=part"}
    field = b'--part\r\nContent-Disposition: form-data; name="%b"'
    parts = (
        field % b"title" + b"\r\n\r\nBenchmark\r\n",
        field % b"file"
        + b'; filename="clip.mp4"\r\n\r\n'
        + clip.read_bytes()
        + b"\r\n--part--\r\n",
    )
    video = ask(port, "POST", "/api/v1/videos/", form, b"".join(parts))
    worker = [sys.executable, str(REPO / "manage.py"), "run_worker", "--until-idle"]
    subprocess.run(worker, check=True, cwd=REPO)
    video = ask(port, "GET", f"/api/v1/videos/{video['id']}", user)
    if video["status"] != "READY":
        sys.exit(f"The clip was not processed: {video}")
    return video


@contextlib.contextmanager
def start_nginx(folder: Path, video: dict) -> Iterator[Server]:
    """Run raw nginx over the published files of a video, hls.js and an empty page."""
    from django.conf import settings

    version = next((Path(settings.MEDIA_ROOT) / "videos" / video["id"]).glob("*/master.m3u8"))
    root, port, config = folder / "bare", free_port(), folder / "nginx.conf"
    shutil.copytree(version.parent, root)
    (root / HLS).parent.mkdir(parents=True)
    shutil.copy(REPO / "streaming" / HLS, root / HLS)
    (root / "bare.html").write_text(BARE.format(hls=HLS))
    folder.chmod(0o755)  # nginx's workers are another user when it is started by root
    config.write_text(
        NGINX.format(workers=2, folder=folder, port=port, root=root, tls="").replace(
            "types {", "types { text/html html; text/javascript js;"
        )
    )
    command = [nginx_program(), "-c", str(config), "-e", str(folder / "nginx.log")]
    with running(command, port) as server:
        yield server


def ask(port: int, method: str, path: str, headers: dict[str, str], body: object = None) -> dict:
    """Send a request on a connection of its own; return the JSON of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    with contextlib.closing(connection):
        connection.request(method, path, body, headers)  # type: ignore[arg-type]  # str or bytes
        answer = connection.getresponse()
        content = answer.read()
    if answer.status >= 300:
        sys.exit(f"{method} {path}: {answer.status} {content[:300]!r}")
    return json.loads(content)


# --- the measurements -----------------------------------------------------------------------------


def first_frames(service: Server, nginx: Server, video: dict, options: argparse.Namespace) -> None:
    """Print the times to the first frame, in milliseconds."""
    from playwright.sync_api import Page, sync_playwright

    html = BARE.format(hls=HLS)
    ours, bare = f"http://127.0.0.1:{service.port}", f"http://127.0.0.1:{nginx.port}"

    def player_page(page: Page) -> float:
        page.goto(f"{ours}/watch/{video['id']}", wait_until="commit")
        page.wait_for_selector("video", state="attached")
        return page.evaluate(f"async () => {{ {ON_THE_PAGE} }}")

    def hls_js(page: Page) -> float:
        # A page that the service does not have, but of its origin.
        page.route(
            f"{ours}/bare.html", lambda route: route.fulfill(body=html, content_type="text/html")
        )
        page.goto(f"{ours}/bare.html")
        return page.evaluate(f"async found => {{ {PLAY} }}", f"{ours}/api/v1/stream/{video['id']}")

    def raw_nginx(page: Page) -> float:
        page.goto(f"{bare}/bare.html")
        return page.evaluate(f"async found => {{ {PLAY} }}", f"{bare}/master.m3u8")

    ways = {
        "the player page, from its address on": player_page,
        "hls.js, from the stream token on": hls_js,
        "hls.js over raw nginx, from the playlist on": raw_nginx,
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=options.chromium)
        for run in range(options.runs + 1):
            for name in list(ways) if run % 2 else reversed(ways):
                with contextlib.closing(browser.new_context()) as context:
                    took = ways[name](context.new_page())
                if run:  # the first one warms up
                    found[name].append(took)
        browser.close()
    print(f"first frame, {options.runs} runs{'':22}{'median':>10}{'worst':>10}{'ratio':>8}")
    medians = {name: statistics.median(times) for name, times in found.items()}
    for name, times in found.items():
        ratio = medians[name] / medians["hls.js over raw nginx, from the playlist on"]
        print(f"{name:44}{medians[name]:7.0f} ms{max(times):7.0f} ms{ratio:8.2f}")


def memory(service: Server, video: str, sessions: int) -> None:
    """Open so many sessions, as many viewers do, and print what the web server's memory grew by."""
    first = pss(service.process.pid)
    open_sessions(service.port, video, sessions // 10)  # what a process loads and keeps once
    before = pss(service.process.pid)
    open_sessions(service.port, video, sessions)
    after = pss(service.process.pid)
    print(
        f"\nmemory of the web server: {first:.0f} MB, {before:.0f} MB after {sessions // 10} sessions,"
    )
    print(
        f"{after:.0f} MB after {sessions} more: {(after - before) * 1024 / sessions:.2f} KB a session"
    )


def open_sessions(port: int, video: str, count: int) -> None:
    with ThreadPoolExecutor(CLIENTS) as threads:
        list(threads.map(lambda number: open_session(port, video, number), range(count)))


def open_session(port: int, video: str, number: int) -> None:
    """Ask for a token, the session, its playlists and the first bytes, as a player does."""
    agent = {"User-Agent": f"Player/{number}", "Accept": "application/json"}
    token = ask(port, "GET", f"/api/v1/stream/{video}", agent)
    session = ask(port, "GET", token["stream_url"], agent)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    with contextlib.closing(connection):
        path = urlsplit(session["hls_url"]).path
        lines = fetch(connection, path, agent).decode().splitlines()
        rendition = next(line for line in lines if line and not line.startswith("#"))
        fetch(connection, f"{path.rpartition('/')[0]}/{rendition}", agent)


def fetch(connection: http.client.HTTPConnection, path: str, agent: dict[str, str]) -> bytes:
    connection.request("GET", path, headers=agent)
    answer = connection.getresponse()
    content = answer.read()
    if answer.status != 200:
        sys.exit(f"{path}: {answer.status}")
    return content


def pss(pid: int) -> float:
    """Return the memory of a process and its descendants in MB; shared pages count in parts."""
    total, pids = 0, [pid]
    for each in pids:
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
            for task in Path(f"/proc/{each}/task").iterdir():
                pids += map(int, (task / "children").read_text().split())
    return total / 1024


if __name__ == "__main__":
    sys.exit(main())
