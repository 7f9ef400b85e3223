"""The admin site: the users who may sign in, and every page loads."""

import pytest
from django.apps import apps
from django.contrib import admin as site
from django.urls import reverse

from accounts import services, tokens
from accounts.models import User
from accounts.roles import Role
from audit.models import AuditEntry
from config.tests import desk
from videos.models import Video

pytestmark = pytest.mark.django_db

PASSWORD = "a long pass phrase"
MODELS = sorted(site.site._registry, key=lambda model: model._meta.label)


def page(model, name: str, *args) -> str:
    meta = model._meta
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_{name}", args=args)


@pytest.fixture
def moderator(make_user):
    user = make_user(email="mod@example.com", password=PASSWORD)
    return services.set_moderator(user_id=user.pk, is_moderator=True, actor=None)


def sign_in(client, email: str, password: str = PASSWORD):
    form = {"username": email, "password": password, "next": "/admin/"}
    return client.post("/admin/login/?next=/admin/", form)


def test_an_administrator_signs_in_with_e_mail_and_password(client, make_user):
    make_user(Role.ADMIN, email="boss@example.com", password=PASSWORD)

    assert sign_in(client, "Boss@Example.com ").status_code == 302
    assert client.get("/admin/").status_code == 200


@pytest.mark.parametrize("role", [Role.VIEWER, Role.CREATOR])
def test_other_roles_cannot_sign_in(client, make_user, role):
    make_user(role, email="ann@example.com", password=PASSWORD)

    answer = sign_in(client, "ann@example.com")

    assert answer.status_code == 200  # the form again
    assert "_auth_user_id" not in client.session
    assert client.get("/admin/").status_code == 302


def test_a_wrong_password_or_a_deactivated_administrator_cannot_sign_in(client, make_user):
    boss = make_user(Role.ADMIN, email="boss@example.com", password=PASSWORD)
    assert sign_in(client, "boss@example.com", "not it").status_code == 200
    User.objects.filter(pk=boss.pk).update(is_active=False)
    assert sign_in(client, "boss@example.com").status_code == 200
    assert client.get("/admin/").status_code == 302


def test_a_session_ends_with_deactivation_and_with_a_new_password(client, make_user, client_for):
    boss = make_user(Role.ADMIN, email="boss@example.com", password=PASSWORD)
    sign_in(client, "boss@example.com")
    change = {"current_password": PASSWORD, "new_password": "quite another phrase"}
    client_for(boss).post("/api/v1/auth/password", change)
    assert client.get("/admin/").status_code == 302

    sign_in(client, "boss@example.com", "quite another phrase")
    assert client.get("/admin/").status_code == 200
    User.objects.filter(pk=boss.pk).update(is_active=False)
    assert client.get("/admin/").status_code == 302


def test_every_page_loads(client, admin, one_of_each):
    client.force_login(admin)
    for model in MODELS:
        row = model._default_manager.first()
        assert row is not None, f"one_of_each makes no {model._meta.label}"

        listed = client.get(page(model, "changelist"))
        shown = client.get(page(model, "change", row.pk))

        assert (listed.status_code, shown.status_code) == (200, 200), model._meta.label
        assert b"<b>Bold</b>" not in listed.content + shown.content


@pytest.mark.long
@pytest.mark.sweep
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_hostile_queries_never_break_a_list(client, admin, model):
    client.force_login(admin)
    url = page(model, "changelist")

    for query in (
        "q=%00", "q=" + "x" * 8000, "p=1000000000", "p=x", "e=1", "o=99.-1.x", "all=",
        "password__startswith=a", "id__exact=x", "id=%00", "created_at__year=0", "at__year=99999999",
        "created_at__day=99", "status__exact=x", "is_active__exact=maybe", "deleted=x", "role__id=x",
    ):  # fmt: skip
        answer = client.get(f"{url}?{query}")
        assert answer.status_code in {200, 302, 400}, query
    for pk in ("x", "0", "%00", "999999999999999999999999"):
        assert client.get(f"{url}{pk}/change/").status_code in {302, 404}


def test_nothing_is_deleted_from_the_admin_site(client, admin, one_of_each):
    client.force_login(admin)
    for model in MODELS:
        before = set(model._default_manager.values_list("pk", flat=True))
        row = model._default_manager.all()[0]

        direct = client.post(page(model, "delete", row.pk), {"post": "yes"})
        bulk = {"action": "delete_selected", "_selected_action": [str(row.pk)], "post": "yes"}
        client.post(page(model, "changelist"), bulk)

        assert direct.status_code == 403, model._meta.label
        assert before <= set(model._default_manager.values_list("pk", flat=True))


def test_the_audit_log_and_the_ledger_cannot_be_added_to(client, admin):
    client.force_login(admin)
    for label in ("audit.AuditEntry", "payments.JournalEntry", "payments.Order"):
        model = apps.get_model(label)
        before = model.objects.count()
        assert client.post(page(model, "add"), {}).status_code == 403
        assert model.objects.count() == before


def test_a_moderator_signs_in_and_sees_the_desk_only(client, moderator, one_of_each):
    assert sign_in(client, "mod@example.com").status_code == 302
    assert client.get("/admin/").status_code == 200

    allowed = {
        m._meta.label for m in MODELS if client.get(page(m, "changelist")).status_code == 200
    }
    refused = {
        m._meta.label for m in MODELS if client.get(page(m, "changelist")).status_code == 403
    }

    assert allowed == {"videos.ModerationCase"}
    assert refused == {model._meta.label for model in MODELS} - allowed


def test_a_moderator_changes_no_user_and_no_payment(client, moderator, one_of_each, viewer):
    client.force_login(moderator)
    order = apps.get_model("payments.Order").objects.all()[0]
    plan = apps.get_model("payments.Plan").objects.all()[0]

    for url, data in (
        (page(User, "change", viewer.pk), {"display_name": "Hacked"}),
        (page(User, "changelist"), {"action": "deactivate", "_selected_action": [str(viewer.pk)]}),
        (page(type(order), "change", order.pk), {"status": "pending"}),
        (
            page(type(order), "changelist"),
            {"action": "refund_in_full", "_selected_action": [str(order.pk)]},
        ),
        (page(type(plan), "change", plan.pk), {"name": "Hacked"}),
        (page(type(plan), "add"), {"code": "free", "amount": 1}),
        (page(Video, "change", one_of_each.pk), {"title": "Hacked"}),
    ):
        assert client.post(url, data).status_code == 403, url

    viewer.refresh_from_db()
    assert (viewer.display_name, viewer.is_active) == ("Viewer", True)
    assert not apps.get_model("payments.Plan").objects.filter(name="Hacked").exists()
    assert not Video.objects.filter(title="Hacked").exists()


def test_a_moderator_deletes_no_video(client, moderator, one_of_each):
    client.force_login(moderator)

    action = {"action": "delete_videos", "_selected_action": [str(one_of_each.pk)]}
    client.post(page(Video, "changelist"), action)

    one_of_each.refresh_from_db()
    assert one_of_each.deleted_at is None


def test_a_moderator_is_a_plain_viewer_in_the_api(client_for, moderator, make_video):
    client = client_for(moderator)
    for path in ("users/", "audit/", "analytics/admin", "payments/admin/revenue"):
        assert client.get(f"/api/v1/{path}").status_code == 403, path
    draft = make_video(ready=False)
    assert client.get(f"/api/v1/videos/{draft.pk}").status_code == 404


def test_the_admin_site_deactivates_a_user_through_the_service(client, admin, viewer):
    client.force_login(admin)
    pair = tokens.issue(viewer)

    desk.act(client, "deactivate", viewer)

    viewer.refresh_from_db()
    assert not viewer.is_active
    bearer = {"HTTP_AUTHORIZATION": f"Bearer {pair.access}"}
    assert client.get("/api/v1/auth/me", **bearer).status_code == 401
    entry = AuditEntry.objects.get(action="user.deactivated")
    assert (entry.actor_id, entry.target_id) == (admin.pk, str(viewer.pk))
    assert entry.data["admin_reason"] == desk.REASON


def test_the_admin_site_does_not_deactivate_the_last_administrator(client, admin):
    User.objects.exclude(pk=admin.pk).update(is_active=False)
    client.force_login(admin)

    answer = desk.act(client, "deactivate", admin)

    assert b"last active administrator" in answer.content
    admin.refresh_from_db()
    assert admin.is_active


def test_errors_of_the_admin_site_are_pages_not_json(client, admin):
    client.force_login(admin)

    answer = client.get("/admin/nothing/here/")

    assert answer.status_code == 404
    assert answer["Content-Type"].startswith("text/html")
