"""The pages of figures: who sees them, that they say what the API says, and what they refuse."""

import hashlib
import random
import re
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path

import pytest
from django.test import Client

from accounts.roles import Role
from analytics import pages
from analytics.tests import histories
from audit.models import AuditEntry
from config.headers import PAGE
from payments.tests.months import at
from videos.moderation import cases, suspending

pytestmark = pytest.mark.django_db
PASSWORD = "a long pass phrase"
OWN, ALL = "/numbers/creator", "/numbers/platform"
JUNE = {"from": "2026-06-01", "through": "2026-06-30"}
SAME = {"from": "2026-06-01", "to": "2026-07-01"}
UPLOT = {
    "uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    "uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
}


@pytest.fixture
def videos(creator, make_user, make_video, buy):
    made = [
        make_video(creator=creator, title="Fog & <lights>", price=1999),
        make_video(creator=creator, title="Sea"),
        make_video(creator=make_user(Role.CREATOR), title="Foreign"),
    ]
    begin, dice = datetime(2026, 6, 1, tzinfo=UTC), random.Random(5)  # noqa: S311 - repeatable
    histories.make(made, begin - timedelta(days=20), begin + timedelta(days=25), 250, dice)
    buy(make_user(), made[0])
    return made


def test_the_pages_have_the_limit_of_pages(client, creator, videos, settings):
    settings.RATE_LIMITS = {"auth": 0, "stream": 0, "default": 3}
    client.force_login(creator)
    pages = [OWN, "/numbers/", f"/numbers/videos/{videos[0].pk}", OWN]
    answers = [client.get(page) for page in pages]
    assert [answer.status_code for answer in answers] == [200, 302, 200, 429]
    assert 1 <= int(answers[3]["Retry-After"]) <= 60
    assert b"Too many pages" in answers[3].content


def test_a_suspended_creator_is_told(client, client_for, creator, admin, videos):
    client.force_login(creator)
    assert client_for(creator).get("/api/v1/auth/me").json()["suspended_at"] is None
    assert "suspended" not in client.get(OWN).content.decode()
    suspending.suspend(creator_id=creator.pk, actor=admin, reason="violence", note="")
    creator.refresh_from_db()
    told = client_for(creator).get("/api/v1/auth/me").json()["suspended_at"]
    assert datetime.fromisoformat(told) == creator.suspended_at
    html = client.get(OWN).content.decode()
    assert f"suspended as a creator since {creator.suspended_at:%Y-%m-%d}" in html
    assert client_for(creator).patch("/api/v1/auth/me", {"suspended_at": None}).status_code < 500
    creator.refresh_from_db()
    assert creator.suspended_at is not None


def test_the_menu_of_the_admin_site_leads_to_the_figures(client, admin):
    client.force_login(admin)
    html = client.get("/admin/").content.decode()
    assert re.search(r'<a href="/numbers/"[^>]*>.*?<span>Figures</span>', html, re.DOTALL)
    assert client.get("/numbers/", follow=True).status_code == 200


def cards(html: str) -> dict[str, str]:
    found = re.findall(r"<dt>(.*?)</dt>\s*<dd>(.*?)</dd>", html, re.DOTALL)
    return {name: unescape(value) for name, value in found}


def test_a_creator_signs_in_and_sees_what_the_api_says(client, client_for, make_user, make_video):
    ann = make_user(Role.CREATOR, email="ann@example.com", password=PASSWORD)
    video, begin = make_video(creator=ann), datetime(2026, 6, 1, tzinfo=UTC)
    histories.make([video], begin, begin + timedelta(days=9), 60, random.Random(2))  # noqa: S311
    address = f"{OWN}?from=2026-06-01&through=2026-06-30&tz=Asia%2FKolkata"
    sent = client.get(address)
    assert sent.status_code == 302
    form = {"username": "ann@example.com", "password": PASSWORD}
    back = client.post(sent["Location"], form)
    assert (back.status_code, back["Location"]) == (302, address)
    page = client.get(back["Location"])
    assert (page.status_code, page["Cache-Control"]) == (200, "no-store")
    assert page["Content-Security-Policy"] == PAGE
    html = page.content.decode()
    assert not re.search(r"style=|<script>|https?://", html)
    data = client_for(ann).get("/api/v1/analytics/creator", {**SAME, "tz": "Asia/Kolkata"}).json()
    shown = cards(html)
    assert shown["Views"] == str(data["totals"]["views"]) != "0"
    data = (
        client_for(ann)
        .get("/api/v1/analytics/creator", {**SAME, "tz": "Asia/Kolkata", "compare": "previous"})
        .json()
    )
    assert data["comparison"]["begins_at"] == "2026-05-02T00:00:00+05:30"
    assert "2026-05-02 to just before 2026-06-01" in html
    assert shown["Unique viewers"] == str(data["totals"]["unique_viewers"])
    assert shown["Sessions with reports"] == str(data["quality"]["sessions"])
    steps = re.findall(r'<time datetime="(.*?)".*?<td>(\d+)</td>', html)
    series, quality = data["series"], data["quality_series"]
    expected = [(row["bucket"], str(row["views"])) for row in series]
    expected += [(row["bucket"], str(row["sessions"])) for row in quality]
    assert steps == expected
    assert len(quality) > 1


@pytest.mark.parametrize(
    ("change", "text"),
    [(None, "new"), (0.0, "+0 %"), (-7.5, "-7.5 %"), (1_249_800.0, "+1,249,800 %")],
)
def test_a_change_is_written_out(change, text):
    assert pages._percent(change) == text


def test_the_same_figure_is_the_same_on_every_page(client, client_for, admin, creator, videos):
    client.force_login(admin)
    pages = {
        "platform": (f"{ALL}", "/api/v1/analytics/admin", {}),
        "creator": (OWN, "/api/v1/analytics/creator", {"creator": str(creator.pk)}),
        "video": (
            f"/numbers/videos/{videos[0].pk}",
            f"/api/v1/analytics/videos/{videos[0].pk}",
            {},
        ),
    }
    for page, api, of in pages.values():
        shown = cards(client.get(page, {**JUNE, **of}).content.decode())
        totals = client_for(admin).get(api, {**SAME, **of}).json()["totals"]
        assert int(shown["Views"]) == totals["views"] > 0
        assert int(shown["Likes"]) == totals["likes"]
    html = client.get(ALL, JUNE).content.decode()
    assert "Fog &amp; &lt;lights&gt;" in html
    for video in videos:
        own = cards(client.get(f"/numbers/videos/{video.pk}", JUNE).content.decode())
        (row,) = re.findall(rf"{video.pk}\?.*?</th><td>(\d+)</td>", html)
        assert row == own["Views"]


@pytest.mark.parametrize("table", ["series", "videos", "sources", "quality"])
def test_each_table_is_a_csv_file(client, creator, videos, table):
    client.force_login(creator)
    html = client.get(OWN, JUNE).content.decode()
    (link,) = re.findall(rf'href="(\?[^"]*csv={table})"', html)
    answer = client.get(OWN + unescape(link))
    assert answer["Content-Type"].startswith("text/csv")
    lines = answer.getvalue().decode().splitlines()
    assert len(lines) > 1
    assert client.get(OWN, {"csv": "users"}).status_code == 404


def test_who_sees_which_page(client, creator, viewer, admin, make_user, videos):
    own, foreign = f"/numbers/videos/{videos[0].pk}", f"/numbers/videos/{videos[2].pk}"
    expected = {
        None: (302, 302, 302, 302, 302),
        viewer: (302, 403, 403, 404, 404),
        make_user(Role.CREATOR): (302, 200, 403, 404, 404),
        creator: (302, 200, 403, 200, 404),
        admin: (302, 200, 200, 200, 200),
    }
    for user, statuses in expected.items():
        client.logout()
        if user:
            client.force_login(user)
        pages = ("/numbers/", OWN, ALL, own, foreign)
        assert tuple(client.get(page).status_code for page in pages) == statuses, user
        if user:
            assert [client.post(page).status_code for page in pages] == [405] * 5


def test_a_creator_gets_their_own_figures_whoever_is_asked_for(client, creator, make_user, videos):
    stranger = make_user(Role.CREATOR)
    client.force_login(stranger)
    shown = cards(client.get(OWN, {**JUNE, "creator": str(creator.pk)}).content.decode())
    assert shown["Views"] == "0"


def test_an_administrator_reads_whose_figures_they_see(client, creator, admin, videos):
    client.force_login(admin)
    html = client.get(OWN, {**JUNE, "creator": str(creator.pk)}).content.decode()
    assert f"<h1>Videos of {creator.public_name}</h1>" in html
    assert "suspended" not in html.lower()
    suspending.suspend(creator_id=creator.pk, actor=admin, reason="violence", note="")
    html = client.get(OWN, {**JUNE, "creator": str(creator.pk)}).content.decode()
    assert "Suspended as a creator since" in html
    assert "Your account" not in html
    assert "<h1>Your videos</h1>" in client.get(OWN, JUNE).content.decode()
    nobody = {"creator": "00000000-0000-7000-8000-000000000000"}
    assert client.get(OWN, nobody).status_code == 404
    assert client.get(OWN, {"creator": "x"}).status_code == 400


def test_a_filter_that_a_page_does_not_have_is_refused(client, creator, admin, videos):
    """It would filter one half of the page: the figures of views, and not those of money."""
    client.force_login(admin)
    for page in (ALL, f"/numbers/videos/{videos[0].pk}"):
        answer = client.get(page, {**JUNE, "creator": str(creator.pk)})
        assert answer.status_code == 400, page
        assert "no parameter “creator”" in answer.content.decode()


def test_revenue_has_bars_beside_its_numbers(client, creator, make_user, make_video, buy):
    client.force_login(creator)
    for price in (1000, 2000):
        buy(make_user(), make_video(creator=creator, price=price, title=f"For {price}"))
    html = client.get(OWN).content.decode()
    bar = r'<meter min="0" max="1" value="([\d.]+)" aria-hidden="true"></meter>'
    of_videos = re.findall(rf"([\d.]+) USD{bar}<br>", html)
    assert sorted(of_videos) == [("16.00", "1.000"), ("8.00", "0.500")]
    assert re.findall(rf"([\d.]+) USD{bar}</td>", html) == [("24.00", "1.000")]


def test_a_video_that_nobody_has_played_has_no_empty_plot(client, creator, make_video, videos):
    client.force_login(creator)
    played, unplayed = videos[0], make_video(creator=creator)
    assert (
        "How far people watch" in client.get(f"/numbers/videos/{played.pk}", JUNE).content.decode()
    )
    page = client.get(f"/numbers/videos/{unplayed.pk}", JUNE).content.decode()
    assert "How far people watch" not in page
    assert "Nobody has watched in this period." in page


def test_a_list_that_is_cut_says_so(client, creator, videos, monkeypatch):
    client.force_login(creator)
    assert "The list and the file end" not in client.get(OWN, JUNE).content.decode()
    monkeypatch.setattr("analytics.reports.VIDEOS_MAX", 2)
    assert "end after 2 videos" in client.get(OWN, JUNE).content.decode()


def test_negative_amounts_are_numbers_in_the_csv_files(
    client, client_for, creator, admin, make_video, make_user, buy
):
    """A refund of last month's sale makes this month's share negative; a spreadsheet adds it up."""
    video = make_video(creator=creator, price=1999)
    with at("2026-05-10 12:00"):
        order = buy(make_user(), video)
    with at("2026-06-10 12:00"):
        url = f"/api/v1/payments/admin/orders/{order.pk}/refund"
        assert client_for(admin).post(url, {"reason": "requested"}).status_code == 200
    client.force_login(creator)
    for table in ("videos", "earnings"):
        text = client.get(OWN, {**JUNE, "csv": table}).getvalue().decode()
        assert ",-16.00" in text, table
        assert "'-" not in text


def test_the_owner_reads_why_a_video_was_taken_down(
    client, client_for, creator, admin, make_video, viewer
):
    video = make_video(creator=creator)
    case = cases.report(video=video, reporter=viewer, reason="spam")[0].case
    client.force_login(creator)
    page = f"/numbers/videos/{video.pk}"
    assert "taken this video down" not in client.get(page).content.decode()
    cases.take_down(case_id=case.pk, actor=admin, reason="violence", note="Cut <minute> two.")
    html = client.get(page).content.decode()
    assert ": violence. “Cut &lt;minute&gt; two.”" in html
    assert f'href="/appeal/{video.pk}"' in html
    client_for(creator).post(f"/api/v1/videos/{video.pk}/appeal", {"detail": "No"})
    assert "The appeal waits" in client.get(page).content.decode()
    cases.restore(case_id=case.pk, actor=admin)
    assert "taken this video down" not in client.get(page).content.decode()


def test_a_deactivated_creator_sees_nothing_more(client, creator):
    client.force_login(creator)
    assert client.get(OWN).status_code == 200
    creator.is_active = False
    creator.save()
    assert client.get(OWN).status_code == 302


@pytest.mark.parametrize(
    "query",
    [
        {"tz": "Mars/Olympus"},
        {"from": "soon"},
        {"through": "9999-12-31"},
        {"from": "2026-06-02", "through": "2026-05-01"},
        {"interval": "century"},
        {"interval": "hour", "from": "2020-01-01"},
        {"country": "DE"},
        {"creator": "me"},
    ],
    ids=str,
)
def test_a_wrong_question_is_explained(client, creator, query):
    client.force_login(creator)
    answer = client.get(OWN, query)
    assert answer.status_code == 400
    html = answer.content.decode()
    assert 'role="alert"' in html
    if query.get("from"):
        assert f'value="{query["from"]}"' in html  # what was asked is not lost
    if query.get("through"):
        assert f'value="{query["through"]}"' in html


def test_a_wrong_password_is_refused_and_recorded(client, make_user):
    make_user(Role.CREATOR, email="ann@example.com", password=PASSWORD)
    answer = client.post("/sign-in", {"username": "ann@example.com", "password": "wrong"})
    assert answer.status_code == 200
    assert 'role="alert"' in answer.content.decode()
    assert "_auth_user_id" not in client.session
    assert AuditEntry.objects.filter(action="login.failed").count() == 1


@pytest.mark.parametrize("next_page", ["https://evil.example/", "//evil.example", "javascript:x"])
def test_the_sign_in_leads_to_no_other_host(client, make_user, next_page):
    make_user(Role.CREATOR, email="ann@example.com", password=PASSWORD)
    form = {"username": "ann@example.com", "password": PASSWORD}
    answer = client.post(f"/sign-in?next={next_page}", form)
    assert (answer.status_code, answer["Location"]) == (302, "/numbers/")


def test_signing_in_and_out_needs_a_form_of_this_site(client, make_user):
    make_user(Role.CREATOR, email="ann@example.com", password=PASSWORD)
    strict = Client(enforce_csrf_checks=True)
    form = {"username": "ann@example.com", "password": PASSWORD}
    assert strict.post("/sign-in", form).status_code == 403
    assert strict.post("/sign-out").status_code == 403
    page = strict.get("/sign-in")
    (token,) = re.findall(r'name="csrfmiddlewaretoken" value="(.*?)"', page.content.decode())
    answer = strict.post("/sign-in", {**form, "csrfmiddlewaretoken": token})
    assert answer.status_code == 302
    assert "_auth_user_id" in strict.session
    page = strict.get(OWN)
    (token,) = re.findall(r'name="csrfmiddlewaretoken" value="(.*?)"', page.content.decode())
    assert strict.post("/sign-out", {"csrfmiddlewaretoken": token})["Location"] == "/"
    assert "_auth_user_id" not in strict.session


def test_the_library_for_plots_is_the_published_one():
    """The checksums are those of the files in the npm package uplot 1.6.32."""
    folder = Path(__file__).parents[1] / "static" / "analytics" / "uplot"
    sums = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in ("uPlot.iife.min.js", "uPlot.min.css")
    }
    assert sums == UPLOT


def test_the_owner_finds_the_html_that_embeds_a_video(client, creator, make_video):
    video = make_video(creator=creator, title="<Fog>")
    client.force_login(creator)

    page = client.get(f"/numbers/videos/{video.pk}").content.decode()
    assert "No other site may show this video" in page
    address = f"http://testserver/embed/{video.pk}"
    assert f"&lt;iframe src=&quot;{address}&quot; title=&quot;&amp;lt;Fog&amp;gt;&quot;" in page

    video.embed_domains = ["blog.example"]
    video.save()
    page = client.get(f"/numbers/videos/{video.pk}").content.decode()
    assert "These sites may show this video in a frame: blog.example." in page
