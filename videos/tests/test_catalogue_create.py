"""POST /videos/ without a file: permitted roles, the rules of the price, and read-only fields."""

from datetime import timedelta

import pytest
from django.utils import timezone

from videos.models import ProcessingJob, Video

pytestmark = pytest.mark.django_db
URL = "/api/v1/videos/"


def errors(response) -> list[tuple]:
    return [(error["attr"], error["code"]) for error in response.json()["errors"]]


@pytest.fixture
def post(client_for, creator):
    def send(**body):
        return client_for(creator).post(URL, {"title": "A video", **body})

    return send


def test_a_new_video_is_free_public_and_without_a_file(post, creator, trail):
    response = post()

    assert response.status_code == 201
    shown = response.json()
    video = Video.objects.get()
    assert shown == {
        "id": str(video.pk), "title": "A video", "description": "", "category": "", "tags": [],
        "creator": {"id": str(creator.pk), "display_name": "Creator"},
        "status": "CREATED", "playable": False, "visibility": "public",
        "is_paid": False, "price": "0.00", "currency": "USD",
        "rental_price": None, "rental_hours": None,
        "duration_seconds": None, "width": None, "height": None,
        "poster_url": None, "storyboard_url": None, "renditions": [], "captions": [],
        "chapters": [], "audio_tracks": [],
        "views": 0, "likes": 0, "dislikes": 0,
        "created_at": shown["created_at"], "published_at": None,
        "processing": {
            "step": None, "percent": 0, "attempts": 0, "queue_position": None,
            "eta_seconds": None, "error": None,
            "stage": None, "still_to_come": [], "last_line": None,
        },
        "source": None, "deleted_at": None, "moderation": None,
        "embed_domains": [],
    }  # fmt: skip
    assert shown["created_at"].endswith("Z")
    assert trail(video.pk) == ["video.created"]


@pytest.mark.parametrize(
    ("role", "status"), [(None, 401), ("VIEWER", 403), ("CREATOR", 201), ("ADMIN", 201)]
)
def test_creators_and_administrators_may_add_videos(role, status, make_user, client_for):
    response = client_for(make_user(role) if role else None).post(URL, {"title": "A video"})

    assert response.status_code == status
    assert Video.objects.count() == (status == 201)


@pytest.mark.parametrize(
    ("price", "currency", "minor", "shown"),
    [
        ("19.99", "USD", 1999, "19.99"),
        (19.99, "USD", 1999, "19.99"),
        (5, "EUR", 500, "5.00"),
        ("5.50", "EUR", 550, "5.50"),
        ("100", "JPY", 100, "100"),
        ("1.999", "KWD", 1999, "1.999"),
    ],
)
def test_a_price_is_exact_in_its_currency(price, currency, minor, shown, post):
    response = post(is_paid=True, price=price, currency=currency)

    assert (response.status_code, response.json()["price"]) == (201, shown)
    assert Video.objects.values_list("price", "currency", "is_paid").get() == (
        minor,
        currency,
        True,
    )


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "required"),
        ({"price": "0"}, "required"),
        ({"price": "0.00"}, "required"),
        ({"price": "-1"}, "min_value"),
        ({"price": "9.999"}, "invalid"),
        ({"price": "1.5", "currency": "JPY"}, "invalid"),
        ({"price": "free"}, "invalid"),
        ({"price": "NaN"}, "invalid"),
        ({"price": True}, "invalid"),
        ({"price": ["1"]}, "invalid"),
        ({"price": None}, "null"),
        ({"price": "10000000000000"}, "invalid"),
        ({"price": 1e300}, "invalid"),
    ],
)
def test_a_paid_video_needs_a_positive_price_of_its_currency(body, code, post):
    response = post(is_paid=True, **body)

    assert (response.status_code, errors(response)) == (400, [("price", code)])
    assert Video.objects.count() == 0


def test_an_unknown_currency_is_refused(post):
    response = post(is_paid=True, price="1.00", currency="XXX")

    assert (response.status_code, errors(response)) == (400, [("currency", "invalid_choice")])
    assert Video.objects.count() == 0


def test_a_free_video_has_no_price(post):
    assert post(is_paid=False, price="3.00").json()["price"] == "0.00"


def test_read_only_fields_are_ignored(post, creator, admin):
    now = timezone.now()
    response = post(
        id="00000000-0000-7000-8000-000000000000",
        status="READY",
        creator=str(admin.pk),
        creator_id=str(admin.pk),
        views=10**6,
        likes=5,
        current_version="x",
        renditions=[{"name": "x"}],
        duration_seconds=5,
        created_at="2001-01-01T00:00:00Z",
        published_at="2001-01-01T00:00:00Z",
        deleted_at="2001-01-01T00:00:00Z",
        processing={"step": "done"},
        source_path="/etc/passwd",
    )

    assert response.status_code == 201
    video = Video.objects.get()
    assert str(video.pk) != "00000000-0000-7000-8000-000000000000"
    assert (video.creator, video.status, video.views, video.likes) == (creator, "CREATED", 0, 0)
    assert (video.current_version, video.renditions, video.source_path) == ("", [], "")
    assert (video.duration_seconds, video.published_at, video.deleted_at) == (None, None, None)
    assert abs(video.created_at - now) < timedelta(minutes=1)
    assert not ProcessingJob.objects.exists()


@pytest.mark.parametrize(
    ("body", "attr", "code"),
    [
        ({"title": ""}, "title", "blank"),
        ({"title": "   "}, "title", "blank"),
        ({"title": None}, "title", "null"),
        ({"title": "x" * 201}, "title", "max_length"),
        ({"description": "x" * 10_001}, "description", "max_length"),
        ({"category": "x" * 61}, "category", "max_length"),
        ({"visibility": "secret"}, "visibility", "invalid_choice"),
        ({"is_paid": "perhaps"}, "is_paid", "invalid"),
        ({"tags": "fog"}, "tags", "not_a_list"),
        ({"tags": ["x" * 41]}, "tags.0", "max_length"),
        ({"tags": ["\u0130" * 40]}, "tags", "max_length"),
        ({"tags": [str(number) for number in range(21)]}, "tags", "max_length"),
        ({"tags": [["fog"]]}, "tags.0", "invalid"),
        ({"file": "not a file"}, "file", "invalid"),
    ],
)
def test_the_error_names_the_field_with_bad_input(body, attr, code, post):
    response = post(**body)

    assert (response.status_code, errors(response)) == (400, [(attr, code)])
    assert Video.objects.count() == 0


def test_a_title_is_required(client_for, creator):
    response = client_for(creator).post(URL, {})

    assert (response.status_code, errors(response)) == (400, [("title", "required")])


@pytest.mark.parametrize("body", ["[]", "[{}, {}]", '"video"', "7", "null"])
def test_a_body_that_is_no_json_object_is_refused(body, client_for, creator):
    response = client_for(creator).generic("POST", URL, body, content_type="application/json")

    assert response.status_code == 400
    assert Video.objects.count() == 0


def test_text_is_stored_as_it_was_written(post):
    video = post(title="<img src=x onerror=alert(1)>", description="=HYPERLINK(1)").json()

    assert video["title"] == "<img src=x onerror=alert(1)>"
    assert video["description"] == "=HYPERLINK(1)"


def test_tags_are_words_in_lower_case_without_repeats(post):
    assert post(tags=[" Fog ", "fog", "Harbour"]).json()["tags"] == ["fog", "harbour"]


def test_a_tag_is_shared_by_videos(post):
    ids = {post(tags=["fog"]).json()["id"] for _ in range(2)}

    tagged = Video.objects.filter(tags__name="fog").values_list("pk", flat=True)
    assert {str(pk) for pk in tagged} == ids


def test_a_form_without_a_file_also_creates_a_video(client_for, creator, media):
    form = {"title": "A video", "tags": ["Fog", "harbour"], "is_paid": "true", "price": "2.50"}
    response = client_for(creator).post(URL, form, format="multipart")

    assert response.status_code == 201
    video = response.json()
    assert (video["status"], video["tags"], video["price"]) == (
        "CREATED",
        ["fog", "harbour"],
        "2.50",
    )
    assert media.files() == []
