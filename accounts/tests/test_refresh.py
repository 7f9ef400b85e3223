"""Refresh tokens: each is valid for one use, and a second use revokes the sign-in."""

from datetime import timedelta

import pytest
import time_machine
from django.conf import settings
from django.utils import timezone

from accounts import tokens
from accounts.models import RefreshFamily
from audit.models import AuditEntry
from config.tests.threads import at_once

pytestmark = pytest.mark.django_db

REFRESH, LOGOUT, ME = "/api/v1/auth/refresh", "/api/v1/auth/logout", "/api/v1/auth/me"
# From then on no other host, whose clock may be ahead, takes a used token for that of a second tab.
LATE = tokens.REFRESH_GRACE + settings.CLOCKS_DIFFER_BY
PASSWORD, NEW = "a long pass phrase", "quite another phrase"


def refresh(client, token: str):
    return client.post(REFRESH, {"refresh_token": token})


def status_of_me(client, access: str) -> int:
    return client.get(ME, HTTP_AUTHORIZATION=f"Bearer {access}").status_code


def code(answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["errors"][0]["code"]


def test_a_refresh_token_gives_a_new_pair_that_works(client_for, viewer):
    old = tokens.issue(viewer)

    answer = refresh(client_for(), old.refresh)

    assert answer.status_code == 200
    new = answer.json()
    assert set(new) == {"access_token", "refresh_token", "token_type", "expires_in"}
    assert new["refresh_token"] != old.refresh
    assert status_of_me(client_for(), new["access_token"]) == 200
    assert refresh(client_for(), new["refresh_token"]).status_code == 200
    assert RefreshFamily.objects.count() == 1


def test_reuse_revokes_the_whole_sign_in_and_is_recorded_once(client_for, viewer):
    bystander = tokens.issue(viewer)
    first = tokens.issue(viewer)
    second = refresh(client_for(), first.refresh).json()
    RefreshFamily.objects.update(rotated_at=timezone.now() - LATE)

    assert code(refresh(client_for(), first.refresh)) == (401, "token_reused")

    assert code(refresh(client_for(), second["refresh_token"])) == (401, "token_invalid")
    assert status_of_me(client_for(), second["access_token"]) == 401
    assert status_of_me(client_for(), first.access) == 401
    assert status_of_me(client_for(), bystander.access) == 200  # another sign-in is untouched
    refresh(client_for(), first.refresh)
    assert AuditEntry.objects.filter(action="refresh.reused", actor=viewer).count() == 1


@pytest.mark.django_db(transaction=True)
def test_twelve_refreshes_at_once_get_the_same_pair(client_for, viewer):
    for _ in range(3):
        token = tokens.issue(viewer).refresh

        answers = at_once(12, lambda _, token=token: refresh(client_for(), token))

        assert [answer.status_code for answer in answers] == [200] * 12
        pair = answers[0].json()
        assert all(answer.json() == pair for answer in answers)
        assert status_of_me(client_for(), pair["access_token"]) == 200
        assert refresh(client_for(), pair["refresh_token"]).status_code == 200


def test_two_tabs_get_the_same_pair_for_ten_seconds(client_for, viewer):
    first = tokens.issue(viewer)
    pair = refresh(client_for(), first.refresh).json()
    later = timezone.now() - timedelta(seconds=9)
    RefreshFamily.objects.update(rotated_at=later)

    again = refresh(client_for(), first.refresh).json()

    assert status_of_me(client_for(), again["access_token"]) == 200
    assert refresh(client_for(), again["refresh_token"]).status_code == 200
    # The next pair is out, so the first token is older than "the one before": it counts as stolen.
    assert code(refresh(client_for(), first.refresh)) == (401, "token_reused")
    assert status_of_me(client_for(), pair["access_token"]) == 401


@time_machine.travel(timezone.now(), tick=False)
def test_after_that_a_used_token_counts_as_stolen(client_for, viewer):
    first = tokens.issue(viewer)
    pair = refresh(client_for(), first.refresh).json()
    RefreshFamily.objects.update(rotated_at=timezone.now() - LATE)

    assert code(refresh(client_for(), first.refresh)) == (401, "token_reused")
    assert status_of_me(client_for(), pair["access_token"]) == 401


def test_a_refresh_makes_the_sign_in_last_longer(client_for, viewer, settings):
    token = tokens.issue(viewer, network="192.0.2.0").refresh
    first = RefreshFamily.objects.get()
    life = settings.REFRESH_TOKEN_LIFETIME
    assert abs(first.expires_at - timezone.now() - life) < timedelta(minutes=1)
    assert (first.user, first.network, first.previous) == (viewer, "192.0.2.0", "")
    RefreshFamily.objects.update(expires_at=timezone.now() + timedelta(seconds=30))

    refresh(client_for(), token)

    family = RefreshFamily.objects.get()
    assert abs(family.expires_at - timezone.now() - life) < timedelta(minutes=1)
    assert family.rotated_at is not None
    assert abs(family.rotated_at - timezone.now()) < timedelta(minutes=1)
    assert family.previous == first.current != family.current


def test_the_number_of_ended_sign_ins_is_told(viewer, make_user):
    for _ in range(2):
        tokens.issue(viewer)
    tokens.issue(make_user())

    assert tokens.end_all(viewer) == 2
    assert tokens.end_all(viewer) == 0
    assert RefreshFamily.objects.filter(revoked_at=None).count() == 1


def test_signing_out_ends_both_tokens_and_may_be_repeated(client_for, viewer):
    pair, other = tokens.issue(viewer), tokens.issue(viewer)

    for _ in range(2):
        answer = client_for().post(LOGOUT, {"refresh_token": pair.refresh})
        assert (answer.status_code, answer.content) == (204, b"")

    assert code(refresh(client_for(), pair.refresh)) == (401, "token_invalid")
    assert status_of_me(client_for(), pair.access) == 401
    assert status_of_me(client_for(), other.access) == 200
    assert AuditEntry.objects.filter(action="user.logged_out").count() == 1


@pytest.mark.parametrize("token", ["x", "a.b.c", "x" * 2048, "é"])
def test_signing_out_with_nonsense_is_a_401(client_for, token):
    assert client_for().post(LOGOUT, {"refresh_token": token}).status_code == 401


@pytest.mark.parametrize("token", [None, "", "\u2028", "x" * 2049, 7, ["x"], {}, True, "a\x00b"])
@pytest.mark.parametrize("url", [REFRESH, LOGOUT])
def test_an_invalid_refresh_token_is_refused(client_for, url, token):
    answer = client_for().post(url, {"refresh_token": token})

    assert answer.status_code in ({401} if token == 7 else {400}), answer.data


def test_a_sign_in_expires(client_for, viewer):
    pair = tokens.issue(viewer)
    RefreshFamily.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    assert code(refresh(client_for(), pair.refresh)) == (401, "token_invalid")
    assert status_of_me(client_for(), pair.access) == 401


def test_a_new_password_ends_every_sign_in(client_for, make_user):
    user = make_user(email="ann@example.com", password=PASSWORD)
    here, there = tokens.issue(user), tokens.issue(user)

    answer = client_for().post(
        "/api/v1/auth/password",
        {"current_password": PASSWORD, "new_password": NEW},
        HTTP_AUTHORIZATION=f"Bearer {here.access}",
    )

    assert (answer.status_code, answer.content) == (204, b"")
    for pair in (here, there):
        assert status_of_me(client_for(), pair.access) == 401
        assert refresh(client_for(), pair.refresh).status_code == 401

    def login(password):
        body = {"email": "ann@example.com", "password": password}
        return client_for().post("/api/v1/auth/login", body).status_code

    assert (login(PASSWORD), login(NEW)) == (401, 200)
    assert AuditEntry.objects.filter(action="user.password_changed", actor=user).count() == 1


@pytest.mark.parametrize(
    ("current", "new", "attr"),
    [
        ("not it", NEW, "current_password"),
        (PASSWORD, "short", "new_password"),
        (PASSWORD, "password", "new_password"),
        (PASSWORD, "ann@example.com", "new_password"),
        (PASSWORD, "x1" * 65, "new_password"),
        (PASSWORD, None, "new_password"),
        ("x" * 129, NEW, "current_password"),
    ],
)
def test_a_refused_password_change_changes_nothing(client_for, make_user, current, new, attr):
    user = make_user(email="ann@example.com", password=PASSWORD)
    pair = tokens.issue(user)

    answer = client_for(user).post(
        "/api/v1/auth/password", {"current_password": current, "new_password": new}
    )

    assert (answer.status_code, answer.json()["errors"][0]["attr"]) == (400, attr)
    user.refresh_from_db()
    assert user.check_password(PASSWORD)
    assert status_of_me(client_for(), pair.access) == 200


def test_changing_a_password_needs_a_token(client_for):
    body = {"current_password": PASSWORD, "new_password": NEW}

    assert client_for().post("/api/v1/auth/password", body).status_code == 401
