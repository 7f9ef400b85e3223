"""Encrypted versions in a bucket of a real server: nothing in it can be read as MP4."""

import dataclasses
import hashlib

import pytest

pytest.importorskip("boto3", reason="missing: boto3")

from botocore.exceptions import ClientError
from django.core.management import CommandError, call_command

from videos import jobs, presence, storage
from videos.encryption import keys, versions
from videos.models import Video
from videos.presentation import posters, refreshing
from videos.services import catalogue, publishing, reprocessing, sources
from videos.storage.base import VERSIONS
from videos.tests.buckets import SeaweedFS, emptied, running, use

pytestmark = [pytest.mark.s3, pytest.mark.django_db(transaction=True)]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(SeaweedFS, tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def bucket(server, settings, media):
    found = emptied(server)
    use(settings, server)
    settings.HLS_ENCRYPTION, settings.CDN_URL = "none", ""
    return found


@pytest.fixture
def video(bucket, received, creator) -> Video:
    file = received()
    checksum = f"sha256:{hashlib.sha256(file.path.read_bytes()).hexdigest()}"
    video = catalogue.create_video(creator=creator, title="In a bucket")
    sources.attach_source(
        video=video, received=dataclasses.replace(file, checksum=checksum), actor=creator
    )
    while (job := jobs.claim_next(presence.worker_name())) is not None:
        publishing.process(job)
    video.refresh_from_db()
    assert video.status == "READY"
    return video


def segments(bucket, video, version) -> dict[str, bytes]:
    place = f"{VERSIONS}/{video.pk}/{version}/"
    names = [each.name for each in bucket.entries(place) if each.name.endswith(".m4s")]
    return {name.removeprefix(place): bucket.read(name) for name in names}


def test_a_published_version_is_encrypted_in_the_bucket(bucket, video, settings, creator, media):
    old = video.current_version
    wanted = segments(bucket, video, old)
    settings.HLS_ENCRYPTION, settings.CDN_URL = "aes-128", "https://cdn.example/vod/videos"

    call_command("encrypt_videos")

    video.refresh_from_db()
    found = segments(bucket, video, video.current_version)
    assert found.keys() == wanted.keys()
    assert all(data[4:8] not in versions._BOXES for data in found.values())
    assert all(data != wanted[name] for name, data in found.items())
    assert segments(bucket, video, old) == wanted  # for the sessions that run
    playlist = bucket.read(f"{storage.version_name(video)}/audio-1-und.m3u8").decode()
    assert f"https://cdn.example/vod/videos/{video.pk}/{video.current_version}/" in playlist
    assert 'URI="keys/0"' in playlist
    assert reprocessing.fault_of(video) == ""
    assert not [path for path in (media / "uploads").iterdir() if path.is_dir()]
    call_command("encrypt_videos", "--check")
    refreshing.refresh(video.pk)
    posters.choose_moment(video=video, actor=creator, at_seconds=1.0)

    name = next(iter(wanted))  # the clear one in its place
    bucket.write(f"{storage.version_name(video)}/{name}", wanted[name])
    with pytest.raises(CommandError, match="1 faults"):
        call_command("encrypt_videos", "--check")


def test_a_rule_that_lets_everybody_read_more_than_segments_is_found(bucket, video, monkeypatch):
    """A stranger who may read playlists, and one who may read encrypted segments alone."""

    class Stranger:
        allowed = ".m3u8"

        def list_objects_v2(self, **asked):
            return False

        def head_object(self, *, Bucket, Key):
            return Key.endswith(self.allowed)

        def put_object(self, **asked):
            raise ClientError({"Error": {"Code": "AccessDenied"}}, "PutObject")

    monkeypatch.setattr(bucket, "_new_client", lambda **options: Stranger())
    assert bucket.strangers_may() == ["read"]
    Stranger.allowed = ".m4s"
    assert bucket.strangers_may() == []


def test_and_clear_again(bucket, video, settings):
    wanted = segments(bucket, video, video.current_version)
    settings.HLS_ENCRYPTION = "aes-128"
    call_command("encrypt_videos")
    settings.HLS_ENCRYPTION = "none"
    call_command("encrypt_videos", "--off")

    video.refresh_from_db()
    assert not keys.is_encrypted(video.current_version)
    assert segments(bucket, video, video.current_version) == wanted
    assert bucket.read(f"{storage.version_name(video)}/manifest.mpd")
    assert reprocessing.fault_of(video) == ""


def test_common_encryption_in_the_bucket_and_back(bucket, video, settings):
    old = video.current_version
    wanted = segments(bucket, video, old)
    settings.HLS_ENCRYPTION, settings.LICENCE_SERVERS = "cbcs", {}
    call_command("encrypt_videos")
    video.refresh_from_db()

    found = segments(bucket, video, video.current_version)
    assert keys.is_common(video.current_version)
    assert found.keys() == wanted.keys()
    assert all(b"senc" in data for data in found.values())
    call_command("encrypt_videos", "--check")
    place = f"{VERSIONS}/{video.pk}/{video.current_version}"
    track = next(name.partition("/")[0] for name in found if not name.startswith("audio"))
    assert b"keys/video" in bucket.read(f"{place}/{track}.m3u8")
    assert b"cbcs" in bucket.read(f"{place}/manifest.mpd")
    assert reprocessing.fault_of(video) == ""

    settings.HLS_ENCRYPTION = "none"
    call_command("encrypt_videos", "--off")
    video.refresh_from_db()
    assert segments(bucket, video, video.current_version) == wanted
