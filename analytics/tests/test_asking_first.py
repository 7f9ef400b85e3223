"""Every act of the admin site that changes money, access or existence asks first."""

import pytest
from django.test import RequestFactory
from django.urls import reverse

from accounts.models import User
from analytics.tests import admin_addresses as addresses
from audit.models import AuditEntry
from config import confirmation_page
from config.tests import desk
from videos.models import Video

pytestmark = pytest.mark.django_db

# Our other pages. Each is posted to below, and must change nothing.
READ_ONLY = {"payments_revenue", "payments_review", "audit_auditentry_export"}
# Forms that say what they save: the draft of an evidence, whose submission is an act of disputes, and
# the question of a moderator's decision (analytics/tests/test_moderation_desk.py). A moderator also
# opens a case, and plays a reported video: neither changes what anybody may do.
FORMS = {
    "payments_dispute_evidence",
    "streaming_playbacksession_review",
    "videos_moderationcase_decide",
    "videos_moderationcase_open",
}


@pytest.fixture
def request_of(admin):
    request = RequestFactory().get("/admin/")
    request.user = admin
    return request


def test_every_action_of_a_list_is_declared_with_its_question(request_of):
    unasked = [
        f"{page.opts.label}: {name}"
        for page in addresses.PAGES
        for name, (function, *_) in page.get_actions(request_of).items()
        if not hasattr(function, "asks_first") and getattr(function, "asks_on", None) not in FORMS
    ]
    assert unasked == []


def test_every_view_is_known():
    """A new view must be an act, read-only, or a form; this test makes its author say which."""
    names = addresses.names() - addresses.OF_THE_SITE - READ_ONLY - FORMS
    for page in addresses.PAGES:
        names -= {f"{addresses.prefix(page)}_{name}" for name in (*addresses.OWN, "act")}
    assert names == set()


@pytest.mark.long
def test_nothing_happens_before_the_question_is_answered(client, admin, request_of, one_of_each):
    """Chosen in a list, opened from a row, or posted without a reason: each act only asks."""
    client.force_login(admin)
    before, asked = addresses.everything(), 0
    for page in addresses.PAGES:
        row = page.model._default_manager.first()
        for name, act in page.acts(request_of).items():
            path = reverse(f"admin:{page.opts.app_label}_{page.opts.model_name}_act", args=[name])
            shown = client.get(path, {"rows": row.pk})
            pages = [shown] if act.is_task else [shown, desk.choose(client, name, row)]
            pages.append(desk.confirm(client, shown, reason=" "))
            pages.append(client.post(path, {"rows": row.pk, "reason": "yes", "shown": "other"}))
            for answer in pages:
                assert answer.status_code == 200, name
                assert answer.context["what"] is act, name
                assert act.effect, name
            asked += 1
    assert asked > 20
    assert addresses.everything() == before


@pytest.mark.parametrize("name", sorted(READ_ONLY))
def test_a_page_that_is_read_only_changes_nothing(client, admin, one_of_each, name):
    client.force_login(admin)
    before = addresses.everything()
    client.post(reverse(f"admin:{name}"), {"days": "7", "action": "delete_selected"})
    assert addresses.everything() == before


def test_a_page_says_how_many_and_keeps_its_reason_in_the_audit_log(client, admin, make_video):
    client.force_login(admin)
    videos = [make_video(title=f"Chosen {number}") for number in range(3)]
    other = make_video()

    page = desk.choose(client, "delete_videos", *videos)
    assert b"<strong>3 videos</strong>" in page.content
    assert b"Chosen 2" in page.content
    report = desk.confirm(client, page, reason="Asked for by the owner")

    assert b"Deleted: 3." in report.content
    assert set(Video.objects.deleted()) == set(videos)
    assert Video.objects.get(pk=other.pk).deleted_at is None
    reasons = [
        entry.data["admin_reason"] for entry in AuditEntry.objects.filter(action="video.deleted")
    ]
    assert reasons == ["Asked for by the owner"] * 3


def test_the_report_says_what_was_refused_and_why(client, admin, make_video):
    client.force_login(admin)
    gone, there = make_video(title="Gone"), make_video(title="There")
    page = desk.choose(client, "delete_videos", gone, there)
    desk.act(client, "delete_videos", gone)

    report = desk.confirm(client, page).content.decode()

    assert "Deleted: 1." in report
    assert "Refused: 1." in report
    assert "(Gone (deleted))" in report
    assert AuditEntry.objects.filter(action="video.deleted").count() == 2


def test_an_unforeseen_error_does_not_hide_what_was_done(client, admin, make_video, monkeypatch):
    from videos.services import catalogue

    client.force_login(admin)
    bad, good = make_video(title="Bad"), make_video(title="Good")
    delete = catalogue.delete_video

    def break_once(*, video, actor):
        if video == bad:
            raise RuntimeError("broken")
        delete(video=video, actor=actor)

    monkeypatch.setattr(catalogue, "delete_video", break_once)
    report = desk.act(client, "delete_videos", bad, good).content.decode()

    assert "Deleted: 1." in report
    assert "not foreseen" in report
    assert "(Bad)" in report
    assert set(Video.objects.deleted()) == {good}


def test_facts_that_changed_since_the_page_was_shown_are_shown_again(client, admin, make_video):
    """A page about two videos does not answer for one, nor for others."""
    client.force_login(admin)
    first, second = make_video(), make_video()
    page = desk.choose(client, "delete_videos", first, second)
    again = desk.confirm(client, page, rows=str(first.pk))

    assert b"have changed since this page was shown" in again.content
    assert not Video.objects.deleted().exists()


def test_more_rows_than_an_act_may_have_are_refused_whole(client, admin, make_video, monkeypatch):
    from config import confirming

    monkeypatch.setattr(confirming, "ROWS_MAX", 2)
    client.force_login(admin)
    answer = desk.choose(client, "delete_videos", *(make_video() for _ in range(3)))

    assert b"Choose at most 2 rows. Nothing was done." in answer.content
    assert not Video.objects.deleted().exists()


def test_rows_that_do_not_exist_are_no_page(client, admin, viewer):
    client.force_login(admin)
    path = reverse("admin:accounts_user_act", args=["deactivate"])
    for rows in ("", "x", "\x00", "01a21ee3-bb76-7723-9cd3-77d3f7549bc6"):
        for answer in (client.get(path, {"rows": rows}), client.post(path, {"rows": rows})):
            assert answer.status_code == 404
    assert client.get(reverse("admin:accounts_user_act", args=["nothing"])).status_code == 403


@pytest.mark.long
def test_several_hundred_rows_are_one_act(client, admin, make_user):
    """Django refuses a form of more than DATA_UPLOAD_MAX_NUMBER_FIELDS fields."""
    client.force_login(admin)
    emails = [f"user{number}@example.com" for number in range(300)]
    User.objects.bulk_create(
        [User(email=email, role=make_user().role) for email in emails[:1]]
        + [User(email=email, role_id=admin.role_id) for email in emails[1:]]
    )
    users = User.objects.filter(email__in=emails)
    page = desk.choose(client, "deactivate", *users)
    assert b"<strong>300 users</strong>" in page.content

    assert b"Deactivated: 300." in desk.confirm(client, page).content
    assert not users.filter(is_active=True).exists()
    assert AuditEntry.objects.filter(action="user.deactivated").count() == 300


def test_the_limit_of_fields_has_room_for_every_act(request_of, settings):
    answers = max(
        len(act.questions) for page in addresses.PAGES for act in page.acts(request_of).values()
    )
    fields = confirmation_page.ROWS_MAX * answers + 20
    assert fields < settings.DATA_UPLOAD_MAX_NUMBER_FIELDS
