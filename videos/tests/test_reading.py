"""Videos are read without the ORM's objects, and show what the ORM would show."""

from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import AnonymousUser

from accounts.models import User
from accounts.roles import Role
from config.api.renderers import QuickJSONRenderer
from videos import listing, reading
from videos.models import Caption, ProcessingJob, Video
from videos.querysets import Sight
from videos.serializers import RenditionSerializer, VideoSerializer

pytestmark = pytest.mark.django_db

URL = "/api/v1/videos/"


@pytest.fixture
def people(make_user):
    return {
        "anonymous": AnonymousUser(),
        "viewer": make_user(Role.VIEWER),
        "owner": make_user(Role.CREATOR),
        "admin": make_user(Role.ADMIN),
    }


@pytest.fixture
def catalogue(people, make_video):
    owner = people["owner"]
    videos = [
        make_video(creator=owner, title="free", tags=["sea", "fog"]),
        make_video(title="paid", price=1999, rental_price=299, rental_hours=48),
        make_video(creator=owner, title="draft", ready=False),
        make_video(creator=owner, title="private", visibility="private"),
        make_video(creator=owner, title="unlisted", visibility="unlisted", tags=["fog"]),
        make_video(title="of another", visibility="private"),
    ]
    job = ProcessingJob.objects.create(
        key="k", video=videos[0], creator=videos[0].creator, source_path="s", percent=7
    )
    Video.objects.filter(pk=videos[0].pk).update(job=job)
    return videos


@pytest.mark.parametrize("caller", ["anonymous", "viewer", "owner", "admin"])
def test_the_list_and_each_video_are_those_of_the_orm(caller, people, catalogue, client_for, rf):
    user = people[caller]
    client = client_for(None if caller == "anonymous" else user)
    request = rf.get("/")
    request.user = user

    def expected(videos):
        rows = videos.for_output().order_by("-created_at", "-pk")
        return VideoSerializer(rows, many=True, context={"request": request}).data

    listed = expected(Video.objects.listed_for(user))
    assert client.get(URL).json()["results"] == listed
    assert client.get(f"{URL}?ordering=-created_at").json()["results"] == listed
    visible = {each["id"]: each for each in expected(Video.objects.visible_to(user))}
    for video in catalogue:
        answer = client.get(f"{URL}{video.pk}")
        assert (answer.json() if answer.status_code == 200 else None) == visible.get(str(video.pk))


def test_a_change_is_shown_at_once(catalogue, client_for):
    client, video = client_for(), catalogue[0]
    client.get(f"{URL}{video.pk}")
    client.get(URL)
    Video.objects.filter(pk=video.pk).update(title="new", views=7, price=100, is_paid=True)
    shown = client.get(f"{URL}{video.pk}").json()
    assert (shown["title"], shown["views"], shown["price"]) == ("new", 7, "1.00")
    Video.objects.filter(pk=video.pk).update(visibility="private")
    assert client.get(f"{URL}{video.pk}").status_code == 404
    assert str(video.pk) not in str(client.get(URL).json())


def test_the_first_page_leads_to_the_others(make_video, creator, client_for):
    made = [str(make_video(creator=creator).pk) for _ in range(45)]
    client, seen, url = client_for(), [], URL
    while url:
        page = client.get(url).json()
        seen += [video["id"] for video in page["results"]]
        url = page["next"]
    assert seen == made[::-1]


@pytest.mark.parametrize(("caller", "queries"), [("anonymous", 3), ("viewer", 4)])
def test_a_video_costs_one_query_and_its_tags_and_captions_two_more(
    caller, queries, people, catalogue, client_for, settings, django_assert_num_queries
):
    settings.AUDIT_READS = False
    client = client_for(None if caller == "anonymous" else people[caller])
    client.get(f"{URL}{catalogue[0].pk}")
    with django_assert_num_queries(queries):
        assert client.get(f"{URL}{catalogue[0].pk}").status_code == 200


def test_strangers_cause_no_read_of_sources():
    assert not [name for name in reading.columns(Sight.PUBLIC) if name.startswith("source")]
    assert not [name for name in reading.columns(Sight.PUBLIC) if name.startswith("job__")]


@pytest.mark.parametrize("size", [0, 1, 2, 20, 21, 100])
def test_tags_and_captions_of_any_page_are_read_in_two_queries(
    size, make_video, creator, django_assert_max_num_queries
):
    videos = [make_video(creator=creator, tags=["b", "a"] if n % 2 else []) for n in range(size)]
    for video in videos[::3]:
        Caption.objects.create(video=video, language="de", label="Deutsch", text="WEBVTT", cues=1)
    with django_assert_max_num_queries(2):
        names, captions = reading.parts([video.pk for video in videos])
    labels = [[each.label for each in captions.get(video.pk.hex, [])] for video in videos]
    assert labels == [[] if n % 3 else ["Deutsch"] for n in range(size)]
    assert [names.get(video.pk.hex, []) for video in videos] == [
        ["a", "b"] if n % 2 else [] for n in range(size)
    ]


FULL = {
    "title": "Größe \u2028 „ß“",
    "description": "",
    "price": 1999,
    "currency": "JPY",
    "rental_price": 300,
    "rental_hours": 48,
    "publish_at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    "available_until": datetime(2999, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
    "created_at": datetime(2026, 1, 2, 3, 4, 5, 100, tzinfo=UTC),
    "allowed_countries": ["AT", "DE"],
    "is_preorder": True,
    "duration_seconds": 12.0,
    "preview_seconds": 3,
    "poster_tag": "mine",
    "has_storyboard": True,
    "chapters": [{"start_seconds": 0.5, "title": "Anfang"}],
    "audio_tracks": [{"language": "de", "label": "Ton", "is_default": True, "roles": ["dub"]}],
    "renditions": [
        {"name": 360, "width": "640", "height": 360, "video_bitrate": 1, "codecs": "a", "x": 1},
    ],
}


def test_the_bytes_are_those_of_the_serializer(make_video, people, client_for, rf):
    trailer = make_video(creator=people["owner"])
    full = make_video(creator=people["owner"], tags=["b", "a"], price=1999)
    Video.objects.filter(pk=full.pk).update(**FULL, trailer=trailer)
    for label in ("eins", "zwei"):
        Caption.objects.create(video=full, language="de", label=label, text="WEBVTT", cues=1)
    request = rf.get("/")
    for caller in ("anonymous", "viewer", "owner"):
        request.user = user = people[caller]
        video = Video.objects.visible_to(user).for_output().get(pk=full.pk)
        expected = VideoSerializer(video, context={"request": request}).data
        client = client_for(None if caller == "anonymous" else user)
        answer = client.get(f"{URL}{full.pk}").content
        assert answer == QuickJSONRenderer().render(expected)
        assert ("processing" in expected) == (caller == "owner")
        for query in ("", "?ordering=title"):
            assert answer in client.get(f"{URL}{query}").content


def test_a_creator_without_a_name_is_shown_by_the_end_of_their_id(make_video, people, client_for):
    User.objects.filter(pk=people["owner"].pk).update(display_name="")
    video = make_video(creator=people["owner"])
    shown = client_for().get(f"{URL}{video.pk}").json()["creator"]
    assert shown == {
        "id": str(people["owner"].pk),
        "display_name": f"user-{people['owner'].pk.hex[-6:]}",
    }


def test_a_list_makes_no_objects_of_videos_that_others_own(
    catalogue, people, client_for, monkeypatch
):
    made, make = [], reading.video_of

    def noted(sight, row):
        made.append(row)
        return make(sight, row)

    monkeypatch.setattr(reading, "video_of", noted)
    client_for(people["viewer"]).get(URL)
    assert not made
    listed = client_for(people["owner"]).get(URL).json()["results"]
    assert len(made) == sum("processing" in each for each in listed) > 0
    assert len(listed) > len(made)


def test_a_field_that_is_no_column_has_to_be_made(monkeypatch):
    monkeypatch.delitem(listing._MADE, "poster_url")
    with pytest.raises(TypeError, match="poster_url"):
        listing._fields("sqlite")


def test_a_rendition_without_a_value_is_written_as_by_its_serializer():
    old = {"name": "720p", "width": None, "height": 720, "video_bitrate": 1, "codecs": "a"}
    assert listing._rendition()(old) == RenditionSerializer(old).data
