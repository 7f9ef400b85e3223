"""manage.py seed: roles, first administrator and first plan of a new installation."""

from io import StringIO

import pytest
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command

from accounts import roles
from accounts.models import User
from payments.models import Plan

pytestmark = pytest.mark.django_db


def seed() -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("seed", stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def state() -> dict:
    return {
        "roles": {
            group.name: sorted(
                f"{p.content_type.app_label}.{p.codename}"
                for p in group.permissions.select_related("content_type")
            )
            for group in Group.objects.all()
        },
        "users": list(User.objects.order_by("pk").values()),
        "plans": list(Plan.objects.order_by("pk").values()),
    }


def test_seeding_twice_is_seeding_once():
    before = state()

    out, err = seed()

    assert state() == before
    assert before["roles"] == {str(r): sorted(names) for r, names in roles.PERMISSIONS.items()}
    assert "Administrator root@example.com: up to date" in out
    assert err == ""


def test_each_role_has_its_entry_of_permissions():
    """A role without an entry would be accepted by the API, and could do nothing."""
    assert set(roles.PERMISSIONS) == {*roles.Role.values, roles.MODERATOR}


def test_seeding_resets_the_permissions_of_a_role():
    creators = Group.objects.get(name="CREATOR")
    creators.permissions.set(Group.objects.get(name="ADMIN").permissions.all())

    seed()

    assert state()["roles"]["CREATOR"] == sorted(roles.PERMISSIONS["CREATOR"])


def test_an_unknown_permission_stops_it_without_a_change(monkeypatch):
    monkeypatch.setitem(roles.PERMISSIONS, "CREATOR", {"videos.add_video", "videos.fly"})
    before = state()

    with pytest.raises(CommandError, match=r"CREATOR: unknown permissions \['videos.fly'\]"):
        seed()

    assert state() == before


def test_an_existing_administrator_is_not_changed():
    root = User.objects.get(email="root@example.com")
    root.set_password("changed since then")
    root.display_name = "Root"
    root.save()

    seed()

    root.refresh_from_db()
    assert root.display_name == "Root"
    assert root.check_password("changed since then")


def test_without_a_password_no_administrator_is_created(settings):
    settings.DEFAULT_ADMIN_PASSWORD = ""
    User.objects.all().delete()

    with pytest.raises(CommandError, match="DEFAULT_ADMIN_PASSWORD"):
        seed()

    assert User.objects.count() == 0


@pytest.mark.parametrize(
    "password",
    ["admin", "qwertyuiop", "12345678901234", "root@example.com", "Administrator", "ｐａｓｓｗｏｒｄ１",  # noqa: RUF001
     "tab\tin the middle", "x" * 129],
)  # fmt: skip
@pytest.mark.parametrize("debug", [False, True])
def test_a_password_that_is_easy_to_guess_creates_nothing(settings, password, debug):
    settings.DEFAULT_ADMIN_PASSWORD, settings.DEBUG = password, debug
    User.objects.all().delete()
    Plan.objects.all().delete()
    Group.objects.all().delete()

    with pytest.raises(CommandError, match="DEFAULT_ADMIN_PASSWORD is too easy") as refusal:
        seed()

    assert "Set another one" in str(refusal.value)
    assert password not in str(refusal.value)
    assert state() == {"roles": {}, "users": [], "plans": []}


def test_a_good_password_creates_the_administrator(settings):
    User.objects.all().delete()

    out, err = seed()

    assert ("created" in out, err) == (True, "")
    root = User.objects.get()
    assert (root.email, root.role.name, root.is_staff) == ("root@example.com", "ADMIN", True)
    assert root.check_password(settings.DEFAULT_ADMIN_PASSWORD)
    assert not root.is_superuser


def test_the_moderator_group_opens_no_route_of_its_own():
    assert roles.MODERATOR not in roles.Role.values
    assert {"accounts.change_user", "payments.refund_order", "audit.view_auditentry"}.isdisjoint(
        roles.PERMISSIONS[roles.MODERATOR]
    )
