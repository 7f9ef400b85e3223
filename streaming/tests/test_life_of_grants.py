"""A player that knows nothing of tokens plays for as long as its grant, and goes on with a new one."""

import subprocess
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings as configured
from django.utils import timezone

from payments.models import Order
from streaming import sessions
from streaming.delivery.asgi import Delivery
from streaming.delivery.grants import Grants
from streaming.errors import SessionEnded, StreamTokenExpired
from streaming.models import PlaybackSession
from streaming.tests.delivery_kit import Sessions, serving
from videos.processing import tools
from videos.tests.media import make_clip

pytestmark = pytest.mark.django_db

AGENT, ADDRESS = "Lavf/60.0", "127.0.0.1"
CLIENT = sessions.Client(AGENT, ADDRESS)
TOKEN_SECONDS = 1
SECONDS = 5 * TOKEN_SECONDS  # of the video, played in real time: more than three lives of a token


@pytest.fixture
def bought(viewer, make_video, buy):
    buy(viewer, video := make_video(price=500))
    return video


@pytest.fixture
def address(tmp_path, bought):
    """A function that serves the video's HLS and returns its address for a grant."""
    folder = tmp_path / "media" / str(bought.pk) / bought.current_version
    folder.mkdir(parents=True)
    clip = make_clip(tmp_path / "clip.mp4", seconds=SECONDS)
    command: list[str | Path] = [
        tools.ffmpeg(),
        "-v",
        "error",
        "-i",
        clip,
        "-c",
        "copy",
        "-hls_time",
        "1",
    ]
    command += ["-hls_list_size", "0", "-hls_segment_type", "fmp4", folder / "master.m3u8"]
    subprocess.run(command, check=True, cwd=folder)
    snapshot = Sessions().snapshot()
    app = Delivery(
        checker=Grants(configured.GRANT_KEY, "device"),
        snapshot=snapshot,
        root=tmp_path / "media",
        origins=["*"],
    )
    with serving(app) as port:

        def made(grant: str) -> str:
            path = f"/media/{grant}/{bought.pk}/{bought.current_version}/master.m3u8"
            return f"http://127.0.0.1:{port}{path}"

        yield made
    snapshot.stop()


def play(url: str) -> tuple[int, float]:
    """Play with FFmpeg in real time; return its exit status and the seconds that it took."""
    began = time.monotonic()
    command = [str(tools.ffmpeg()), "-v", "error", "-xerror", "-user_agent", AGENT]
    command += ["-re", "-i", url]
    done = subprocess.run([*command, "-f", "null", "-"], capture_output=True, timeout=60)
    return done.returncode, time.monotonic() - began


@pytest.mark.long
def test_an_unmodified_player_plays_past_three_lives_of_its_token(
    viewer, bought, address, settings
):
    """The token is for the start alone: the grant in the addresses of the files outlives it."""
    settings.STREAM_TOKEN_SECONDS = TOKEN_SECONDS
    token = sessions.stream_token(user=viewer, video_id=bought.pk)[0]
    _, grant = sessions.redeem(token=token, client=CLIENT)
    status, seconds = play(address(grant))
    assert status == 0
    assert seconds > 3 * TOKEN_SECONDS
    with pytest.raises(StreamTokenExpired):
        sessions.redeem(token=token, client=CLIENT)
    assert PlaybackSession.objects.count() == 1


@pytest.mark.long
def test_after_its_grant_a_viewer_goes_on_without_a_new_purchase(viewer, bought, address):
    token = sessions.stream_token(user=viewer, video_id=bought.pk)[0]
    session, _ = sessions.redeem(token=token, client=CLIENT)
    PlaybackSession.objects.update(expires_at=timezone.now() + timedelta(seconds=2))
    _, grant = sessions.redeem(
        token=token, client=CLIENT
    )  # the same session, with two seconds left
    time.sleep(2)
    assert play(address(grant))[0] != 0  # 403 grant_expired
    again = sessions.stream_token(user=viewer, video_id=bought.pk)[0]
    other, fresh = sessions.redeem(token=again, client=CLIENT)
    assert other.pk != session.pk
    assert play(address(fresh))[0] == 0
    assert Order.objects.count() == 1


def test_a_session_that_ended_is_not_continued_by_its_token(viewer, bought):
    token = sessions.stream_token(user=viewer, video_id=bought.pk)[0]
    session, _ = sessions.redeem(token=token, client=CLIENT)
    sessions.stop(session=session, actor=viewer)
    with pytest.raises(SessionEnded):
        sessions.redeem(token=token, client=CLIENT)
    assert sessions.redeem(
        token=sessions.stream_token(user=viewer, video_id=bought.pk)[0], client=CLIENT
    )
