"""Sessions of encrypted versions, and of versions that are encrypted while people watch."""

import pytest
from django.core.management import call_command

from streaming.models import PlaybackSession
from videos.encryption import keys
from videos.models import Video
from videos.services import catalogue, sources

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def video(media, received, process_next, creator, settings, encoded_once) -> Video:
    settings.HLS_ENCRYPTION, settings.CDN_URL = "none", ""
    video = catalogue.create_video(creator=creator, title="A video")
    sources.attach_source(video=video, received=received(), actor=creator)
    process_next()
    video.refresh_from_db()
    return video


def start(client, video):
    answer = client.get(f"/api/v1/stream/{video.pk}")
    assert answer.status_code == 200
    played = client.get(answer.data["stream_url"], HTTP_ACCEPT="application/json")
    assert played.status_code == 200
    return answer.data, played.data


def test_a_running_session_keeps_its_version_and_the_next_one_gets_the_encrypted(
    video, client_for, settings
):
    client = client_for()
    token, before = start(client, video)
    assert token["formats"] == ["hls", "dash"]
    assert before["dash_url"]
    old = PlaybackSession.objects.get(pk=before["session_id"]).version

    settings.HLS_ENCRYPTION = "aes-128"
    call_command("encrypt_videos")
    token, after = start(client, video)

    video.refresh_from_db()
    session = PlaybackSession.objects.get(pk=after["session_id"])
    assert keys.is_encrypted(session.version)
    assert session.version == video.current_version
    assert token["formats"] == ["hls"]
    assert after["dash_url"] is None
    assert f"/{video.current_version}/master.m3u8" in after["hls_url"]
    running = PlaybackSession.objects.get(pk=before["session_id"])
    assert (running.version, running.ended_at) == (old, None)
    assert (video.versions_folder / old / "manifest.mpd").is_file()


def test_dash_is_refused_and_starts_no_session(video, client_for, settings):
    settings.HLS_ENCRYPTION = "aes-128"
    call_command("encrypt_videos")
    client = client_for()
    token = client.get(f"/api/v1/stream/{video.pk}").data

    refused = client.get(f"{token['stream_url']}?format=dash")

    assert refused.status_code == 409
    assert "encrypted" in refused.json()["errors"][0]["detail"]
    assert not PlaybackSession.objects.exists()
    assert client.get(token["stream_url"]).status_code == 302
