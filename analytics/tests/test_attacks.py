"""The owner of an account is told by mail when strangers guess its password."""

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts import tokens
from accounts.attacks import MANY
from accounts.models import RefreshFamily
from payments.models import Notice

pytestmark = pytest.mark.django_db

PASSWORD, GUESS = "a long pass phrase", "a guess"


@pytest.fixture(autouse=True)
def _empty_cache():
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def ann(make_user):
    return make_user(email="ann@faß.example", password=PASSWORD, role="ADMIN")


@pytest.fixture
def stored(monkeypatch) -> list[str]:
    """The keys of the cache under which attacks are counted."""
    keys = []
    add = cache.add

    def recorded(key, *rest):
        if key.startswith("attack:"):
            keys.append(key)
        return add(key, *rest)

    monkeypatch.setattr(cache, "add", recorded)
    return keys


def sign_in(client_for, *, password=GUESS, address="203.0.113.7", email="Ann@Faß.example"):
    body = {"email": email, "password": password}
    return client_for().post("/api/v1/auth/login", body, REMOTE_ADDR=address).status_code


def test_many_wrong_passwords_from_strangers_are_one_mail(client_for, ann):
    networks = [
        "203.0.113.7",
        "203.0.113.8",
        "2001:db8:1::1",
        "2001:db8:1::2",
    ]  # the last two are one
    for number in range(MANY - 1):
        sign_in(client_for, address=networks[number % 4], email="ann@xn--fa-hia.example")
    assert not Notice.objects.exists()

    for _ in range(3 * MANY):
        assert sign_in(client_for) == 401

    mail = Notice.objects.get()
    assert mail.user == ann
    assert mail.subject == "Wrong passwords for your account"
    assert f"{MANY} sign-ins to your account (ann@faß.example)" in mail.body
    assert "from 3 networks" in mail.body
    assert "UTC" in mail.body
    assert "change it" in mail.body


def test_the_door_of_the_admin_site_counts_too(client_for, ann):
    for number in range(MANY):
        form = {"username": "ann@faß.example", "password": "a guess"}
        page = Client().post("/admin/login/", form, REMOTE_ADDR=f"203.0.113.{number}")
        assert page.status_code == 200

    assert f"from {MANY} networks" in Notice.objects.get().body


def test_the_owners_own_errors_in_a_usual_place_are_no_attack(client_for, ann):
    assert sign_in(client_for, password=PASSWORD, address="192.0.2.1") == 200
    for _ in range(3 * MANY):
        sign_in(client_for, address="192.0.2.1")

    assert not Notice.objects.exists()


def test_nobody_is_told_of_an_unknown_or_a_deactivated_account(client_for, make_user):
    make_user(email="out@example.com", password=PASSWORD, is_active=False)
    for email in ("out@example.com", "nobody@example.com", "no address"):
        for _ in range(2 * MANY):
            sign_in(client_for, email=email)

    assert not Notice.objects.exists()


def test_a_sign_in_from_a_new_network_is_told_while_the_password_is_being_guessed(client_for, ann):
    RefreshFamily.objects.filter(user=ann).delete()
    tokens.issue(ann, network="192.0.2.1")
    assert sign_in(client_for, password=PASSWORD, address="198.51.100.1") == 200
    assert not Notice.objects.exists()  # an ordinary change of the network
    for _ in range(MANY):
        sign_in(client_for)

    assert sign_in(client_for, password=PASSWORD, address="192.0.2.1") == 200
    assert Notice.objects.count() == 1
    assert sign_in(client_for, password=PASSWORD, address="203.0.113.7") == 200

    mail = Notice.objects.get(subject="A sign-in to your account from a new network")
    assert "203.0.113.7" in mail.body
    assert "ends all" in mail.body


def test_every_failure_costs_the_same_for_known_and_unknown_addresses(client_for, ann):
    """A further query for an existing account would tell strangers that it exists."""

    def queries(email: str) -> int:
        with CaptureQueriesContext(connection) as seen:
            sign_in(client_for, email=email)
        return len(seen)

    assert queries("ann@faß.example") == queries("nobody@example.com")


def test_unknown_addresses_fill_no_storage(client_for, stored):
    for number in range(2 * MANY):
        sign_in(client_for, email=f"nobody{number}@example.com", address=f"203.0.113.{number}")

    assert len(set(stored)) == 4


def test_an_account_is_counted_in_a_bounded_number_of_rows(client_for, ann, stored):
    for number in range(3 * MANY):
        sign_in(client_for, address=f"203.0.113.{number}")

    assert len(set(stored)) == 3 + MANY
