"""The second factor: set up, asked for at sign-ins, good once, and hard to guess."""

import base64
import json
import logging
import re
import threading
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pyotp
import pytest
from django.db import connections
from rest_framework.exceptions import APIException

from accounts import services, totp
from accounts.errors import TotpLocked, TotpRefused
from accounts.models import RecoveryCode, RefreshFamily, Totp
from audit.models import AuditEntry
from config.tests.doctoring import worst

pytestmark = pytest.mark.django_db
API = "/api/v1/auth"
PASSWORD = "a long pass phrase"


@pytest.fixture
def ann(make_user):
    return make_user(email="ann@example.com", password=PASSWORD)


@pytest.fixture
def phone(ann, phone_of):
    return phone_of(ann)


@pytest.fixture
def sign_in(client_for):
    """Signs Ann in, as often as a test wants: each time from another network."""
    count = iter(range(1, 250))

    def post(code=None, *, password=PASSWORD, email="ann@example.com"):
        body = {"email": email, "password": password}
        if code is not None:
            body["totp"] = code
        address = f"203.0.113.{next(count)}"
        return client_for().post(f"{API}/login", body, REMOTE_ADDR=address)

    return post


def code_of(answer) -> str:
    [error] = answer.json()["errors"]
    return error["code"]


def actions() -> list[str]:
    found = AuditEntry.objects.exclude(action="api.request").order_by("pk")
    return list(found.values_list("action", flat=True))


class TestSettingUp:
    def test_from_the_secret_to_the_recovery_codes(self, client_for, ann, sign_in, clock, told):
        client = client_for(ann)
        assert client.get(f"{API}/totp").json() == {
            "is_on": False, "confirmed_at": None, "recovery_codes_left": 0,
        }  # fmt: skip

        begun = client.post(f"{API}/totp")
        assert begun.status_code == 200
        assert begun["Cache-Control"] == "no-store"
        secret = begun.json()["secret"]
        url = urlsplit(begun.json()["otpauth_url"])
        assert (url.scheme, url.netloc) == ("otpauth", "totp")
        assert parse_qs(url.query)["secret"] == [secret]
        assert begun.json()["qr"].startswith("data:image/svg+xml")
        assert sign_in().status_code == 200  # nothing is required yet

        code = pyotp.TOTP(secret).at(clock.now())
        done = client.post(f"{API}/totp/confirm", {"totp": f"{code[:3]} {code[3:]}"})
        assert done.status_code == 200
        codes = done.json()["recovery_codes"]
        assert len(set(codes)) == 10
        assert all(re.fullmatch(r"([a-z2-7]{4}-){3}[a-z2-7]{4}", each) for each in codes)

        state = client.get(f"{API}/totp").json()
        assert (state["is_on"], state["recovery_codes_left"]) == (True, 10)
        assert code_of(sign_in()) == "totp_required"
        assert {"totp.begun", "totp.on"} <= set(actions())
        assert told == [("ann@example.com", "on")]

    def test_nothing_shows_the_secret_or_a_code_again(self, client_for, ann, phone):
        client = client_for(ann)
        answers = [
            client.get(f"{API}/totp"),
            client.post(f"{API}/totp"),
            client.post(f"{API}/totp/confirm", {"totp": phone.next()}),
            client.get(f"{API}/me"),
        ]
        assert [answer.status_code for answer in answers] == [200, 409, 409, 200]
        said = b"".join(answer.content for answer in answers).decode()
        assert phone.secret not in said
        assert not any(code in said for code in phone.recovery_codes)

    def test_a_wrong_code_turns_nothing_on(self, client_for, ann, clock):
        secret = totp.begin(user=ann).secret
        right = pyotp.TOTP(secret).at(clock.now())
        wrong = f"{(int(right) + 1) % 10**6:06}"
        answer = client_for(ann).post(f"{API}/totp/confirm", {"totp": wrong})
        assert (answer.status_code, code_of(answer)) == (400, "totp_wrong")
        assert not totp.is_on(ann)
        assert RecoveryCode.objects.count() == 0

    def test_a_set_up_ends_after_an_hour(self, client_for, ann, clock):
        secret = totp.begin(user=ann).secret
        clock.wait(3600)
        code = pyotp.TOTP(secret).at(clock.now())
        answer = client_for(ann).post(f"{API}/totp/confirm", {"totp": code})
        assert (answer.status_code, code_of(answer)) == (409, "totp_not_begun")
        assert not totp.is_on(ann)

    def test_beginning_again_replaces_the_secret(self, client_for, ann, clock):
        first, second = totp.begin(user=ann).secret, totp.begin(user=ann).secret
        assert first != second
        client = client_for(ann)
        old = client.post(f"{API}/totp/confirm", {"totp": pyotp.TOTP(first).at(clock.now())})
        assert code_of(old) == "totp_wrong"
        new = client.post(f"{API}/totp/confirm", {"totp": pyotp.TOTP(second).at(clock.now())})
        assert new.status_code == 200

    def test_a_stranger_has_no_second_factor_to_see(self, client_for):
        for method, path in [("get", "totp"), ("post", "totp"), ("delete", "totp"),
                             ("post", "totp/confirm")]:  # fmt: skip
            assert getattr(client_for(), method)(f"{API}/{path}").status_code == 401


class TestSigningIn:
    def test_the_code_of_the_app_lets_in(self, sign_in, phone):
        answer = sign_in(phone.next())
        assert answer.status_code == 200
        assert set(answer.json()) == {"access_token", "refresh_token", "token_type", "expires_in"}

    def test_without_a_code_there_are_no_tokens(self, sign_in, phone):
        answer = sign_in()
        assert (answer.status_code, code_of(answer)) == (401, "totp_required")
        assert answer["WWW-Authenticate"] == 'Bearer realm="api"'
        assert RefreshFamily.objects.count() == 0
        assert "login.failed" not in actions()

    def test_the_oauth2_form_takes_it_too(self, client_for, phone):
        form = "username=ann%40example.com&password=a+long+pass+phrase"
        kind = "application/x-www-form-urlencoded"
        asked = client_for().post(f"{API}/login", form, content_type=kind)
        assert (asked.status_code, code_of(asked)) == (401, "totp_required")
        body = f"{form}&totp={phone.next()}"
        assert client_for().post(f"{API}/login", body, content_type=kind).status_code == 200

    @pytest.mark.parametrize("given", [None, "", "000000", "right"])
    def test_a_wrong_password_tells_nothing_of_it(self, sign_in, phone, make_user, given):
        """Enumeration: with a second factor or without, with a code or without, one answer."""
        make_user(email="bob@example.com", password=PASSWORD)
        code = phone.next() if given == "right" else given
        answers = [
            sign_in(code, password="not the phrase", email=email)
            for email in ("ann@example.com", "bob@example.com", "nobody@example.com")
        ]
        assert len({answer.content for answer in answers}) == 1
        assert code_of(answers[0]) == "wrong_credentials"
        row = Totp.objects.get()
        assert row.failures == 0
        if given == "right":
            assert sign_in(code).status_code == 200  # the code was not used up

    def test_a_code_is_good_once(self, sign_in, phone):
        code = phone.next()
        assert sign_in(code).status_code == 200
        again = sign_in(code)
        assert (again.status_code, code_of(again)) == (401, "totp_wrong")
        assert RefreshFamily.objects.count() == 1

    def test_the_code_that_confirmed_is_used_up(self, sign_in, phone):
        assert code_of(sign_in(phone.shows())) == "totp_wrong"

    def test_a_code_before_the_last_one_is_refused(self, sign_in, phone, clock):
        before = phone.next()
        assert sign_in(phone.next()).status_code == 200
        assert code_of(sign_in(before)) == "totp_wrong"

    @pytest.mark.parametrize(("drift", "status"), [(-2, 401), (-1, 200), (1, 200), (2, 401)])
    def test_clocks_may_differ_by_a_step(self, sign_in, phone, clock, drift, status):
        clock.wait(300)
        code = pyotp.TOTP(phone.secret).at(clock.now(), counter_offset=drift)
        assert sign_in(code).status_code == status

    def test_of_a_wrong_code_the_log_knows(self, sign_in, phone):
        answer = sign_in(phone.wrong())
        assert (answer.status_code, code_of(answer)) == (401, "totp_wrong")
        assert actions()[-1] == "login.failed"
        assert RefreshFamily.objects.count() == 0

    def test_a_deactivated_user_is_refused_as_ever(self, sign_in, phone, ann):
        services.set_active(user_id=ann.pk, is_active=False, actor=None)
        assert code_of(sign_in(phone.next())) == "wrong_credentials"

    @pytest.mark.parametrize("code", ["12345", "1234567", "\uff11" * 6, "abc", "0" * 40, "é"])
    def test_odd_codes_are_wrong_codes(self, sign_in, phone, code):
        assert code_of(sign_in(code)) == "totp_wrong"

    def test_a_code_that_is_far_too_long_is_a_400(self, sign_in, phone):
        assert sign_in("0" * 41).status_code == 400

    def test_a_code_of_a_user_without_one_is_ignored(self, sign_in, ann):
        assert sign_in("123456").status_code == 200

    def test_a_new_password_does_not_remove_it(self, client_for, sign_in, phone, ann):
        body = {"current_password": PASSWORD, "new_password": "another pass phrase"}
        assert client_for(ann).post(f"{API}/password", body).status_code == 204
        assert code_of(sign_in(password="another pass phrase")) == "totp_required"
        assert sign_in(phone.next(), password="another pass phrase").status_code == 200


class TestRecoveryCodes:
    def test_each_opens_once(self, told, sign_in, phone, ann, client_for):
        code = phone.recovery_codes[3]
        assert sign_in(code.upper().replace("-", " ")).status_code == 200
        assert code_of(sign_in(code)) == "totp_wrong"
        assert client_for(ann).get(f"{API}/totp").json()["recovery_codes_left"] == 9
        assert actions().count("totp.recovery_used") == 1
        assert told[1:] == [("ann@example.com", "recovery code used")]

    def test_they_are_stored_as_hashes(self, phone):
        stored = str(list(RecoveryCode.objects.values()) + list(Totp.objects.values()))
        for code in phone.recovery_codes:
            assert code not in stored
            assert code.replace("-", "") not in stored
        assert phone.secret not in stored

    def test_those_of_another_user_do_not_open(self, sign_in, phone, make_user, phone_of):
        other = phone_of(make_user(email="bob@example.com", password=PASSWORD))
        assert code_of(sign_in(other.recovery_codes[0])) == "totp_wrong"
        assert RecoveryCode.objects.exclude(used_at=None).count() == 0


class TestGuessing:
    def test_wrong_codes_close_the_factor_for_longer_and_longer(self, told, ann, phone, clock):
        for _ in range(5):
            with pytest.raises(TotpRefused):
                totp.check(ann, phone.wrong())
        with pytest.raises(TotpLocked) as locked:
            totp.check(ann, phone.next())  # the right one, half a minute later
        assert locked.value.retry_after == 30
        for minutes in (2, 4, 8, 16, 32, 60, 60):
            clock.wait(3600)
            with pytest.raises(TotpRefused):
                totp.check(ann, phone.wrong())
            row = Totp.objects.get()
            assert row.locked_until - clock.now() == timedelta(minutes=minutes)
        clock.wait(3600)
        totp.check(ann, phone.shows())
        assert Totp.objects.get().failures == 0
        assert told[1:] == [("ann@example.com", "guessed")]

    def test_the_answer_says_how_long_and_a_recovery_code_still_opens(self, sign_in, phone):
        for _ in range(5):
            sign_in(phone.wrong())
        answer = sign_in(phone.next())
        assert (answer.status_code, code_of(answer)) == (429, "totp_locked")
        assert answer["Retry-After"] == "30"
        assert sign_in(phone.recovery_codes[0]).status_code == 200

    def test_they_count_against_the_limits_of_sign_ins(self, client_for, phone, settings, ann):
        settings.RATE_LIMITS = {**settings.RATE_LIMITS, "auth": 4}
        right = {"email": ann.email, "password": PASSWORD, "totp": phone.next()}
        body = {**right, "totp": phone.wrong()}
        for number in range(4):
            address = f"203.0.113.{number}"
            answer = client_for().post(f"{API}/login", body, REMOTE_ADDR=address)
            assert code_of(answer) == "totp_wrong"
        answer = client_for().post(f"{API}/login", right, REMOTE_ADDR="203.0.113.99")
        assert (answer.status_code, code_of(answer)) == (429, "throttled")
        assert RefreshFamily.objects.count() == 0


class TestTurningOff:
    def test_with_the_password_and_a_code(self, told, client_for, ann, phone, sign_in):
        body = {"current_password": PASSWORD, "totp": phone.next()}
        answer = client_for(ann).delete(f"{API}/totp", body)
        assert answer.status_code == 204
        assert (Totp.objects.count(), RecoveryCode.objects.count()) == (0, 0)
        assert sign_in().status_code == 200
        assert "totp.off" in actions()
        assert told[1:] == [("ann@example.com", "off")]

    def test_with_a_recovery_code(self, client_for, ann, phone):
        body = {"current_password": PASSWORD, "totp": phone.recovery_codes[0]}
        assert client_for(ann).delete(f"{API}/totp", body).status_code == 204

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ({"current_password": "not it", "totp": "right"}, "wrong_password"),
            ({"current_password": PASSWORD, "totp": "wrong"}, "totp_wrong"),
            ({"current_password": PASSWORD}, "required"),
            ({"totp": "right"}, "required"),
        ],
    )
    def test_without_either_it_stays_on(self, client_for, ann, phone, body, code):
        if "totp" in body:
            body = {**body, "totp": phone.next() if body["totp"] == "right" else phone.wrong()}
        answer = client_for(ann).delete(f"{API}/totp", body)
        assert (answer.status_code, code_of(answer)) == (400, code)
        assert totp.is_on(ann)
        assert RecoveryCode.objects.filter(used_at=None).count() == 10

    def test_there_may_be_nothing_to_turn_off(self, client_for, ann):
        answer = client_for(ann).delete(
            f"{API}/totp", {"current_password": PASSWORD, "totp": "123456"}
        )
        assert (answer.status_code, code_of(answer)) == (409, "totp_off")


class TestSecrets:
    def test_a_new_secret_key_with_the_old_one_as_fallback(self, sign_in, phone, settings):
        old = settings.TOTP_KEYS
        settings.TOTP_KEYS = [b"n" * 32, *old]
        assert sign_in(phone.next()).status_code == 200  # and seals it anew
        settings.TOTP_KEYS = [b"n" * 32]
        assert sign_in(phone.next()).status_code == 200

    def test_without_the_fallback_a_recovery_code_opens(self, sign_in, phone, settings, caplog):
        settings.TOTP_KEYS = [b"n" * 32]
        assert totp.unreadable() == 1
        assert worst("second_factors") == "error"
        assert code_of(sign_in(phone.next())) == "totp_wrong"
        assert "manage.py doctor" in caplog.text
        assert sign_in(phone.recovery_codes[0]).status_code == 200

    def test_no_log_has_a_code_or_a_secret(self, client_for, ann, sign_in, clock, caplog):
        caplog.set_level(logging.DEBUG)
        client = client_for(ann)
        secret = client.post(f"{API}/totp").json()["secret"]
        codes = [pyotp.TOTP(secret).at(clock.now())]
        found = client.post(f"{API}/totp/confirm", {"totp": codes[0]}).json()["recovery_codes"]
        clock.wait(30)
        codes.append(pyotp.TOTP(secret).at(clock.now()))
        sign_in(codes[1])
        sign_in(found[0])
        sign_in("123456")
        kept = json.dumps(list(AuditEntry.objects.values()), default=str)
        kept += caplog.text
        for each in (secret, *found, *(code.replace("-", "") for code in found)):
            assert each not in kept
        for code in (*codes, "123456"):
            assert not re.search(rf"(?<![0-9a-f.-]){code}(?![0-9a-f-])", kept)

    def test_the_sealed_secret_is_not_the_secret_in_another_form(self, phone):
        sealed = Totp.objects.get().sealed_secret
        assert phone.secret.encode() not in base64.urlsafe_b64decode(sealed)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["digits", "recovery"])
def test_two_sign_ins_with_one_code_at_once(ann, phone, kind):
    code = phone.next() if kind == "digits" else phone.recovery_codes[0]
    start, outcomes = threading.Barrier(2), []

    def enter():
        start.wait()
        try:
            totp.check(ann, code)
            outcomes.append("in")
        except APIException as refusal:
            outcomes.append(refusal.default_code)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=enter) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["in", "totp_wrong"]
