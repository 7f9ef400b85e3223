"""The queue: each attempt has one owner, whichever process dies, and each job comes to an end."""

import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta

import pytest
import time_machine
from django.db import connection, connections, transaction
from django.utils import timezone

from accounts.models import User
from videos import jobs, presence
from videos.errors import LeaseLost
from videos.models import ProcessingJob, Video
from videos.services import catalogue, sources
from videos.tests.claims import at_once, claim_due

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media")]
LEASE = timedelta(seconds=30)


def state(job) -> tuple:
    job.refresh_from_db()
    return job.state, job.attempt, job.strikes


def lapse(job) -> None:
    ProcessingJob.objects.filter(pk=job.pk).update(
        lease_until=timezone.now() - timedelta(seconds=1)
    )


def due_now(job) -> None:
    ProcessingJob.objects.filter(pk=job.pk).update(not_before=timezone.now() - timedelta(seconds=1))


@pytest.fixture
def job(uploaded_video):
    return ProcessingJob.objects.get()


@pytest.fixture
def claim(job):
    def take(worker="host/1/1"):
        return ProcessingJob.objects.claim(job.pk, worker=worker, lease=LEASE)

    return take


class TestClaim:
    def test_a_new_video_waits_without_attempts(self, job, uploaded_video):
        assert state(job) == ("queued", 0, 0)
        assert (job.video, job.max_attempts, job.fence) == (uploaded_video, 4, 0)

    @pytest.mark.django_db(transaction=True)
    def test_of_sixteen_simultaneous_claims_one_wins(self, job):
        for round in range(1, 4):
            won = [one for one in at_once(16, lambda n: jobs.claim_next(f"host/1/{n}")) if one]

            assert len(won) == 1
            assert (won[0].fence, won[0].attempt) == (round, round)
            assert state(job) == ("running", round, 0)
            lapse(job)

    @pytest.mark.django_db(transaction=True)
    def test_eight_workers_share_eight_videos(self, make_video, media, received, creator):
        for _ in range(8):
            video = make_video(creator=creator, ready=False)
            sources.attach_source(video=video, received=received(), actor=creator)

        taken = []

        def work(number):
            while ProcessingJob.objects.due().exists():
                if job := jobs.claim_next(f"host/1/{number}"):
                    taken.append(job.pk)

        at_once(8, work)

        assert len(taken) == len(set(taken)) == 8

    def test_the_oldest_job_is_claimed_first(self, make_video, received, creator, uploaded_video):
        younger = make_video(creator=creator, ready=False)
        sources.attach_source(video=younger, received=received(), actor=creator)

        assert [claim_due("w").video_id for _ in range(2)] == [uploaded_video.pk, younger.pk]
        assert jobs.claim_next("w") is None

    def test_creators_take_turns(self, make_user, make_video, received, media):
        """Seen once: ten videos of one creator kept another one waiting for all of them."""
        hers, his, late = make_user("CREATOR"), make_user("CREATOR"), make_user("CREATOR")

        def upload(creator) -> None:
            video = make_video(creator=creator, ready=False)
            sources.attach_source(video=video, received=received(), actor=creator)

        def claimed_by() -> User:
            job = jobs.claim_next("w")
            assert job is not None
            ProcessingJob.objects.filter(pk=job.pk).update(state="done", lease_until=None)
            time.sleep(0.002)  # so that the next job begins at another time
            return job.video.creator

        for creator in (hers, hers, hers, hers, his, his):
            upload(creator)
        assert [claimed_by() for _ in range(3)] == [hers, his, hers]
        upload(late)
        assert [claimed_by() for _ in range(4)] == [late, his, hers, hers]

    def test_a_deleted_video_is_not_worked_on(self, job, claim, uploaded_video, creator):
        running = claim()
        catalogue.delete_video(video=uploaded_video, actor=creator)

        assert not jobs.is_held(running)
        assert jobs.claim_next("w") is None
        job.refresh_from_db()
        assert job.state == "canceled"

        video = catalogue.restore_video(video_id=uploaded_video.pk, actor=None)
        assert video.status == "UPLOADED"
        again = jobs.claim_next("w")
        assert again is not None
        assert (again.video_id, again.pk != job.pk) == (uploaded_video.pk, True)

    def test_the_clock_of_a_web_process_delays_no_job(self, make_video, creator, received, media):
        with time_machine.travel(timezone.now() + timedelta(hours=1)):
            video = make_video(creator=creator, ready=False)
            sources.attach_source(video=video, received=received(), actor=creator)

        assert jobs.claim_next("w") is not None

    def test_a_job_is_not_claimed_before_its_lease_ends(self, job, claim):
        first = claim()
        assert claim() is None

        lapse(job)
        second = claim("host/1/2")

        assert (first.fence, second.fence, second.worker) == (1, 2, "host/1/2")

    def test_a_job_is_not_claimed_before_its_time(self, job, claim):
        ProcessingJob.objects.update(not_before=timezone.now() + timedelta(minutes=1))

        assert claim() is None
        assert jobs.claim_next("w") is None
        assert state(job) == ("queued", 0, 0)

    @pytest.mark.parametrize("end", ["done", "failed", "canceled"])
    def test_an_ended_job_is_never_claimed(self, end, job, claim):
        ProcessingJob.objects.update(state=end)

        assert claim() is None


class TestLease:
    def test_only_the_owner_prolongs_a_lease(self, job, claim):
        first = claim()
        lapse(job)
        assert jobs.keep(first) is True  # no other worker has claimed it
        lapse(job)
        second = claim("host/1/2")

        assert (jobs.keep(first), jobs.keep(second)) == (False, True)
        with pytest.raises(LeaseLost):
            jobs.report(first, "encode", 50)
        with pytest.raises(LeaseLost):
            jobs.begin(first)
        job.refresh_from_db()
        assert (job.step, job.percent) == ("", 0)

    def test_an_attempt_without_its_lease_changes_nothing(self, job, claim, uploaded_video, trail):
        first = claim()
        lapse(job)
        claim("host/1/2")
        before = ProcessingJob.objects.values().get()

        jobs.give_back(first)
        jobs.strike(first, "processing_failed", "x")
        for end in (jobs.finish, lambda late: jobs.give_up(late, "x", "x")):
            with pytest.raises(LeaseLost):
                end(first)

        assert ProcessingJob.objects.values().get() == before
        assert Video.objects.get().status == "UPLOADED"
        assert trail(uploaded_video.pk) == ["video.created", "video.uploaded"]

    def test_the_lease_of_a_dead_process_of_this_host_ends_at_once(self, job, claim):
        dead = subprocess.Popen(["true"])
        dead.wait()
        place = presence.worker_name().rsplit("/", 1)[0]
        claim(f"{place}/{dead.pid}")

        assert presence.release_of_dead_workers() == 1
        assert claim_due("w").attempt == 2
        assert job.strikes == 0

    def test_the_lease_of_a_living_process_or_of_another_host_stays(self, job, claim):
        place = presence.worker_name().rsplit("/", 1)[0]
        for worker in (f"{place}/{os.getpid()}", "elsewhere/1/999999", f"{place}0/999999"):
            claim(worker)
            assert presence.release_of_dead_workers() == 0
            assert jobs.claim_next("w") is None
            lapse(job)

    @pytest.mark.django_db(transaction=True)
    def test_many_workers_may_end_the_leases_of_dead_processes_at_once(self, job, claim):
        dead = subprocess.Popen(["true"])
        dead.wait()
        claim(f"{presence.worker_name().rsplit('/', 1)[0]}/{dead.pid}")

        def sweep_and_claim(number):
            presence.release_of_dead_workers()
            return jobs.claim_next(f"host/1/{number}")

        won = [one for one in at_once(8, sweep_and_claim) if one]

        assert len(won) == 1
        assert state(job) == ("running", 2, 0)


class TestEnd:
    def test_a_strike_waits_longer_every_time_and_then_the_video_failed(
        self, job, claim, uploaded_video, trail
    ):
        for strikes, wait in ((1, 5), (2, 10), (3, 20)):
            jobs.begin(claim())
            job.refresh_from_db()
            asked_at = timezone.now()
            jobs.strike(job, "processing_failed", "It broke.")
            assert state(job) == ("queued", strikes, strikes)
            assert abs((job.not_before - asked_at).total_seconds() - wait) < 2
            assert (job.error_code, job.error_detail) == ("processing_failed", "It broke.")
            assert (job.step, job.percent, job.lease_until) == ("", 0, None)
            assert Video.objects.get().status == "PROCESSING"
            due_now(job)

        jobs.strike(claim(), "processing_failed", "It broke.")

        assert state(job) == ("failed", 4, 4)
        assert Video.objects.get().status == "FAILED"
        assert claim() is None
        assert trail(uploaded_video.pk)[2:] == ["video.processing", "video.failed"]

    def test_giving_back_counts_neither_an_attempt_nor_a_strike(self, job, claim):
        for _ in range(100):
            jobs.give_back(claim())

        assert state(job) == ("queued", 0, 0)
        assert job.fence == 100

    def test_a_job_with_too_many_lost_workers_is_given_up(self, job, uploaded_video, trail):
        for attempt in range(1, 51):
            assert claim_due("host/1/1").attempt == attempt
            lapse(job)

        assert jobs.claim_next("host/1/1") is None

        job.refresh_from_db()
        assert (job.state, job.error_code) == ("failed", "worker_lost")
        assert Video.objects.get().status == "FAILED"
        assert trail(uploaded_video.pk)[-1] == "video.failed"

    @pytest.mark.django_db(transaction=True)
    def test_of_eight_simultaneous_failures_one_counts(self, job, claim, uploaded_video, trail):
        mine = claim()

        def end(_):
            try:
                jobs.give_up(mine, "damaged", "It is damaged.")
            except LeaseLost:
                return "lost"
            return "ended"

        assert sorted(at_once(8, end)) == ["ended"] + ["lost"] * 7
        assert trail(uploaded_video.pk).count("video.failed") == 1

    @pytest.mark.django_db(transaction=True)
    def test_a_new_file_and_the_end_of_the_old_one_do_not_block_each_other(
        self, job, claim, uploaded_video, received, creator
    ):
        """Both change the video and its job. With different lock orders they would deadlock."""
        for _ in range(10):
            current = ProcessingJob.objects.open().get()
            mine = ProcessingJob.objects.claim(current.pk, worker="w", lease=LEASE)
            file = received()

            def act(number, mine=mine, file=file):
                if number == 0:
                    sources.attach_source(video=uploaded_video, received=file, actor=creator)
                else:
                    with suppress(LeaseLost):
                        jobs.give_up(mine, "damaged", "It is damaged.")

            at_once(2, act)

            current.refresh_from_db()
            video = Video.objects.get()
            assert current.state in {"canceled", "failed"}
            assert video.status == "UPLOADED"
            assert video.job is not None
            assert video.job.state == "queued"

    @pytest.mark.postgres
    @pytest.mark.django_db(transaction=True)
    def test_giving_up_locks_the_video_before_the_job(self, job, claim):
        """The order is video, job: an upload locks the video first, and then cancels the job."""
        if connection.vendor != "postgresql":
            pytest.skip("SQLite has one writer at a time")
        mine = claim()
        waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"

        def give_up():
            try:
                jobs.give_up(mine, "damaged", "It is damaged.")
            finally:
                connections.close_all()

        with ThreadPoolExecutor(1) as pool:
            with transaction.atomic(), connection.cursor() as cursor:
                Video.objects.select_for_update().get()
                ending = pool.submit(give_up)
                deadline = time.monotonic() + 4  # lock_timeout is 5 s
                while cursor.execute(waits).fetchone()[0] == 0:
                    assert time.monotonic() < deadline
                    time.sleep(0.01)
                ProcessingJob.objects.select_for_update(nowait=True).get(pk=job.pk)
            ending.result()

        assert state(job) == ("failed", 1, 1)

    @pytest.mark.django_db(transaction=True)
    def test_eight_new_files_at_once_leave_one_job(self, uploaded_video, received, creator, media):
        files = [received() for _ in range(8)]

        at_once(
            8,
            lambda n: sources.attach_source(video=uploaded_video, received=files[n], actor=creator),
        )

        video = Video.objects.get()
        assert video.job is not None
        assert ProcessingJob.objects.open().get() == video.job
        assert video.job.source_path == video.source_path
        assert video.source.is_file()
        assert ProcessingJob.objects.filter(state="canceled").count() == 8
