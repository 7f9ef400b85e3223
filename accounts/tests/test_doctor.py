"""The doctor's checks of the administrators."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts import tokens
from accounts.models import Erasure, RefreshFamily, User
from accounts.roles import Role
from config import doctor
from config.tests.doctoring import said, worst

pytestmark = pytest.mark.django_db
PASSWORD = "a rather long pass phrase 7"


@pytest.fixture
def administrator(settings) -> User:
    """The only administrator, a year old, who has never signed in."""
    User.objects.all().delete()
    settings.DEFAULT_ADMIN_EMAIL = "root@example.com"
    user = User.objects.create_user("root@example.com", PASSWORD, role=Role.ADMIN)
    User.objects.update(created_at=timezone.now() - timedelta(days=365))
    return user


@pytest.mark.parametrize(
    ("password", "level"), [("", "ok"), (PASSWORD, "ok"), ("admin", "error"), ("password", "error")]
)
def test_the_strength_of_the_password_in_the_settings(settings, password, level):
    settings.DEFAULT_ADMIN_PASSWORD = password

    assert worst("admin_password_strength") == level


def test_the_password_in_the_settings_is_a_warning_while_it_is_used(settings, administrator):
    settings.DEFAULT_ADMIN_PASSWORD = PASSWORD
    before = User.objects.values_list("password").get()
    assert worst("admin_password") == "warning"
    assert PASSWORD not in said("admin_password")
    assert User.objects.values_list("password").get() == before

    administrator.set_password("another long pass phrase 8")
    administrator.save()
    assert worst("admin_password") == "ok"

    settings.DEFAULT_ADMIN_PASSWORD = ""
    assert worst("admin_password") == "ok"


def test_nobody_who_administrates_is_an_error(administrator):
    User.objects.update(is_active=False)

    assert worst("administrators") == "error"


def test_an_administrator_who_stays_away_is_a_warning(administrator):
    assert worst("administrators") == "warning"
    assert said("administrators").startswith("1 of 1 administrators")

    User.objects.update(last_login=timezone.now())
    assert worst("administrators") == "ok"


@pytest.mark.parametrize(("days", "level"), [(179.9, "ok"), (180.1, "warning")])
@pytest.mark.parametrize("field", ["created_at", "last_login"])
def test_half_a_year_is_long(administrator, field, days, level):
    """An account counts as used when it is made, and whenever its owner signs in."""
    User.objects.update(**{field: timezone.now() - timedelta(days=days)})

    assert worst("administrators") == level


def test_the_sign_in_of_another_user_does_not_count(administrator, make_user):
    tokens.issue(make_user())

    assert worst("administrators") == "warning"


@pytest.mark.parametrize("idle", [0, 1])
def test_each_administrator_is_counted_once(administrator, idle):
    User.objects.update(last_login=timezone.now())
    for number in range(2):
        User.objects.create_user(f"{number}@example.com", role=Role.ADMIN)
    User.objects.create_user("viewer@example.com", role=Role.VIEWER)
    User.objects.exclude(email="0@example.com").update(last_login=timezone.now())
    if idle:
        User.objects.update(created_at=timezone.now() - timedelta(days=365))

    expected = "1 of 3 administrators did not" if idle else "Active administrators: 3."
    assert said("administrators").startswith(expected)


def test_a_password_like_the_address_is_weak(settings):
    settings.DEFAULT_ADMIN_EMAIL = "margaretha-of-the-harbour@example.com"
    settings.DEFAULT_ADMIN_PASSWORD = "margaretha-of-the-harbour"

    assert worst("admin_password_strength") == "error"


def test_each_check_says_what_is_and_what_to_do(administrator, settings):
    settings.DEFAULT_ADMIN_PASSWORD = "admin"
    assert said("admin_password_strength").startswith("DEFAULT_ADMIN_PASSWORD is weak: ")
    settings.DEFAULT_ADMIN_PASSWORD = PASSWORD
    settings.DEFAULT_ADMIN_EMAIL = "Root@Example.com"
    assert said("admin_password").startswith("The password of root@example.com stands in")
    assert "manage.py changepassword root@example.com" in said("admin_password")
    User.objects.update(is_active=False)
    assert said("admin_password").startswith("DEFAULT_ADMIN_PASSWORD is set, and is nobody's")
    User.objects.create_user("new@example.com", role=Role.ADMIN)
    assert said("administrators").strip() == "Active administrators: 1."


def test_where_the_checks_stand():
    checks = {each.name: each for each in doctor.all_checks()}
    assert {
        name: (checks[name].topic, checks[name].needs_tables, checks[name].at_start)
        for name in ("admin_password_strength", "admin_password", "administrators")
    } == {
        "admin_password_strength": ("Secrets", False, True),
        "admin_password": ("Users", True, False),
        "administrators": ("Users", True, False),
    }


@pytest.mark.parametrize(
    ("field", "days", "level"),
    [("created_at", 1, "ok"), ("rotated_at", 1, "ok"), ("created_at", 200, "warning")],
)
def test_signing_in_by_the_api_counts(administrator, field, days, level):
    long_ago = timezone.now() - timedelta(days=300)
    at = {"created_at": long_ago, field: timezone.now() - timedelta(days=days)}
    RefreshFamily.objects.create(user=administrator, current="x", expires_at=timezone.now(), **at)

    assert worst("administrators") == level


def test_an_erasure_that_does_not_end_is_a_warning(administrator):
    assert worst("erasures") == "ok"
    row = Erasure.objects.create(user=administrator, email="ann@example.com")
    assert worst("erasures") == "ok"
    Erasure.objects.update(asked_at=timezone.now() - timedelta(minutes=61))
    assert worst("erasures") == "warning"
    assert "ann@" not in said("erasures")
    Erasure.objects.filter(pk=row.pk).update(finished_at=timezone.now(), email="")
    assert worst("erasures") == "ok"
