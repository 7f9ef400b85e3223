"""Whose turn it is in the queue, what the creator is told about it, and how much may wait."""

import io

import pytest

from accounts import tokens
from videos import jobs
from videos.models import ProcessingJob, Video
from videos.services import sources
from videos.tests.claims import claim_due
from videos.uploads.asgi import refusal_before_body

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media")]
URL = "/api/v1/videos/"
FORM = "multipart/form-data; boundary=x"


@pytest.fixture
def add(make_video, received):
    """A function that gives a creator one more waiting video."""

    def upload(creator) -> Video:
        video = make_video(creator=creator, ready=False)
        return sources.attach_source(video=video, received=received(), actor=creator)

    return upload


@pytest.fixture
def position(client_for):
    def shown(video) -> int:
        answer = client_for(video.creator).get(f"{URL}{video.pk}").json()
        return answer["processing"]["queue_position"]

    return shown


def end(job) -> None:
    ProcessingJob.objects.filter(pk=job.pk).update(state="done", lease_until=None)


def test_the_position_is_the_order_in_which_jobs_are_taken(add, position, make_user):
    """Seen: a second creator's only video was shown behind ten of the first, and was taken second."""
    many, one, two = (make_user("CREATOR") for _ in range(3))
    videos = [add(many) for _ in range(5)] + [add(one)] + [add(two), add(two)]
    told = {video.pk: position(video) for video in videos}
    assert [told[video.pk] for video in videos] == [1, 4, 6, 7, 8, 2, 3, 5]

    taken = []
    while job := jobs.claim_next("w"):
        taken.append(job.video_id)
        end(job)

    assert [told[pk] for pk in taken] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_the_position_falls_by_one_with_each_job_that_begins(add, position, make_user):
    many, one = make_user("CREATOR"), make_user("CREATOR")
    last = [add(many) for _ in range(3)][-1]
    add(one)

    seen = []
    while (place := position(last)) is not None:
        seen.append(place)
        end(claim_due("w"))

    assert seen == [4, 3, 2, 1]


def test_a_creator_with_fewer_running_jobs_goes_first(add, make_user):
    many, one = make_user("CREATOR"), make_user("CREATOR")
    for _ in range(6):
        add(many)
    first = [claim_due(f"w{number}") for number in range(3)]  # nobody else waits
    assert {job.video.creator for job in first} == {many}
    for _ in range(3):
        add(one)

    then = [claim_due(f"w{number}").video.creator for number in range(3, 6)]
    assert then == [one, one, one]
    assert claim_due("w7").video.creator == many


def test_a_lost_lease_costs_its_creator_no_turn(add, make_user):
    his = add(make_user("CREATOR"))
    job = claim_due("w")
    ProcessingJob.objects.update(lease_until="2020-01-01T00:00:00Z")

    assert claim_due("w2").pk == job.pk
    assert his.pk == job.video_id


@pytest.mark.parametrize("size", [2, 12])
def test_a_list_of_waiting_videos_costs_the_same_for_any_length(
    add, client_for, make_user, size, django_assert_max_num_queries
):
    creator = make_user("CREATOR")
    for _ in range(size):
        add(creator)
    client = client_for(creator)
    client.get(URL)

    with django_assert_max_num_queries(11):  # with the two of the log
        shown = client.get(URL).json()["results"]

    assert sorted(one["processing"]["queue_position"] for one in shown) == [*range(1, size + 1)]


class TestQuota:
    def test_beyond_the_number_of_videos_an_upload_is_refused_at_the_door(
        self, settings, add, make_user, client_for, media
    ):
        settings.CREATOR_QUEUE_VIDEOS = 2
        creator, other = make_user("CREATOR"), make_user("CREATOR")
        add(creator)
        running = claim_due("w")  # in work, and counted as well
        waiting = add(creator)
        files, rows = media.files(), Video.objects.count()

        class Unread(io.BytesIO):
            def read(self, *_):
                raise AssertionError("the body was read")

        length = {"CONTENT_LENGTH": "1000", "wsgi.input": Unread()}
        client = client_for(creator)
        refused = client.generic("POST", URL, b"", FORM, **length)

        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (409, "quota_exceeded")
        assert "2 videos" in refused.json()["errors"][0]["detail"]
        assert (media.files(), Video.objects.count()) == (files, rows)
        jobs.refuse_beyond_quota(other, size=1000)
        jobs.refuse_beyond_quota(creator, size=1000, replaced=waiting)
        end(running)
        jobs.refuse_beyond_quota(creator, size=1000)

    def test_beyond_the_bytes_an_upload_is_refused_unless_it_is_the_only_one(
        self, settings, add, make_user
    ):
        settings.CREATOR_QUEUE_BYTES = 100
        creator = make_user("CREATOR")
        jobs.refuse_beyond_quota(creator, size=1000)
        add(creator)

        with pytest.raises(jobs.QuotaExceeded):
            jobs.refuse_beyond_quota(creator, size=1)

    def test_a_retry_counts_as_well_and_changes_nothing(self, settings, add, make_user, client_for):
        settings.CREATOR_QUEUE_VIDEOS = 1
        creator = make_user("CREATOR")
        failed = add(creator)
        jobs.give_up(claim_due("w"), "damaged", "It is damaged.")
        add(creator)

        answer = client_for(creator).post(f"{URL}{failed.pk}/retry")

        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, "quota_exceeded")
        failed.refresh_from_db()
        assert failed.status == "FAILED"

    def test_the_upload_application_refuses_before_the_body(self, settings, add, make_user):
        settings.CREATOR_QUEUE_VIDEOS = 1
        creator = make_user("CREATOR")
        video = add(creator)
        environ = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": URL,
            "CONTENT_LENGTH": "1000",
            "CONTENT_TYPE": FORM,
            "HTTP_AUTHORIZATION": f"Bearer {tokens.issue(creator).access}",
            "wsgi.input": io.BytesIO(),
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
        }

        refusal = refusal_before_body(environ)
        assert isinstance(refusal, jobs.QuotaExceeded)
        # Its own waiting file makes room for the new one.
        again = {**environ, "REQUEST_METHOD": "PUT", "PATH_INFO": f"{URL}{video.pk}/file"}
        assert refusal_before_body(again) is None
