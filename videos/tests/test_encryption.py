"""Encrypted versions: what lies in the public place, and what the keys open."""

import filecmp
import os
import re
import shutil
import subprocess
import time
import tracemalloc
import uuid
from functools import partial

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from django.core.management import CommandError

from audit.models import AuditEntry
from config import env
from videos import doctor, storage
from videos.encryption import keys, reading, versions
from videos.models import ProcessingJob, Video
from videos.presentation import posters
from videos.presentation.models import Presentation
from videos.processing import tools
from videos.services import catalogue, encrypting, garbage, reprocessing, sources
from videos.tests import processes, shared
from videos.tests.encryption_kit import SECONDS, SECRETS, contents, run, segments
from videos.tests.media import make_clip

pytestmark = pytest.mark.django_db(transaction=True)
KEY = re.compile(r'#EXT-X-KEY:METHOD=AES-128,URI="keys/(\d+)",IV=0x([0-9a-f]{32})')


@pytest.fixture(scope="session")
def long_clip():
    write = partial(make_clip, seconds=SECONDS, size="640x360")
    return shared.clip("encrypted.mp4", write)


@pytest.fixture(autouse=True)
def _short_periods(monkeypatch, settings, media, encoded_once):
    """Periods of one segment, so that a short video has several."""
    monkeypatch.setattr(keys, "PERIOD_SECONDS", 4)
    settings.HLS_KEYS = SECRETS
    settings.CDN_URL = ""


@pytest.fixture
def clear(publish, long_clip, settings) -> Video:
    settings.HLS_ENCRYPTION = "none"
    return publish(long_clip)


@pytest.fixture
def encrypted(publish, long_clip, settings) -> Video:
    settings.HLS_ENCRYPTION = "aes-128"
    return publish(long_clip)


def period_of(video: uuid.UUID, version: str, number: int) -> keys.Period:
    found = keys.period(video, version, number)
    assert found is not None
    return found


def opened(video: Video) -> dict[str, bytes]:
    """The segments of an encrypted version as its playlists say: decrypted by the letter of RFC 8216.

    A padding of 1 to 16 bytes of its own length is taken off here, and not by the code that put it on.
    """
    found, folder = {}, video.version_folder
    for playlist in folder.glob("*.m3u8"):
        text = playlist.read_text()
        if "#EXT-X-MAP:" not in text:
            continue
        assert "#EXT-X-I-FRAMES-ONLY" not in text
        assert text.index("#EXT-X-MAP") < text.index("#EXT-X-KEY")  # so the init segment is clear
        cipher = None
        for line in text.splitlines():
            if match := KEY.fullmatch(line):
                period = period_of(video.pk, video.current_version, int(match[1]))
                vector = bytes.fromhex(match[2])
                cipher = Cipher(algorithms.AES(period.key), modes.CBC(vector))
            elif line and not line.startswith("#"):
                name = line[-len(line.rpartition("/")[2]) - 1 - len(line.split("/")[-2]) :]
                assert cipher is not None
                decryptor = cipher.decryptor()
                plain = decryptor.update((folder / name).read_bytes()) + decryptor.finalize()
                assert 1 <= plain[-1] <= 16
                assert plain[-plain[-1] :] == bytes([plain[-1]]) * plain[-1]
                found[name] = plain[: -plain[-1]]
    return found


def test_a_new_version_is_encrypted_and_its_playlists_open_it(encrypted, clear):
    """The segments of two versions of one encode: the decrypted ones are the clear ones."""
    assert keys.is_encrypted(encrypted.current_version)
    assert not keys.is_encrypted(clear.current_version)
    wanted = segments(clear.version_folder)
    assert len(wanted) >= 6

    assert opened(encrypted) == wanted

    for name, data in segments(encrypted.version_folder).items():
        assert data[4:8] not in (b"styp", b"moof", b"ftyp", b"sidx"), name
        assert wanted[name][:64] not in data
        assert len(data) % 16 == 0
        assert len(data) - len(wanted[name]) in range(1, 17)
    assert (encrypted.version_folder / "240p/init.mp4").read_bytes()[4:8] == b"ftyp"
    assert not (encrypted.version_folder / "manifest.mpd").exists()
    assert "I-FRAME" not in (encrypted.version_folder / "master.m3u8").read_text()


def test_a_key_belongs_to_one_period_version_and_video(encrypted):
    one, version = encrypted.pk, encrypted.current_version
    other_version = keys.new_version(4.0)
    found = [
        period_of(video, name, number)
        for video in (one, uuid.uuid4())
        for name in (version, other_version)
        for number in (0, 1, 2)
    ]

    assert len({each.key for each in found}) == len(found)
    assert keys.period(one, version, 0) == found[0]  # the same each time
    vectors = {
        keys.initialization_vector(one, version, name, number)
        for name in ("360p", "240p")
        for number in (0, 1)
    }
    assert len(vectors) == 4


def test_the_segments_of_a_period_are_two_minutes(monkeypatch):
    monkeypatch.setattr(keys, "PERIOD_SECONDS", 120)

    for seconds, expected in ((4.0, 30), (7.5, 16), (0.5, 99), (200.0, 1)):
        version = keys.new_version(seconds)
        period = period_of(uuid.UUID(int=1), version, 1)
        assert period.segments == range(expected + 1, 2 * expected + 1)
        assert {keys.period_of(version, each) for each in period.segments} == {1}
        assert len(version) <= 32


def test_without_the_secret_there_is_no_key(encrypted, settings):
    version = encrypted.current_version
    before = keys.period(encrypted.pk, version, 0)

    settings.HLS_KEYS = [b"3" * 32, SECRETS[0]]
    assert keys.period(encrypted.pk, version, 0) == before
    assert not keys.is_current(version)
    settings.HLS_KEYS = [b"3" * 32]
    assert keys.period(encrypted.pk, version, 0) is None
    assert not keys.is_known(version)


def test_the_cdn_is_named_for_segments_and_not_for_keys(encrypted, settings):
    settings.CDN_URL = "https://cdn.example/videos"
    out = run()

    text = (encrypted.version_folder / "240p.m3u8").read_text()
    base = f"https://cdn.example/videos/{encrypted.pk}/{encrypted.current_version}/240p"
    assert f'#EXT-X-MAP:URI="{base}/init.mp4"' in text
    assert f"\n{base}/1.m4s\n" in text
    assert 'URI="keys/0"' in text
    assert "0 encrypted, 0 left." in out
    assert "cdn.example" not in (encrypted.version_folder / "master.m3u8").read_text()

    settings.CDN_URL = ""
    run()
    assert "\n240p/1.m4s\n" in (encrypted.version_folder / "240p.m3u8").read_text()
    assert opened(encrypted)


def test_published_versions_are_encrypted_and_made_clear_again(clear, settings, trail):
    settings.HLS_ENCRYPTION = "aes-128"
    before, old = contents(clear.version_folder), clear.version_folder
    wanted = segments(old)

    assert "1 encrypted, 0 left." in run()
    clear.refresh_from_db()
    assert keys.is_current(clear.current_version)
    assert opened(clear) == wanted
    assert contents(old) == before  # for the sessions that run
    assert trail(clear.pk)[-1] == "video.encrypted"
    assert "0 encrypted, 0 left." in run()
    assert ProcessingJob.objects.open().count() == 0

    settings.HLS_ENCRYPTION = "none"
    assert "1 made clear, 0 left." in run("--off")
    clear.refresh_from_db()
    after = contents(clear.version_folder)
    assert {name: after[name] for name in before} == before
    assert trail(clear.pk)[-1] == "video.decrypted"


def test_another_secret_makes_versions_anew(encrypted, settings):
    wanted, old = opened(encrypted), encrypted.current_version
    settings.HLS_KEYS = [b"3" * 32, *SECRETS]

    assert "1 encrypted, 0 left." in run()

    encrypted.refresh_from_db()
    assert encrypted.current_version != old
    settings.HLS_KEYS = [b"3" * 32]
    assert opened(encrypted) == wanted


def test_a_version_of_a_lost_secret_is_left_as_it_is(encrypted, settings, caplog):
    settings.HLS_KEYS = [b"3" * 32]
    before = contents(encrypted.version_folder)

    with pytest.raises(CommandError, match="1 left"):
        run()

    old = encrypted.current_version
    encrypted.refresh_from_db()
    assert encrypted.current_version == old
    assert contents(encrypted.version_folder) == before
    assert not list((settings.MEDIA_ROOT / "uploads").glob("version-*"))
    # Its playlists are not tried again for ever: another secret would not make them right.
    row = Presentation.objects.get()
    assert row.written == row.changed
    assert not [each for each in caplog.records if each.exc_info]


def test_a_kill_loses_nothing_and_the_next_run_goes_on(clear, settings, monkeypatch):
    settings.HLS_ENCRYPTION = "aes-128"
    before, old = contents(clear.version_folder), clear.current_version
    real, count = versions._recode, [0]

    def killed(*given):
        count[0] += 1
        if count[0] == 4:
            raise KeyboardInterrupt
        return real(*given)

    monkeypatch.setattr(versions, "_recode", killed)
    with pytest.raises(KeyboardInterrupt):
        run()
    clear.refresh_from_db()
    assert clear.current_version == old
    assert contents(clear.version_folder) == before

    assert "1 encrypted, 0 left." in run()
    clear.refresh_from_db()
    assert keys.is_encrypted(clear.current_version)


@pytest.mark.long
@pytest.mark.programs
def test_a_process_that_is_killed_leaves_every_video_whole(
    clear, publish, long_clip, settings, media
):
    """SIGKILL while it writes the new version, or a moment later; then a run that is let to its end."""
    other = publish(long_clip)
    settings.HLS_ENCRYPTION = "aes-128"
    wanted = segments(clear.version_folder)
    for wait in (0.0, 0.01, 0.05):
        process = processes.start("encrypt_videos", HLS_ENCRYPTION="aes-128")
        begun = lambda process=process: (  # noqa: E731
            process.poll() is not None or [*(media / "uploads").glob("version-*")]
        )
        processes.wait_for(begun)
        time.sleep(wait)
        process.kill()
        process.wait(10)
        for folder in (media / "uploads").glob("version-*"):
            shutil.rmtree(folder)  # as `garbage` does a day later
        for video in (clear, other):
            video.refresh_from_db()
            is_encrypted = keys.is_encrypted(video.current_version)
            settings.HLS_KEYS = default_keys()
            assert (opened(video) if is_encrypted else segments(video.version_folder)) == wanted

    assert processes.start("encrypt_videos", HLS_ENCRYPTION="aes-128").wait(60) == 0
    for video in (clear, other):
        video.refresh_from_db()
        assert opened(video) == wanted


def default_keys() -> list[bytes]:
    """The secrets of the processes that a test starts."""
    return [env.derived_key(os.environ["SECRET_KEY"], "hls-keys")]


def test_a_version_that_was_published_meanwhile_stays(clear, settings, monkeypatch):
    settings.HLS_ENCRYPTION = "aes-128"
    real = versions.remake

    def slowly(*given, **more):
        Video.objects.filter(pk=clear.pk).update(current_version="another")
        return real(*given, **more)

    monkeypatch.setattr(versions, "remake", slowly)
    assert encrypting.remake(clear, encrypted=True) is False

    clear.refresh_from_db()
    assert clear.current_version == "another"
    assert not [each for each in clear.versions_folder.iterdir() if keys.is_encrypted(each.name)]
    assert not AuditEntry.objects.filter(action="video.encrypted").exists()


def test_the_clear_version_goes_when_its_grants_have_ended(clear, settings):
    settings.HLS_ENCRYPTION = "aes-128"
    old = clear.version_folder
    for path in (old, *old.rglob("*")):
        os.utime(path, (0, 0))
    ProcessingJob.objects.update(finished_at="2020-01-01T00:00:00Z")
    run()

    garbage.collect_garbage()
    assert old.exists()  # somebody may still watch it

    Video.objects.update(switched_at="2020-01-01T00:00:00Z")
    garbage.collect_garbage()
    assert not old.exists()
    clear.refresh_from_db()
    assert clear.version_folder.exists()


def test_a_planted_clear_segment_is_found(encrypted, clear, settings):
    settings.HLS_ENCRYPTION = "aes-128"
    run()
    clear.refresh_from_db()
    assert "2 checked, 0 faults." in run("--check")
    assert reprocessing.fault_of(encrypted) == ""
    name = next(iter(segments(encrypted.version_folder)))
    plain = opened(encrypted)[name]
    planted = encrypted.version_folder / "240p" / "9999.m4s"  # no playlist names it
    planted.write_bytes(plain)

    assert reprocessing.fault_of(encrypted) == "240p/9999.m4s is not encrypted"
    with pytest.raises(CommandError, match="1 faults"):
        run("--check")

    planted.unlink()
    shutil.rmtree(encrypted.version_folder / "240p")
    assert "240p" in reprocessing.fault_of(encrypted)


def test_the_command_wants_the_setting(clear, settings):
    settings.HLS_ENCRYPTION = "none"
    with pytest.raises(CommandError, match="HLS_ENCRYPTION=aes-128"):
        run()
    settings.HLS_ENCRYPTION = "aes-128"
    with pytest.raises(CommandError, match="HLS_ENCRYPTION=none"):
        run("--off")
    with pytest.raises(CommandError, match="no video"):
        run(str(uuid.uuid4()))
    assert "1 would be encrypted" in run("--dry-run")
    old = clear.current_version
    clear.refresh_from_db()
    assert clear.current_version == old


def test_the_doctor_compares_versions_with_the_settings(clear, encrypted, settings):
    settings.HLS_ENCRYPTION = "aes-128"

    def found():
        return [(each.level.name, each.statement[:25]) for each in doctor.encryption()]

    assert found() == [("WARNING", "1 published videos are no")]
    run()
    assert found() == [("OK", "All published versions ar")]
    settings.HLS_ENCRYPTION, settings.HLS_KEYS = "none", [b"3" * 32]
    assert found() == [
        ("ERROR", "2 videos cannot be played"),
        ("WARNING", "2 published videos are en"),
    ]


def test_nothing_clear_is_published_early(encrypted, creator, received, process_stage, long_clip):
    """The first rendition of a source that is copied is encrypted as well."""
    video = catalogue.create_video(creator=creator, title="Another")
    sources.attach_source(video=video, received=received(long_clip), actor=creator)
    process_stage()
    video.refresh_from_db()

    assert video.completeness == Video.Completeness.EARLY
    assert keys.is_encrypted(video.current_version)
    assert opened(video)
    assert segments(video.version_folder).keys() == opened(video).keys()


def test_a_poster_is_made_of_an_encrypted_version(encrypted, creator, media):
    made = posters.choose_moment(video=encrypted, actor=creator, at_seconds=5.0)

    assert storage.store().exists(storage.poster_name(made))
    assert not list((media / "uploads").glob("clear-*"))


def test_ffmpeg_plays_it_with_its_keys_alone(encrypted, tmp_path):
    """FFmpeg as a player: keys and segments from a folder that looks like the service's addresses."""
    folder = tmp_path / "served"
    shutil.copytree(encrypted.version_folder, folder)
    (folder / "keys").mkdir()
    for number in range(4):
        period = period_of(encrypted.pk, encrypted.current_version, number)
        (folder / "keys" / str(number)).write_bytes(period.key)
    command = [
        str(tools.ffmpeg()), "-v", "error", "-allowed_extensions", "ALL",
        "-extension_picky", "0", "-protocol_whitelist", "file,crypto",
    ]  # fmt: skip
    command += ["-i", str(folder / "240p.m3u8"), "-c", "copy", "-f", "framecrc", "-"]

    def frames() -> int:
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        return sum(not line.startswith("#") for line in done.stdout.splitlines())

    assert frames() == SECONDS * 25
    for number in range(4):  # another key opens nothing
        (folder / "keys" / str(number)).write_bytes(b"x" * 16)
    assert frames() == 0


def test_the_memory_does_not_grow_with_a_segment(tmp_path, settings):
    version, video = keys.new_version(4.0), uuid.uuid4()
    with (tmp_path / "1.m4s").open("wb") as file:
        file.truncate(24 * 1024 * 1024 + 5)
    cipher = versions._cipher(video, version, "360p/1.m4s")

    tracemalloc.start()
    versions._recode(tmp_path / "1.m4s", tmp_path / "2.m4s", None, cipher)
    versions.decrypt(
        tmp_path / "2.m4s", tmp_path / "3.m4s", video=video, version=version, name="360p/1.m4s"
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 8 * 1024 * 1024
    assert filecmp.cmp(tmp_path / "1.m4s", tmp_path / "3.m4s", shallow=False)


def test_reading_a_clear_version_copies_nothing(clear):
    with reading.clear(clear) as (folder, bring):
        bring([folder / "240p.m3u8"])
        assert folder == clear.version_folder
