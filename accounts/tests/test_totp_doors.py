"""The second factor at the doors of pages, where it is required, and where it is taken away."""

import re

import pyotp
import pytest
from django.core.management import CommandError, call_command

from accounts import api_keys, totp
from accounts.forgetting import forget_old_setups
from accounts.models import Erasure, RecoveryCode, Totp
from accounts.roles import Role
from accounts.scopes import Scope
from audit.models import AuditEntry
from config.tests import desk

pytestmark = pytest.mark.django_db
PASSWORD = "a long pass phrase"
PAGE = "/account/second-factor"
API = "/api/v1"


def code_of(answer) -> str:
    [error] = answer.json()["errors"]
    return error["code"]


@pytest.fixture
def boss(make_user):
    return make_user(Role.ADMIN, email="boss@example.com", password=PASSWORD)


@pytest.fixture
def phone(boss, phone_of):
    return phone_of(boss)


@pytest.fixture(params=["/admin/login/?next=/admin/", "/sign-in"])
def door(request, client):
    def sign_in(code=None, password=PASSWORD):
        form = {"username": "boss@example.com", "password": password}
        if code is not None:
            form["totp"] = code
        return client.post(request.param, form)

    return sign_in


def is_in(client) -> bool:
    return "_auth_user_id" in client.session


class TestDoors:
    def test_the_code_lets_in(self, door, client, phone):
        assert door(phone.next()).status_code == 302
        assert is_in(client)

    @pytest.mark.parametrize("kind", ["none", "wrong", "used"])
    def test_nobody_is_in_without_it(self, door, client, phone, kind):
        code = {"none": None, "wrong": phone.wrong(), "used": phone.shows()}[kind]
        answer = door(code)
        assert answer.status_code == 200
        assert not is_in(client)
        said = answer.content.decode()
        assert ("has a second factor" if kind == "none" else "This code is wrong") in said
        assert not AuditEntry.objects.filter(action="login.succeeded").exists()

    def test_a_recovery_code_is_taken(self, door, client, phone):
        assert door(phone.recovery_codes[0]).status_code == 302
        assert is_in(client)

    def test_a_wrong_password_tells_nothing_of_it(self, door, phone, boss):
        wrong = door("000000", "not the phrase").content
        totp.reset(user=boss, actor=None)
        token = re.compile(rb'(csrfmiddlewaretoken" value|nonce)="[^"]*"')
        assert token.sub(b"", wrong) == token.sub(b"", door("000000", "not the phrase").content)

    def test_many_wrong_codes_close_it(self, door, client, phone):
        for _ in range(5):
            door(phone.wrong())
        said = door(phone.next()).content.decode()
        assert "Use a recovery code, or try again in 1 minute." in said
        assert not is_in(client)

    def test_the_page_asks_everybody_for_a_code(self, client, boss):
        for path in ("/admin/login/", "/sign-in"):
            page = client.get(path).content.decode()
            assert 'name="totp"' in page
            assert 'autocomplete="one-time-code"' in page


class TestPage:
    def test_a_stranger_is_sent_to_the_sign_in(self, client):
        answer = client.get(PAGE)
        assert (answer.status_code, answer["Location"]) == (302, f"/sign-in?next={PAGE}")
        assert client.post(PAGE, {"act": "begin"}).status_code == 302
        assert Totp.objects.count() == 0

    def test_from_the_picture_to_the_codes_and_off_again(self, client, boss, clock):
        client.force_login(boss)
        assert b"Set it up" in client.get(PAGE).content
        page = client.post(PAGE, {"act": "begin"}).content.decode()
        assert "<svg" in page
        [secret] = re.findall(r"Key: <code>([A-Z2-7]{32})</code>", page)
        code = pyotp.TOTP(secret).at(clock.now())
        refused = client.post(PAGE, {"act": "confirm", "totp": "abc"})
        assert b"This code is wrong" in refused.content
        assert not totp.is_on(boss)

        done = client.post(PAGE, {"act": "confirm", "totp": code})
        assert done["Cache-Control"] == "no-store"
        codes = re.findall(r"<li><code>([a-z2-7-]{19})</code>", done.content.decode())
        assert len(codes) == 10
        later = client.get(PAGE).content.decode()
        assert "It is on since" in later
        assert "Recovery codes left: 10." in later
        assert secret not in later
        assert not any(each in later for each in codes)

        wrong = {"act": "off", "current_password": "not it", "totp": codes[0]}
        assert b"This is not your current password" in client.post(PAGE, wrong).content
        assert totp.is_on(boss)
        off = {**wrong, "current_password": PASSWORD}
        assert b"Your second factor is off." in client.post(PAGE, off).content
        assert not totp.is_on(boss)

    def test_another_site_cannot_post_it(self, boss, client):
        from django.test import Client

        strict = Client(enforce_csrf_checks=True)
        strict.force_login(boss)
        assert strict.post(PAGE, {"act": "begin"}).status_code == 403
        assert Totp.objects.count() == 0


class TestRequired:
    @pytest.fixture(autouse=True)
    def required(self, settings):
        settings.TOTP_REQUIRED_FOR_ADMINS = True

    def test_an_administrator_can_only_set_one_up(self, client_for, boss, clock):
        client = client_for(boss)
        for path in ("users/", "videos/", "payments/admin/coupons/", "auth/sessions/"):
            answer = client.get(f"{API}/{path}")
            assert answer.status_code == 403, path
            assert answer.json()["errors"][0]["code"] == "totp_setup_required"
        made = client.post(f"{API}/videos/", {"title": "New"})
        assert made.status_code == 403
        assert client.get(f"{API}/auth/me").status_code == 200
        assert client.get(f"{API}/auth/totp").status_code == 200
        secret = client.post(f"{API}/auth/totp").json()["secret"]
        code = pyotp.TOTP(secret).at(clock.now())
        assert client.post(f"{API}/auth/totp/confirm", {"totp": code}).status_code == 200
        assert client.get(f"{API}/users/").status_code == 200

    def test_a_key_of_such_an_administrator_opens_nothing(self, client, boss):
        _, key = api_keys.create(user=boss, name="script", scopes=[Scope.READ])
        bearer = {"HTTP_AUTHORIZATION": f"Bearer {key}"}
        answer = client.get(f"{API}/users/", **bearer)
        assert (answer.status_code, code_of(answer)) == (403, "totp_setup_required")

    def test_an_erasure_asks_for_the_code(self, client_for, boss, phone_of, make_user, settings):
        settings.TOTP_REQUIRED_FOR_ADMINS = False
        ann = make_user(email="ann@example.com", password=PASSWORD)
        phone = phone_of(ann)
        body = {"current_password": PASSWORD}
        for wrong in ({}, {"totp": phone.wrong()}):
            answer = client_for(ann).delete(f"{API}/auth/me", {**body, **wrong}, format="json")
            assert (answer.status_code, code_of(answer)) == (400, "totp_wrong")
        assert not Erasure.objects.exists()
        done = client_for(ann).delete(
            f"{API}/auth/me", {**body, "totp": phone.next()}, format="json"
        )
        assert done.status_code == 202

    def test_pages_lead_there(self, client, boss, phone_of):
        client.force_login(boss)
        for path in ("/admin/", "/admin/accounts/user/", "/numbers/", "/"):
            answer = client.get(path)
            assert (answer.status_code, answer["Location"]) == (302, PAGE), path
        assert b"Administrators need a second factor here" in client.get(PAGE).content
        assert client.post("/admin/logout/").status_code == 200
        client.force_login(boss)
        phone_of(boss)
        assert client.get("/admin/").status_code == 200

    def test_an_act_of_the_admin_site_is_not_done(self, client, boss, viewer):
        client.force_login(boss)
        path = f"/admin/accounts/user/act/deactivate/?rows={viewer.pk}"
        assert client.get(path).status_code == 302
        client.post(path, {"rows": viewer.pk, "reason": "because"})
        viewer.refresh_from_db()
        assert viewer.is_active

    def test_others_need_none(self, client_for, creator, viewer):
        assert client_for(creator).get(f"{API}/videos/").status_code == 200
        assert client_for(viewer).get(f"{API}/auth/sessions/").status_code == 200

    def test_the_refused_are_counted(self, client_for, boss, settings):
        settings.RATE_LIMITS = {**settings.RATE_LIMITS, "default": 3}
        client = client_for(boss)
        found = [client.get(f"{API}/users/").status_code for _ in range(4)]
        assert found == [403, 403, 403, 429]


def test_by_default_no_administrator_needs_one(client_for, boss):
    assert client_for(boss).get(f"{API}/users/").status_code == 200


class TestTakenAway:
    def test_by_the_command(self, told, phone, boss, capsys):
        call_command("reset_totp", "Boss@example.com")
        assert "signs in with the password alone" in capsys.readouterr().out
        assert (Totp.objects.count(), RecoveryCode.objects.count()) == (0, 0)
        entry = AuditEntry.objects.get(action="totp.reset")
        assert (entry.actor_id, entry.target_id) == (None, str(boss.pk))
        assert told[1:] == [("boss@example.com", "reset")]

    def test_the_command_refuses_what_is_not_there(self, boss):
        with pytest.raises(CommandError, match=r"There is no user .* Nothing was changed"):
            call_command("reset_totp", "nobody@example.com")
        with pytest.raises(CommandError, match=r"has no second factor. Nothing was changed"):
            call_command("reset_totp", "boss@example.com")
        assert not AuditEntry.objects.filter(action="totp.reset").exists()

    def test_on_the_admin_site_after_a_question(self, client, admin, make_user, phone_of):
        user = make_user(email="ann@example.com", password=PASSWORD)
        phone_of(user)
        client.force_login(admin)
        page = desk.choose(client, "reset_second_factor", user)
        assert totp.is_on(user)
        report = desk.confirm(client, page, reason="Called from her number")
        assert b"Taken away: 1." in report.content
        assert not totp.is_on(user)
        entry = AuditEntry.objects.get(action="totp.reset")
        assert entry.actor_id == admin.pk
        assert entry.data["admin_reason"] == "Called from her number"

    def test_on_the_admin_site_without_one(self, client, admin, viewer):
        client.force_login(admin)
        page = desk.choose(client, "reset_second_factor", viewer)
        report = desk.confirm(client, page, reason="Called")
        assert b"This user has no second factor" in report.content
        assert not AuditEntry.objects.filter(action="totp.reset").exists()


def test_set_ups_that_nobody_completed_are_forgotten(make_user, clock, phone_of):
    phone_of(make_user())
    totp.begin(user=make_user())
    assert forget_old_setups() == 0
    clock.wait(3601)
    assert forget_old_setups() == 1
    assert Totp.objects.exclude(confirmed_at=None).count() == 1
