"""tus through the real server: the upload application, cut connections, and killed processes."""

import hashlib
import io
import os
import random
import signal
import socket
import threading
import time
from functools import partial

import pytest
from tusclient import client as tuspy

from accounts import tokens
from config.tests import cases
from videos.models import ProcessingJob, Upload, Video
from videos.tests import processes
from videos.tests.tus_client import URL, TusClient, free_port, metadata

pytestmark = pytest.mark.django_db(transaction=True)
MEGABYTE = 1024**2


@pytest.fixture
def token(creator):
    return tokens.issue(creator).access


def run(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def only_video(content: bytes) -> Video:
    """Return the only video, which has this content, and was queued once."""
    video = Video.objects.get()
    stored = hashlib.sha256(video.source.read_bytes()).hexdigest()
    assert stored == hashlib.sha256(content).hexdigest()
    assert video.source_checksum == f"sha256:{stored}"
    assert ProcessingJob.objects.filter(video=video).count() == 1
    return video


def test_the_protocol_over_a_real_connection(token, media):
    with processes.web() as (_, port):
        tus = TusClient(port, token)

        options = tus.ask("OPTIONS", URL)
        assert (options.status, options.headers["Tus-Version"]) == (204, "1.0.0")

        # In two pieces; cut in the middle; at a wrong place; by POST instead of PATCH.
        content = os.urandom(3 * MEGABYTE)
        url = tus.begin(len(content))
        first = tus.patch(url, 0, content[:MEGABYTE])
        assert (first.status, first.headers["Upload-Offset"]) == (204, str(MEGABYTE))
        tus.patch_and_cut(url, MEGABYTE, content[MEGABYTE:], 300_000)
        processes.wait_for(lambda: tus.offset(url) > MEGABYTE)
        processes.wait_for(lambda: tus.patch(url, 1, b"x").status == 409)
        offset = tus.offset(url)
        assert MEGABYTE < offset <= MEGABYTE + 300_000
        assert Upload.objects.get().offset in {MEGABYTE, offset}
        last = tus.ask(
            "POST", url, content[offset:], X_HTTP_Method_Override="Patch", Upload_Offset=str(offset)
        )
        assert last.status == 204, last.content
        assert str(only_video(content).pk) == last.headers["Video-Id"]
        assert tus.offset(url) == len(content)
        Video.objects.all().update(job=None)
        Video.objects.all().delete()

        # Refused before the first byte, with an answer that can be read.
        other = tus.begin(100)
        big = tus.patch(other, 0, bytes(2 * MEGABYTE))
        assert (big.status, big.headers["Connection"]) == (413, "close")
        assert b"too_large" in big.content
        wrong = tus.patch(other, 0, b"abc", Upload_Checksum="sha1 " + "A" * 27 + "=")
        assert wrong.status == 460
        assert tus.patch(other, 0, b"abc", Tus_Resumable="2").status == 412
        assert TusClient(port, "nonsense").patch(other, 0, b"abc").status == 401
        assert tus.offset(other) == 0

        # With the creation.
        made = tus.ask(
            "POST", URL, b"abc", Upload_Length="3", Upload_Metadata=metadata(title="Small")
        )
        assert (made.status, made.headers["Upload-Offset"]) == (201, "3")
        assert only_video(b"abc").title == "Small"
        Video.objects.all().update(job=None)
        Video.objects.all().delete()

        # Parts that are sent at the same time, and joined.
        pieces = [os.urandom(MEGABYTE + number) for number in range(3)]
        urls = [tus.begin(len(piece), Upload_Concat="partial") for piece in pieces]
        threads = [
            threading.Thread(target=tus.patch, args=(url, 0, piece))
            for url, piece in zip(urls, pieces, strict=True)
        ]
        run(threads)
        final = tus.ask(
            "POST",
            URL,
            Upload_Concat="final;" + " ".join(urls),
            Upload_Metadata=metadata(title="J"),
        )
        assert final.status == 201, final.content
        joined = final.headers["Location"]
        processes.wait_for(lambda: tus.ask("HEAD", joined).headers["Upload-Offset"])
        assert tus.offset(joined) == sum(map(len, pieces))
        assert only_video(b"".join(pieces)).title == "J"


@pytest.mark.long
def test_two_writers_and_two_ends(token, media):
    """One writes, the other gets 423; of eight that send the last bytes, one queues the processing."""
    content = os.urandom(MEGABYTE)
    with processes.web(WEB_WORKERS="2", RATE_LIMIT_DEFAULT="0") as (_, port):
        tus = TusClient(port, token)
        url = tus.begin(len(content))
        with tus.open_patch(url, 0, len(content)) as slow:
            slow.sendall(content[:100_000])
            processes.wait_for(lambda: tus.offset(url) > 0)
            for _ in range(4):  # whichever process answers
                assert tus.patch(url, 0, content).status == 423
                assert tus.ask("DELETE", url).status == 423
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        processes.wait_for(lambda: tus.patch(url, 1, b"x").status == 409)

        rest = content[tus.offset(url) :]
        statuses: list[int] = []
        offset = len(content) - len(rest)
        threads = [
            threading.Thread(target=lambda: statuses.append(tus.patch(url, offset, rest).status))
            for _ in range(8)
        ]
        run(threads)

    assert statuses.count(204) == 1
    assert {*statuses} <= {204, 409, 423}
    only_video(content)


def test_tuspy_uploads_in_chunks_with_checksums(token, media):
    content = os.urandom(2 * MEGABYTE + 17)
    with processes.web() as (_, port):
        client = tuspy.TusClient(
            f"http://127.0.0.1:{port}{URL}", headers={"Authorization": f"Bearer {token}"}
        )
        uploader = client.uploader(
            file_stream=io.BytesIO(content),
            chunk_size=700_000,
            metadata={"filename": "tuspy.mp4", "title": "By tuspy"},
            upload_checksum=True,
        )
        uploader.upload()
    assert only_video(content).title == "By tuspy"


def is_free(tus: TusClient, url: str, offset: int) -> bool:
    """Return whether nobody writes the upload: then a wrong offset is what is wrong."""
    return tus.patch(url, offset + 1, b"x").status == 409


@pytest.mark.long
@pytest.mark.parametrize(("cuts", "killed"), cases.chosen([(20, 5), (4, 1)], (4, 1)))
def test_random_cuts_and_deaths_of_all_processes(token, media, cuts, killed):
    """Identical bytes, queued once. What a HEAD has acknowledged is there after each death."""
    chance = random.Random(13)  # noqa: S311 - a repeatable walk
    content = chance.randbytes(2 * cuts * MEGABYTE)
    port = free_port()
    deaths = {*chance.sample(range(cuts), killed)}

    def start():
        server = processes.start("run_web", PORT=str(port), WEB_WORKERS="2", RATE_LIMIT_DEFAULT="0")
        processes.wait_for(lambda: processes._answers(port))
        return server

    server = start()
    try:
        tus, acknowledged = TusClient(port, token), 0
        url = tus.begin(len(content))
        for number in range(cuts):
            cut = chance.randrange(1, 2 * MEGABYTE)
            if number in deaths:
                with tus.open_patch(url, acknowledged, len(content) - acknowledged) as connection:
                    connection.sendall(content[acknowledged : acknowledged + cut])
                    time.sleep(chance.random() / 10)
                    processes.signal_family(server, signal.SIGKILL)
                server.wait()
                server = start()
            else:
                tus.patch_and_cut(url, acknowledged, content[acknowledged:], cut)
            processes.wait_for(partial(is_free, tus, url, acknowledged))
            offset = tus.offset(url)
            assert acknowledged <= offset <= acknowledged + cut
            acknowledged = offset
        assert tus.patch(url, acknowledged, content[acknowledged:]).status == 204
    finally:
        processes.end(server)
    only_video(content)


@pytest.mark.long
def test_a_death_after_the_last_byte_is_repaired_by_the_next_process(token, media):
    """All bytes came, the processes died before they could queue anything; nobody asks again."""
    content = os.urandom(MEGABYTE)
    with processes.web() as (_, port):
        TusClient(port, token).begin(len(content))
    upload = Upload.objects.get()
    (media / "resumable" / upload.pk.hex).write_bytes(content)
    with processes.web(WEB_WORKERS="2"):
        processes.wait_for(ProcessingJob.objects.exists)
    only_video(content)
