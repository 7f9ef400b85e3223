"""tus and direct uploads with STORAGE=s3 through the real server, while it and the bucket are killed."""

import os
import random
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx
import pytest

pytest.importorskip("boto3", reason="missing: boto3")

from accounts import tokens
from videos.models import ProcessingJob, Upload, Video
from videos.services import direct
from videos.tests import processes
from videos.tests.buckets import SeaweedFS, emptied, running, use
from videos.tests.direct_kit import way
from videos.tests.tus_client import URL, TusClient, free_port, metadata, serving

pytestmark = [pytest.mark.s3, pytest.mark.django_db(transaction=True)]
MEGABYTE = 1024**2


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(SeaweedFS, tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def bucket(server, settings, media):
    found = emptied(server)
    use(settings, server)
    yield found
    server.kill()  # a test may have done so
    server.start()


@pytest.fixture
def token(creator):
    return tokens.issue(creator).access


def only_video(bucket, content: bytes) -> Video:
    """Return the only video: the bucket has these bytes, once, and the job was queued once."""
    video = Video.objects.get()
    assert bucket.read(video.source_path) == content
    assert [each.name for each in bucket.entries("sources/")] == [video.source_path]
    assert ProcessingJob.objects.get().source_path == video.source_path
    return video


def test_tus_survives_the_death_of_all_processes_and_of_the_bucket(bucket, server, token, media):
    """The bytes wait on the disk, sent ones too, until the bucket has them and the job is queued."""
    chance = random.Random(28)  # noqa: S311 - a repeatable walk
    content, port, there = chance.randbytes(6 * MEGABYTE), free_port(), 0
    tus = TusClient(port, token)
    with serving(port, **server.settings()) as web:
        url = tus.begin(len(content))
        for cut in (300_000, 2 * MEGABYTE):
            tus.patch_and_cut(url, there, content[there:], cut)
            processes.wait_for(partial(is_free, tus, url, there))
            there = tus.offset(url)
        with tus.open_patch(url, there, len(content) - there) as connection:
            connection.sendall(content[there : there + MEGABYTE])
            processes.signal_family(web, signal.SIGKILL)
        web.wait()
    with serving(port, **server.settings()):
        offset = tus.offset(url)
        assert there <= offset <= there + MEGABYTE
        with tus.open_patch(url, offset, len(content) - offset) as connection:
            connection.sendall(content[offset : offset + MEGABYTE])
            processes.wait_for(lambda: tus.offset(url) > offset)
            server.kill()
            connection.sendall(content[offset + MEGABYTE :])
            assert b" 204 " in connection.recv(1000).splitlines()[0]
        assert tus.offset(url) == len(content)  # also without the bucket
        named = metadata(filename="late.mp4")
        late = tus.ask("POST", URL, Upload_Length="3", Upload_Metadata=named)
        assert late.status == 503  # new ones have to wait
    assert not Video.objects.exists()
    assert (media / "resumable" / Upload.objects.get().pk.hex).read_bytes() == content
    server.start()
    with serving(port, **server.settings()):
        processes.wait_for(ProcessingJob.objects.exists)
    only_video(bucket, content)
    assert not [*(media / "resumable").iterdir()]


def is_free(tus: TusClient, url: str, offset: int) -> bool:
    return tus.patch(url, offset + 1, b"x").status == 409


class Sender:
    """A client of direct uploads over real connections."""

    def __init__(self, port: int, token: str) -> None:
        self.url = f"http://127.0.0.1:{port}/api/v1/uploads/"
        self.headers = {"Authorization": f"Bearer {token}"}

    def begin(self, length: int) -> dict:
        body = {"filename": "clip.mp4", "title": "Direct", "length": length}
        mode = {**self.headers, "Upload-Mode": "direct"}
        answer = httpx.post(self.url, json=body, headers=mode, timeout=60)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def send(self, upload: dict, content: bytes) -> list[dict]:
        size = upload["direct"]["part_size"]

        def put(part: dict) -> dict:
            begin = (part["number"] - 1) * size
            body = content[begin : begin + part["size"]]
            answer = httpx.put(part["url"], content=body, timeout=60)
            return {"number": part["number"], "etag": answer.headers["ETag"]}

        with ThreadPoolExecutor(3) as threads:
            return list(threads.map(put, upload["direct"]["parts"]))

    def complete(self, upload: dict, parts: list[dict]) -> httpx.Response:
        return httpx.post(
            f"{self.url}{upload['id']}/complete",
            json={"parts": parts},
            headers=self.headers,
            timeout=60,
        )


def test_eight_completions_in_two_processes_queue_one_job(bucket, server, token):
    content, port = os.urandom(33 * MEGABYTE), free_port()
    sender, statuses = Sender(port, token), []
    with serving(port, **server.settings()):
        upload = sender.begin(len(content))
        assert len(upload["direct"]["parts"]) == 3
        parts = sender.send(upload, content)
        threads = [
            threading.Thread(
                target=lambda: statuses.append(sender.complete(upload, parts).status_code)
            )
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert statuses == [200] * 8
    only_video(bucket, content)


def test_a_completion_outlives_its_process(bucket, server, token):
    """It was killed after it had found all parts; nobody asks again."""
    content, port = os.urandom(2 * MEGABYTE), free_port()
    sender = Sender(port, token)
    with serving(port, **server.settings()):
        upload = sender.begin(len(content))
        sender.send(upload, content)
    found = Upload.objects.get()
    parts = way().parts(found.object_name, found.multipart_id)
    direct._accept(found, parts)
    with serving(port, **server.settings()):
        processes.wait_for(ProcessingJob.objects.exists)
    only_video(bucket, content)
