"""A service whose files lie in a bucket, as processes that share nothing but it and the database."""

import os
import re
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

pytest.importorskip("boto3", reason="missing: boto3")

from django.db.models import F

from accounts import tokens
from config.tests import cases
from payments.services.settling import refunds
from videos import storage
from videos.models import Video
from videos.presentation.models import Presentation
from videos.tests import processes
from videos.tests.buckets import Rclone, SeaweedFS, bucket_of, emptied, running, use
from videos.tests.processes import wait_for

pytestmark = [pytest.mark.s3, pytest.mark.django_db(transaction=True)]
API = "/api/v1"
NAMED = re.compile(r'URI="([^"]+)"|^([^#\s].*)$', re.MULTILINE)


@pytest.fixture(
    scope="module",
    params=cases.chosen([SeaweedFS, Rclone], SeaweedFS),
    ids=lambda kind: kind.__name__,
)
def server(request, tmp_path_factory):
    with running(request.param, tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def machine(server, settings, media, tmp_path):
    """A function that returns the environment of a machine with a MEDIA_DIR of its own."""
    emptied(server)
    use(settings, server)

    def make(name: str) -> dict[str, str]:
        return {**server.settings(), "MEDIA_DIR": str(tmp_path / name / "media")}

    return make


class Client:
    """Somebody with a token at a web server."""

    def __init__(self, port: int, user) -> None:
        self.base = f"http://127.0.0.1:{port}"
        headers = {"Authorization": f"Bearer {tokens.issue(user).access}"}
        self.http = httpx.Client(headers=headers, timeout=120, follow_redirects=True)

    def upload(self, path, **fields) -> httpx.Response:
        return self.http.post(
            f"{self.base}{API}/videos/",
            data={"title": "In a bucket", **fields},
            files={"file": ("clip.mp4", path.read_bytes(), "video/mp4")},
        )

    def start(self, video_id) -> str:
        """Begin to play, and return the folder of the version's addresses."""
        token = self.http.get(f"{self.base}{API}/stream/{video_id}")
        assert token.status_code == 200, token.text
        path = token.json()["stream_url"].partition(API)[2]
        answer = self.http.get(f"{self.base}{API}{path}")
        assert answer.status_code == 200, answer.text
        return str(answer.url).rpartition("/")[0]

    def play(self, root: str) -> dict[str, bytes]:
        """Return every file that the playlists and the manifest name, as players get them."""
        found, queue = {}, ["master.m3u8", "manifest.mpd"]
        while queue:
            name = queue.pop()
            answer = self.http.get(f"{root}/{name}")
            assert answer.status_code == 200, (name, answer.status_code, answer.text)
            found[name] = answer.content
            if name.endswith(".m3u8"):
                folder = name.rpartition("/")[0]
                for first, second in NAMED.findall(answer.text):
                    path = os.path.normpath(os.path.join(folder, first or second.strip()))
                    if path not in found and path not in queue:
                        queue.append(path)
        return found


def ready(video_id) -> Video:
    """Wait until the video can be played, and its playlists have all that it is presented with."""

    def done():
        status = Video.objects.get(pk=video_id).status
        presented = Presentation.objects.filter(video=video_id, written=F("changed")).exists()
        return status == "FAILED" or (status == "READY" and presented)

    wait_for(done, seconds=120)
    video = Video.objects.get(pk=video_id)
    assert video.status == "READY", processes.log()[-5000:]
    return video


def parts(port: int) -> dict[str, str]:
    return httpx.get(f"http://127.0.0.1:{port}/health/ready", timeout=30).json()["parts"]


def test_upload_process_buy_and_play_every_byte(server, machine, creator, viewer, admin, clip, buy):
    with (
        processes.web(**machine("one")) as (_, port),
        processes.web(**machine("two")) as (_, other),
        processes.worker(**machine("worker")),
    ):
        uploaded = Client(port, creator).upload(clip, price="5.00", is_paid="true")
        assert uploaded.status_code == 201, uploaded.text
        video = ready(uploaded.json()["id"])
        buyer = Client(other, viewer)
        assert buyer.http.get(f"{buyer.base}{API}/stream/{video.pk}").status_code == 403
        order = buy(viewer, video)
        root = buyer.start(video.pk)
        played = buyer.play(root)

        bucket, version = bucket_of(server), storage.version_name(video)
        assert played == {name: bucket.read(f"{version}/{name}") for name in played}
        segment = next(name for name in played if name.endswith("1.m4s"))
        whole = buyer.http.get(f"{root}/{segment}")
        range_ = buyer.http.get(f"{root}/{segment}", headers={"Range": "bytes=100-199"})
        assert (range_.status_code, range_.content) == (206, played[segment][100:200])
        head = buyer.http.head(f"{root}/{segment}")
        assert (head.status_code, head.headers["ETag"]) == (200, whole.headers["ETag"])
        # Another machine, with an empty cache, gives the same tag.
        first = Client(port, viewer).http.get(
            f"http://127.0.0.1:{port}{root.partition(str(other))[2]}/{segment}"
        )
        assert first.headers["ETag"] == whole.headers["ETag"]
        assert buyer.http.get(f"{root}/no-such.m4s").status_code == 404
        assert buyer.http.get(f"{root}/files.json").status_code == 404

        refunds.refund_order(order_id=order.pk, amount=None, reason="asked", actor=admin)
        wait_for(lambda: buyer.http.get(f"{root}/{segment}").status_code == 410, seconds=10)


def test_a_cold_segment_is_fetched_once_for_all_processes(server, machine, creator, clip):
    with processes.web(WEB_WORKERS="2", **machine("web")) as (_, port):
        with processes.worker(**machine("worker")):
            video = ready(Client(port, creator).upload(clip).json()["id"])
        client = Client(port, creator)
        root = client.start(video.pk)
        segment = next(
            each.name.removeprefix(f"{storage.version_name(video)}/")
            for each in bucket_of(server).entries(storage.version_name(video))
            if each.name.endswith("1.m4s")
        )

        def get(_):
            headers = {"Connection": "close"}
            return httpx.get(
                f"{root}/{segment}", headers={**client.http.headers, **headers}, timeout=60
            )

        with ThreadPoolExecutor(16) as threads:
            answers = list(threads.map(get, range(16)))

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    # Each process has added what it fetched to the same number: nothing was fetched twice.
    cache = Path(machine("web")["MEDIA_DIR"]) / "cache"
    fetched = struct.unpack("<q", (cache / ".fetching" / ".bytes").read_bytes())[0]
    assert fetched == sum(path.stat().st_size for path in cache.rglob("[!.]*") if path.is_file())


def test_the_server_dies_while_a_video_is_played(server, machine, creator, clip):
    with processes.web(**machine("web")) as (_, port):
        with processes.worker(**machine("worker")):
            video = ready(Client(port, creator).upload(clip).json()["id"])
        client = Client(port, creator)
        root = client.start(video.pk)
        before = client.play(root)
        cold = Client(port, creator)
        with processes.web(**machine("cold")) as (_, other):
            elsewhere = f"http://127.0.0.1:{other}{root.partition(str(port))[2]}"
            wait_for(lambda: parts(port)["storage"] == "ok")
            server.kill()
            try:
                assert client.play(root) == before  # from the cache
                began = time.monotonic()
                answer = cold.http.get(f"{elsewhere}/master.m3u8")
                assert answer.status_code == 503, answer.text
                assert answer.json()["errors"][0]["code"] == "unavailable"
                assert answer.headers["Retry-After"]
                assert time.monotonic() - began < 60
                wait_for(lambda: parts(port)["storage"] == "unavailable")
            finally:
                server.start()
            wait_for(lambda: parts(port)["storage"] == "ok")
            assert cold.play(elsewhere) == before


def test_the_server_dies_while_a_video_is_uploaded(server, machine, creator, clip):
    """The client is told 503 and nothing is there, or 201 and nothing is lost."""
    with processes.web(**machine("web")) as (_, port), processes.worker(**machine("worker")):
        client = Client(port, creator)
        server.kill()
        refused = client.upload(clip)
        assert refused.status_code == 503, refused.text
        assert refused.json()["errors"][0]["code"] == "storage_unavailable"
        assert not Video.objects.exists()
        server.start()

        stopped = threading.Event()

        def trouble():
            while not stopped.is_set():
                server.kill()
                time.sleep(0.3)
                server.start()
                time.sleep(1.0)

        thread = threading.Thread(target=trouble)
        thread.start()
        try:
            answers = [client.upload(clip) for _ in range(4)]
        finally:
            stopped.set()
            thread.join()
        taken = [answer.json()["id"] for answer in answers if answer.status_code == 201]
        assert {answer.status_code for answer in answers} <= {201, 503}
        assert {str(pk) for pk in Video.objects.values_list("pk", flat=True)} == set(taken)
        last = client.upload(clip)
        assert last.status_code == 201, last.text
        for video_id in [*taken, last.json()["id"]]:
            ready(video_id)


def test_a_file_that_is_sent_slowly_holds_nobody_up(server, machine, creator):
    """The bytes go to the bucket before Django is asked: it has few threads, and SQLite one writer."""
    with processes.web(**machine("web")) as (_, port):
        client = Client(port, creator)
        made = client.http.post(f"{client.base}{API}/videos/", json={"title": "A draft"})
        assert made.status_code == 201, made.text
        boundary = "x" * 20
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="title"\r\n\r\nSlow\r\n'
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n'
            "Content-Type: video/mp4\r\n\r\n"
        ).encode()
        tail = f"\r\n--{boundary}--\r\n".encode()
        body = head + os.urandom(1_000_000) + tail
        half, whole = threading.Event(), threading.Event()

        def parts_of_body():
            yield body[:500_000]
            half.set()
            whole.wait(30)
            yield body[500_000:]

        def upload():
            return client.http.post(
                f"{client.base}{API}/videos/",
                content=parts_of_body(),
                headers={
                    "Content-Type": f"multipart/form-data; boundary={boundary}",
                    "Content-Length": str(len(body)),
                },
            )

        with ThreadPoolExecutor(1) as threads:
            sending = threads.submit(upload)
            assert half.wait(30)
            spool = Path(machine("web")["MEDIA_DIR"]) / "uploads"
            wait_for(lambda: list(spool.glob("*")))  # it has been let in
            with server.stopped():
                whole.set()
                time.sleep(1.5)
                began = time.monotonic()
                for number in range(4):
                    changed = Client(port, creator).http.patch(
                        f"{client.base}{API}/videos/{made.json()['id']}",
                        json={"title": f"Title {number}"},
                    )
                    assert changed.status_code == 200, changed.text
                assert time.monotonic() - began < 5
                assert not sending.done(), sending.result().text
            answer = sending.result()
        assert answer.status_code == 201, answer.text
        assert bucket_of(server).find(Video.objects.get(title="Slow").source_path)


def test_a_file_of_a_refused_form_leaves_the_bucket(server, machine, creator, clip):
    with processes.web(**machine("web")) as (_, port):
        answer = Client(port, creator).upload(clip, price="-1", is_paid="true")

    assert answer.status_code == 400, answer.text
    assert not list(bucket_of(server).entries("sources/"))
