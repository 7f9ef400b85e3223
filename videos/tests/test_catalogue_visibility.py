"""The visibility of videos: in the catalogue, by their link, and of their private fields."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.roles import Role
from videos.models import Video

pytestmark = pytest.mark.django_db
URL = "/api/v1/videos/"

# kind of video: (callers that may open it by its link, callers that find it in the catalogue)
RULES = {
    "public": ("anonymous viewer other owner admin", "anonymous viewer other owner admin"),
    "unlisted": ("anonymous viewer other owner admin", "owner admin"),
    "private": ("owner admin", "owner admin"),
    "draft": ("owner admin", "owner admin"),
    "first time in work": ("owner admin", "owner admin"),
    "new file in work": (
        "anonymous viewer other owner admin",
        "anonymous viewer other owner admin",
    ),
    "new file failed": ("anonymous viewer other owner admin", "anonymous viewer other owner admin"),
    "failed": ("owner admin", "owner admin"),
    "deleted": ("", ""),
    "deleted draft": ("", ""),
}
CALLERS = ["anonymous", "viewer", "other", "owner", "admin"]


@pytest.fixture
def people(make_user):
    roles = {"viewer": "VIEWER", "other": "CREATOR", "owner": "CREATOR", "admin": "ADMIN"}
    return {"anonymous": None} | {name: make_user(role) for name, role in roles.items()}


@pytest.fixture
def video_of_kind(people, make_video):
    fields: dict[str, dict[str, object]] = {
        "public": {},
        "unlisted": {"visibility": "unlisted"},
        "private": {"visibility": "private"},
        "draft": {"ready": False},
        "first time in work": {"ready": False, "status": "PROCESSING", "source_path": "sources/x"},
        "new file in work": {"status": "PROCESSING"},
        "new file failed": {"status": "FAILED"},
        "failed": {"ready": False, "status": "FAILED", "source_path": "sources/x"},
        "deleted": {"deleted_at": timezone.now()},
        "deleted draft": {"ready": False, "deleted_at": timezone.now()},
    }
    return lambda kind: make_video(creator=people["owner"], **fields[kind])


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("kind", RULES)
def test_who_sees_which_video(kind, caller, people, video_of_kind, client_for):
    video = video_of_kind(kind)
    by_link, in_catalogue = RULES[kind]
    client = client_for(people[caller])

    detail = client.get(f"{URL}{video.pk}")
    listed = [row["id"] for row in client.get(URL).json()["results"]]

    assert detail.status_code == (200 if caller in by_link.split() else 404)
    assert listed == ([str(video.pk)] if caller in in_catalogue.split() else [])


@pytest.mark.parametrize("kind", ["private", "draft", "deleted"])
def test_a_hidden_video_is_answered_like_an_unknown_one(kind, video_of_kind, people, client_for):
    missing = "01890000-0000-7000-8000-000000000000"
    client = client_for(people["viewer"])

    hidden, never = client.get(f"{URL}{video_of_kind(kind).pk}"), client.get(f"{URL}{missing}")

    assert (hidden.status_code, never.status_code) == (404, 404)
    assert hidden.content == never.content


@pytest.mark.parametrize(
    "word", ["0", "-1", "9223372036854775808", "1e5", "%00", "..%2f", "zzzz", "{}", "null"]
)
def test_a_malformed_id_is_not_found(word, client_for):
    response = client_for().get(f"{URL}{word}")

    assert response.status_code == 404
    assert response.json()["type"] == "client_error"


@pytest.mark.parametrize(
    ("kind", "caller", "status"),
    [
        ("public", "anonymous", 401),
        ("public", "viewer", 403),
        ("public", "other", 403),
        ("private", "other", 404),
        ("draft", "other", 404),
        ("deleted", "owner", 404),
        ("deleted", "admin", 404),
    ],
)
@pytest.mark.parametrize(
    ("method", "tail"),
    [("patch", ""), ("put", ""), ("delete", ""), ("post", "/retry"), ("put", "/file")],
)
def test_other_users_cannot_change_a_video(
    method, tail, kind, caller, status, video_of_kind, people, client_for, trail, media
):
    video = video_of_kind(kind)
    before = Video.objects.filter(pk=video.pk).values().get()

    response = getattr(client_for(people[caller]), method)(
        f"{URL}{video.pk}{tail}", {"title": "Mine now"}
    )

    assert response.status_code == status
    assert Video.objects.filter(pk=video.pk).values().get() == before
    assert trail(video.pk) == []
    assert media.files() == []


@pytest.mark.parametrize("caller", CALLERS)
def test_processing_and_source_are_shown_to_the_owner_and_administrators_only(
    caller, video_of_kind, people, client_for
):
    video = video_of_kind("public")
    insider = caller in {"owner", "admin"}
    client = client_for(people[caller])

    for data in (client.get(f"{URL}{video.pk}").json(), client.get(URL).json()["results"][0]):
        assert ({"processing", "source", "deleted_at"} & data.keys() != set()) is insider
        text = str(data)
        assert "@" not in text  # no e-mail address
        assert "sources/" not in text


def test_without_anonymous_playback_the_catalogue_needs_a_login(
    video_of_kind, settings, people, client_for
):
    settings.ANONYMOUS_PLAYBACK = False
    video = video_of_kind("public")

    for address in (URL, f"{URL}{video.pk}", f"{URL}{video.pk}/poster"):
        assert client_for().get(address).status_code == 401
        assert client_for(people["viewer"]).get(address).status_code in {200, 404}


@pytest.mark.parametrize("size", [1, 12])
@pytest.mark.parametrize(
    ("caller", "queries"),
    [
        ("anonymous", 3),  # the videos with creator and job, their tags, and their captions
        ("owner", 4),  # and the signed-in user
        ("admin", 4),
    ],
)
def test_a_list_costs_the_same_for_any_number_of_videos(
    size, caller, queries, people, make_video, client_for, settings, django_assert_num_queries
):
    settings.AUDIT_READS = False  # in service these are written in batches, by a thread
    for number in range(size):
        video = make_video(creator=people["owner"], tags=["fog", f"tag{number}"])
        video.captions.create(language="de", label="Deutsch", text="WEBVTT", cues=1)
    client = client_for(people[caller])
    client.get(URL)  # the roles' permissions are cached

    with django_assert_num_queries(queries):
        response = client.get(URL)

    assert len(response.json()["results"]) == size


def test_one_video_costs_four_queries(
    people, make_video, client_for, settings, django_assert_num_queries
):
    video = make_video(creator=people["owner"], tags=["fog"])
    settings.AUDIT_READS = False
    client = client_for(people["owner"])
    client.get(f"{URL}{video.pk}")

    with django_assert_num_queries(4):
        client.get(f"{URL}{video.pk}")


class TestPoster:
    @pytest.fixture
    def with_poster(self, media, video_of_kind):
        def make(kind):
            video = video_of_kind(kind)
            video.version_folder.mkdir(parents=True)
            (video.version_folder / "poster.jpg").write_bytes(b"\xff\xd8picture")
            return video, f"{URL}{video.pk}/poster"

        return make

    def test_a_draft_has_no_poster(self, video_of_kind, people, client_for, media):
        video = video_of_kind("draft")
        client = client_for(people["owner"])

        assert client.get(f"{URL}{video.pk}/poster").status_code == 404
        assert client.get(f"{URL}{video.pk}").json()["poster_url"] is None

    def test_the_address_with_a_version_may_be_cached_for_a_year(self, with_poster, client_for):
        video, _ = with_poster("public")
        address = client_for().get(f"{URL}{video.pk}").json()["poster_url"]
        assert address == f"http://testserver{URL}{video.pk}/poster?v={video.current_version}"

        response = client_for().get(address)

        assert (response.status_code, response["Content-Type"]) == (200, "image/jpeg")
        assert b"".join(response.streaming_content) == b"\xff\xd8picture"
        assert response["ETag"] == f'"{video.current_version}"'
        assert response["Cache-Control"] == "public, max-age=31536000, immutable"
        again = client_for().get(address, HTTP_IF_NONE_MATCH=response["ETag"])
        assert (again.status_code, again.content) == (304, b"")
        assert client_for().get(address, HTTP_IF_NONE_MATCH='"other"').status_code == 200

    def test_the_address_without_a_version_must_be_revalidated(self, with_poster, client_for):
        _, address = with_poster("public")

        assert client_for().get(address)["Cache-Control"] == "public, no-cache"
        assert client_for().get(f"{address}?v=0")["Cache-Control"] == "public, no-cache"

    @pytest.mark.parametrize("kind", ["unlisted", "private"])
    def test_shared_caches_keep_no_poster_of_an_unlisted_or_private_video(
        self, kind, with_poster, people, client_for
    ):
        _, address = with_poster(kind)

        assert client_for(people["owner"]).get(address)["Cache-Control"] == "private, no-cache"

    @pytest.mark.parametrize("caller", CALLERS)
    @pytest.mark.parametrize("kind", ["private", "deleted"])
    def test_a_poster_is_as_visible_as_its_video(
        self, kind, caller, with_poster, people, client_for
    ):
        _, address = with_poster(kind)

        seen = kind == "private" and caller in {"owner", "admin"}
        assert client_for(people[caller]).get(address).status_code == (200 if seen else 404)

    def test_a_poster_missing_on_the_disk_is_not_found(self, video_of_kind, media, client_for):
        video = video_of_kind("public")
        assert media.files() == []

        assert client_for().get(f"{URL}{video.pk}/poster").status_code == 404


def test_a_former_creator_still_sees_and_changes_their_own_videos(
    make_user, make_video, client_for
):
    owner = make_user(Role.VIEWER)
    video = make_video(creator=owner, visibility="private")

    response = client_for(owner).patch(f"{URL}{video.pk}", {"title": "Still mine"})

    assert (response.status_code, response.json()["title"]) == (200, "Still mine")
    assert client_for(owner).post(URL, {"title": "Another"}).status_code == 403
    assert Video.objects.count() == 1
    assert timezone.now() - Video.objects.get().created_at < timedelta(minutes=1)
