"""`manage.py set_role`: roles and moderators from the shell."""

import io

import pytest
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command

from accounts.models import User
from audit.models import AuditEntry

pytestmark = pytest.mark.django_db


def set_role(*arguments: str) -> str:
    output = io.StringIO()
    call_command("set_role", *arguments, stdout=output)
    return output.getvalue()


def test_a_role_and_a_moderator_are_set_and_recorded(viewer):
    said = set_role(viewer.email.upper(), "CREATOR", "--moderator")

    assert said == f"{viewer.email} is CREATOR and MODERATOR.\n"
    viewer.refresh_from_db()
    assert (viewer.role_name, viewer.is_moderator, viewer.is_staff) == ("CREATOR", True, True)
    actions = ["user.role_changed", "user.moderator_appointed"]
    entries = AuditEntry.objects.filter(action__in=actions)
    assert set(entries.values_list("actor", "target_id")) == {(None, str(viewer.pk))}
    assert set_role(viewer.email, "--no-moderator") == f"{viewer.email} is CREATOR.\n"
    viewer.refresh_from_db()
    assert (viewer.role_name, viewer.is_moderator, viewer.is_staff) == ("CREATOR", False, False)


def test_it_works_before_the_first_start_has_made_the_roles(viewer):
    """After `manage.py migrate` alone there is no group of administrators."""
    Group.objects.filter(name="ADMIN").update(name="of another")
    assert set_role(viewer.email, "ADMIN") == f"{viewer.email} is ADMIN.\n"
    viewer.refresh_from_db()
    assert (viewer.role_name, viewer.is_staff) == ("ADMIN", True)


def test_what_it_refuses_changes_nothing(admin):
    User.objects.filter(role__name="ADMIN").exclude(pk=admin.pk).update(is_active=False)
    before = list(User.objects.order_by("pk").values())
    for arguments, reason in [
        ([admin.email, "VIEWER", "--moderator"], "last active administrator"),
        (["nobody@example.com", "VIEWER"], "There is no user"),
        ([admin.email], "Name a role"),
        ([admin.email, "KING"], "invalid choice"),
        ([admin.email, "--moderator", "--no-moderator"], "not allowed with"),
    ]:
        with pytest.raises(CommandError, match=reason):
            set_role(*arguments)
    assert list(User.objects.order_by("pk").values()) == before
