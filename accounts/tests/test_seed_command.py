"""The lines that `manage.py seed` writes for the operator (its rows: analytics/tests/test_seed.py)."""

import io

import pytest
from django.core.management import CommandError, call_command

from accounts.models import User
from accounts.roles import PERMISSIONS, Role
from accounts.signals import seeding

pytestmark = pytest.mark.django_db
EMAIL, PASSWORD = "first@example.com", "a rather long pass phrase 7"


def seed(**options) -> list[str]:
    """Return the lines that the command writes."""
    output = io.StringIO()
    call_command("seed", stdout=output, **options)
    return output.getvalue().splitlines()


@pytest.fixture(autouse=True)
def _first(settings):
    settings.DEFAULT_ADMIN_EMAIL, settings.DEFAULT_ADMIN_PASSWORD = EMAIL, PASSWORD


def test_it_tells_what_it_made_and_what_was_there():
    first, second = seed(), seed()

    roles = [f"{role}: up to date" for role in PERMISSIONS]
    assert first[: len(roles) + 1] == [*roles, f"Administrator {EMAIL}: created"]
    assert second[: len(roles) + 1] == [*roles, f"Administrator {EMAIL}: up to date"]
    assert seed(verbosity=0) == []
    user = User.objects.get(email=EMAIL)
    assert (user.role.name, user.is_staff, user.display_name) == (
        Role.ADMIN, True, "Administrator",
    )  # fmt: skip
    assert user.check_password(PASSWORD)


def test_a_new_role_is_told(monkeypatch):
    monkeypatch.setitem(PERMISSIONS, "CRITIC", {"videos.view_video"})

    assert "CRITIC: created" in seed()


def test_the_lines_of_the_apps_are_told():
    def speaks(sender, **kwargs):
        return "A first row was made."

    def is_silent(sender, **kwargs):
        return None

    for receiver in (speaks, is_silent):
        seeding.connect(receiver)
    try:
        lines = seed()
    finally:
        for receiver in (speaks, is_silent):
            seeding.disconnect(receiver)
    assert "A first row was made." in lines
    assert not {"", "None"} & set(lines)


@pytest.mark.parametrize(
    ("password", "words"),
    [("", "There is no administrator yet."), (EMAIL, "too similar"), ("short", "too short")],
)
def test_a_password_that_will_not_do_is_told_and_nothing_is_made(settings, password, words):
    settings.DEFAULT_ADMIN_PASSWORD = password

    with pytest.raises(CommandError, match=words):
        seed()
    assert not User.objects.filter(email=EMAIL).exists()
