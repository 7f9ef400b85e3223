"""The player page and the site's session: tokens for the signed-in, and nothing for other sites."""

import json

import pytest
from django.contrib.sessions.models import Session
from django.test import Client

from accounts import services as accounts
from accounts import tokens
from accounts.models import RefreshFamily
from config.tests.threads import at_once

pytestmark = pytest.mark.django_db
URL = "/sign-in/session"
OWN = "http://testserver"
PASSWORD = "a long pass phrase"


def ask(client, body=None, origin=OWN):
    headers = {"HTTP_ORIGIN": origin} if origin else {}
    data = body if isinstance(body, str) else json.dumps(body or {})
    return client.post(URL, data, content_type="application/json", **headers)


@pytest.fixture
def signed_in(client, make_user):
    user = make_user(email="bea@example.com", password=PASSWORD)
    client.post("/sign-in", {"username": user.email, "password": PASSWORD})
    return client, user


def me(client, answer):
    return client.get(
        "/api/v1/auth/me", HTTP_AUTHORIZATION=f"Bearer {answer.json()['access_token']}"
    )


def test_the_page_of_a_signed_in_viewer_gets_access_tokens_of_one_sign_in(signed_in):
    client, user = signed_in

    first, second = ask(client), ask(client)

    for answer in (first, second):
        assert answer.status_code == 200
        assert set(answer.json()) == {"access_token", "expires_in"}
        assert answer["Cache-Control"] == "no-store"
        assert me(client, answer).json()["email"] == user.email
    assert RefreshFamily.objects.filter(user=user).count() == 1


def test_two_first_calls_at_once_are_one_sign_in(signed_in):
    """Both have read the session before either has written the sign-in into it."""
    client, user = signed_in
    cookie = client.cookies["sessionid"].value
    before = Session.objects.get().session_data
    first = ask(client)
    Session.objects.update(session_data=before)
    second = ask(client)

    assert (first.status_code, second.status_code) == (200, 200)
    assert RefreshFamily.objects.filter(user=user).count() == 1
    for answer in (first, second):
        assert me(client, answer).json()["email"] == user.email
    assert (ask(client).status_code, client.cookies["sessionid"].value) == (200, cookie)
    assert RefreshFamily.objects.filter(user=user).count() == 1

    tokens.end_all(user)
    Session.objects.update(session_data=before)
    assert ask(client).status_code == 204  # what was ended does not begin again
    assert RefreshFamily.objects.filter(user=user, revoked_at=None).count() == 0


@pytest.mark.django_db(transaction=True)
def test_eight_threads_with_one_new_session_are_one_sign_in(signed_in):
    client, user = signed_in
    cookie = client.cookies["sessionid"].value

    def call(number):
        other = Client()
        other.cookies["sessionid"] = cookie
        return ask(other).status_code

    assert at_once(8, call) == [200] * 8
    assert RefreshFamily.objects.filter(user=user).count() == 1


def test_a_stranger_gets_nothing(client):
    answer = ask(client)

    assert (answer.status_code, answer.content, answer.cookies) == (204, b"", {})


@pytest.mark.parametrize("origin", ["", "null", "https://evil.example", "http://testserver:81"])
def test_another_site_gets_nothing_and_nothing_changes(signed_in, make_user, origin):
    client, _ = signed_in
    before = Session.objects.get().session_data
    refresh = tokens.issue(make_user()).refresh

    for body in ({}, {"refresh_token": refresh}):
        assert ask(client, body, origin=origin).status_code == 403
    assert Session.objects.get().session_data == before
    assert tokens.rotate(refresh)


def test_a_sign_in_that_was_ended_gives_no_tokens_any_more(signed_in):
    client, user = signed_in
    access = ask(client)
    tokens.end_all(user)

    assert me(client, access).status_code == 401
    for _ in range(2):
        assert ask(client).status_code == 204
    assert RefreshFamily.objects.filter(user=user, revoked_at=None).count() == 0


def test_signing_out_ends_the_tokens_too(signed_in):
    client, _ = signed_in
    access = ask(client)

    client.post("/sign-out")

    assert me(client, access).status_code == 401
    assert ask(client).status_code == 204


def test_a_deactivated_user_gets_nothing(signed_in):
    client, user = signed_in
    user.is_active = False
    user.save()

    assert ask(client).status_code == 204


def test_a_viewer_of_the_page_begins_a_session_with_the_sign_in_of_the_page(client, make_user):
    user = make_user(email="bea@example.com", password=PASSWORD)
    refresh = tokens.issue(user).refresh

    assert ask(client, {"refresh_token": refresh}).status_code == 204

    assert me(client, ask(client)).json()["email"] == user.email
    assert RefreshFamily.objects.filter(user=user).count() == 1


@pytest.mark.parametrize("body", [{"refresh_token": "x"}, {"refresh_token": 7}])
def test_a_token_that_is_none_begins_no_session(client, body):
    assert ask(client, body).status_code == 403
    assert not Session.objects.exists()


def test_a_sign_in_that_is_over_begins_no_session(client, viewer):
    refresh = tokens.issue(viewer).refresh
    tokens.end_all(viewer)

    assert ask(client, {"refresh_token": refresh}).status_code == 403
    assert not Session.objects.exists()


def test_the_staff_gets_no_session_without_the_page_for_it(client, admin, make_user):
    moderator = accounts.set_moderator(user_id=make_user().pk, is_moderator=True, actor=admin)
    for user in (admin, moderator):
        assert ask(client, {"refresh_token": tokens.issue(user).refresh}).status_code == 204
    assert not Session.objects.exists()


@pytest.mark.parametrize("body", ["[]", "{", "7", '"x"', "[" * 3000, "x" * 5000, "\x00"])
def test_another_body_is_refused(client, body):
    assert ask(client, body).status_code == 400


def test_only_post_is_answered(client):
    assert client.get(URL).status_code == 405
