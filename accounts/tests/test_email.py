"""The address of an account: verified by a link, and changed by one."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from accounts import links, tokens
from accounts.models import MailedLink, User
from accounts.signals import address_in_use, email_changed, link_requested
from audit.models import AuditEntry

pytestmark = pytest.mark.django_db
API = "/api/v1/auth"
PASSWORD = "a long pass phrase"


@pytest.fixture
def ann(make_user):
    return make_user(email="ann@example.com", password=PASSWORD)


@pytest.fixture
def verify(client_for):
    return lambda token: client_for().post(f"{API}/email/verify", {"token": token})


@pytest.fixture
def change(client_for):
    def put(user, email="new@example.com", password=PASSWORD):
        body = {"email": email, "current_password": password}
        return client_for(user).put(f"{API}/email", body)

    return put


def newest() -> str:
    links.prepare_due()
    return links.token_of(MailedLink.objects.filter(mailed_at__isnull=False).latest("pk").pk)


def code(answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["errors"][0]["code"]


def test_a_new_user_verifies_the_address(client_for, verify):
    body = {"email": "new@example.com", "password": PASSWORD}
    created = client_for().post(f"{API}/register", body).json()
    assert created["email_verified"] is False
    token = newest()

    assert verify(token).status_code == 204

    user = User.objects.get(email="new@example.com")
    assert client_for(user).get(f"{API}/me").json()["email_verified"] is True
    assert code(verify(token)) == (400, "link_invalid")
    assert AuditEntry.objects.filter(action="user.email_verified").count() == 1


def test_another_link_ends_the_one_before_it_and_both_live_three_days(ann, client_for, verify):
    with time_machine.travel(timezone.now(), tick=False) as clock:
        assert client_for(ann).post(f"{API}/email/resend").status_code == 202
        older = newest()
        assert client_for(ann).post(f"{API}/email/resend").status_code == 202
        newer = newest()
        assert code(verify(older)) == (400, "link_invalid")
        clock.shift(timedelta(days=3))
        assert code(verify(newer)) == (400, "link_invalid")
        assert not User.objects.get(pk=ann.pk).email_verified
        clock.shift(timedelta(seconds=-1))
        assert verify(newer).status_code == 204
        refusal = client_for(User.objects.get(pk=ann.pk)).post(f"{API}/email/resend")
        assert code(refusal) == (409, "already_verified")
        assert MailedLink.objects.filter(mailed_at=None).count() == 0


def test_a_new_address_counts_when_its_link_was_followed(ann, change, verify, client_for):
    told = []
    hears = lambda sender, user, before, **kwargs: told.append((user.email, before))  # noqa: E731
    email_changed.connect(hears)
    try:
        assert change(ann, "New@Example.com").status_code == 202
        token = newest()
        assert User.objects.get(pk=ann.pk).email == "ann@example.com"
        assert verify(token).status_code == 204
    finally:
        email_changed.disconnect(hears)
    user = User.objects.get(pk=ann.pk)
    assert (user.email, user.email_verified) == ("new@example.com", True)
    assert told == [("new@example.com", "ann@example.com")]
    sign_in = {"email": "new@example.com", "password": PASSWORD}
    assert client_for().post(f"{API}/login", sign_in).status_code == 200
    assert code(verify(token)) == (400, "link_invalid")


def test_a_change_needs_the_password(ann, change):
    assert code(change(ann, password="not the password")) == (400, "wrong_password")
    assert not MailedLink.objects.exists()
    assert not AuditEntry.objects.filter(action="user.email_change_asked").exists()


def test_an_address_of_another_account_gets_no_link_and_the_same_answer(
    ann, change, make_user, client_for
):
    bob = make_user(email="bob@example.com")
    told, mailed = [], []
    hears = lambda sender, user, **kwargs: told.append(user)  # noqa: E731
    sees = lambda sender, link, **kwargs: mailed.append(link)  # noqa: E731
    address_in_use.connect(hears)
    link_requested.connect(sees)
    try:
        taken, free = change(ann, bob.email), change(ann, "free@example.com")
        assert (taken.status_code, taken.content) == (free.status_code, free.content)
        links.prepare_due()
    finally:
        address_in_use.disconnect(hears)
        link_requested.disconnect(sees)
    assert told == [bob]
    to_bob, to_free = mailed
    assert links.url_of(to_bob.pk) is None
    assert to_bob.ended_at is not None
    assert links.url_of(to_free.pk)


def test_an_address_that_was_taken_meanwhile_is_not_changed_to(ann, change, verify, make_user):
    change(ann)
    token = newest()
    other = make_user(email="new@example.com")
    assert code(verify(token)) == (409, "email_taken")
    ann.refresh_from_db()
    assert (ann.email, ann.email_verified) == ("ann@example.com", False)
    other.delete()
    assert verify(token).status_code == 204


def test_a_new_address_ends_the_links_to_the_old_one(ann, change, verify, client_for):
    client_for().post(f"{API}/password/forgot", {"email": ann.email})
    reset = newest()
    client_for(ann).post(f"{API}/email/resend")
    own = newest()
    change(ann)
    assert verify(newest()).status_code == 204
    body = {"token": reset, "new_password": "quite another phrase"}
    assert code(client_for().post(f"{API}/password/reset", body)) == (400, "link_invalid")
    assert code(verify(own)) == (400, "link_invalid")
    ann.refresh_from_db()
    assert ann.check_password(PASSWORD)


def test_a_new_password_ends_a_change_of_address(ann, change, verify, client_for):
    """Somebody who knew the password asked for it; the owner sets another one."""
    change(ann, "thief@example.com")
    token = newest()
    body = {"current_password": PASSWORD, "new_password": "quite another phrase"}
    assert client_for(ann).post(f"{API}/password", body).status_code == 204
    assert code(verify(token)) == (400, "link_invalid")
    assert User.objects.get(pk=ann.pk).email == "ann@example.com"


def test_one_user_writes_to_three_new_addresses_an_hour(ann, change):
    for number in range(5):
        assert change(ann, f"stranger{number}@example.com").status_code == 202
        links.prepare_due()
    assert set(MailedLink.objects.values_list("email", flat=True)) == {
        f"stranger{number}@example.com" for number in range(3)
    }


def test_nobody_verifies_by_the_api(ann, client_for):
    client_for(ann).patch(f"{API}/me", {"email_verified": True, "display_name": "A"})
    body = {"email": "b@example.com", "password": PASSWORD, "email_verified": True}
    client_for().post(f"{API}/register", body)
    own = User.objects.filter(email__in=["ann@example.com", "b@example.com"])
    assert set(own.values_list("email_verified", flat=True)) == {False}
    assert own.count() == 2


# --- where I am signed in --------------------------------------------------------------------


def test_my_sign_ins_are_listed_without_those_that_are_over(ann, client_for, make_user):
    body = {"email": ann.email, "password": PASSWORD}
    phone = client_for().post(
        f"{API}/login", body, HTTP_USER_AGENT="Phone/1.0", REMOTE_ADDR="192.0.2.9"
    )
    tokens.issue(make_user())
    over = tokens.issue(ann)
    tokens.end(over.refresh)
    client = client_for()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {phone.json()['access_token']}")
    desk = tokens.issue(ann, network="198.51.100.0", user_agent="Desk/2")

    listed = client.get(f"{API}/sessions/").json()["results"]

    assert [(each["user_agent"], each["is_current"]) for each in listed] == [
        ("Desk/2", False),
        ("Phone/1.0", True),
    ]
    assert listed[1]["network"].startswith("192.0.2.")
    assert listed[0]["last_used_at"] == listed[0]["created_at"]
    assert set(listed[0]) == {
        "id", "created_at", "last_used_at", "expires_at", "network", "user_agent", "is_current",
    }  # fmt: skip

    path = f"{API}/sessions/{listed[0]['id']}"
    assert client.delete(path).status_code == 204
    assert client.delete(path).status_code == 404
    with pytest.raises(tokens.TokenInvalid):
        tokens.rotate(desk.refresh)
    assert client.get(f"{API}/me").status_code == 200


def test_nobody_ends_the_sign_in_of_another(ann, client_for, make_user):
    pair = tokens.issue(ann)
    path = f"{API}/sessions/{tokens.family_of(pair.refresh)}"
    assert client_for(make_user()).delete(path).status_code == 404
    assert client_for().delete(path).status_code == 401
    assert tokens.rotate(pair.refresh)


def test_signing_out_everywhere_ends_this_one_too_and_no_others(ann, client_for, make_user):
    other = tokens.issue(make_user())
    tokens.issue(ann)
    client = client_for(ann)
    assert client.delete(f"{API}/sessions/").status_code == 204
    assert client.get(f"{API}/sessions/").status_code == 401
    assert not tokens.live(ann).exists()
    assert tokens.rotate(other.refresh)
    assert AuditEntry.objects.filter(action="user.logged_out_everywhere").count() == 1
