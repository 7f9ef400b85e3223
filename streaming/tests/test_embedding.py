"""The player in frames of other sites, and oEmbed: who may, and that nobody learns of hidden videos."""

import re

import pytest

from audit.models import AuditEntry
from config.headers import PAGE
from streaming.tests.test_pages import HIDDEN, UNKNOWN

pytestmark = pytest.mark.django_db
OEMBED = "/oembed"


def ancestors(answer) -> str:
    (found,) = re.findall(r"frame-ancestors [^;]*", answer["Content-Security-Policy"])
    return found


def embedded(client, video) -> str:
    return ancestors(client.get(f"/embed/{video.pk}"))


def test_without_domains_no_other_site_embeds_a_video(client, make_video):
    assert embedded(client, make_video()) == "frame-ancestors 'self'"


def test_the_domains_of_a_video_come_before_those_of_its_creator(client, make_video, make_user):
    creator = make_user("CREATOR", embed_domains=["blog.example"])
    of_creator = make_video(creator=creator)
    of_its_own = make_video(creator=creator, embed_domains=["shop.example", "*.school.example"])
    everywhere = make_video(creator=creator, embed_domains=["shop.example", "*"])

    assert embedded(client, of_creator) == "frame-ancestors 'self' blog.example:*"
    assert (
        embedded(client, of_its_own) == "frame-ancestors 'self' shop.example:* *.school.example:*"
    )
    assert embedded(client, everywhere) == "frame-ancestors 'self' *"


def test_only_the_frame_may_be_framed(client, make_video):
    video = make_video(embed_domains=["*"])

    frame, page = client.get(f"/embed/{video.pk}"), client.get(f"/watch/{video.pk}")

    assert "X-Frame-Options" not in frame
    assert frame["Content-Security-Policy"] == PAGE.replace(
        "frame-ancestors 'none'", "frame-ancestors 'self' *"
    )
    assert (page["X-Frame-Options"], ancestors(page)) == ("DENY", "frame-ancestors 'none'")
    assert frame.cookies == {}
    html = frame.content.decode()
    assert not re.search(r"""<style|style=| on\w+=|(src|href)=["'](https?:)?//""", html)
    assert "data-site-session" not in html
    assert 'type="password"' not in html


@pytest.mark.parametrize("kind", HIDDEN)
def test_a_hidden_video_is_not_embedded(client, make_video, kind):
    video = make_video(title="Secret", embed_domains=["*"], **HIDDEN[kind])

    hidden, unknown = client.get(f"/embed/{video.pk}"), client.get(f"/embed/{UNKNOWN}")

    assert (hidden.status_code, hidden.content) == (404, unknown.content)
    assert ancestors(hidden) == "frame-ancestors 'none'"


def test_an_owner_sets_the_domains_of_a_video(client_for, make_video, creator):
    video = make_video(creator=creator)
    client, url = client_for(creator), f"/api/v1/videos/{video.pk}"

    sent = [" Blog.Example ", "*.Bücher.example", "blog.example", "127.0.0.1"]
    answer = client.patch(url, {"embed_domains": sent}, format="json")

    kept = ["blog.example", "*.xn--bcher-kva.example", "127.0.0.1"]
    assert answer.status_code == 200
    assert answer.json()["embed_domains"] == kept
    entry = AuditEntry.objects.filter(action="video.changed").latest("pk")
    assert entry.data["changes"]["embed_domains"] == {"before": [], "after": kept}
    stranger = client_for().get(url).json()
    assert "embed_domains" not in stranger


def test_a_creator_sets_the_domains_of_all_their_videos(client_for, make_video, creator):
    video = make_video(creator=creator)
    client = client_for(creator)
    name = creator.display_name

    answer = client.patch("/api/v1/auth/me", {"embed_domains": ["blog.example"]}, format="json")

    assert answer.status_code == 200
    assert (answer.json()["embed_domains"], answer.json()["display_name"]) == (
        ["blog.example"],
        name,
    )
    assert embedded(client_for(), video) == "frame-ancestors 'self' blog.example:*"
    entry = AuditEntry.objects.filter(action="user.profile_changed").latest("pk")
    assert entry.data["changes"] == {"embed_domains": {"before": [], "after": ["blog.example"]}}


@pytest.mark.parametrize(
    "domains",
    [
        ["https://blog.example"],
        ["blog.example:8000"],
        ["blog.example/page"],
        ["*."],
        ["*blog.example"],
        ["a.*.example"],
        ["blog.example; script-src *"],
        ["blog.example 'unsafe-inline'"],
        ["'none'"],
        ["blog_1.example"],
        ["-a.example"],
        ["a..example"],
        ["x" * 64 + ".example"],
        [("a" * 60 + ".") * 5 + "example"],
        ["[::1]"],
        ["\u2028.example"],
        [""],
        ["a.example"] * 51,
        "blog.example",
        [7, None],
        {"a": "b"},
    ],
    ids=lambda each: str(each)[:30],
)
def test_what_is_no_domain_is_refused_and_nothing_changes(client_for, make_video, creator, domains):
    video = make_video(creator=creator, embed_domains=["kept.example"])
    client = client_for(creator)

    for url in (f"/api/v1/videos/{video.pk}", "/api/v1/auth/me"):
        answer = client.patch(url, {"embed_domains": domains}, format="json")
        assert answer.status_code == 400, answer.content
        assert {error["attr"].split(".")[0] for error in answer.json()["errors"]} == {
            "embed_domains"
        }
    video.refresh_from_db()
    creator.refresh_from_db()
    assert (video.embed_domains, creator.embed_domains) == (["kept.example"], [])
    assert embedded(client_for(), video) == "frame-ancestors 'self' kept.example:*"


def asked(client, url: str, **query):
    return client.get(OEMBED, {"url": url, **query})


def test_oembed_tells_how_a_public_video_is_embedded(client, make_video, creator):
    video = make_video(
        creator=creator, title="<Fog> & more", embed_domains=["*"], width=1920, height=1080
    )
    site = "http://testserver"

    answer = asked(client, f"{site}/watch/{video.pk}", format="json", maxwidth="480")
    told = answer.json()

    assert answer.status_code == 200
    assert answer["Access-Control-Allow-Origin"] == "*"
    assert (told["version"], told["type"], told["title"]) == ("1.0", "video", "<Fog> & more")
    assert told["author_name"] == creator.public_name
    assert (told["width"], told["height"]) == (480, 270)
    assert f'<iframe src="{site}/embed/{video.pk}" title="&lt;Fog&gt; &amp; more"' in told["html"]
    assert told["thumbnail_url"] == f"{site}/api/v1/videos/{video.pk}/poster"
    small = asked(client, f"{site}/embed/{video.pk}", maxwidth="480", maxheight="200").json()
    assert (small["width"], small["height"]) == (356, 200)
    page = client.get(f"/watch/{video.pk}").content.decode()
    (link,) = re.findall(
        r'<link rel="alternate" type="application/json\+oembed" href="(.*?)"', page
    )
    assert client.get(link.replace("&amp;", "&")).json()["title"] == "<Fog> & more"


def test_a_video_that_no_other_site_may_embed_is_told_as_a_link(client, make_video):
    told = asked(client, f"http://testserver/watch/{make_video().pk}").json()

    assert told["type"] == "link"
    assert "html" not in told


@pytest.mark.parametrize(
    "fields", [*HIDDEN.values(), {"visibility": "unlisted"}], ids=lambda each: next(iter(each))
)
def test_oembed_knows_no_hidden_video(client, make_video, fields):
    video = make_video(title="Secret", embed_domains=["*"], **fields)

    hidden = asked(client, f"http://testserver/watch/{video.pk}")
    unknown = asked(client, f"http://testserver/watch/{UNKNOWN}")

    assert (hidden.status_code, hidden.content) == (404, unknown.content)


@pytest.mark.parametrize(
    ("url", "query", "status"),
    [
        ("", {}, 404),
        ("http://testserver/watch/x", {}, 404),
        ("http://evil.example/watch/{pk}", {}, 404),
        ("https://testserver/watch/{pk}", {}, 404),
        ("http://[", {}, 404),
        ("HTTP://TestServer/watch/{pk}", {}, 200),
        ("http://testserver@evil.example/watch/{pk}", {}, 404),
        ("http://user@testserver/watch/{pk}", {}, 404),
        ("http://testserver.evil.example/watch/{pk}", {}, 404),
        ("//testserver/watch/{pk}", {}, 404),
        ("http:testserver/watch/{pk}", {}, 404),
        ("http://testserver\\@evil.example/watch/{pk}", {}, 404),
        ("javascript://testserver/watch/{pk}", {}, 404),
        ("data:text/html,http://testserver/watch/{pk}", {}, 404),
        ("http://testserver/watch/{pk}/../x", {}, 404),
        ("http://testserver/watch/{pk}%2f..", {}, 404),
        ("http://testserver/watch/{pk}\x00", {}, 404),
        ("http://testserver/watch/{pk}", {"format": "xml"}, 501),
        ("http://testserver/watch/{pk}", {"maxwidth": "0"}, 400),
        ("http://testserver/watch/{pk}", {"maxwidth": "-1"}, 400),
        ("http://testserver/watch/{pk}", {"maxheight": "1e3"}, 400),
        ("http://testserver/watch/{pk}", {"maxheight": "\u0662\u0660\u0660"}, 400),
        ("http://testserver/watch/{pk}", {"maxwidth": "9" * 40}, 400),
        ("http://testserver/watch/{pk}", {"maxwidth": "999999"}, 200),
    ],
)
def test_oembed_answers_every_question(client, make_video, url, query, status):
    video = make_video(embed_domains=["*"])

    answer = asked(client, url.format(pk=video.pk), **query)

    assert answer.status_code == status
    assert answer["Content-Type"] == "application/json"
    assert client.post(OEMBED).status_code == 405
