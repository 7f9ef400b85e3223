"""Ids in upper case find the same object everywhere, and no other spelling of an id does."""

import pytest
from django.test.client import MULTIPART_CONTENT
from django.urls import get_resolver
from django.urls.resolvers import URLResolver

from config.ids import IdConverter
from streaming.delivery.files import PUBLISHED
from streaming.tests.delivery_kit import Stage, request

pytestmark = pytest.mark.django_db
READS = [
    "/api/v1/videos/{}",
    "/api/v1/stream/{}",
    "/api/v1/payments/offers/{}",
    "/api/v1/payments/entitlements/{}",
    "/watch/{}",
    "/watch/{}/",
    "/api/v1/analytics/videos/{}",
]


@pytest.fixture
def video(make_video, creator):
    return make_video(creator=creator, title="The harbour")


@pytest.mark.parametrize("path", READS)
def test_an_id_in_upper_case_finds_the_object(client_for, creator, video, path):
    lower, upper = (
        client_for(creator).get(path.format(form)) for form in (video.pk, str(video.pk).upper())
    )

    assert (lower.status_code, upper.status_code) == (200, 200)
    # Each stream token is a new one, and a report names the moment up to which it counts.
    if not path.startswith(("/api/v1/stream", "/api/v1/analytics")):
        assert upper.content == lower.content


@pytest.mark.parametrize("path", READS)
def test_other_spellings_find_nothing(client_for, creator, video, path):
    for form in (video.pk.hex, f"{{{video.pk}}}", video.pk.urn, f"{video.pk} ", f"{video.pk}0"):
        assert client_for(creator).get(path.format(form)).status_code == 404, form


def test_a_filter_and_a_list_of_ids_read_upper_case(client_for, creator, video):
    upper, owner = str(video.pk).upper(), str(creator.pk).upper()
    found = client_for().get(f"/api/v1/videos/?creator={owner}").json()["results"]
    offers = client_for().get(f"/api/v1/payments/offers?video={upper}").json()["results"]

    assert [each["id"] for each in found] == [str(video.pk)]
    assert [each["video_id"] for each in offers] == [str(video.pk)]
    assert client_for().get(f"/api/v1/payments/offers?video={video.pk.urn}").status_code == 400


def test_an_id_in_upper_case_is_changed_and_deleted(client_for, creator, video):
    path = f"/api/v1/videos/{str(video.pk).upper()}"

    changed = client_for(creator).patch(path, {"title": "The pier"})
    upload = client_for(creator).put(f"{path}/file", b"", content_type=MULTIPART_CONTENT)

    assert (changed.status_code, changed.json()["title"]) == (200, "The pier")
    assert upload.status_code != 404
    assert client_for(creator).delete(path).status_code == 204
    assert client_for(creator).get(path).status_code == 404


def test_the_delivery_reads_an_id_in_upper_case(tmp_path):
    stage = Stage(tmp_path)
    stage.publish("1080/1.m4s", b"segment")
    lower = stage.path("1080/1.m4s")
    for _ in range(2):  # opened, and from the cache
        answer = request(
            stage.app, "GET", lower.replace(str(stage.video), str(stage.video).upper())
        )
        assert (answer.status, answer.body) == (200, b"segment")
    assert not PUBLISHED.fullmatch(f"{stage.video.hex}/v1/1080/1.m4s")
    stage.close()


def test_every_route_reads_ids_in_the_same_way():
    """Otherwise a new route would take Django's own converter, which knows lower case only."""

    def converters(resolver: URLResolver):
        for pattern in resolver.url_patterns:
            yield from pattern.pattern.converters.items()
            if isinstance(pattern, URLResolver) and pattern.app_name != "admin":
                yield from converters(pattern)

    named = dict(converters(get_resolver()))
    ids = {name: each for name, each in named.items() if name in {"pk", "video_id"}}

    assert set(ids) == {"pk", "video_id"}
    assert type(named.pop("number")).__name__ == "IntConverter"  # of a file of the storyboard
    assert {type(each).__name__ for each in named.values()} <= {
        "IdConverter", "StringConverter", "SlugConverter",
    }  # fmt: skip
    assert isinstance(ids["pk"], IdConverter)
