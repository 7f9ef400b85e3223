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


def test_a_session_in_common_encryption_is_told_of_its_keys_and_plays_dash(
    video, client_for, settings
):
    client = client_for()
    assert start(client, video)[1]["drm"] is None
    settings.HLS_ENCRYPTION = "cbcs"
    call_command("encrypt_videos")

    token, session = start(client, video)

    assert token["formats"] == ["hls", "dash"]
    assert session["dash_url"].endswith("/manifest.mpd")
    home = session["hls_url"].removesuffix("/master.m3u8")
    assert session["drm"] == {
        "scheme": "cbcs",
        "systems": [
            {
                "key_system": "org.w3.clearkey",
                "licence_url": f"{home}/licence",
                "certificate_url": None,
            }
        ],
    }


def test_a_session_is_told_of_licence_servers(video, client_for, settings):
    """With its video and grant in their addresses; a page's policy names their hosts alone."""
    settings.HLS_ENCRYPTION = "cbcs"
    call_command("encrypt_videos")
    settings.LICENCE_SERVERS = {
        "com.apple.fps": "https://drm.example/f",
        "com.widevine.alpha": "https://drm.example:8443/w?video={video}&v={version}&grant={grant}",
    }
    settings.FAIRPLAY_CERTIFICATE_URL = "https://drm.example/f.cer"

    client = client_for()
    _, session = start(client, video)

    video.refresh_from_db()
    fairplay, widevine = session["drm"]["systems"]
    assert fairplay["certificate_url"] == "https://drm.example/f.cer"
    assert widevine == {
        "key_system": "com.widevine.alpha",
        "licence_url": f"https://drm.example:8443/w?video={video.pk}&v={video.current_version}"
        f"&grant={session['grant']}",
        "certificate_url": None,
    }
    policy = client.get(f"/watch/{video.pk}").headers["Content-Security-Policy"]
    assert "connect-src 'self' https://drm.example https://drm.example:8443;" in policy
    assert "/w" not in policy
    assert "drm.example" not in client.get(f"/api/v1/videos/{video.pk}").content.decode()
