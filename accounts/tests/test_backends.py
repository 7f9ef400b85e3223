"""The authentication back end: the permissions of roles, and how long a process remembers them."""

import importlib
import time

import pytest
from django.apps import apps
from django.contrib.auth import authenticate
from django.contrib.auth.models import AnonymousUser, Group, Permission

from accounts import backends, services
from accounts.backends import RoleBackend
from accounts.hashers import OwaspArgon2Hasher
from accounts.models import User
from accounts.roles import MODERATOR, Role

pytestmark = pytest.mark.django_db
MANAGE, SEE = "accounts.manage_users", "videos.moderate_video"
PASSWORD = "a long pass phrase"


@pytest.fixture(autouse=True)
def _fresh_roles():
    backends.forget_role_permissions()
    yield
    backends.forget_role_permissions()


@pytest.mark.parametrize(("after", "remembered"), [(0, True), (4.9, True), (5.1, False)])
def test_a_change_of_a_role_takes_effect_after_five_seconds(admin, monkeypatch, after, remembered):
    clock = time.monotonic()
    monkeypatch.setattr(backends.time, "monotonic", lambda: clock)
    assert admin.has_perm(MANAGE)

    admin.role.permissions.remove(Permission.objects.get(codename="manage_users"))
    clock += after
    assert admin.has_perm(MANAGE) is remembered

    backends.forget_role_permissions()
    assert not admin.has_perm(MANAGE)


def test_a_remembered_role_costs_no_query(admin, django_assert_num_queries):
    assert admin.has_perm(MANAGE)
    with django_assert_num_queries(0):
        assert admin.has_perm(MANAGE)


def test_the_permissions_are_those_of_the_role(make_user):
    creator, viewer = make_user(Role.CREATOR), make_user()

    assert creator.get_all_permissions() == {
        "videos.add_video",
        "payments.view_own_earnings",
        "payments.request_payout",
        "analytics.view_own_analytics",
        "webhooks.receive_own_events",
    }
    assert creator.has_perm("videos.add_video")
    assert not creator.has_perm(MANAGE)
    assert viewer.get_all_permissions() == set()


def test_only_staff_have_the_permissions_of_further_groups(make_user):
    moderators = Group.objects.get(name=MODERATOR)
    staff, other = make_user(), make_user()
    for user in (staff, other):
        user.groups.add(moderators)
    staff.is_staff = True
    staff.save()

    assert staff.get_all_permissions() == {SEE}
    assert staff.has_perm(SEE)
    assert other.get_all_permissions() == set()
    assert not other.has_perm(SEE)


def test_a_moderator_has_the_permissions_of_the_group_beside_the_role(make_user):
    user = make_user(Role.CREATOR)
    own = user.get_all_permissions()
    moderator = services.set_moderator(user_id=user.pk, is_moderator=True, actor=None)

    assert moderator.get_all_permissions() == own | {SEE}
    assert moderator.has_perm(SEE)
    assert moderator.has_perm("videos.add_video")
    dismissed = services.set_moderator(user_id=user.pk, is_moderator=False, actor=None)
    assert dismissed.get_all_permissions() == own
    assert not dismissed.has_perm(SEE)


def test_the_moderators_of_before_are_taken_over(make_user):
    """They were staff in the group, whose members are nobody from now on."""
    staff, other = make_user(), make_user()
    staff.is_staff = True
    staff.save()
    for user in (staff, other):
        user.groups.add(Group.objects.get(name=MODERATOR))
    migration = importlib.import_module("accounts.migrations.0006_moderators")

    for _ in range(2):
        migration.appoint(apps, None)

    for user, is_moderator in ((staff, True), (other, False)):
        user.refresh_from_db()
        assert (user.is_moderator, user.groups.count()) == (is_moderator, 0)


def test_nobody_else_has_permissions(make_user):
    """Neither a deactivated user, nor an anonymous one, nor anybody for a single object."""
    gone, boss = make_user(Role.ADMIN, is_active=False), make_user(Role.ADMIN)
    backend = RoleBackend()

    for user, thing in ((gone, None), (AnonymousUser(), None), (boss, boss)):
        assert backend.get_all_permissions(user, thing) == set()
        assert not backend.has_perm(user, MANAGE, thing)


def test_the_user_of_a_session_is_an_active_one(make_user):
    boss, gone = make_user(Role.ADMIN), make_user(Role.ADMIN, is_active=False)
    backend = RoleBackend()

    assert backend.get_user(boss.pk) == boss
    assert backend.get_user(gone.pk) is None
    assert backend.get_user("00000000-0000-0000-0000-000000000000") is None


def test_who_is_authenticated(make_user):
    ann = make_user(email="ann@example.com", password=PASSWORD)
    make_user(email="out@example.com", password=PASSWORD, is_active=False)
    make_user(email="none@example.com")

    assert authenticate(None, email="Ann@Example.com", password=PASSWORD) == ann
    assert authenticate(None, username="ann@example.com", password=PASSWORD) == ann
    for email, password in (
        ("ann@example.com", "not it"),
        ("ann@example.com", ""),
        ("ann@example.com", None),
        ("", PASSWORD),
        (None, PASSWORD),
        ("out@example.com", PASSWORD),
        ("none@example.com", PASSWORD),
        ("nobody@example.com", PASSWORD),
    ):
        assert authenticate(None, email=email, password=password) is None


def test_a_user_is_found_by_an_address_however_it_is_written(make_user):
    ann = make_user(email="ann@example.com")

    assert User.objects.get_by_natural_key(" Ann@Example.COM") == ann
    assert User.objects.with_address("ANN@example.com") == ann
    assert User.objects.with_address("bob@example.com") is None
    for email in ("bob@example.com", "", None):
        with pytest.raises(User.DoesNotExist):
            User.objects.get_by_natural_key(email)


def test_passwords_are_hashed_as_owasp_recommends():
    encoded = OwaspArgon2Hasher().encode(PASSWORD, "some salt of it")

    assert encoded.startswith("argon2$argon2id$v=19$m=19456,t=2,p=1$")


def test_the_roles_and_their_labels():
    assert Role.choices == [
        ("ADMIN", "Administrator"),
        ("CREATOR", "Creator"),
        ("VIEWER", "Viewer"),
    ]
