"""Sign-in with another provider, against providers that are real servers on loopback."""

import re
import threading
import time
from urllib.parse import parse_qs, urlsplit

import httpx
import oidc_provider_mock  # type: ignore[import-untyped]  # no types
import pytest
import time_machine
from django.db import connections
from django.test import Client
from django.utils import timezone
from joserfc.jwk import OctKey, RSAKey

from accounts import identities, oidc, services, tokens
from accounts.errors import SignInRefused
from accounts.forgetting import forget_old_codes
from accounts.models import ProviderIdentity, RefreshFamily, SignInCode, User
from accounts.oidc import Person
from accounts.roles import Role
from accounts.signals import identity_linked
from accounts.tests.providers import CLIENT, SECRET, Provider
from audit.models import AuditEntry
from config.tests.doctoring import said, worst

pytestmark = pytest.mark.django_db
PASSWORD = "a long pass phrase"
SHOP = "https://shop.example.com"
TOKEN = "/api/v1/auth/oidc/token"


@pytest.fixture
def provider():
    made = Provider()
    yield made
    made.stop()


@pytest.fixture(autouse=True)
def configured(settings, request):
    """Without the fixture `provider` a test has none."""
    oidc.forget()
    if "provider" in request.fixturenames:
        settings.OIDC_ISSUER = request.getfixturevalue("provider").issuer
    settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET = CLIENT, SECRET
    settings.OIDC_NAME = "Example ID"
    settings.PUBLIC_URL = "https://vod.example.com"
    settings.CHECKOUT_RETURN_ORIGINS = [SHOP]
    yield
    oidc.forget()


@pytest.fixture
def come_back(client, provider):
    """Goes to the provider and comes back; returns the answer to the callback."""

    def walk(query="", *, browser=client):
        begun = browser.get(f"/sign-in/oidc{query}")
        assert begun.status_code == 302, begun.content
        back = urlsplit(provider.authorize(begun["Location"]))
        assert f"{back.scheme}://{back.netloc}{back.path}" == (
            "https://vod.example.com/sign-in/oidc/callback"
        )
        return browser.get(f"{back.path}?{back.query}")

    return walk


@pytest.fixture
def handed(come_back):
    """Comes back to the shop's page; returns the code that was handed over."""

    def walk():
        answer = come_back(f"?return_to={SHOP}/welcome&state=s-1")
        page, _, fragment = answer["Location"].partition("#")
        assert page == f"{SHOP}/welcome"
        found = parse_qs(fragment)
        assert found["state"] == ["s-1"]
        return found["code"][0]

    return walk


@pytest.fixture
def ann(make_user):
    return make_user(email="ann@example.com", password=PASSWORD, email_verified=True)


def is_in(client) -> bool:
    return "_auth_user_id" in client.session


def refused(answer, words: str, client, *, status: int = 403) -> None:
    """Assert that the page says why, and that nothing has changed."""
    assert answer.status_code == status
    text = re.sub(r"\s+", " ", answer.content.decode())
    assert words in text, text
    assert not is_in(client)
    assert not ProviderIdentity.objects.exists()
    assert not AuditEntry.objects.filter(action="login.succeeded").exists()


class TestPages:
    def test_a_new_person_becomes_a_viewer(self, client, come_back):
        answer = come_back("?next=/numbers/creator")
        assert (answer.status_code, answer["Location"]) == (302, "/numbers/creator")
        assert is_in(client)
        user = User.objects.get(email="ann@example.com")
        assert (user.role_name, user.email_verified, user.display_name) == ("VIEWER", True, "Ann")
        assert not user.has_usable_password()
        found = AuditEntry.objects.filter(target_id=str(user.pk)).values_list("action", flat=True)
        assert {"user.registered", "login.succeeded"} <= set(found)

    def test_a_second_sign_in_finds_the_same_user_whatever_the_address(self, come_back, provider):
        come_back()
        provider.claims = {**provider.claims, "email": "new@example.com"}
        browser = Client()
        come_back(browser=browser)
        assert is_in(browser)
        assert User.objects.filter(identities__subject="person-1").count() == 1
        assert not User.objects.filter(email="new@example.com").exists()

    def test_an_account_with_the_same_verified_address_is_linked(self, client, come_back, ann):
        told = []
        identity_linked.connect(
            lambda user, **more: told.append(user), weak=False, dispatch_uid="t"
        )
        try:
            come_back()
        finally:
            identity_linked.disconnect(dispatch_uid="t")
        assert client.session["_auth_user_id"] == str(ann.pk)
        assert ProviderIdentity.objects.get().user == ann
        assert AuditEntry.objects.filter(action="identity.linked").count() == 1
        assert told == [ann]

    def test_the_claims_may_come_from_the_userinfo_endpoint(self, client, come_back, provider):
        provider.userinfo = provider.claims
        come_back()
        assert is_in(client)
        assert "/me" in provider.asked

    def test_the_sign_in_page_has_the_way_there(self, client, provider):
        for path in ("/sign-in?next=/numbers/", "/admin/login/?next=/admin/"):
            assert "Sign in with Example ID" in client.get(path).content.decode()

    def test_a_wrong_next_leads_home(self, come_back):
        assert come_back("?next=https://evil.example/")["Location"] == "/numbers/"

    def test_the_host_header_names_nothing(self, client, provider, settings):
        settings.ALLOWED_HOSTS = ["*"]
        begun = client.get("/sign-in/oidc", headers={"host": "evil.example"})
        query = parse_qs(urlsplit(begun["Location"]).query)
        assert query["redirect_uri"] == ["https://vod.example.com/sign-in/oidc/callback"]

    def test_the_cookie_is_for_this_host_and_no_script(self, client, provider):
        cookie = client.get("/sign-in/oidc").cookies["oidc"]
        assert (cookie["httponly"], cookie["samesite"], cookie["max-age"]) == (True, "Lax", 600)


class TestRefused:
    def test_an_address_that_nobody_verified(self, client, come_back, provider):
        for value in (False, None, "true"):
            provider.claims = {**provider.claims, "email_verified": value}
            refused(come_back(), "has not verified your e-mail address", client)
        assert not User.objects.filter(email="ann@example.com").exists()

    def test_an_account_here_whose_address_nobody_verified(self, client, come_back, make_user):
        make_user(email="ann@example.com", password=PASSWORD)
        refused(come_back(), "nobody has verified it", client)

    def test_a_second_person_with_the_address_of_a_linked_account(
        self, come_back, provider, ann, client
    ):
        come_back()
        provider.claims = {**provider.claims, "sub": "person-2"}
        browser = Client()
        answer = come_back(browser=browser)
        assert answer.status_code == 403
        assert b"is linked to another person" in answer.content
        assert not is_in(browser)
        assert ProviderIdentity.objects.count() == 1

    @pytest.mark.parametrize("is_linked", [True, False])
    def test_a_deactivated_user(self, come_back, ann, is_linked, provider):
        if is_linked:
            come_back()
        services.set_active(user_id=ann.pk, is_active=False, actor=None)
        browser = Client()
        answer = come_back(browser=browser)
        assert answer.status_code == 403
        assert b"Your account here was deactivated." in answer.content
        assert not is_in(browser)
        assert ProviderIdentity.objects.count() == is_linked

    def test_an_answer_to_another_sign_in(self, client, provider):
        begun = client.get("/sign-in/oidc")
        back = urlsplit(provider.authorize(begun["Location"]))
        query = re.sub(r"state=[^&]+", "state=other", back.query)
        refused(client.get(f"{back.path}?{query}"), "belongs to another sign-in", client)
        # and it has ended that sign-in
        refused(client.get(f"{back.path}?{back.query}"), "This sign-in has ended", client)

    def test_an_answer_that_an_attacker_passes_on(self, client, provider):
        """Login CSRF: the victim's browser gets the callback of the attacker's sign-in."""
        attacker = Client()
        back = urlsplit(provider.authorize(attacker.get("/sign-in/oidc")["Location"]))
        refused(client.get(f"{back.path}?{back.query}"), "began in another browser", client)
        client.get("/sign-in/oidc")  # a sign-in of the victim's own does not help the attacker
        refused(client.get(f"{back.path}?{back.query}"), "belongs to another sign-in", client)

    def test_a_code_that_was_used(self, provider, client):
        begun = client.get("/sign-in/oidc")
        cookie = client.cookies["oidc"].value
        back = urlsplit(provider.authorize(begun["Location"]))
        assert client.get(f"{back.path}?{back.query}").status_code == 302
        thief = Client()
        thief.cookies["oidc"] = cookie
        again = thief.get(f"{back.path}?{back.query}")
        assert again.status_code == 403
        assert b"it may have been used" in again.content
        assert not is_in(thief)

    def test_a_code_of_another_browser_without_its_verifier(self, provider, client):
        """PKCE: a code that leaked from the address is no use."""
        victim = Client()
        leaked = urlsplit(provider.authorize(victim.get("/sign-in/oidc")["Location"]))
        code = parse_qs(leaked.query)["code"][0]
        state = parse_qs(urlsplit(client.get("/sign-in/oidc")["Location"]).query)["state"][0]
        answer = client.get("/sign-in/oidc/callback", {"code": code, "state": state})
        refused(answer, "did not accept the answer", client)

    @pytest.mark.parametrize(
        "lies",
        [
            {"nonce": "of another sign-in"},
            {"nonce": None},
            {"aud": "another client"},
            {"aud": ["another client", CLIENT], "azp": "another client"},
            {"iss": "https://evil.example"},
            {"exp": 1_700_000_000},
            {"exp": None},
            {"sub": None},
            {"sub": 7},
            {"sub": ""},
            {"sub": "x" * 256},
            {"iat": 4_000_000_000},
        ],
        ids=str,
    )
    def test_an_id_token_that_is_not_for_this_sign_in(self, client, come_back, provider, lies):
        provider.lies = lies
        refused(come_back(), "ID token", client)
        assert not User.objects.filter(email="ann@example.com").exists()

    def test_an_id_token_that_somebody_else_signed(self, client, come_back, provider):
        provider.signed_by = RSAKey.generate_key(2048, {"kid": "one"})
        refused(come_back(), "not valid for this sign-in", client)

    def test_an_id_token_signed_with_the_public_key_as_a_secret(self, client, come_back, provider):
        provider.algorithm = "HS256"
        provider.signed_by = OctKey.import_key(provider.key.as_pem(private=False).hex())
        refused(come_back(), "not valid for this sign-in", client)

    def test_a_provider_whose_answers_name_two_persons(self, client, come_back, provider):
        provider.userinfo = {**provider.claims, "sub": "person-2"}
        refused(come_back(), "name two persons", client)

    def test_the_person_says_no(self, client, provider):
        client.get("/sign-in/oidc")
        answer = client.get("/sign-in/oidc/callback?error=access_denied&state=x")
        refused(answer, "Example ID did not sign you in", client)

    def test_an_answer_after_ten_minutes(self, client, provider):
        back = urlsplit(provider.authorize(client.get("/sign-in/oidc")["Location"]))
        with time_machine.travel(time.time() + 601):
            refused(client.get(f"{back.path}?{back.query}"), "This sign-in has ended", client)

    def test_an_answer_of_another_provider(self, client, provider):
        back = urlsplit(provider.authorize(client.get("/sign-in/oidc")["Location"]))
        query = re.sub(r"iss=[^&]+", "iss=https://evil.example", back.query)
        refused(client.get(f"{back.path}?{query}"), "comes from another provider", client)


class TestAway:
    WORDS = "does not answer at the moment. Try again in a minute, or sign in with your password."

    def test_a_provider_that_is_away(self, client, provider):
        provider.stop()
        answer = client.get("/sign-in/oidc")
        refused(answer, self.WORDS, client, status=503)
        assert answer["Retry-After"] == "60"

    def test_a_provider_that_goes_away_on_the_way(self, client, provider):
        back = urlsplit(provider.authorize(client.get("/sign-in/oidc")["Location"]))
        provider.is_broken = True
        answer = client.get(f"{back.path}?{back.query}")
        refused(answer, self.WORDS, client, status=503)

    def test_a_description_of_another_issuer(self, client, provider, caplog):
        provider.issuer = "https://evil.example"
        refused(client.get("/sign-in/oidc"), self.WORDS, client, status=503)
        assert "names another issuer" in caplog.text

    def test_no_log_has_a_code_or_a_secret(self, come_back, provider, caplog):
        caplog.set_level("DEBUG")
        code = []
        original = provider.answer

        def note(path, form, authorization):
            code.extend([form[name] for name in ("code", "code_verifier") if name in form])
            return original(path, form, authorization)

        provider.answer = note
        come_back()
        assert len(code) == 2
        ours = [record for record in caplog.records if record.name.partition(".")[0] == "accounts"]
        text = "".join(record.getMessage() for record in ours) + str(
            list(AuditEntry.objects.values())
        )
        assert not [secret for secret in (*code, SECRET, "opaque") if secret in text]


def test_the_doctor_asks_the_provider(provider):
    assert worst("oidc") == "ok"
    assert "https://vod.example.com/sign-in/oidc/callback" in said("oidc")
    provider.is_broken = True
    assert worst("oidc") == "error"


class TestKeys:
    def test_a_new_key_of_the_provider_is_asked_for(self, come_back, provider):
        come_back()
        provider.key = provider.signed_by = RSAKey.generate_key(2048, {"kid": "two"})
        browser = Client()
        come_back(browser=browser)
        assert is_in(browser)
        assert provider.asked.count("/keys") == 2

    def test_description_and_keys_are_remembered(self, come_back, provider):
        for _ in range(3):
            come_back(browser=Client())
        assert provider.asked.count("/keys") == 1
        assert provider.asked.count("/.well-known/openid-configuration") == 1


class TestSecondFactor:
    def test_the_code_is_asked_for(self, client, come_back, provider, ann, phone_of):
        phone = phone_of(ann)
        answer = come_back("?next=/numbers/creator")
        assert (answer.status_code, answer["Location"]) == (302, "/sign-in/oidc/code")
        assert not is_in(client)
        assert b'autocomplete="one-time-code"' in client.get("/sign-in/oidc/code").content
        wrong = client.post("/sign-in/oidc/code", {"totp": phone.wrong()})
        assert b"This code is wrong" in wrong.content
        assert b"Enter the six digits" in client.post("/sign-in/oidc/code", {}).content
        assert not is_in(client)
        done = client.post("/sign-in/oidc/code", {"totp": phone.next()})
        assert (done.status_code, done["Location"]) == (302, "/numbers/creator")
        assert client.session["_auth_user_id"] == str(ann.pk)
        assert AuditEntry.objects.filter(action="login.failed").count() == 1

    def test_nobody_gets_there_without_the_provider(self, client, provider, ann, phone_of):
        phone = phone_of(ann)
        answer = client.post("/sign-in/oidc/code", {"totp": phone.next()})
        refused(answer, "This sign-in has ended", client)
        client.get("/sign-in/oidc")  # a cookie of the way there is none of the way back
        answer = client.post("/sign-in/oidc/code", {"totp": phone.next()})
        refused(answer, "This sign-in has ended", client)

    def test_a_client_of_the_api_gives_it_with_the_code(self, handed, client_for, ann, phone_of):
        phone = phone_of(ann)
        body = {"code": handed()}
        asked = client_for().post(TOKEN, body)
        assert asked.status_code == 401
        assert asked.json()["errors"][0]["code"] == "totp_required"
        wrong = client_for().post(TOKEN, {**body, "totp": phone.wrong()})
        assert wrong.json()["errors"][0]["code"] == "totp_wrong"
        assert RefreshFamily.objects.count() == 0
        done = client_for().post(TOKEN, {**body, "totp": phone.next()})
        assert done.status_code == 200

    def test_an_administrator_who_must_set_one_up_comes_to_the_page(
        self, client, come_back, make_user, settings
    ):
        settings.TOTP_REQUIRED_FOR_ADMINS = True
        make_user(Role.ADMIN, email="ann@example.com", email_verified=True)
        come_back("?next=/admin/")
        assert client.get("/admin/")["Location"] == "/account/second-factor"


class TestApi:
    def test_the_code_gives_the_usual_tokens_once(self, handed, client_for, client):
        code = handed()
        assert not is_in(client)
        answer = client_for().post(TOKEN, {"code": code})
        assert answer.status_code == 200
        assert set(answer.json()) == {"access_token", "refresh_token", "token_type", "expires_in"}
        signed_in = client_for()
        signed_in.credentials(HTTP_AUTHORIZATION=f"Bearer {answer.json()['access_token']}")
        assert signed_in.get("/api/v1/auth/me").data["email"] == "ann@example.com"
        again = client_for().post(TOKEN, {"code": code})
        assert (again.status_code, again.json()["errors"][0]["code"]) == (400, "code_invalid")
        assert RefreshFamily.objects.count() == 1

    def test_it_ends_after_a_minute(self, handed, client_for, clock):
        code = handed()
        clock.wait(60)
        answer = client_for().post(TOKEN, {"code": code})
        assert answer.json()["errors"][0]["code"] == "code_invalid"
        assert RefreshFamily.objects.count() == 0
        assert forget_old_codes() == 0
        clock.wait(3601)
        assert forget_old_codes() == 1

    def test_of_a_user_who_was_deactivated_meanwhile(self, handed, client_for):
        code = handed()
        user = User.objects.get(email="ann@example.com")
        services.set_active(user_id=user.pk, is_active=False, actor=None)
        answer = client_for().post(TOKEN, {"code": code})
        assert answer.json()["errors"][0]["code"] == "code_invalid"

    def test_the_table_holds_no_code(self, handed):
        code = handed()
        assert code not in str(list(SignInCode.objects.values()))

    @pytest.mark.parametrize(
        "url",
        [
            "https://evil.example/", "https://shop.example.com.evil.example/", "//evil.example/",
            "https://shop.example.com@evil.example/", "https://shop.example.com:444/", "/path",
            "javascript:alert(1)", "https://shop.example.com\\@evil.example/", "https://[/",
            "http://shop.example.com/", "https://shop.example.com/#x",
        ],
    )  # fmt: skip
    def test_it_is_sent_to_no_other_site(self, client, provider, url):
        answer = client.get("/sign-in/oidc", {"return_to": url})
        refused(answer, "The address to return to is not allowed", client)

    def test_a_code_that_is_unknown(self, client_for, provider):
        answer = client_for().post(TOKEN, {"code": "nonsense"})
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "code_invalid")


class TestOff:
    def test_without_a_provider_there_are_no_routes(self, client, client_for, settings):
        settings.OIDC_ISSUER = ""
        for path in ("/sign-in/oidc", "/sign-in/oidc/callback", "/sign-in/oidc/code"):
            assert client.get(path).status_code == 404
        assert client_for().post(TOKEN, {"code": "x"}).status_code == 404
        assert b"Sign in with" not in client.get("/sign-in").content


@pytest.mark.django_db(transaction=True)
def test_one_new_person_in_two_browsers_at_once_is_one_user():
    person = Person("https://id.example", "person-1", "ann@example.com", "Ann")
    start, outcomes = threading.Barrier(2), []

    def come():
        start.wait()
        try:
            outcomes.append(str(identities.user_of(person).pk))
        except SignInRefused as refusal:
            outcomes.append(str(refusal.detail))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=come) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 2
    assert set(outcomes) == {str(User.objects.get(email="ann@example.com").pk)}


@pytest.mark.django_db(transaction=True)
def test_of_two_exchanges_at_once_one_gets_tokens(make_user, client_for, settings):
    settings.OIDC_ISSUER = "https://id.example"
    code = identities.hand_over(make_user())
    start, outcomes = threading.Barrier(2), []

    def post():
        start.wait()
        outcomes.append(client_for().post(TOKEN, {"code": code}).status_code)
        connections.close_all()

    threads = [threading.Thread(target=post) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [200, 400]


def test_another_program_as_the_provider(client, settings, monkeypatch):
    """oidc-provider-mock, whose server side is Authlib's: the whole way twice, and one user."""
    claims = {"email": "bob@example.com", "email_verified": True, "name": "Bob"}
    bob = oidc_provider_mock.User(sub="bob", claims=claims)
    with oidc_provider_mock.run_server_in_thread(require_nonce=True, user_claims=[bob]) as server:
        settings.OIDC_ISSUER = f"http://localhost:{server.server_port}"
        for browser in (client, Client()):
            begun = browser.get("/sign-in/oidc")
            agreed = httpx.post(begun["Location"], data={"sub": "bob"})
            back = urlsplit(agreed.headers["location"])
            answer = browser.get(f"{back.path}?{back.query}")
            assert answer.status_code == 302, answer.content
            assert is_in(browser)
    user = User.objects.get(email="bob@example.com")
    assert (user.display_name, user.identities.get().subject) == ("Bob", "bob")
    assert tokens.live(user).count() == 0
    assert user.created_at <= timezone.now()
