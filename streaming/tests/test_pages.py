"""The start page and the player page show public videos, and never reveal hidden ones."""

import re
from datetime import UTC, datetime

import pytest
from django.urls import resolve

from config.api.slashes import UNKNOWN as UNKNOWN_ROUTE
from config.headers import PAGE

pytestmark = pytest.mark.django_db
UNKNOWN = "01890000-0000-7000-8000-000000000000"
HIDDEN: dict[str, dict[str, object]] = {
    "private": {"visibility": "private"},
    "draft": {"ready": False},
    "deleted": {"deleted_at": datetime(2026, 11, 1, tzinfo=UTC)},
}


def titles(answer) -> list[str]:
    return re.findall(r"<h3>(.*)</h3>", answer.content.decode())


def test_the_start_page_lists_the_newest_public_videos(client, make_video, make_user):
    cleo = make_user("CREATOR", display_name="Cleo <Marsh>")
    first = make_video(title="Fog & lights", creator=cleo, duration_seconds=61.6)
    second = make_video(title="Sold", price=1999, duration_seconds=3725.0)

    answer = client.get("/")
    html = answer.content.decode()

    assert (answer.status_code, answer["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert titles(answer) == ["Sold", "Fog &amp; lights"]
    assert "Cleo &lt;Marsh&gt;" in html
    assert re.findall(r'class="price">(.*?)<', html) == ["19.99 USD", "free"]
    assert re.findall(r"<time.*?>(.*?)<", html) == ["1:02:05", "1:02"]
    assert re.findall(r'href="(/watch/.*?)"', html) == [f"/watch/{v.pk}" for v in (second, first)]
    poster = f'src="/api/v1/videos/{first.pk}/poster?v={first.current_version}"'
    assert f'{poster} alt="Poster of Fog &amp; lights"' in html


def test_its_links_lead_somewhere(client):
    html = client.get("/").content.decode()
    links = set(re.findall(r'(?:href|src)="(/[^"]*)"', html))

    assert {"/", "/api/docs/", "/api/redoc/", "/api/schema/", "/admin/"} <= links
    for link in links:
        if link.startswith("/static/"):
            assert client.get(link).status_code == 200, link
        else:
            assert resolve(link).url_name != UNKNOWN_ROUTE, link


@pytest.mark.parametrize("fields", [*HIDDEN.values(), {"visibility": "unlisted"}], ids=str)
def test_a_video_that_is_not_in_the_public_catalogue_is_not_listed(client, make_video, fields):
    make_video(title="Secret", **fields)

    answer = client.get("/")

    assert titles(answer) == []
    assert b"Secret" not in answer.content
    assert b"No videos yet: <code>make demo</code> makes one." in answer.content


def test_nothing_is_listed_where_viewers_must_sign_in(client, make_video, settings):
    settings.ANONYMOUS_PLAYBACK = False
    video = make_video(title="For users")

    start, player = client.get("/"), client.get(f"/watch/{video.pk}")

    assert (start.status_code, player.status_code) == (200, 404)
    for answer in (start, player):
        assert b"only to users who have signed in" in answer.content
        assert b"For users" not in answer.content
    assert b"make demo" not in start.content


def test_the_admin_site_does_not_show_more_on_the_pages(admin_client, make_video):
    """The session of the admin site is not read: an administrator sees what anyone sees."""
    video = make_video(title="Secret", visibility="private")

    assert titles(admin_client.get("/")) == []
    assert admin_client.get(f"/watch/{video.pk}").status_code == 404


@pytest.mark.parametrize("size", [1, 12])
def test_the_start_page_makes_one_query(client, make_video, django_assert_num_queries, size):
    for _ in range(size):
        make_video()

    with django_assert_num_queries(1):  # videos with their creators
        answer = client.get("/")

    assert len(titles(answer)) == size


def test_the_start_page_shows_twelve_at_most(client, make_video):
    for number in range(13):
        make_video(title=f"No. {number}")

    assert titles(client.get("/")) == [f"No. {number}" for number in range(12, 0, -1)]


def test_the_player_page_shows_the_video_and_names_its_addresses(
    client, make_video, creator, django_assert_num_queries
):
    video = make_video(creator=creator, title="<Fog>", description="Twelve\nminutes", price=199)

    with django_assert_num_queries(2):  # the video with its creator, and the creator's next one
        answer = client.get(f"/watch/{video.pk}")
    html = answer.content.decode()

    assert answer.status_code == 200
    assert "<title>&lt;Fog&gt; · Video on demand</title>" in html
    assert "<h1>&lt;Fog&gt;</h1>" in html
    for shown in ("Twelve\nminutes", creator.public_name, "1:00", "1.99 USD"):
        assert shown in html
    assert f'data-stream="/api/v1/stream/{video.pk}"' in html
    assert 'data-sign-in="/api/v1/auth/login"' in html
    assert f'poster="/api/v1/videos/{video.pk}/poster?v={video.current_version}"' in html
    assert "noindex" not in html
    scripts = re.findall(r'<script src="(.*?)"', html)
    assert scripts == ["/static/streaming/hls/hls.min.js", "/static/streaming/watch.js"]
    for script in scripts:
        assert client.get(script).status_code == 200


def test_an_unlisted_video_is_found_by_its_link_and_by_no_search_engine(client, make_video):
    answer = client.get(f"/watch/{make_video(visibility='unlisted').pk}")

    assert answer.status_code == 200
    assert b'<meta name="robots" content="noindex">' in answer.content


def test_the_address_may_be_written_in_other_ways(client, make_video):
    video = make_video()

    for form in (f"{video.pk}".upper(), f"{video.pk}/"):
        assert client.get(f"/watch/{form}").status_code == 200, form
    for form in (video.pk.hex, f"{{{video.pk}}}", video.pk.urn):
        assert client.get(f"/watch/{form}").status_code == 404, form


@pytest.mark.parametrize("kind", HIDDEN)
def test_a_hidden_video_is_answered_like_an_unknown_one(client, make_video, kind):
    video = make_video(title="Secret", **HIDDEN[kind])

    hidden, unknown = client.get(f"/watch/{video.pk}"), client.get(f"/watch/{UNKNOWN}")

    assert (hidden.status_code, unknown.status_code) == (404, 404)
    assert hidden.content == unknown.content
    assert b"There is no video at this address." in hidden.content


@pytest.mark.parametrize(
    "junk",
    [
        "0",
        "-1",
        "%00",
        "x" * 500,
        "..%2f..%2fetc",
        "%ed%a0%80",
        "01a21882-4f6c-7b21-9d0e-5c3a8f1e7b44x",
        "\uff11",
        "<b>",
        "{}",
    ],
)
def test_a_junk_id_is_a_page_that_says_so(client, junk):
    answer = client.get(f"/watch/{junk}", HTTP_ACCEPT="text/html")

    assert (answer.status_code, answer["Content-Type"]) == (404, "text/html; charset=utf-8")


@pytest.mark.parametrize("path", ["/", "/watch/{pk}", "/watch/0"])
def test_every_page_loads_from_this_host_only_and_answers_head(client, make_video, path):
    path = path.format(pk=make_video().pk)

    answer, head = client.get(path), client.head(path)
    html = answer.content.decode()

    assert answer["Content-Security-Policy"] == PAGE
    assert "unsafe" not in PAGE
    assert not re.search(r"""(src|href)=["']?(https?:)?//|<style|style=| on\w+=""", html)
    assert (head.status_code, head.content) == (answer.status_code, b"")
    assert answer.cookies == {}
    assert client.post(path).status_code == 405


def test_the_admin_site_leads_to_the_start_page(admin_client):
    html = admin_client.get("/admin/").content.decode()

    assert re.search(r'<a href="/"[^>]*>.*?<span>View site</span>', html, re.DOTALL)
