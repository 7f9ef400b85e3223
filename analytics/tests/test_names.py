"""One rule for every name that other people see, and searches that find an address by its letters."""

# ruff: noqa: RUF001 - texts of many scripts

import importlib
import logging
import types

import pytest
from django.apps import apps
from django.db import connection
from django.test import Client

from accounts import tokens
from accounts.models import User
from accounts.roles import Role
from payments.models import Plan
from videos.models import Tag, Video

pytestmark = pytest.mark.django_db

PLAN = {"code": "yearly", "name": "Yearly", "amount": "99.00", "currency": "USD"}


@pytest.mark.parametrize(
    "name",
    ["a\u202eb", "\u2066a\u2069", "a\u200bb", "\u3164", "a\nb", "a\x07b", "e" + "\u0301" * 9],
)
@pytest.mark.parametrize("field", ["title", "category", "tags", "plan"])
def test_a_name_that_deceives_is_refused(client_for, make_user, name, field):
    Video.objects.all().delete()
    plans = Plan.objects.count()

    if field == "plan":
        body = {**PLAN, "name": name}
        answer = client_for(make_user(Role.ADMIN)).post("/api/v1/payments/admin/plans", body)
    else:
        body = {"title": "A video", field: [name] if field == "tags" else name}
        answer = client_for(make_user(Role.CREATOR)).post("/api/v1/videos/", body)

    assert answer.status_code == 400, answer.data
    assert answer.json()["errors"][0]["attr"].split(".")[0] == (
        "name" if field == "plan" else field
    )
    assert not Video.objects.exists()
    assert not Tag.objects.exists()
    assert Plan.objects.count() == plans


def test_emoji_and_persian_are_names(client_for, make_user):
    body = {
        "title": "می\u200cخواهم 👨\u200d👩\u200d👧",
        "category": "🏳\ufe0f\u200d🌈",
        "tags": ["❤\ufe0f", "می\u200cخواهم"],
    }

    answer = client_for(make_user(Role.CREATOR)).post("/api/v1/videos/", body)

    assert answer.status_code == 201, answer.data
    assert (answer.json()["title"], answer.json()["category"]) == (body["title"], body["category"])
    assert set(answer.json()["tags"]) == set(body["tags"])


@pytest.fixture
def office(make_user) -> Client:
    browser = Client()
    browser.force_login(make_user(Role.ADMIN))
    return browser


@pytest.mark.parametrize(
    "words", ["faß.example", "ann@FASS.example", "Ann@faß.example", "xn--fa-hia", "müller.example"]
)
def test_searches_find_an_address_by_the_letters_of_its_domain(
    office, client_for, make_user, words
):
    for address in ("ann@faß.example", "ann@fass.example", "bob@müller.example"):
        make_user(email=address)
    expected = {
        "faß.example": "ann@xn--fa-hia.example",
        "ann@FASS.example": "ann@fass.example",
        "Ann@faß.example": "ann@xn--fa-hia.example",
        "xn--fa-hia": "ann@xn--fa-hia.example",
        "müller.example": "bob@xn--mller-kva.example",
    }[words]

    api = client_for(make_user(Role.ADMIN)).get("/api/v1/users/", {"search": words})
    page = office.get("/admin/accounts/user/", {"q": words})
    sign_ins = office.get("/admin/payments/notice/", {"q": words})

    assert [user["email"] for user in api.json()["results"]] == [expected]
    assert [user.email for user in page.context["cl"].result_list] == [expected]
    assert sign_ins.status_code == 200


def test_the_admin_site_refuses_a_name_that_deceives(office, make_user):
    user = make_user(display_name="Ann")

    page = office.post(f"/admin/accounts/user/{user.pk}/change/", {"display_name": "a\u202eb"})

    assert "U+202E (RIGHT-TO-LEFT OVERRIDE)" in page.content.decode()
    user.refresh_from_db()
    assert user.display_name == "Ann"


def test_addresses_of_old_are_brought_to_their_form_and_nobody_is_locked_out(
    make_user, client_for, caplog
):
    migration = importlib.import_module("accounts.migrations.0004_one_address")
    rows = {}
    for name, stored in {
        "alone": "a@müller.example",
        "first": "b@xn--mller-kva.example",
        "second": "b@müller.example",
        "odd": '"c d"@example.com',
        "plain": "d@example.com",
    }.items():
        rows[name] = make_user(email=f"{name}@example.com", password=f"a phrase of {name}")
        User.objects.filter(pk=rows[name].pk).update(email=stored)

    with caplog.at_level(logging.WARNING):
        for _ in range(2):  # safe to repeat
            migration.store_the_normal_form(apps, types.SimpleNamespace(connection=connection))

    now = {name: User.objects.get(pk=row.pk).email for name, row in rows.items()}
    assert now == {
        "alone": "a@xn--mller-kva.example",
        "first": "b@xn--mller-kva.example",
        "second": "b@müller.example",
        "odd": '"c d"@example.com',
        "plain": "d@example.com",
    }
    assert str(rows["second"].pk) in caplog.text
    assert "@" not in caplog.text
    for name, address in {**now, "alone": "A@Müller.example"}.items():
        body = {"email": address, "password": f"a phrase of {name}"}
        answer = client_for().post("/api/v1/auth/login", body)
        assert answer.status_code == 200, name
        owner = tokens.read_access(answer.json()["access_token"]).user_id
        assert str(owner) == str(rows[name].pk)
    body = {"email": "b@MÜLLER.example", "password": "a long pass phrase"}
    assert client_for().post("/api/v1/auth/register", body).status_code == 400
