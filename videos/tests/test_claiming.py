"""The one statement that claims on PostgreSQL: the same turns as ``in_turns``, and nobody waits."""

import random
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from videos import jobs
from videos.models import ProcessingJob, Video
from videos.tests.claims import at_once

pytestmark = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="SQLite claims in two steps"
)
State = ProcessingJob.State


@pytest.fixture
def fill(make_user):
    """A function that makes a queue by chance: jobs at all stages, waiting, running, lost and done."""

    def make(
        seed: int, *, size: int = 60, creators: int = 5, stages=tuple(ProcessingJob.Stage)
    ) -> None:
        chance = random.Random(seed)  # noqa: S311 - a queue, not a secret
        users = [make_user("CREATOR") for _ in range(creators)]
        now = timezone.now()
        for number in range(size):
            creator = chance.choice(users)
            video = Video.objects.create(creator=creator, title=str(number))
            state = chance.choices(["queued", "running", "done"], [6, 2, 2])[0]
            begun = state != "queued" or chance.random() < 0.3
            ago = timedelta(seconds=chance.randrange(1, 500), microseconds=number)  # never the same
            ProcessingJob.objects.create(
                key=str(number),
                video=video,
                creator=creator,
                source_path="x",
                stage=chance.choice(stages),
                state=state,
                # A few of those that wait are due later, and some are equally old.
                not_before=now
                + timedelta(
                    seconds=chance.choice([-60, -60, -60, 600 if state == "queued" else -60])
                ),
                created_at=now - timedelta(seconds=chance.randrange(20)),
                started_at=now - ago if begun else None,
                lease_until=now + timedelta(seconds=chance.choice([-9, 600]))
                if state == "running"
                else None,
            )

    return make


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("seed", "size", "creators"), [(0, 60, 5), (1, 60, 5), (2, 60, 3), (3, 60, 1), (4, 130, 60)]
)
def test_the_statement_takes_jobs_in_their_turns(fill, seed, size, creators):
    """Also with more creators at one stage than a claim looks at jobs."""
    stages = [ProcessingJob.Stage.REST] if creators > 32 else tuple(ProcessingJob.Stage)
    fill(seed, size=size, creators=creators, stages=stages)
    taken = 0
    while expected := ProcessingJob.objects.due().in_turns():
        job = jobs.claim_next("w")
        assert job is not None
        assert job.pk == expected[0]
        # What it returns is the row as it is now.
        assert vars(job).items() >= ProcessingJob.objects.filter(pk=job.pk).values()[0].items()
        if taken % 3 == 0:  # of some the work ends at once
            ProcessingJob.objects.filter(pk=job.pk).update(state=State.DONE, lease_until=None)
        taken += 1
    assert taken > 10
    assert jobs.claim_next("w") is None


@pytest.mark.django_db
def test_only_the_stages_that_are_asked_for_are_taken(fill):
    fill(1)
    stages = [ProcessingJob.Stage.AGAIN, ProcessingJob.Stage.CAPTIONS]
    due = ProcessingJob.objects.due()
    others = due.exclude(stage__in=stages).count()
    assert others
    while job := jobs.claim_next("w", stages=stages):
        assert job.stage in stages
    assert due.count() == others
    assert not due.filter(stage__in=stages).exists()


@pytest.mark.django_db
def test_a_first_rendition_that_has_just_come_is_left_to_an_idle_worker(fill):
    fill(1, size=10)
    ProcessingJob.objects.update(not_before=Now() - timedelta(seconds=1))
    assert jobs.claim_next("w", due_for=timedelta(seconds=30)) is None
    assert jobs.claim_next("w", due_for=timedelta(milliseconds=900)) is not None


@pytest.mark.django_db(transaction=True)
def test_a_job_that_another_is_claiming_is_passed_over_without_a_wait(fill):
    fill(2, creators=1)
    first, second = ProcessingJob.objects.due().in_turns()[:2]
    with transaction.atomic():
        ProcessingJob.objects.select_for_update().get(pk=first)
        (job,) = at_once(1, lambda _: jobs.claim_next("w"))
    assert job.pk == second


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("creators", [1, 7])
def test_sixteen_workers_take_each_job_once(fill, creators):
    fill(3, size=120, creators=creators)
    due = set(ProcessingJob.objects.due().values_list("pk", flat=True))

    def drain(number):
        mine = []
        while job := jobs.claim_next(f"w{number}"):
            mine.append(job.pk)
        return mine

    taken = [pk for mine in at_once(16, drain) for pk in mine]
    assert len(taken) == len(set(taken))
    assert set(taken) == due
