"""Early versions: a video can be played as soon as its first rendition can, and is READY later."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from videos import jobs
from videos.models import ProcessingJob, Video
from videos.processing import growing, original
from videos.processing.growing import Growing
from videos.processing.tables import samples_of
from videos.services import catalogue, garbage, publishing, sources
from videos.tests import shared
from videos.tests.claims import claim_due
from videos.tests.media import ffmpeg, ffprobe, frame_count, h264, picture, tone

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media")]
URL = "/api/v1/videos/"
Stage = ProcessingJob.Stage


@pytest.fixture
def add(creator, received):
    """A function that uploads a file as a new video."""

    def upload(path, owner=creator) -> Video:
        video = catalogue.create_video(creator=owner, title="A video")
        return sources.attach_source(video=video, received=received(path), actor=owner)

    return upload


@pytest.fixture
def shown(client_for):
    def get(video, user=None) -> dict:
        return client_for(user).get(f"{URL}{video.pk}").json()

    return get


@pytest.fixture(scope="session")
def foreign_clip():
    """A video of 26 seconds that no player can play as it is: its sound is AC-3."""
    return shared.clip("foreign.mkv", make_foreign_clip)


def make_foreign_clip(path: Path) -> None:
    ffmpeg(
        *picture(seconds=26, size="640x360"), *tone(seconds=26), *h264("-g", "50"),
        "-c:a", "ac3", path,
    )  # fmt: skip


@pytest.fixture
def always_grow(monkeypatch, settings):
    """Encode slowly, and publish a growing version also when the encode is nearly done."""
    settings.FFMPEG_PRESET, settings.FFMPEG_THREADS = "slower", 1
    monkeypatch.setattr(growing, "SOON_SECONDS", -1.0)


def media_playlists(video) -> dict[str, str]:
    return {
        path.name: path.read_text()
        for path in video.version_folder.glob("*.m3u8")
        if path.name != "master.m3u8" and "iframe" not in path.name
    }


def lengths(playlist: str) -> list[float]:
    return [float(each) for each in re.findall(r"#EXTINF:([0-9.]+)", playlist)]


class TestCopied:
    def test_anybody_can_play_the_copy_while_the_renditions_are_made(
        self, uploaded_video, process_stage, shown, client_for, trail, clip
    ):
        job = process_stage()

        assert (job.state, job.stage, job.attempt, job.strikes) == ("queued", Stage.REST, 0, 0)
        seen = shown(uploaded_video)
        assert (seen["status"], seen["playable"]) == ("PROCESSING", True)
        assert [each["name"] for each in seen["renditions"]] == ["original"]
        assert seen["duration_seconds"] == pytest.approx(2, abs=0.03)
        assert (seen["width"], seen["height"]) == (320, 180)
        assert seen["published_at"]
        assert client_for().get(seen["poster_url"]).status_code == 200
        listed = client_for().get(URL).json()["results"]
        assert [each["id"] for each in listed] == [str(uploaded_video.pk)]
        processing = shown(uploaded_video, uploaded_video.creator)["processing"]
        assert (processing["stage"], processing["step"]) == ("rest", "queued")
        assert processing["still_to_come"] == ["180p"]
        assert processing["error"] is None
        assert trail(uploaded_video.pk)[2:] == ["video.processing", "video.playable"]
        uploaded_video.refresh_from_db()
        master = uploaded_video.version_folder / "original.m3u8"
        assert frame_count(master) == frame_count(clip) == 50

        process_stage()

        seen = shown(uploaded_video)
        assert (seen["status"], seen["playable"]) == ("READY", True)
        assert [each["name"] for each in seen["renditions"]] == ["180p"]
        assert trail(uploaded_video.pk)[4:] == ["video.ready"]
        assert shown(uploaded_video, uploaded_video.creator)["processing"]["still_to_come"] == []

    def test_the_copy_carries_no_metadata(self, add, process_stage, tmp_path):
        path = tmp_path / "tagged.mp4"
        ffmpeg(
            *picture(), *tone(), *h264(), "-c:a", "aac", "-metadata", "location=+52.5+013.4/",
            "-metadata:s:v", "title=Secret place", path,
        )  # fmt: skip
        assert b"earth" in path.read_bytes()  # the place
        video = add(path)
        process_stage()
        video.refresh_from_db()
        assert [each["name"] for each in video.renditions] == ["original"]
        for file in video.version_folder.rglob("*"):
            if file.is_file():
                assert b"earth" not in file.read_bytes()
                assert b"Secret" not in file.read_bytes()

    def test_segments_of_one_number_are_of_one_time(self, add, process_stage, tmp_path):
        """A keyframe only every 8.3 seconds: what a viewer was sent is counted by these numbers."""
        path = tmp_path / "far.mp4"
        ffmpeg(
            *picture(seconds=30, rate=30),
            *tone(seconds=30),
            *h264("-g", "250"),
            "-c:a",
            "aac",
            path,
        )
        video = add(path)
        process_stage()
        video.refresh_from_db()
        assert video.segment_seconds == pytest.approx(8.333)
        sound, image = (lengths(text) for _, text in sorted(media_playlists(video).items()))
        assert len(image) == len(sound) == 4
        assert image[0] == pytest.approx(sound[0], abs=0.05)
        assert sum(image) == pytest.approx(30, abs=0.05)

    def test_no_last_segment_is_too_short_to_be_played(self, add, process_stage, tmp_path):
        path = tmp_path / "short-end.mp4"
        ffmpeg(*picture(seconds=8.04), *h264("-g", "50"), path)
        video = add(path)
        process_stage()
        video.refresh_from_db()
        (image,) = media_playlists(video).values()
        assert lengths(image) == pytest.approx([6, 2.04], abs=0.01)


H264 = h264("-g", "25")
UNFIT = {
    "ten bits": [*picture(), "-c:v", "libx264", "-pix_fmt", "yuv420p10le", "clip.mp4"],
    "all colours": [*picture(), "-c:v", "libx264", "-pix_fmt", "yuv444p", "clip.mp4"],
    "another codec": [*picture(), "-c:v", "mpeg4", "clip.mp4"],
    "another container": [*picture(), *H264, "clip.ts"],
    "keyframes far apart": [*picture(seconds=12), *h264("-g", "999"), "clip.mp4"],
    "one picture a second": [*picture(seconds=4, rate=1), *H264, "clip.mp4"],
    "pixels that are not square": [*picture(), *H264, "-vf", "setsar=2", "clip.mp4"],
    "the sound of another codec": [*picture(), *tone(), *H264, "-c:a", "ac3", "clip.mp4"],
    "sound that is longer": [*picture(), *tone(seconds=5), *H264, "-c:a", "aac", "clip.mp4"],
    "sound that is shorter": [*picture(seconds=5), *tone(), *H264, "-c:a", "aac", "clip.mp4"],
    "sound that begins later": [*picture(), *tone(offset=1), *H264, "-c:a", "aac", "clip.mp4"],
    "a gap": [*picture(seconds=6), *H264, "-vf", "select='lt(t,2)+gt(t,4)'", "-fps_mode", "vfr",
              "clip.mp4"],
}  # fmt: skip


@pytest.mark.parametrize("kind", UNFIT)
def test_what_players_cannot_play_as_it_is_is_encoded_first(kind, tmp_path):
    *arguments, name = UNFIT[kind]
    ffmpeg(*arguments, tmp_path / name)
    assert original.copy(tmp_path / name, tmp_path, on_tick=lambda: None) is None


def test_a_picture_that_changes_its_size_is_not_copied(tmp_path):
    for name, size in (("a.ts", "320x180"), ("b.ts", "640x360")):
        ffmpeg(*picture(size=size), *H264, "-f", "mpegts", tmp_path / name)
    both = tmp_path / "both.ts"
    both.write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    ffmpeg("-i", both, "-c", "copy", tmp_path / "clip.mkv")

    assert original.copy(tmp_path / "clip.mkv", tmp_path, on_tick=lambda: None) is None


def test_a_picture_with_a_note_or_a_turn_in_the_stream_is_not_copied(tmp_path, clip):
    turn, note = "display_orientation=insert:rotate=90", "sei_user_data=" + "ab" * 16 + "+GPS"
    for number, change in enumerate((turn, note)):
        path = tmp_path / f"{number}.mp4"
        ffmpeg("-i", clip, "-c", "copy", "-bsf:v", f"h264_metadata={change}", path)
        assert original.copy(path, tmp_path, on_tick=lambda: None) is None


def test_the_tables_of_a_file_say_what_its_packets_say(tmp_path):
    path = tmp_path / "clip.mp4"
    ffmpeg(*picture(seconds=3, rate=30), *h264("-g", "20", "-bf", "2"), path)
    report = ffprobe(path, "-show_entries", "packet=pts_time,flags")["packets"]
    samples = samples_of(path)
    times = sorted(float(packet["pts_time"]) for packet in report)
    assert samples.times == pytest.approx(times, abs=1e-5)
    keys = sorted(float(p["pts_time"]) for p in report if "K" in p["flags"])
    assert samples.keyframes == pytest.approx(keys, abs=1e-5)
    assert samples.end == pytest.approx(3)


@pytest.mark.long
class TestGrowing:
    def test_it_can_be_played_before_its_end_is_encoded(
        self, add, process_stage, shown, client_for, foreign_clip, monkeypatch, always_grow
    ):
        states = []
        real = Growing.complete

        def complete(self):
            video = Video.objects.get()
            token = client_for().get(f"/api/v1/stream/{video.pk}").json()
            as_dash = client_for().get(f"{token['stream_url']}?format=dash")
            play = client_for().get(token["stream_url"], HTTP_ACCEPT="application/json").json()
            playlists = media_playlists(video)
            states.append((video, shown(video), token, as_dash, play, playlists))
            real(self)

        monkeypatch.setattr(Growing, "complete", complete)
        video = add(foreign_clip)
        job = process_stage()

        first, seen, token, as_dash, play, playlists = states[0]
        assert (seen["status"], seen["playable"]) == ("PROCESSING", True)
        assert seen["duration_seconds"] == pytest.approx(26, abs=0.1)
        assert [each["name"] for each in seen["renditions"]] == ["240p"]
        assert client_for().get(f"{URL}{video.pk}/poster").status_code == 200
        assert token["formats"] == ["hls"]
        assert as_dash.status_code == 409
        assert as_dash.json()["errors"][0]["code"] == "not_ready"
        assert play["dash_url"] is None
        for text in playlists.values():
            assert "#EXT-X-PLAYLIST-TYPE:EVENT" in text
            assert "#EXT-X-START:TIME-OFFSET=0" in text
            assert "#EXT-X-ENDLIST" not in text
            assert len(lengths(text)) >= 2
            assert max(lengths(text)) <= 5
        # Complete, it is replaced by a version that DASH can play, too; who plays it gets its end.
        assert (job.state, job.stage) == ("queued", Stage.REST)
        video.refresh_from_db()
        assert (video.completeness, video.status) == ("early", "PROCESSING")
        assert video.current_version != first.current_version
        assert client_for().get(f"/api/v1/stream/{video.pk}").json()["formats"] == ["hls", "dash"]
        for text in media_playlists(first).values():
            assert text.endswith("#EXT-X-ENDLIST\n")
            assert sum(lengths(text)) == pytest.approx(26, abs=0.05)
            assert min(lengths(text)) >= 0.5
        assert frame_count(first.version_folder / "240p.m3u8") == 26 * 25

    def test_a_short_end_is_joined_whenever_it_comes(self, tmp_path):
        """Seen: the last segment was lost when FFmpeg finished two of them between two looks."""
        (tmp_path / "playlists").mkdir()
        (tmp_path / "v.mp4").write_bytes(b"IIAABBC")
        listed = '#EXTM3U\n#EXT-X-MAP:URI="v.mp4",BYTERANGE="2@0"\n'
        stream = growing._Stream(tmp_path / "v.mp4", "240p")
        segments = [(4.0, 2, 2), (4.0, 2, 4), (0.04, 1, 6)]
        for count in (2, 3):
            for seconds, size, offset in segments[count - 2 if count == 2 else 2 : count]:
                listed += f"#EXTINF:{seconds:.6f},\n#EXT-X-BYTERANGE:{size}@{offset}\nv.mp4\n"
            (tmp_path / "playlists" / "v.m3u8").write_text(listed)
            stream.publish(tmp_path)
            assert stream.lengths == [4.0]

        stream.publish(tmp_path, complete=True)

        assert stream.lengths == pytest.approx([4.0, 4.04])
        assert (tmp_path / "240p" / "2.m4s").read_bytes() == b"BBC"
        assert (tmp_path / "240p.m3u8").read_text().endswith("240p/2.m4s\n#EXT-X-ENDLIST\n")

    def test_a_short_encode_is_not_worth_it(self, add, process_stage, tmp_path, foreign_clip):
        growing_seconds = growing.SOON_SECONDS
        assert growing_seconds > 0
        short = tmp_path / "short.mkv"
        ffmpeg("-i", foreign_clip, "-c", "copy", "-t", "4", short)
        video = add(short)
        process_stage()
        assert len(list(video.versions_folder.iterdir())) == 1

    def dies_while_it_grows(self, monkeypatch, error):
        """Raise ``error`` in the attempt. SystemExit stands for a kill: nothing more runs after it."""

        def complete(self):
            if isinstance(error, SystemExit):
                self._folder = None
            raise error

        monkeypatch.setattr(Growing, "complete", complete)

    def test_the_next_attempt_ends_what_a_killed_one_left(
        self, add, process_stage, foreign_clip, monkeypatch, always_grow
    ):
        video = add(foreign_clip)
        with monkeypatch.context() as patch:
            self.dies_while_it_grows(patch, SystemExit(9))
            with pytest.raises(SystemExit):
                process_stage()
        video.refresh_from_db()
        left = Video.objects.get()
        assert (left.completeness, left.is_playable) == ("growing", True)
        assert not any("ENDLIST" in text for text in media_playlists(left).values())

        ProcessingJob.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
        job = process_stage()

        video.refresh_from_db()
        assert (job.stage, video.completeness) == (Stage.REST, "early")
        assert all("ENDLIST" in text for text in media_playlists(left).values())

    @pytest.mark.parametrize("event", ["failure", "a new file", "deletion"])
    def test_one_that_will_never_end_is_withdrawn(
        self,
        event,
        add,
        process_stage,
        foreign_clip,
        monkeypatch,
        always_grow,
        shown,
        received,
        clip,
    ):
        video = add(foreign_clip)
        error = ValueError("a defect") if event == "failure" else SystemExit(9)
        with monkeypatch.context() as patch:
            self.dies_while_it_grows(patch, error)
            if event == "failure":
                process_stage()
            else:
                with pytest.raises(SystemExit):
                    process_stage()
        if event == "a new file":
            sources.attach_source(video=video, received=received(clip), actor=video.creator)
        elif event == "deletion":
            catalogue.delete_video(video=video, actor=None)
            catalogue.restore_video(video_id=video.pk, actor=None)

        video.refresh_from_db()
        assert (video.current_version, video.renditions) == ("", [])
        assert video.status == ("FAILED" if event == "failure" else "UPLOADED")
        if event == "failure":  # who plays it is told that nothing more will come
            (left,) = video.versions_folder.iterdir()
            assert (left / "240p.m3u8").read_text().endswith("#EXT-X-ENDLIST\n")
        seen = shown(video, video.creator)
        assert not seen["playable"]
        # What viewers were sent is a share of it, when one of them wants a refund.
        assert seen["duration_seconds"] == pytest.approx(26, abs=0.1)
        if event != "failure":
            assert ProcessingJob.objects.open().get().stage == Stage.FIRST

    def test_an_attempt_without_its_lease_cannot_grow(self, add, clip):
        video = add(clip)
        slow = claim_due("slow")
        ProcessingJob.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
        quick = claim_due("quick")
        assert quick.fence == slow.fence + 1
        output = original.copy(slow.video.source, slow.work_folder, on_tick=lambda: None)
        assert output is not None

        with pytest.raises(jobs.LeaseLost):
            publishing._Grower(slow).begin(output)

        video.refresh_from_db()
        assert video.current_version == ""
        assert not list(video.versions_folder.iterdir())


class TestOrder:
    def test_the_first_rendition_of_every_video_comes_before_the_second_of_any(
        self, add, clip, make_user, process_stage
    ):
        one, two = make_user("CREATOR"), make_user("CREATOR")
        videos = [add(clip, one), add(clip, one), add(clip, two), add(clip, one)]

        order = [process_stage().video_id for _ in range(8)]

        assert set(order[:4]) == {video.pk for video in videos}
        # In turns: the second creator's only video is the second one.
        assert order[:2] == [videos[0].pk, videos[2].pk]
        assert set(order[4:]) == {video.pk for video in videos}
        assert set(Video.objects.values_list("status", flat=True)) == {"READY"}
        assert process_stage() is None

    def test_an_upload_goes_before_what_is_made_again(self, add, clip, process_next, process_stage):
        old = add(clip)
        process_next()
        jobs.queue_again(Video.objects.get(pk=old.pk))
        new = add(clip)

        assert [process_stage().video_id for _ in range(3)] == [new.pk, new.pk, old.pk]

    def test_a_new_file_of_a_video_that_plays_waits_for_all_its_renditions(
        self, add, clip, process_next, process_stage, received, shown
    ):
        video = add(clip)
        process_next()
        video.refresh_from_db()
        old = video.current_version
        sources.attach_source(video=video, received=received(clip), actor=video.creator)
        assert ProcessingJob.objects.open().get().stage == Stage.REST
        assert [each["name"] for each in shown(video)["renditions"]] == ["180p"]

        assert process_stage().state == "done"

        video.refresh_from_db()
        assert video.current_version != old
        assert video.completeness == "full"


def test_the_clean_up_keeps_an_early_version_for_its_viewers(
    add, clip, process_stage, settings, media
):
    video = add(clip)
    process_stage()
    video.refresh_from_db()
    early = video.version_folder
    process_stage()

    garbage.collect_garbage()

    assert early.is_dir()
