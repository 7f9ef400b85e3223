"""Chunks: each is made once, by whichever worker, and the job ends as a whole encode would."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from accounts.roles import Role
from config import processors
from videos import chunks, jobs, presence
from videos.errors import LeaseLost
from videos.models import Chunk, ProcessingJob, Video
from videos.processing.cutting import Plan
from videos.processing.graphs import Part
from videos.services import catalogue, chunking, publishing, sources
from videos.tests.claims import at_once, claim_due
from videos.tests.media import ffmpeg, frame_count, h264, picture, tone

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media")]
PLAN = Plan((Part(0, 50), Part(50, 50), Part(100, 20)), "a" * 64)


@pytest.fixture(autouse=True)
def short_chunks(settings):
    settings.CHUNK_SECONDS, settings.CHUNKS_FROM_SECONDS = 2, 3
    settings.FFMPEG_PRESET = "ultrafast"


@pytest.fixture
def rest(uploaded_video):
    """A claimed job that makes all renditions."""
    ProcessingJob.objects.update(stage=ProcessingJob.Stage.REST)
    return claim_due("host/1/1")


@pytest.fixture
def laid_out(rest):
    chunks.lay_out(rest, PLAN, has_sound=True)
    return rest


def take(job, worker, *, helping=True) -> Chunk:
    """Claim a chunk that is due."""
    chunk = chunks.claim(job, worker, helping=helping)
    assert chunk is not None
    return chunk


def helped(*declined) -> ProcessingJob:
    job = chunks.job_to_help(declined)
    assert job is not None
    return job


def lapse(chunk) -> None:
    Chunk.objects.filter(pk=chunk.pk).update(due_at=timezone.now() - timedelta(seconds=1))


def rows(*fields):
    return list(Chunk.objects.order_by("number").values_list(*fields))


class TestQueue:
    def test_the_sound_is_the_first_chunk(self, laid_out):
        expected = [(0, 0, 0), (1, 0, 50), (2, 50, 50), (3, 100, 20)]
        assert rows("number", "first_frame", "frames") == expected

    def test_a_new_attempt_keeps_what_is_done(self, laid_out):
        chunks.finish(take(laid_out, "host/1/2"), {"a-0.mp4": 3}, {})
        before = rows("pk", "state", "fence")
        chunks.lay_out(laid_out, PLAN, has_sound=True)
        assert rows("pk", "state", "fence") == before

    def test_another_plan_replaces_all_chunks(self, laid_out):
        held = take(laid_out, "host/1/2")
        chunks.lay_out(laid_out, Plan(PLAN.parts, "b" * 64), has_sound=True)
        assert {plan for (plan,) in rows("plan")} == {"b" * 64}
        with pytest.raises(LeaseLost):
            chunks.report(held, 5)

    def test_an_attempt_without_its_job_lays_out_nothing(self, rest):
        ProcessingJob.objects.update(fence=rest.fence + 1)
        with pytest.raises(LeaseLost):
            chunks.lay_out(rest, PLAN, has_sound=False)
        assert rows("pk") == []

    def test_each_chunk_has_one_owner(self, laid_out):
        taken = [chunks.claim(laid_out, f"host/1/{n}", helping=True) for n in range(5)]
        assert [each.number if each else None for each in taken] == [0, 1, 2, 3, None]

    @pytest.mark.django_db(transaction=True)
    def test_of_many_simultaneous_claims_each_chunk_has_one(self, laid_out):
        def claim(number):
            return chunks.claim(laid_out, f"host/1/{number}", helping=True)

        won = [chunk for chunk in [*at_once(12, claim), claim(12)] if chunk]
        assert sorted(chunk.number for chunk in won) == [0, 1, 2, 3]
        assert {(number, attempt) for number, attempt in rows("fence", "attempt")} == {(1, 1)}

    def test_a_stale_fence_ends_nothing(self, laid_out):
        stale = take(laid_out, "host/1/2")
        lapse(stale)
        heir = take(laid_out, "host/1/3")
        assert (heir.number, heir.fence) == (stale.number, stale.fence + 1)
        assert heir.folder != stale.folder
        for call in (
            lambda: chunks.finish(stale, {"a-0.mp4": 1}, {}),
            lambda: chunks.report(stale, 50),
        ):
            with pytest.raises(LeaseLost):
                call()
        chunks.put_back(stale, counted=True)
        chunks.finish(heir, {"a-0.mp4": 2}, {})
        assert rows("state", "made")[0] == ("done", {"sizes": {"a-0.mp4": 2}, "empty": {}})

    def test_after_three_attempts_only_the_worker_of_the_job_takes_a_chunk(self, laid_out):
        Chunk.objects.exclude(number=0).delete()
        for _ in range(chunks.MOST_HELPED):
            chunk = take(laid_out, "host/1/2")
            chunks.put_back(chunk, counted=True)
            assert chunks.claim(laid_out, "host/1/2", helping=True) is None  # not at once
            lapse(chunk)
        assert chunks.job_to_help() is None
        assert chunks.claim(laid_out, "host/1/2", helping=True) is None
        assert chunks.claim(laid_out, "host/1/1", helping=False) == chunk

    def test_percent_is_the_share_of_pictures_of_all_workers(self, laid_out):
        chunks.finish(take(laid_out, "host/1/1", helping=False), {}, {})  # the sound
        chunks.finish(take(laid_out, "host/1/1", helping=False), {}, {})
        chunks.report(take(laid_out, "host/1/2"), 40)
        assert chunks.progress(laid_out).percent == (50 + 20) * 100 // 120

    def test_the_leases_of_a_dead_worker_end_at_once(self, laid_out):
        alive = take(laid_out, presence.worker_name())
        dead = presence.worker_name().rsplit("/", 1)[0] + "/999999999"
        chunk = take(laid_out, dead)
        ProcessingJob.objects.update(worker="host/1/1")
        assert presence.release_of_dead_workers() == 1
        assert Chunk.objects.taken().get() == alive
        assert chunks.claim(laid_out, "host/1/3", helping=True) == chunk

    def test_workers_of_one_host_share_its_processors(self, db, settings, monkeypatch):
        monkeypatch.setattr(processors, "count", lambda: 8)
        presence.announce("host/1/1")
        assert chunks.threads("host/1/1") == 0  # as FFmpeg likes
        for name in ("host/1/2", "host/1/3", "elsewhere/1/4"):
            presence.announce(name)
        assert chunks.threads("host/1/1") == 2
        settings.FFMPEG_THREADS = 5
        assert chunks.threads("host/1/1") == 0  # the setting goes before

    def test_creators_take_turns(self, laid_out, creator, make_user, received, clip):
        videos = []
        for owner in (creator, make_user(role=Role.CREATOR)):
            video = catalogue.create_video(creator=owner, title="A video")
            sources.attach_source(video=video, received=received(clip), actor=owner)
            videos.append(video)
            chunks.lay_out(_claim(video), PLAN, has_sound=False)
        take(laid_out, "host/1/2")
        assert helped().video == videos[1]
        take(ProcessingJob.objects.get(video=videos[1]), "host/1/3")
        assert helped() == laid_out
        assert helped(laid_out.pk).video == videos[0]


def _claim(video) -> ProcessingJob:
    job = ProcessingJob.objects.get(video=video)
    claimed = ProcessingJob.objects.claim(job.pk, worker="host/1/9", lease=jobs.lease())
    assert claimed is not None
    return claimed


class TestEnds:
    def test_nothing_is_left_of_a_finished_job(self, laid_out):
        jobs.finish(laid_out)
        assert rows("pk") == []

    def test_nothing_is_left_of_a_job_that_is_given_up(self, laid_out):
        jobs.give_up(laid_out, "damaged", "It is damaged.")
        assert rows("pk") == []

    def test_nothing_is_left_of_a_deleted_video(self, laid_out, creator):
        catalogue.delete_video(video=laid_out.video, actor=creator)
        assert rows("pk") == []

    def test_chunks_outlive_an_attempt(self, laid_out):
        jobs.strike(laid_out, "processing_failed", "It failed.")
        assert len(rows("pk")) == 4


@pytest.fixture
def job_for(creator, received):
    """A function that returns a claimed job that makes all renditions of a file."""

    def make(path) -> ProcessingJob:
        video = catalogue.create_video(creator=creator, title="A video")
        sources.attach_source(video=video, received=received(path), actor=creator)
        ProcessingJob.objects.filter(video=video).update(stage=ProcessingJob.Stage.REST)
        return claim_due("host/1/1")

    return make


@pytest.fixture
def six_seconds(tmp_path):
    path = tmp_path / "six.mp4"
    ffmpeg(
        *picture(seconds=6, size="160x90"), *tone(seconds=6), "-map", "0", "-map", "1",
        *h264("-g", "25"), "-c:a", "aac", path,
    )  # fmt: skip
    return path


def made_by(monkeypatch) -> list[int]:
    """Return a list that gets the number of each chunk that is made."""
    numbers = []
    make = chunking._Maker.make

    def note(self, chunk):
        numbers.append(chunk.number)
        make(self, chunk)

    monkeypatch.setattr(chunking._Maker, "make", note)
    return numbers


class TestEncode:
    def test_a_video_is_made_of_its_chunks(self, job_for, six_seconds, media, monkeypatch):
        numbers = made_by(monkeypatch)
        job = job_for(six_seconds)
        publishing.process(job)
        video = Video.objects.get(pk=job.video_id)
        assert (video.status, video.duration_seconds) == ("READY", 6.0)
        assert numbers == [0, 1, 2, 3]
        assert frame_count(video.version_folder / "90p.m3u8") == 150
        assert not list((media / "work").glob("*"))
        assert rows("pk") == []

    def test_an_interrupted_encode_goes_on(self, job_for, six_seconds, media, monkeypatch):
        job = job_for(six_seconds)
        finish = chunks.finish

        def interrupt(chunk, *arguments):
            if chunk.number == 2:
                raise OSError("The disk is away.")
            finish(chunk, *arguments)

        with monkeypatch.context() as patched:
            patched.setattr(chunks, "finish", interrupt)
            publishing.process(job)
        assert [state for (state,) in rows("state")] == ["done", "done", "open", "open"]
        Chunk.objects.update(due_at=Now())
        ProcessingJob.objects.update(not_before=Now())
        (lost,) = media.glob(f"work/{job.pk}/chunks/*/1-1/v-90p.mp4")
        lost.write_bytes(b"")  # as after a power cut

        numbers = made_by(monkeypatch)
        publishing.process(claim_due("host/1/2"))

        assert numbers == [1, 2, 3]
        assert Video.objects.get(pk=job.video_id).status == "READY"
        assert not list((media / "work").glob("*"))

    def test_an_attempt_that_loses_its_job_gives_its_chunk_back(
        self, job_for, six_seconds, monkeypatch
    ):
        job = job_for(six_seconds)
        encode_part = chunking.cutting.encode_part

        def lose(*arguments, **more):
            ProcessingJob.objects.filter(pk=job.pk).update(fence=job.fence + 1)
            monkeypatch.setattr(publishing, "REPORT_EVERY_SECONDS", 0)
            return encode_part(*arguments, **more)

        monkeypatch.setattr(chunking.cutting, "encode_part", lose)
        with pytest.raises(LeaseLost):
            publishing.process(job)
        expected = [("done", 1), ("open", 0), ("open", 0), ("open", 0)]
        assert rows("state", "attempt") == expected
        assert len(list(job.chunks_folder.glob("*/*"))) == 1

    def test_a_change_of_shape_is_encoded_whole(self, job_for, tmp_path, media, monkeypatch):
        for name, size in (("a", "160x90"), ("b", "320x180")):
            clip = picture(seconds=4, size=size)
            ffmpeg(*clip, *h264("-g", "25", "-bf", "0"), tmp_path / f"{name}.mkv")
        (tmp_path / "list.txt").write_text("file a.mkv\nfile b.mkv\n")
        joined = ("-f", "concat", "-i", tmp_path / "list.txt", "-c", "copy")
        ffmpeg(*joined, "-bsf:v", "dump_extra", source := tmp_path / "source.mkv")
        numbers = made_by(monkeypatch)
        job = job_for(source)

        publishing.process(job)

        video = Video.objects.get(pk=job.video_id)
        assert (video.status, video.duration_seconds) == ("READY", 8.0)
        assert numbers == [1, 2]  # the second one has both shapes
        assert not list((media / "work").glob("*"))

    def test_a_damaged_file_fails_as_it_does_whole(self, job_for, six_seconds, settings):
        data = bytearray(six_seconds.read_bytes())
        begin, end = data.index(b"mdat") + 8, data.index(b"moov")
        data[begin + (end - begin) // 4 : end - 4] = bytes(end - 4 - begin - (end - begin) // 4)
        six_seconds.write_bytes(data)
        reasons = []
        for seconds in (0, 2):
            settings.CHUNK_SECONDS = seconds
            job = job_for(six_seconds)
            publishing.process(job)
            job.refresh_from_db()
            reasons.append((job.state, job.error_code, job.error_detail))
        assert reasons[0] == reasons[1]
        assert reasons[0][:2] == ("failed", "damaged")

    def test_a_helper_with_other_settings_does_not_help(self, job_for, six_seconds, settings):
        job = job_for(six_seconds)
        chunks.lay_out(job, PLAN, has_sound=True)
        with pytest.raises(chunking.CannotHelp):
            chunking.help_with(job, "host/1/2")
        assert {attempt for (attempt,) in rows("attempt")} == {0}
