"""The pages on which viewers report a video, and owners appeal against its take-down."""

import re

import pytest
from django.test import Client

from accounts.roles import Role
from analytics.tests.test_moderation_desk import snapshot
from payments.models import Notice
from videos.moderation import cases
from videos.moderation.models import Appeal, ModerationCase, Report

pytestmark = pytest.mark.django_db
WHY = {"reason": "violence", "note": "Minute <two>."}


@pytest.fixture
def video(make_video, creator):
    return make_video(creator=creator, title="The <b>harbour</b>")


@pytest.fixture
def taken_down(video, viewer, admin):
    case = cases.report(video=video, reporter=viewer, reason="spam")[0].case
    return cases.take_down(case_id=case.pk, actor=admin, **WHY)


def text_of(answer) -> str:
    return answer.content.decode()


class TestReports:
    def test_the_page_of_a_video_leads_to_the_form_and_the_form_to_the_desk(
        self, client, viewer, video, admin
    ):
        page = f"/report/{video.pk}"
        assert f'href="{page}"' in text_of(client.get(f"/watch/{video.pk}"))
        assert client.get(page)["Location"] == f"/sign-in?next={page}"
        client.force_login(viewer)
        shown = client.get(page)
        assert (shown.status_code, shown["Cache-Control"]) == (200, "no-store")
        assert "Report <bdi>The &lt;b&gt;harbour&lt;/b&gt;</bdi>" in text_of(shown)
        assert not Report.objects.exists()

        done = client.post(page, {"reason": "spam", "detail": "It sells\nwatches."})
        assert "A moderator will look at this video." in text_of(done)
        again = client.post(page, {"reason": "violence"})
        assert again.status_code == 200
        row = Report.objects.get()
        assert (row.reporter, row.reason, row.detail) == (viewer, "violence", "")
        client.force_login(admin)
        assert "violence (1)" in text_of(client.get("/admin/videos/moderationcase/"))

    @pytest.mark.parametrize(
        "body", [{}, {"reason": "x"}, {"reason": "spam", "detail": "x" * 2001}]
    )
    def test_what_is_no_report_is_explained_and_kept(self, client, viewer, video, body):
        client.force_login(viewer)
        before = snapshot()
        answer = client.post(f"/report/{video.pk}", body)
        assert answer.status_code == 400
        assert 'role="alert"' in text_of(answer)
        if "detail" in body:
            assert body["detail"] in text_of(answer)
        assert snapshot() == before

    def test_what_cannot_be_reported_is_refused(
        self, client, viewer, creator, make_video, video, taken_down
    ):
        client.force_login(viewer)
        mine, draft = make_video(creator=viewer), make_video(ready=False)
        before = snapshot()
        unknown = "00000000-0000-7000-8000-000000000000"
        expected = {mine.pk: 409, draft.pk: 404, video.pk: 404, unknown: 404, "x": 404}
        for pk, status in expected.items():
            assert client.post(f"/report/{pk}", {"reason": "spam"}).status_code == status, pk
        client.force_login(creator)  # may open the video that is taken down
        assert client.post(f"/report/{video.pk}", {"reason": "spam"}).status_code == 409
        assert Client().post(f"/report/{mine.pk}", {"reason": "spam"}).status_code == 302
        assert client.put(f"/report/{mine.pk}").status_code == 405
        assert snapshot() == before


class TestAppeals:
    def test_the_mail_leads_to_the_form_and_the_form_to_the_desk(
        self, client, creator, taken_down, admin
    ):
        page = f"/appeal/{taken_down.video_id}"
        mail = Notice.objects.get(user=creator, subject__contains="taken down")
        assert page in mail.body
        client.force_login(creator)
        html = text_of(client.get(page))
        assert "Reason: violence." in html
        assert "Minute &lt;two&gt;." in html
        assert "Appeals left: 2." in html
        done = client.post(page, {"detail": "These are puppets."})
        assert "waits for a moderator" in text_of(done)
        assert Appeal.objects.get().detail == "These are puppets."
        assert "waits for a decision" in text_of(client.get(page))

        before = snapshot()
        twice = client.post(page, {"detail": "Puppets!"})
        assert twice.status_code == 409
        assert "waiting for a decision already" in text_of(twice)
        assert client.post(page, {"detail": " "}).status_code == 400
        assert snapshot() == before

        cases.restore(case_id=taken_down.pk, actor=admin)
        assert "not taken down" in text_of(client.get(page))
        assert client.post(page, {"detail": "Thanks"}).status_code == 409

    def test_it_is_the_owners_alone(self, client, viewer, make_user, admin, video, taken_down):
        others = [(viewer, 404), (make_user(Role.CREATOR), 404), (admin, 403)]
        before = snapshot()
        page = f"/appeal/{video.pk}"
        assert client.get(page).status_code == client.post(page).status_code == 302
        for user, status in others:
            client.force_login(user)
            assert client.get(page).status_code == status
            assert client.post(page, {"detail": "No"}).status_code == status
        assert snapshot() == before


@pytest.mark.parametrize("page", ["report", "appeal"])
def test_a_form_of_another_site_does_nothing(client, viewer, video, creator, page):
    """T253: neither files anything in the name of the user whose browser is misused."""
    case = cases.report(video=video, reporter=viewer, reason="spam")[0].case
    if page == "appeal":
        cases.take_down(case_id=case.pk, actor=viewer, **WHY)
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(creator if page == "appeal" else viewer)
    body = {"reason": "violence", "detail": "forged"}
    before = snapshot()
    assert strict.post(f"/{page}/{video.pk}", body).status_code == 403
    assert snapshot() == before
    html = text_of(strict.get(f"/{page}/{video.pk}"))
    (token,) = re.findall(r'name="csrfmiddlewaretoken" value="(.*?)"', html)
    sent = strict.post(f"/{page}/{video.pk}", {**body, "csrfmiddlewaretoken": token})
    assert sent.status_code == 200
    assert ModerationCase.objects.get().reports.get().detail == (
        "forged" if page == "report" else ""
    )
