"""Every door to an account has the same limit and leaves the same trace."""

import pytest
import time_machine
from django.core.cache import cache
from django.utils import timezone

from accounts import tokens
from accounts.models import RefreshFamily
from audit.models import AuditEntry

pytestmark = pytest.mark.django_db
PASSWORD = "a long pass phrase"
HOME, CAFE, STRANGER = "192.0.2.7", "198.51.100.9", "203.0.113.{}"


@pytest.fixture
def boss(make_user):
    return make_user("ADMIN", email="boss@example.com", password=PASSWORD)


@pytest.fixture
def limited(settings):
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "auth": 3, "refresh": 3, "default": 1000}
    with time_machine.travel(timezone.now(), tick=False):  # across two minutes a test counts twice
        yield


@pytest.fixture
def api(client_for):
    def sign_in(password=PASSWORD, address=HOME, email="boss@example.com") -> int:
        body = {"email": email, "password": password}
        return client_for().post("/api/v1/auth/login", body, REMOTE_ADDR=address).status_code

    return sign_in


@pytest.fixture
def admin_site(client):
    """Sign in to the admin site; return the status that the API would answer with."""

    def sign_in(password=PASSWORD, address=HOME, email="boss@example.com") -> int:
        form = {"username": email, "password": password}
        answer = client.post("/admin/login/?next=/admin/", form, REMOTE_ADDR=address)
        if answer.status_code == 302:
            return 200
        return 429 if b"Too many attempts" in answer.content else 401

    return sign_in


@pytest.fixture
def pages(client):
    """Sign in to the pages; return the status that the API would answer with."""

    def sign_in(password=PASSWORD, address=HOME, email="boss@example.com") -> int:
        form = {"username": email, "password": password}
        answer = client.post("/sign-in", form, REMOTE_ADDR=address)
        if answer.status_code == 302:
            return 200
        return 429 if b"Too many attempts" in answer.content else 401

    return sign_in


@pytest.fixture(params=["api", "admin_site", "pages"])
def door(request, boss):
    return request.getfixturevalue(request.param)


def test_attempts_are_limited_and_recorded(door, limited):
    """Seen once: 100 wrong passwords at the admin site, without a limit or a row."""
    assert [door("wrong") for _ in range(5)] == [401, 401, 401, 429, 429]
    assert door() == 429  # the right password as well: it could be the guess

    assert AuditEntry.objects.filter(action="login.failed").count() == 3
    assert not AuditEntry.objects.filter(action="login.succeeded").exists()


def test_a_success_is_recorded(door, boss):
    assert door() == 200
    entry = AuditEntry.objects.get(action="login.succeeded")
    assert (entry.actor_id, entry.ip) == (boss.pk, HOME)


def test_both_doors_share_the_limit(boss, api, admin_site, pages, limited):
    assert [api("wrong"), admin_site("wrong"), pages("wrong")] == [401, 401, 401]
    assert [api("wrong"), admin_site("wrong"), pages("wrong")] == [429, 429, 429]


def test_strangers_cannot_lock_the_owner_out(boss, api, limited):
    """Seen once: twenty wrong sign-ins a minute from anywhere did."""
    assert api() == 200  # from home: the network is known from now on
    for number in range(9):
        assert api("wrong", address=STRANGER.format(number)) in {401, 429}

    assert api(address=CAFE) == 429  # too many failures: new networks must wait
    assert api() == 200
    families = set(RefreshFamily.objects.values_list("network", flat=True))
    assert families == {HOME}


def test_a_stranger_with_an_account_of_their_own_is_a_stranger(boss, make_user, api, limited):
    make_user(email="eve@example.com", password=PASSWORD)
    assert api(address=CAFE, email="eve@example.com") == 200
    for number in range(3):
        assert api("wrong", address=STRANGER.format(number)) == 401

    assert api("wrong", address=CAFE) == 429


def test_another_account_is_not_affected(boss, make_user, api, limited):
    make_user(email="ann@example.com", password=PASSWORD)
    for _ in range(4):
        api("wrong")

    assert api(email="ann@example.com", address=CAFE) == 200


@pytest.mark.parametrize("email", ["boss@example.com", "BOSS@example.com ", "Boss@Example.COM"])
def test_spellings_of_an_address_count_as_one(boss, api, limited, email):
    for _ in range(3):
        api("wrong")
    assert api("wrong", email=email) == 429


def test_a_user_who_is_no_staff_gets_the_same_answer(make_user, admin_site):
    make_user("VIEWER", email="ann@example.com", password=PASSWORD)

    assert admin_site(email="ann@example.com") == 401
    assert AuditEntry.objects.filter(action="login.failed").count() == 1
    assert not AuditEntry.objects.filter(action="login.succeeded").exists()


def test_refreshes_have_a_limit_of_their_own(client_for, make_user, limited):
    """Seen once: an office behind one address was signed out by its own refreshes."""
    for number in range(6):
        user = make_user(email=f"user{number}@example.com", password=PASSWORD)
        body = {"email": user.email, "password": PASSWORD}
        pair = client_for().post("/api/v1/auth/login", body, REMOTE_ADDR=f"192.0.2.{number}").json()
        body = {"refresh_token": pair["refresh_token"]}
        assert client_for().post("/api/v1/auth/refresh", body, REMOTE_ADDR=HOME).status_code == 200

    statuses = [
        client_for().post("/api/v1/auth/refresh", body, REMOTE_ADDR=HOME).status_code
        for _ in range(4)
    ]
    assert statuses == [200, 200, 429, 429]  # one sign-in alone


@pytest.mark.parametrize(
    "query",
    [
        "password__startswith=argon2",
        "password__regex=^a",
        "display_name__regex=^(a%2B)%2B$",
        "email__startswith=b",
        "email__contains=a",
        "role__permissions__codename=x",
        "refresh_families__current=x",
        "pk__in=1",
    ],
)
def test_the_admin_site_filters_by_what_it_shows(client, boss, query):
    client.force_login(boss)

    answer = client.get(f"/admin/accounts/user/?{query}")

    assert answer.status_code in {302, 400}


@pytest.mark.parametrize(
    "query", ["role__id__exact=1", "is_active__exact=1", "is_moderator__exact=0", "q=boss", "o=-1"]
)
def test_the_filters_of_the_admin_site_work(client, boss, query):
    client.force_login(boss)
    assert client.get(f"/admin/accounts/user/?{query}").status_code == 200


def test_a_crowd_at_one_address_signs_nobody_out(client_for, boss, limited, settings):
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "default": 3}
    pair = tokens.issue(boss)
    strangers = [client_for().get("/api/v1/videos/").status_code for _ in range(4)]
    wrong = [
        client_for().post("/api/v1/auth/refresh", {"refresh_token": "x"}).status_code
        for _ in range(2)
    ]

    right = client_for().post("/api/v1/auth/refresh", {"refresh_token": pair.refresh})

    assert strangers == [200, 200, 200, 429]
    assert set(wrong) == {429}
    assert right.status_code == 200


def test_the_admin_site_says_that_nobody_can_sign_in_while_the_limiter_is_away(
    client, boss, limited, monkeypatch
):
    monkeypatch.setattr(cache, "count", lambda *args, **kwargs: None)

    answer = client.post("/admin/login/", {"username": boss.email, "password": PASSWORD})

    assert answer.status_code == 200
    assert b"errornote" in answer.content
    assert "_auth_user_id" not in client.session
