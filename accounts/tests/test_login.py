"""Signing in, and the user's own account at /auth/me."""

from urllib.parse import urlencode

import pytest

from accounts.models import RefreshFamily, User
from accounts.roles import Role
from audit.models import AuditEntry
from config.tests.fixtures import QuickArgon2

pytestmark = pytest.mark.django_db

URL = "/api/v1/auth/login"
PASSWORD = "a long pass phrase"


@pytest.fixture
def ann(make_user):
    return make_user(email="ann@example.com", password=PASSWORD, display_name="Ann")


def test_json_gives_a_pair_of_tokens_that_works(client_for, ann, settings):
    answer = client_for().post(URL, {"email": "Ann@Example.com ", "password": PASSWORD})

    assert answer.status_code == 200
    assert set(answer.json()) == {"access_token", "refresh_token", "token_type", "expires_in"}
    assert answer.json()["token_type"] == "bearer"
    lifetime = settings.ACCESS_TOKEN_LIFETIME.total_seconds()
    assert answer.json()["expires_in"] == lifetime
    client = client_for()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {answer.json()['access_token']}")
    me = client.get("/api/v1/auth/me")
    assert (me.status_code, me.data["email"]) == (200, "ann@example.com")


def test_the_oauth2_form_gives_the_same(client_for, ann):
    body = f"grant_type=password&username=ann%40example.com&password={PASSWORD.replace(' ', '+')}"

    answer = client_for().post(URL, body, content_type="application/x-www-form-urlencoded")

    assert answer.status_code == 200
    assert answer.json()["token_type"] == "bearer"


@pytest.mark.parametrize("kind", ["json", "form"])
def test_unknown_address_wrong_password_and_inactive_user_get_one_answer(
    client_for, ann, make_user, kind
):
    make_user(email="out@example.com", password=PASSWORD, is_active=False)
    cases = [
        ("nobody@example.com", PASSWORD),
        ("ann@example.com", "not the phrase"),
        ("out@example.com", PASSWORD),
        ("out@example.com", "not the phrase"),
        ("not an address", PASSWORD),
    ]

    def attempt(email, password):
        if kind == "json":
            return client_for().post(URL, {"email": email, "password": password})
        body = {"username": email, "password": password}
        form = "application/x-www-form-urlencoded"
        return client_for().post(URL, urlencode(body), content_type=form)

    answers = [attempt(*case) for case in cases]

    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1
    assert answers[0].json()["errors"][0]["code"] == "wrong_credentials"
    assert answers[0]["WWW-Authenticate"] == 'Bearer realm="api"'
    assert RefreshFamily.objects.count() == 0
    assert AuditEntry.objects.filter(action="login.failed").count() == len(cases)


class CountingHasher(QuickArgon2):
    calls = 0

    def encode(self, *args, **kwargs):
        CountingHasher.calls += 1
        return super().encode(*args, **kwargs)

    def verify(self, *args, **kwargs):
        CountingHasher.calls += 1
        return super().verify(*args, **kwargs)


@pytest.mark.parametrize("email", ["ann@example.com", "nobody@example.com", "out@example.com"])
def test_every_sign_in_hashes_one_password(client_for, ann, make_user, settings, email):
    """The expensive step is the same for every address, so the answer takes the same time."""
    make_user(email="out@example.com", password=PASSWORD, is_active=False)
    settings.PASSWORD_HASHERS = [f"{__name__}.CountingHasher"]
    CountingHasher.calls = 0

    answer = client_for().post(URL, {"email": email, "password": "not the phrase"})

    assert answer.status_code == 401
    assert CountingHasher.calls == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"email": "ann@example.com"},
        {"password": PASSWORD},
        {"email": "ann@example.com", "password": ""},
        {"email": ["ann@example.com"], "password": PASSWORD},
        {"email": {"a": 1}, "password": PASSWORD},
        {"email": "ann@example.com", "password": "x" * 129},
        {"email": "x" * 255, "password": PASSWORD},
        {"username": None, "password": PASSWORD},
        [],
        "ann@example.com",
        None,
        7,
    ],
)
def test_an_invalid_sign_in_is_a_400(client_for, ann, body):
    answer = client_for().post(URL, body, format="json")

    assert answer.status_code == 400, answer.data
    assert answer.json()["type"] in {"validation_error", "client_error"}
    assert RefreshFamily.objects.count() == 0


def test_a_form_of_ten_megabytes_is_not_read(client_for, ann):
    body = "username=ann%40example.com&password=" + "x" * (10 * 1024 * 1024)

    answer = client_for().post(URL, body, content_type="application/x-www-form-urlencoded")

    assert answer.status_code == 413
    assert answer.json()["errors"][0]["code"] == "too_large"


def test_a_form_of_thousands_of_fields_is_refused(client_for, ann):
    body = "&".join(f"f{number}=1" for number in range(5000))

    answer = client_for().post(URL, body, content_type="application/x-www-form-urlencoded")

    assert answer.status_code == 400


def test_a_user_changes_only_their_own_display_name(client_for, ann):
    answer = client_for(ann).patch(
        "/api/v1/auth/me",
        {
            "display_name": "Anna",
            "email": "b@example.com",
            "role": "ADMIN",
            "is_active": False,
            "id": "0",
        },
    )

    assert answer.status_code == 200
    assert answer.json()["display_name"] == "Anna"
    ann = User.objects.select_related("role").get(pk=ann.pk)
    assert (ann.email, ann.role.name, ann.is_active) == ("ann@example.com", Role.VIEWER, True)
    assert AuditEntry.objects.filter(action="user.profile_changed").count() == 1


@pytest.mark.parametrize("name", ["x" * 101, None, ["a"], {"a": 1}, True])
def test_an_invalid_name_is_refused(client_for, ann, name):
    answer = client_for(ann).patch("/api/v1/auth/me", {"display_name": name})

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["attr"] == "display_name"
    ann.refresh_from_db()
    assert ann.display_name == "Ann"


def test_an_empty_change_changes_nothing(client_for, ann):
    answer = client_for(ann).patch("/api/v1/auth/me", {})

    assert (answer.status_code, answer.json()["display_name"]) == (200, "Ann")
    assert not AuditEntry.objects.filter(action="user.profile_changed").exists()


def test_the_audit_log_holds_no_secret(client_for, ann):
    client_for().post(URL, {"email": "ann@example.com", "password": PASSWORD})
    client_for().post(URL, {"email": "guessed@example.com", "password": "guessed password"})

    text = repr(list(AuditEntry.objects.values()))
    for secret in (PASSWORD, "guessed", "eyJ"):
        assert secret not in text
