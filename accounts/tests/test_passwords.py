"""Every way to a new password ends the sign-ins, and leaves a row in the audit log."""

import io

import pytest
from django.core.management import call_command
from django.test import Client

from accounts import tokens
from accounts.models import User
from audit.models import AuditEntry

pytestmark = pytest.mark.django_db
OLD, NEW = "a long pass phrase", "quite another phrase"


def api(client_for, user) -> None:
    client = client_for(user)
    body = {"current_password": OLD, "new_password": NEW}
    assert client.post("/api/v1/auth/password", body).status_code == 204


def admin_site(client_for, user) -> None:
    client = Client()
    assert client.login(email=user.email, password=OLD)
    form = {"old_password": OLD, "new_password1": NEW, "new_password2": NEW}
    assert client.post("/admin/password_change/", form).status_code == 302


def shell(client_for, user) -> None:
    user.set_password(NEW)
    user.save()


@pytest.mark.parametrize("door", [api, admin_site, shell])
def test_a_new_password_ends_the_tokens_and_is_recorded(client_for, make_user, door):
    user = make_user(email="ann@example.com", password=OLD, role="ADMIN")
    pair, bystander = tokens.issue(user), tokens.issue(make_user())

    door(client_for, user)

    user.refresh_from_db()
    assert user.check_password(NEW)
    me = client_for().get("/api/v1/auth/me", HTTP_AUTHORIZATION=f"Bearer {pair.access}")
    assert me.status_code == 401
    assert (
        client_for().post("/api/v1/auth/refresh", {"refresh_token": pair.refresh}).status_code
        == 401
    )
    me = client_for().get("/api/v1/auth/me", HTTP_AUTHORIZATION=f"Bearer {bystander.access}")
    assert me.status_code == 200
    entry = AuditEntry.objects.get(action="user.password_changed")
    assert entry.target_id == str(user.pk)
    assert entry.actor_id == (None if door is shell else user.pk)


def test_a_hash_that_is_renewed_ends_nothing(client_for, make_user, settings):
    user = make_user(email="ann@example.com", password=OLD)
    pair = tokens.issue(user)
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.PBKDF2PasswordHasher", *settings.PASSWORD_HASHERS
    ]  # fmt: skip

    answer = client_for().post("/api/v1/auth/login", {"email": user.email, "password": OLD})

    assert answer.status_code == 200
    assert User.objects.get(pk=user.pk).password.startswith("pbkdf2")
    me = client_for().get("/api/v1/auth/me", HTTP_AUTHORIZATION=f"Bearer {pair.access}")
    assert me.status_code == 200
    assert not AuditEntry.objects.filter(action="user.password_changed").exists()


def test_an_administrator_from_the_shell_is_recorded(monkeypatch):
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", NEW)
    call_command(
        "createsuperuser", email="ops@example.com", interactive=False, stdout=io.StringIO()
    )

    entry = AuditEntry.objects.get(action="user.registered")
    assert (entry.data, entry.target_id) == (
        {"role": "ADMIN"},
        str(User.objects.get(email="ops@example.com").pk),
    )
    assert not AuditEntry.objects.filter(action="user.password_changed").exists()
