"""Passwords in normal form: one password, on whichever system it is typed (RFC 8265)."""

import io
import time
import unicodedata
from unittest import mock

import pytest
from django.contrib.auth.hashers import make_password
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.test import Client

from accounts import precis, tokens
from accounts.models import User
from accounts.tests.test_login import CountingHasher
from audit.models import AuditEntry

pytestmark = pytest.mark.django_db

LOGIN = "/api/v1/auth/login"
NFC = unicodedata.normalize("NFC", "Zürich für Åse, 한국")
NFD = unicodedata.normalize("NFD", NFC)


@pytest.mark.parametrize(
    ("sent", "form"),
    [
        (NFD, NFC),
        ("wide\u3000and\u00a0narrow\u2009space", "wide and narrow space"),
        ("  kept  ", "  kept  "),
        ("Ｋelvin \u212a", "Ｋelvin K"),  # noqa: RUF001 - NFC, and no mapping of width
        ("👨\u200d👩 ❤\ufe0f", "👨\u200d👩 ❤\ufe0f"),
        ("πß∞א", "πß∞א"),
        ("x" * 128, "x" * 128),
        ("α\u0313\u0300\u0345" * 128, "ᾂ" * 128),  # noqa: RUF001 - sent as four characters each
        ("❤\ufe0e", "❤\ufe0e"),
        ("\u1200", "\u1200"),  # the first letter after those of old Hangul
    ],
)
def test_the_normal_form(sent, form):
    assert precis.opaque_string(sent) == form
    assert precis.opaque_string(form) == form


@pytest.mark.parametrize(
    "password",
    ["", "tab\tinside", "new\nline", "\x00", "esc\x1b[0m", "\x7f", "\x85", "a\u200bb",
     "a\u202eb", "a\u00adb", "\ufeff", "\u2028", "\u2029", "\ud800", "\ue000", "\uffff",
     "\u0378", "\u1160", "\u1100", "\u11ff", "x" * 129, "e\u0301" * 129, "x" * 100_000],
)  # fmt: skip
def test_a_password_without_a_normal_form_is_refused_and_keeps_what_it_is(password):
    with pytest.raises(ValidationError) as refusal:
        precis.opaque_string(password)
    with pytest.raises(ValidationError):
        User().set_password(password)

    assert refusal.value.messages[0].endswith(".")
    codes = {"password_empty", "password_too_long", "password_characters"}
    assert refusal.value.code == "password_empty" if not password else refusal.value.code in codes


@pytest.mark.parametrize("password", ["x" * 129, "x" * 513, "α\u0313\u0300\u0345" * 128 + "x"])  # noqa: RUF001
def test_a_password_that_is_too_long_is_called_so(password):
    with pytest.raises(ValidationError, match="longer than 128 characters") as refusal:
        precis.opaque_string(password)

    assert refusal.value.code == "password_too_long"


def test_the_longest_password_that_is_sent_opens_its_account(client_for):
    body = {"email": "ann@example.com", "password": "α\u0313\u0300\u0345" * 128}  # noqa: RUF001

    assert client_for().post("/api/v1/auth/register", body).status_code == 201
    assert client_for().post(LOGIN, body).status_code == 200
    assert client_for().post(LOGIN, {**body, "password": "ᾂ" * 128}).status_code == 200


@pytest.mark.parametrize(
    ("password", "forms"),
    [
        ("", []),
        ("x" * 512, ["x" * 512]),
        ("x" * 513, []),
        ("abc", ["abc"]),
        ("a\u3000b", ["a b", "a\u3000b"]),
    ],
)
def test_the_forms_in_which_a_password_may_have_been_hashed(password, forms):
    assert precis.forms(password) == forms


def test_the_order_of_a_megabyte_of_accents_is_not_looked_for(client_for):
    started = time.thread_time()

    answer = client_for().post(
        LOGIN, {"email": "a@b.example", "password": "e\u0301\u0327" * 150_000}
    )

    assert answer.status_code == 400
    assert precis.forms("\u0301\u0327" * 500_000) == []
    assert time.thread_time() - started < 5


@pytest.mark.parametrize("first", [NFC, NFD])
@pytest.mark.parametrize("then", [NFC, NFD])
def test_registered_here_and_signed_in_there(client_for, first, then):
    body = {"email": "ann@example.com", "password": first}
    assert client_for().post("/api/v1/auth/register", body).status_code == 201

    answer = client_for().post(LOGIN, {"email": "ann@example.com", "password": then})
    wrong = client_for().post(LOGIN, {"email": "ann@example.com", "password": then + "!"})

    assert (answer.status_code, wrong.status_code) == (200, 401)


def test_the_length_is_counted_in_normal_form(client_for):
    def register(password, name):
        body = {"email": f"{name}@example.com", "password": password}
        return client_for().post("/api/v1/auth/register", body)

    long = unicodedata.normalize("NFD", "ü" + "rä" * 63 + "x")
    short = unicodedata.normalize("NFD", "äöüäöüx")

    assert (len(long), len(unicodedata.normalize("NFC", long))) == (192, 128)
    assert register(long, "long").status_code == 201
    assert register(long + "x", "longer").status_code == 400
    assert (len(short), register(short, "short").status_code) == (13, 400)
    assert list(User.objects.filter(email__contains="r@").values_list("email", flat=True)) == []


@pytest.mark.parametrize("old", [NFD, "tab\tof old times", "old\u3000space of old"])
def test_a_password_that_was_hashed_as_it_was_sent_still_opens_the_account(
    client_for, make_user, old
):
    user = make_user(email="ann@example.com")
    User.objects.filter(pk=user.pk).update(password=make_password(old))
    pair = tokens.issue(user)

    answers = [client_for().post(LOGIN, {"email": user.email, "password": old}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    user.refresh_from_db()
    form = precis.forms(old)[0]
    assert user.check_password(form)
    # The hash is now that of the normal form, and that is no change of the password.
    assert client_for().post(LOGIN, {"email": user.email, "password": form}).status_code == 200
    me = client_for().get("/api/v1/auth/me", HTTP_AUTHORIZATION=f"Bearer {pair.access}")
    assert me.status_code == 200
    assert not AuditEntry.objects.filter(action="user.password_changed").exists()


@pytest.mark.parametrize(
    ("password", "hashes"),
    [("not the phrase", 1), (NFC, 1), (NFD, 2), ("tab\tinside", 1), ("x" * 128, 1)],
)
def test_the_time_depends_on_the_password_and_not_on_the_account(
    client_for, make_user, settings, password, hashes
):
    settings.PASSWORD_HASHERS = [f"{CountingHasher.__module__}.CountingHasher"]
    make_user(email="ann@example.com", password="the right one")
    make_user(email="out@example.com", password="the right one", is_active=False)
    make_user(email="no-password@example.com")
    addresses = [
        "ann@example.com", "out@example.com", "no-password@example.com", "nobody@example.com",
        "ann@faß.example", "no address",
    ]  # fmt: skip

    for email in addresses:
        CountingHasher.calls = 0
        answer = client_for().post(LOGIN, {"email": email, "password": password})
        assert (answer.status_code, CountingHasher.calls) == (401, hashes), email


@pytest.mark.parametrize(
    "password",
    [
        "ann@faß.example", "ANN@FASS.example", "ann@xn--fa-hia.example", "faß.example",
        "ａｎｎ＠ｆａß．ｅｘａｍｐｌｅ",  # noqa: RUF001
        unicodedata.normalize("NFD", "Jürgen Müller"), "Ｊürgen\u3000Ｍüller",  # noqa: RUF001
        "ｐａｓｓｗｏｒｄ", "１２３４５６７８９０１２３４",  # noqa: RUF001
    ],
)  # fmt: skip
def test_a_password_in_other_letters_is_as_easy_to_guess(client_for, password):
    before = User.objects.count()

    answer = client_for().post(
        "/api/v1/auth/register",
        {"email": "ann@faß.example", "password": password, "display_name": "Jürgen Müller"},
    )

    assert answer.status_code == 400, answer.data
    assert {error["attr"] for error in answer.json()["errors"]} == {"password"}
    assert User.objects.count() == before


def test_a_refused_character_is_told_once(client_for, make_user):
    user = make_user(password=NFC)
    body = {"current_password": NFD, "new_password": "tab\tin the middle"}

    answer = client_for(user).post("/api/v1/auth/password", body)

    [error] = answer.json()["errors"]
    assert (answer.status_code, error["attr"]) == (400, "new_password")
    assert error["detail"].startswith("The character U+0009 cannot be used in a password")
    user.refresh_from_db()
    assert user.check_password(NFC)


def test_changing_it_in_the_api_and_on_the_admin_site(client_for, make_user):
    user = make_user(email="ann@example.com", password=NFC, role="ADMIN")
    new = unicodedata.normalize("NFD", "Bäume über Öl")

    body = {"current_password": NFD, "new_password": new}
    assert client_for(user).post("/api/v1/auth/password", body).status_code == 204

    browser = Client()
    form = {"username": "ann@example.com", "password": unicodedata.normalize("NFC", new)}
    assert browser.post("/admin/login/?next=/admin/", form).status_code == 302
    form = {
        "old_password": unicodedata.normalize("NFC", new),
        "new_password1": NFD,
        "new_password2": NFD,
    }
    assert browser.post("/admin/password_change/", form).status_code == 302
    assert User.objects.get(pk=user.pk).check_password(NFC)


def test_commands_store_the_normal_forms(monkeypatch):
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", NFD)
    call_command(
        "createsuperuser", email="Ops@Faß.example", interactive=False, stdout=io.StringIO()
    )
    root = User.objects.get(email="ops@xn--fa-hia.example")
    assert root.check_password(NFC)

    with mock.patch(
        "django.contrib.auth.management.commands.changepassword.Command._get_pass",
        return_value=unicodedata.normalize("NFD", "Bäume über Öl"),
    ):
        call_command("changepassword", root.email, stdout=io.StringIO())
    root.refresh_from_db()
    assert root.check_password(unicodedata.normalize("NFC", "Bäume über Öl"))


@pytest.mark.parametrize(
    ("email", "password", "words"),
    [
        ("ops@example.com", "tab\tinside", "U\\+0009 cannot be used"),
        ("ops@[127.0.0.1]", "a long pass phrase", "no e-mail address"),
        ("öps@example.com", "a long pass phrase", "outside a to z"),
        ("root@faß.example", "a long pass phrase", "already taken"),
    ],
)
def test_createsuperuser_refuses_in_a_sentence(monkeypatch, make_user, email, password, words):
    make_user(email="root@xn--fa-hia.example")
    before = User.objects.count()
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", password)

    with pytest.raises(CommandError, match=words):
        call_command("createsuperuser", email=email, interactive=False, stdout=io.StringIO())

    assert User.objects.count() == before
