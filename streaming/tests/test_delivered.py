"""The fact that segments were served to a session: from the delivery to the session's row."""

import uuid
from datetime import timedelta

import httpx
import pytest
from django.utils import timezone

from payments.tests.kit import together
from streaming import delivered, sessions
from streaming.models import PlaybackSession
from streaming.tests.delivery_kit import (
    Connection,
    Stage,
    protocol_of,
    random_bytes,
    serving,
    wait_until,
)
from videos.tests import processes

SMALL, LONG = (
    random_bytes(40_000),
    random_bytes(3_000_000),
)  # LONG: more than the kernel keeps for a client
AGENT = "Phone/1.0"


@pytest.fixture
def served():
    """What the snapshot has recorded: the segments of each session, as bits."""
    return {}


@pytest.fixture
def stage(tmp_path, served):
    made = Stage(tmp_path)

    def record(parts):
        for session, bits in parts.items():
            served[session] = served.get(session, 0) | bits
        return {}

    made.snapshot._record = record
    for name in ("1080/1.m4s", "1080/2.m4s", "audio/2.m4s"):
        made.publish(name, SMALL)
    made.publish("1080/3.m4s", LONG)
    for name in ("master.m3u8", "1080/init.mp4", "1080/x.m4s", "captions/4.vtt", "1/123456.m4s"):
        made.publish(name, b"no segment")
    yield made
    made.close()


def segments(stage, served) -> set[int]:
    stage.snapshot.step(flush_now=True)
    bits = served.get(stage.session, 0)
    return {number for number in range(bits.bit_length()) if bits >> number & 1}


def test_whole_segments_count_once_in_any_rendition(stage, served):
    for name in ("1080/2.m4s", "audio/2.m4s", "1080/3.m4s", "1080/3.m4s"):
        assert stage.get(name).status == 200
    assert segments(stage, served) == {2, 3}
    assert set(served) == {stage.session}


def test_nothing_else_counts(stage, served):
    for name in ("master.m3u8", "1080/init.mp4", "1080/x.m4s", "captions/4.vtt", "1/123456.m4s"):
        assert stage.get(name).status == 200
    tag = stage.get("1080/init.mp4").headers["etag"]
    assert stage.get("1080/init.mp4", headers={"If-None-Match": tag}).status == 304
    assert stage.get("1080/1.m4s", "HEAD").status == 200
    assert stage.get("1080/1.m4s", "OPTIONS").status == 204
    assert stage.get("1080/1.m4s", grant="A" * 64).status == 401
    assert stage.get("1080/9.m4s").status == 404
    stage.get("1080/1.m4s", headers={"Range": "bytes=-1"})
    stage.get("1080/1.m4s", headers={"Range": "bytes=0-39998"})
    assert segments(stage, served) == {1}  # two ranges of 39,999 bytes and one
    stage.get("1080/2.m4s", headers={"Range": "bytes=0-39998"})
    assert segments(stage, served) == {1}


def test_a_segment_in_ranges_counts_when_all_its_bytes_were_sent(stage, served):
    for first in range(0, 40_000, 10_000):
        assert segments(stage, served) == set()
        part = f"bytes={first}-{first + 9999}"
        assert stage.get("1080/1.m4s", headers={"Range": part}).status == 206
    assert segments(stage, served) == {1}


@pytest.mark.parametrize("http", ["the fast path", "httptools"])
def test_a_client_that_reads_counts_and_one_that_does_not_does_not(stage, served, http):
    protocol = protocol_of(stage)
    chosen = protocol if http == "the fast path" else http
    with serving(stage.app, send_buffer=65536, http=chosen) as port:
        reader, silent = (Connection(port, receive_buffer=4096) for _ in range(2))
        for _ in range(2):  # the second time, the file is in memory
            reader.ask(stage.path("1080/1.m4s", grant=stage.grant(address="127.0.0.1")))
            reader.head()
            assert reader.read(len(SMALL)) == SMALL
        assert segments(stage, served) == {1}

        name = stage.path("1080/3.m4s", grant=stage.grant(address="127.0.0.1"))
        silent.ask(name)
        silent.head()
        assert segments(stage, served) == {1}
        reader.ask(name)
        reader.head()
        assert segments(stage, served) == {1}
        assert reader.read(len(LONG)) == LONG
        wait_until(lambda: segments(stage, served) == {1, 3})
        for connection in (reader, silent):
            connection.close()
    if http == "the fast path":
        assert protocol.answered >= 2


def test_what_could_not_be_recorded_is_kept(stage):
    """The database is away, then the session's row is locked by somebody else."""
    seen: list[dict] = []

    def record(parts):
        seen.append(dict(parts))
        if len(seen) == 1:
            raise ConnectionError("the database is away")
        return dict(parts) if len(seen) == 2 else {}

    stage.snapshot._record = record
    stage.get("1080/1.m4s")
    stage.snapshot.step(flush_now=True)
    stage.get("1080/2.m4s")
    for _ in range(3):
        stage.snapshot.step(flush_now=True)

    assert seen == [{stage.session: bits} for bits in (0b10, 0b110, 0b110)]


@pytest.fixture
def session(viewer, make_video):
    token = sessions.stream_token(user=viewer, video_id=make_video().pk)[0]
    client = sessions.Client(AGENT, "127.0.0.1")
    return sessions.redeem(token=token, client=client)[0]


@pytest.mark.django_db
def test_recording_adds_each_segment_once(session):
    for parts, seconds in ((0b110, 8), (0b110, 8), (0b101000, 16), (1 << 5000, 20)):
        assert delivered.record({session.pk: parts, uuid.uuid4(): 1}) == {}
        session.refresh_from_db()
        assert session.delivered_seconds == seconds
    assert int.from_bytes(session.delivered, "little") == 0b101110 | 1 << 5000


@pytest.mark.django_db
def test_longer_segments_count_as_what_they_are(viewer, make_video):
    """A copied source has a keyframe only every eight seconds, its renditions have one every two."""
    video = make_video(segment_seconds=8.0, duration_seconds=60.0)

    def watch(parts: int) -> PlaybackSession:
        token = sessions.stream_token(user=viewer, video_id=video.pk)[0]
        session = sessions.redeem(token=token, client=sessions.Client(AGENT, "127.0.0.1"))[0]
        delivered.record({session.pk: parts})
        session.refresh_from_db()
        return session

    def share() -> float:
        return delivered.share(PlaybackSession.objects.all(), 60.0)

    assert watch(0b10).delivered_seconds == 8
    assert share() == 0  # the first part alone
    assert watch(0b110).delivered_seconds == 16
    assert share() == pytest.approx(16 / 60)

    type(video).objects.update(segment_seconds=4.0)  # all renditions are ready
    assert watch(0b111000).delivered_seconds == 12  # the seconds from 8 to 20
    assert share() == pytest.approx(20 / 60)

    # A key of encrypted segments stands for the segments 11 to 20; the video has 15 of four seconds.
    watch(sum(1 << number for number in range(11, 21)))
    assert share() == pytest.approx((20 + 20) / 60)


@pytest.mark.django_db(transaction=True)
def test_processes_that_record_at_once_lose_nothing(session):
    def record(number: int) -> None:
        left = {session.pk: 1 << number}
        while left:
            left = delivered.record(left)

    together([lambda number=number: record(number) for number in range(1, 9)])

    session.refresh_from_db()
    assert session.delivered_seconds == 32


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
def test_two_web_processes_record_what_they_served(viewer, make_video, media):
    """Fetched over HTTP, then watched: the view and the watch time rest on the bytes."""
    video = make_video()
    folder = video.version_folder / "360"
    folder.mkdir(parents=True)
    for number in range(1, 7):
        (folder / f"{number}.m4s").write_bytes(SMALL)
    token = sessions.stream_token(user=viewer, video_id=video.pk)[0]
    session, grant = sessions.redeem(token=token, client=sessions.Client(AGENT, "127.0.0.1"))
    PlaybackSession.objects.update(created_at=timezone.now() - timedelta(seconds=60))

    def row() -> tuple[int, float, int]:
        session.refresh_from_db()
        video.refresh_from_db()
        return session.delivered_seconds, session.counted_seconds, video.views

    with processes.web(WEB_WORKERS="2") as (_, port):
        site, headers = f"http://127.0.0.1:{port}", {"User-Agent": AGENT, "Playback-Grant": grant}
        heartbeat = f"{site}/api/v1/stream/sessions/{session.pk}/heartbeat"
        body = {"position_seconds": 30, "state": "playing", "watched": [[0, 30]]}

        assert httpx.post(heartbeat, json=body, headers=headers).status_code == 204
        assert row() == (0, 0, 0)
        for number in range(1, 7):  # each over a connection of its own, to either process
            media_file = f"{site}/media/{grant}/{video.pk}/{session.version}/360/{number}.m4s"
            answer = httpx.get(media_file, headers=headers)
            assert (answer.status_code, answer.content) == (200, SMALL)
        wait_until(lambda: row() == (24, 24, 1), seconds=20)
        assert httpx.post(heartbeat, json=body, headers=headers).status_code == 204
        assert row() == (24, 24, 1)
