"""Every address of the admin site, for every role."""

import pytest
from django.test import RequestFactory
from django.urls import reverse

from accounts import services
from accounts.roles import Role
from analytics.tests import admin_addresses as addresses
from config.tests import desk
from videos.moderation.models import ModerationCase

pytestmark = [pytest.mark.django_db, pytest.mark.long]
SIGN_IN = "/admin/login/"
OPEN = {"login"}  # to everybody
# A moderator decides about reported videos, and may change their own password. A page belongs here when
# it is meant for moderators.
OF_MODERATORS = {
    "index", "search", "password_change", "password_change_done", "jsi18n", "login",
    "app_list videos", "videos_moderationcase_changelist", "videos_moderationcase_change",
    "videos_moderationcase_history", "videos_moderationcase_decide",
}  # fmt: skip
# These answer otherwise than with a page: they need a parameter, lead elsewhere, or are for a script or
# a button of the moderators' desk (analytics/tests/test_moderation_desk.py).
NO_PAGES = {
    "autocomplete", "view_on_site", "logout", "streaming_playbacksession_review",
    "videos_moderationcase_open",
}  # fmt: skip


@pytest.fixture
def every_address(one_of_each, admin) -> dict[str, str]:
    """The address of each name. Pages of rows and acts are those of one row of each table."""
    request = RequestFactory().get("/admin/")
    request.user = admin
    found = {}
    for page in addresses.PAGES:
        row = page.model._default_manager.first()
        for name in addresses.OWN:
            full = f"{addresses.prefix(page)}_{name}"
            args = [] if name in {"changelist", "add"} else [row.pk]
            found[full] = reverse(f"admin:{full}", args=args)
        for name, address in addresses.acts_of(page, request):
            found[f"{addresses.prefix(page)}_act {name}"] = address
        if page.opts.label == "payments.Dispute":
            name = "payments_dispute_evidence"
            found[name] = reverse(f"admin:{name}", args=[row.pk])
        found[f"app_list {page.opts.app_label}"] = reverse(
            "admin:app_list", args=[page.opts.app_label]
        )
    for name in addresses.OF_THE_SITE - NO_PAGES - {"app_list"}:
        found[name] = reverse(f"admin:{name}")
    for name in ("payments_revenue", "payments_review"):
        found[name] = reverse(f"admin:{name}")
    found["audit_auditentry_export"] = reverse("admin:audit_auditentry_export") + "?format=csv"
    case = ModerationCase.objects.get()
    decide = reverse("admin:videos_moderationcase_decide", args=["dismiss"])
    found["videos_moderationcase_decide"] = f"{decide}?case={case.pk}"
    return found


def test_the_walk_knows_every_address(every_address):
    """A page that a branch adds is walked over, or this test says that it is not."""
    without_acts = {name.partition(" ")[0] for name in every_address}
    pages_without_acts = {f"{addresses.prefix(page)}_act" for page in addresses.PAGES}
    assert addresses.names() - without_acts - pages_without_acts == NO_PAGES


@pytest.mark.parametrize("who", ["nobody", Role.VIEWER, Role.CREATOR, "deactivated administrator"])
def test_who_is_no_staff_comes_to_the_sign_in(client, make_user, every_address, who):
    if who == "deactivated administrator":
        client.force_login(make_user(Role.ADMIN))
        boss = client.get("/admin/").wsgi_request.user
        services.set_active(user_id=boss.pk, is_active=False, actor=None)
    elif who != "nobody":
        client.force_login(make_user(who))
    before = addresses.everything()
    for name, address in every_address.items():
        for answer in (client.get(address), client.post(address, {"reason": "yes"})):
            if name in OPEN:
                assert answer.status_code in {200, 403}, name
            else:
                assert answer.status_code == 302, name
                assert answer["Location"].startswith(SIGN_IN), name
    assert addresses.everything() == before


def test_a_moderator_opens_what_is_for_moderators_and_nothing_else(
    client, make_user, every_address
):
    user = services.set_moderator(user_id=make_user().pk, is_moderator=True, actor=None)
    client.force_login(user)
    found = {name: client.get(address).status_code for name, address in every_address.items()}

    assert {name for name, status in found.items() if status == 200} == OF_MODERATORS - {"login"}
    others = {name: status for name, status in found.items() if name not in OF_MODERATORS}
    assert set(others.values()) <= {403, 404}, others  # an app without a page for them is a 404

    before = addresses.everything()
    for name, address in every_address.items():
        if " " in name and not name.startswith("app_list"):
            page = client.post(
                address, {"reason": desk.REASON, "rows": address.partition("rows=")[2]}
            )
            assert page.status_code == 403, name
    assert addresses.everything() == before


def test_an_administrator_opens_everything(client, admin, every_address):
    client.force_login(admin)
    closed = {
        name
        for name, address in every_address.items()
        if client.get(address).status_code not in {200, 302}
    }
    # Tables that only services write to have no form, nothing is deleted here, and nothing happens to
    # a recorded request.
    closed.remove("audit_apirequest_history")
    assert {name.rpartition("_")[2] for name in closed} == {"add", "delete"}
    opened = {name for name in every_address if name.endswith("_add")} - closed
    assert opened == {"payments_plan_add", "payments_coupon_add"}
