"""`GET /metrics` of a real server of two processes: its counts are right whichever process answers."""

import contextlib
import http.client
import os
import signal
import time

import psutil
import pytest

from config.tests import exposition
from videos.tests import processes

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.long]
TOKEN = "hK3v9QmT2xWb7LrZ5nYc8PfJ4sDg6aXe"


class Server:
    def __init__(self, process, port: int) -> None:
        self.process, self.port = process, port

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
        """Ask on a connection of its own, so that any of the processes may answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    def scrape(self) -> exposition.Samples:
        status, text = self.ask("/metrics")
        assert status == 200, text
        return exposition.read(text)

    def workers(self) -> list[psutil.Process]:
        """Return the processes that answer, and no helper of multiprocessing."""
        found = []
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):  # a zombie has no command line
                if "spawn_main" in " ".join(child.cmdline()):
                    found.append(child)
        return found


@pytest.fixture
def server(media):
    with processes.web(WEB_WORKERS="2", METRICS_TOKEN=TOKEN, ALLOW_HTTP="false") as (process, port):
        server = Server(process, port)
        processes.wait_for(lambda: len(server.workers()) == 2)
        yield server


def counted(samples: exposition.Samples, route: str, status: str) -> float:
    return samples.sum("vod_http_requests_total", route=route, status=status)


def test_counts_are_whole_whichever_process_answers_and_survive_one_that_is_killed(server):
    for number in range(60):
        server.ask("/api/v1/videos/" if number % 2 else "/media/no-grant/x")
    time.sleep(1.5)  # files of videos are counted once a second

    seen = {
        (counted(found, "/api/v1/videos/", "2xx"), counted(found, "/media/*", "4xx"))
        for found in (server.scrape() for _ in range(12))
    }
    assert seen == {(30.0, 30.0)}
    samples = server.scrape()
    assert samples.sum("vod_stream_authorisations_total", step="media", result="not_found") == 30
    assert samples.sum("vod_http_request_duration_seconds_count", route="/api/v1/videos/") == 30

    killed = server.workers()[0]
    os.kill(killed.pid, signal.SIGKILL)
    processes.wait_for(
        lambda: len(server.workers()) == 2 and killed.pid not in {w.pid for w in server.workers()}
    )
    for _ in range(20):
        processes.wait_for(lambda: server.ask("/api/v1/videos/")[0] == 200)
    # an answer that is younger than a second is given once more
    processes.wait_for(lambda: counted(server.scrape(), "/api/v1/videos/", "2xx") >= 50)


def test_what_is_refused_before_django_is_counted_too(server):
    assert server.ask("/api/v1/videos/", "POST", **{"Content-Length": "99999999"})[0] in (401, 413)
    assert server.ask("/nowhere/at/all")[0] == 404
    assert server.ask("/static/config/icon.svg")[0] == 200
    assert server.ask("/health/live")[0] == 200

    samples = server.scrape()
    assert counted(samples, "none", "4xx") >= 1
    assert counted(samples, "/static/*", "2xx") == 1
    assert counted(samples, "/health/live", "2xx") >= 1


def test_who_may_scrape_a_real_server(server):
    assert server.ask("/metrics")[0] == 200
    assert server.ask("/metrics/")[0] == 200
    assert server.ask("/metrics", **{"X-Forwarded-For": "203.0.113.7"})[0] == 403
    assert server.ask("/metrics", Host="localhost.evil.example")[0] == 403
    assert server.ask("/metrics", Authorization=f"Bearer {TOKEN}")[0] == 200
    assert server.ask("/metrics", Authorization="Bearer wrong")[0] == 403
    assert server.ask("/metrics", "POST")[0] == 405
    status, text = server.ask("/metrics", "HEAD")
    assert (status, text) == (200, "")
