"""Versions in common encryption (cbcs): their files, the keys that open them, and KEY_PROVIDER."""

import json
import re
import shutil
import subprocess
import uuid
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from django.core.management import CommandError

from videos import doctor, storage
from videos.encryption import common, content_keys, keys, reading, versions
from videos.encryption.content_keys import ContentKey
from videos.models import ProcessingJob, Video
from videos.presentation import posters
from videos.processing import cage, tools
from videos.services import catalogue, encrypting, reprocessing, sources
from videos.tests import shared
from videos.tests.encryption_kit import SECONDS, SECRETS, run, segments
from videos.tests.media import ffmpeg, h264, picture, tone

pytestmark = pytest.mark.django_db(transaction=True)
PICTURES = 250
CENC = "{urn:mpeg:cenc:2013}"
MPD = "{urn:mpeg:dash:schema:mpd:2011}"
WIDEVINE = "urn:uuid:edef8ba9-79d6-4ace-a3c8-27dcd51d21ed"
COMMON = "urn:uuid:1077efec-c0b2-4d02-ace3-3c1e52e2fb4b"


@pytest.fixture(scope="session")
def long_clip():
    """Ten seconds with two sound tracks of different languages."""
    return shared.clip("common_encryption.mkv", make_long_clip)


def make_long_clip(path: Path) -> None:
    ffmpeg(
        *picture(seconds=SECONDS, size="640x360"), *tone(seconds=SECONDS),
        *tone(seconds=SECONDS, frequency=880), "-map", "0", "-map", "1", "-map", "2",
        *h264(), "-c:a", "aac", "-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=ger",
        path,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def _settings(settings, media, encoded_once):
    settings.HLS_KEYS = SECRETS
    settings.CDN_URL = settings.KEY_PROVIDER = ""
    settings.LICENCE_SERVERS = {}


@pytest.fixture
def package(publish, long_clip, settings):
    """A function that publishes the clip with one way of HLS_ENCRYPTION."""

    def made(encryption: str) -> Video:
        settings.HLS_ENCRYPTION = encryption
        return publish(long_clip)

    return made


@pytest.fixture
def clear(package) -> Video:
    return package("none")


@pytest.fixture
def encrypted(package) -> Video:
    return package("cbcs")


def opened(video: Video, tmp_path) -> dict[str, bytes]:
    """The segments of a version, decrypted by Shaka Packager with its keys."""
    target = tmp_path / uuid.uuid4().hex
    common.open_up(
        video.version_folder, target, video=video.pk, version=video.current_version,
        segment_seconds=video.segment_seconds,
    )  # fmt: skip
    return segments(target)


def decoded(folder, track: str, key: bytes | None, tmp_path) -> tuple[int, str]:
    """The number of frames that FFmpeg decodes of a track, and what it says; with a key or without."""
    joined = tmp_path / f"{track}.mp4"
    paths = sorted((folder / track).glob("*.m4s"), key=lambda path: int(path.stem))
    joined.write_bytes(b"".join(p.read_bytes() for p in (folder / track / "init.mp4", *paths)))
    given = ["-decryption_key", key.hex()] if key else []
    command = [
        str(tools.ffmpeg()), "-nostdin", "-v", "error", "-xerror", "-err_detect", "explode", *given,
        "-i", str(joined), "-f", "framecrc", "-",
    ]  # fmt: skip
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    frames = sum(not line.startswith("#") for line in done.stdout.splitlines())
    return frames, done.stderr


def test_a_new_version_is_encrypted_and_opens_to_the_same_segments(encrypted, clear, tmp_path):
    """Two versions of one encode: the decrypted segments are the clear ones, byte by byte."""
    wanted, found = segments(clear.version_folder), segments(encrypted.version_folder)
    assert keys.is_common(encrypted.current_version)
    assert not keys.is_encrypted(clear.current_version)
    assert len(wanted) >= 6
    assert found.keys() == wanted.keys()

    assert opened(encrypted, tmp_path) == wanted

    for name, data in found.items():
        assert b"senc" in data, name
        body = data.index(b"mdat") + 4
        assert wanted[name][wanted[name].index(b"mdat") + 4 :] != data[body:]
    assert reprocessing.fault_of(encrypted) == ""
    assert reprocessing.fault_of(clear) == ""
    names = {name.partition("/")[0] for name in found}
    assert {"audio-1-en", "audio-2-de"} <= names or len([n for n in names if "audio" in n]) == 2


def test_ffmpeg_decodes_it_with_its_keys_alone(encrypted, tmp_path):
    given = content_keys.content_keys(encrypted.pk, encrypted.current_version)
    folder = encrypted.version_folder
    sound = next(path.name for path in folder.glob("audio-1*") if path.is_dir())

    frames, said = decoded(folder, "240p", given["video"].key, tmp_path)
    assert (frames, said) == (PICTURES, "")
    assert decoded(folder, sound, given["audio"].key, tmp_path)[0] > 400
    for key in (None, given["audio"].key, b"x" * 16):
        frames, said = decoded(folder, "240p", key, tmp_path)
        assert frames < PICTURES / 10
        assert said
    for key in (None, given["video"].key):
        frames, said = decoded(folder, sound, key, tmp_path)
        assert frames < 40
        assert said


def test_nothing_is_clear_at_the_beginning(encrypted):
    """No clear lead: the first sample group of the first segment is encrypted, too."""
    folder = encrypted.version_folder
    for track in {name.partition("/")[0] for name in segments(folder)}:
        init = (folder / track / "init.mp4").read_bytes()
        assert b"cbcs" in init
        assert init[init.index(b"tenc") + 4 + 6] == 1  # default_isProtected
        assert b"seig" not in (folder / track / "1.m4s").read_bytes()  # no group of clear samples


def test_a_key_belongs_to_one_track_version_and_video(encrypted, settings):
    version, other = encrypted.current_version, keys.new_version(4.0)
    found = [
        key
        for video in (encrypted.pk, uuid.uuid4())
        for name in (version, other)
        for key in content_keys.content_keys(video, name).values()
    ]
    assert len({each.key for each in found}) == len(found) == 8
    assert len({each.key_id for each in found}) == 8
    assert len({part for each in found for part in each[:3]}) == 24
    settings.HLS_KEYS = [b"3" * 32, SECRETS[0]]
    again = content_keys.content_keys(encrypted.pk, version)
    assert again["video"] == found[0]
    assert not keys.is_current(version)
    settings.HLS_KEYS = [b"3" * 32]
    assert not keys.is_known(version)
    with pytest.raises(keys.KeyUnknown):
        content_keys.content_keys(encrypted.pk, version)


def test_keys_are_no_arguments_and_stay_in_no_file(clear, settings, media, monkeypatch):
    """Any user of the machine can read the arguments of a program."""
    settings.HLS_ENCRYPTION = "cbcs"
    seen: list[tuple[list[str], str, int]] = []
    real = cage.run

    def watched(argv, **more):
        if "--flagfile" in argv:
            flags = Path(argv[argv.index("--flagfile") + 1])
            seen.append((argv, flags.read_text(), flags.stat().st_mode & 0o777))
        return real(argv, **more)

    monkeypatch.setattr(cage, "run", watched)
    run()
    clear.refresh_from_db()
    given = content_keys.content_keys(clear.pk, clear.current_version)

    ((argv, text, mode),) = seen
    assert mode == 0o600
    for key in given.values():
        assert key.key.hex() in text
        assert not any(key.key.hex() in each for each in argv)
        for path in (each for each in media.rglob("*") if each.is_file()):
            data = path.read_bytes()
            assert key.key not in data, path
            assert key.key.hex().encode() not in data, path


def test_the_manifests_name_the_keys(encrypted):
    folder = encrypted.version_folder
    given = content_keys.content_keys(encrypted.pk, encrypted.current_version)
    for playlist in folder.glob("*.m3u8"):
        text = playlist.read_text()
        if "#EXT-X-MAP" not in text:
            assert "EXT-X-KEY" not in text
            continue
        track = "audio" if playlist.name.startswith("audio") else "video"
        lines = [line for line in text.splitlines() if line.startswith("#EXT-X-KEY")]
        assert len(lines) == 2
        assert lines[0] == (
            f'#EXT-X-KEY:METHOD=SAMPLE-AES,URI="keys/{track}",IV=0x{given[track].iv.hex()},'
            'KEYFORMAT="identity"'
        )
        assert 'KEYFORMAT="org.w3.clearkey"' in lines[1]
        assert given[track].key.hex() not in text
    root = ET.parse(folder / "manifest.mpd").getroot()  # noqa: S314 - our own
    for adaptation in root.iter(f"{MPD}AdaptationSet"):
        kind = adaptation.get("contentType")
        named = {
            each.get("schemeIdUri"): each for each in adaptation.iter(f"{MPD}ContentProtection")
        }
        scheme = named["urn:mpeg:dash:mp4protection:2011"]
        assert scheme.get("value") == "cbcs"
        key_id = (scheme.get(f"{CENC}default_KID") or "").replace("-", "")
        assert key_id == given[str(kind)].key_id.hex()
        assert named[COMMON].find(f"{CENC}pssh") is not None
        assert WIDEVINE not in named


def test_a_licence_server_is_named_and_the_keys_are_not_given(encrypted, settings):
    folder = encrypted.version_folder
    settings.LICENCE_SERVERS = {
        "com.widevine.alpha": "https://drm.example/w", "com.apple.fps": "https://drm.example/f",
    }  # fmt: skip
    before = segments(folder)
    run()

    text = (folder / "240p.m3u8").read_text()
    assert WIDEVINE in text
    assert 'URI="skd://' in text
    assert "playready" not in text
    assert "identity" not in text
    assert "clearkey" not in text
    mpd = (folder / "manifest.mpd").read_text()
    assert WIDEVINE in mpd
    assert "9a04f079" not in mpd
    assert segments(folder) == before
    assert not content_keys.are_given(encrypted.current_version)
    settings.LICENCE_SERVERS = {}
    run()
    assert "identity" in (folder / "240p.m3u8").read_text()
    assert WIDEVINE not in (folder / "manifest.mpd").read_text()


@pytest.mark.parametrize("other", ["none", "aes-128"])
def test_published_versions_are_encrypted_and_made_clear_again(
    package, settings, trail, tmp_path, other
):
    video = package(other)
    old = video.version_folder
    before = {name: (old / name).read_bytes() for name in versions.names_in(old)}
    settings.HLS_ENCRYPTION = "cbcs"

    assert "1 encrypted, 0 left." in run()
    video.refresh_from_db()
    assert keys.is_common(video.current_version)
    assert "1 checked, 0 faults." in run("--check")
    assert {name: (old / name).read_bytes() for name in before} == before  # for running sessions
    assert trail(video.pk)[-1] == "video.encrypted"
    assert "0 encrypted, 0 left." in run()
    inside = opened(video, tmp_path)
    assert (video.version_folder / "poster.jpg").is_file()

    settings.HLS_ENCRYPTION = other
    run(*(["--off"] if other == "none" else []))
    video.refresh_from_db()
    assert not keys.is_common(video.current_version)
    if other == "none":
        assert segments(video.version_folder) == inside == segments(old)
        assert set(before) == set(versions.names_in(video.version_folder))
    else:
        assert "AES-128" in (video.version_folder / "240p.m3u8").read_text()
        assert reprocessing.fault_of(video) == ""
    assert not list((settings.MEDIA_ROOT / "uploads").glob("version-*"))


def test_no_version_may_lie_in_the_public_place_of_aes_128(package, settings, monkeypatch):
    """Everybody may read `videos/*/k*/` there, and one key opens all of a version of cbcs."""
    with monkeypatch.context() as patched:  # as the first release of cbcs named them
        secret = keys.secret_id(SECRETS[0])
        patched.setattr(keys, "_common_head", lambda: f"ks{secret}")
        video = package("cbcs")
    old = video.current_version
    assert old.startswith("ks")
    assert reprocessing.fault_of(video) == ""
    assert content_keys.are_given(old)
    assert [each.level.name for each in doctor.encryption()] == ["WARNING"]

    assert "1 encrypted, 0 left." in run()

    video.refresh_from_db()
    assert keys.is_common(video.current_version)
    assert not video.current_version.startswith(keys.MARK)
    assert [each.level.name for each in doctor.encryption()] == ["OK"]


def test_a_planted_clear_segment_is_found(encrypted, clear, settings):
    settings.HLS_ENCRYPTION = "cbcs"
    plain = next(iter(segments(clear.version_folder).values()))
    run()
    assert "2 checked, 0 faults." in run("--check")
    planted = encrypted.version_folder / "240p" / "9999.m4s"  # no playlist names it
    planted.write_bytes(plain)

    assert reprocessing.fault_of(encrypted) == "240p/9999.m4s is not encrypted"
    with pytest.raises(CommandError, match="1 faults"):
        run("--check")
    planted.unlink()
    shutil.rmtree(encrypted.version_folder / "240p")
    assert "240p" in reprocessing.fault_of(encrypted)


def test_a_poster_and_the_sound_are_made_of_an_encrypted_version(encrypted, clear, creator, media):
    made = posters.choose_moment(video=encrypted, actor=creator, at_seconds=5.0)
    assert storage.store().exists(storage.poster_name(made))
    with reading.clear(encrypted) as (folder, bring):
        sound = next(
            path.name for path in encrypted.version_folder.glob("audio-1*") if path.is_dir()
        )
        paths = [folder / sound / f"{number}.m4s" for number in (2, 1)]
        bring([folder / sound / "init.mp4", *sorted(paths)])
        for path in paths:
            wanted = clear.version_folder / sound / path.name
            assert path.read_bytes() == wanted.read_bytes()
    assert not list((media / "uploads").glob("clear-*"))


# --- KEY_PROVIDER ---------------------------------------------------------------------------------

ASKED: list[tuple[uuid.UUID, str, tuple[str, ...]]] = []


def vendor(video_id, version, tracks):
    """What an operator would write: keys from elsewhere, the same for the same version."""
    ASKED.append((video_id, version, tracks))
    made = {}
    for track in tracks:
        name = uuid.uuid5(video_id, f"{version}/{track}")
        made[track] = ContentKey(
            name.bytes, uuid.uuid5(name, "key").bytes, uuid.uuid5(name, "iv").bytes
        )
    return made


class VendorClass:
    def __call__(self, video_id, version, tracks):
        return vendor(video_id, version, tracks)


def away(video_id, version, tracks):
    raise OSError("the key server does not answer")


def short(video_id, version, tracks):
    return {track: ContentKey(b"1" * 16, b"2" * 15, b"3" * 16) for track in tracks}


def one_id(video_id, version, tracks):
    return {track: ContentKey(b"1" * 16, b"2" * 16, b"3" * 16) for track in tracks}


def no_pssh(video_id, version, tracks):
    return {t: ContentKey(t.encode().ljust(16), b"2" * 16, b"3" * 16, b"junk") for t in tracks}


def nothing(video_id, version, tracks):
    return None


NOT_CALLABLE = 3
HERE = "videos.tests.test_common_encryption"


def test_the_keys_of_a_provider_are_used_and_never_given(package, settings, tmp_path):
    settings.KEY_PROVIDER = f"{HERE}.VendorClass"
    ASKED.clear()
    video = package("cbcs")
    version = video.current_version

    assert version.startswith("cp")
    assert ASKED[-1] == (video.pk, version, ("video", "audio"))
    wanted = vendor(video.pk, version, ("video", "audio"))
    assert decoded(video.version_folder, "240p", wanted["video"].key, tmp_path)[0] == PICTURES
    named = json.loads((video.version_folder / "packaged" / "key-ids.json").read_text())
    assert named["video"]["kid"] == wanted["video"].key_id.hex()
    assert not content_keys.are_given(version)
    assert "EXT-X-KEY" not in (video.version_folder / "240p.m3u8").read_text()  # no licence server
    assert keys.is_current(version)
    settings.KEY_PROVIDER = f"{HERE}.vendor"
    assert not keys.is_current(version)
    assert not keys.is_known(version)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("away", "OSError: the key server does not answer"),
        ("short", "its key for video must be 16 bytes"),
        ("one_id", "its tracks have one key_id"),
        ("no_pssh", "whole boxes"),
        ("nothing", "must be a mapping with video and audio"),
        ("missing", "cannot be loaded"),
        ("NOT_CALLABLE", "neither a function nor a class"),
    ],
)
def test_a_wrong_provider_is_an_error_before_anything_is_written(clear, settings, name, words):
    settings.HLS_ENCRYPTION, settings.KEY_PROVIDER = "cbcs", f"{HERE}.{name}"
    folders = list(clear.versions_folder.iterdir())
    uploads = list((settings.MEDIA_ROOT / "uploads").iterdir())

    with pytest.raises(content_keys.ProviderFailed, match=re.escape(words)) as refused:
        encrypting.remake(clear, encrypted=True)
    assert str(refused.value).startswith(f"KEY_PROVIDER={HERE}.{name}: ")
    with pytest.raises(CommandError):
        run()

    assert list(clear.versions_folder.iterdir()) == folders
    assert list((settings.MEDIA_ROOT / "uploads").iterdir()) == uploads
    old = clear.current_version
    clear.refresh_from_db()
    assert clear.current_version == old


def test_a_job_waits_for_a_provider_that_is_away(
    creator, received, process_stage, process_next, long_clip, settings
):
    settings.HLS_ENCRYPTION, settings.KEY_PROVIDER = "cbcs", f"{HERE}.away"
    video = catalogue.create_video(creator=creator, title="A video")
    sources.attach_source(video=video, received=received(long_clip), actor=creator)
    process_stage()

    video.refresh_from_db()
    job = ProcessingJob.objects.get(video=video)
    assert video.current_version == ""
    assert (job.state, job.strikes, job.error_code) == ("queued", 0, "no_keys")
    assert not video.versions_folder.exists()

    settings.KEY_PROVIDER = f"{HERE}.vendor"
    ProcessingJob.objects.update(not_before="2020-01-01T00:00:00Z")
    process_next()
    video.refresh_from_db()
    assert keys.is_common(video.current_version)


def test_the_boxes_of_a_provider_replace_those_of_the_packager(package, settings, monkeypatch):
    box = bytes.fromhex("00000024" + "70737368" + "00000000" + WIDEVINE[9:].replace("-", "")
                        + "00000004" + "cafebabe")  # fmt: skip

    def boxed(video_id, version, tracks):
        return {t: key._replace(pssh=box) for t, key in vendor(video_id, version, tracks).items()}

    monkeypatch.setattr(f"{HERE}.vendor_with_box", boxed, raising=False)
    settings.KEY_PROVIDER = f"{HERE}.vendor_with_box"
    settings.LICENCE_SERVERS = {"com.widevine.alpha": "https://drm.example/w"}
    content_keys.load.cache_clear()
    video = package("cbcs")

    init = (video.version_folder / "240p" / "init.mp4").read_bytes()
    assert box in init
    assert init.count(b"pssh") == 1
    assert WIDEVINE in (video.version_folder / "240p.m3u8").read_text()


def test_the_doctor_compares_versions_and_tries_the_provider(clear, encrypted, settings):
    settings.HLS_ENCRYPTION = "cbcs"

    def found():
        return [(each.level.name, each.statement[:32]) for each in doctor.encryption()]

    assert found() == [("WARNING", "1 published videos are not encry")]
    run()
    assert found() == [("OK", "All published versions are encry")]
    settings.KEY_PROVIDER = f"{HERE}.missing"
    assert ("ERROR", f"KEY_PROVIDER={HERE}"[:32]) in found()
    settings.KEY_PROVIDER = f"{HERE}.vendor"
    assert ("ERROR", "Nobody can play new videos: no licence server"[:32]) in found()
    settings.LICENCE_SERVERS = {"com.widevine.alpha": "https://drm.example/w"}
    assert ("WARNING", "2 published videos are not encrypted"[:32]) in found()
