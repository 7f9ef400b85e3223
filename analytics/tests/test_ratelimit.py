"""Rate limits: a 429 with the seconds to wait, counted over all processes."""

import itertools
import json
import os
import subprocess
import sys
import time

import pytest

from accounts.models import RefreshFamily
from config.api.ratelimit import window_end
from payments.models import WebhookEvent
from payments.views import gateway_news

pytestmark = pytest.mark.django_db

LIST, LOGIN = "/api/v1/videos/", "/api/v1/auth/login"


def fresh_address(seconds_left: int = 25, *, key: str = "{}") -> str:
    """An address with enough time left in its minute: across two minutes a test would count twice."""
    numbers = itertools.count(1)
    while True:
        address = f"198.51.100.{next(numbers)}"
        if window_end(key.format(address)) - time.time() > seconds_left:
            return address


def fresh_email() -> str:
    numbers = itertools.count(1)
    while True:
        email = f"user{next(numbers)}@example.com"
        if window_end(f"failures:{email}") - time.time() > 25:
            return email


@pytest.fixture
def limits(settings):
    def set_limits(**wanted):
        settings.RATE_LIMITS = {"auth": 0, "stream": 0, "default": 0, **wanted}

    return set_limits


@pytest.mark.parametrize(
    "path",
    [
        "/admin/login/", "/admin/", "/admin/nothing/", "/", "/nothing", "/api/docs/", "/api/redoc/",
        "/watch/01890000-0000-7000-8000-000000000000", "/api/v1/payments/sandbox/checkout/x",
    ],
)  # fmt: skip
def test_pages_are_limited_too(client, limits, path):
    limits(default=3)
    address = fresh_address(key="pages:{}")

    answers = [client.get(path, REMOTE_ADDR=address) for _ in range(4)]
    elsewhere = client.get(path, REMOTE_ADDR="203.0.113.99")

    assert 429 not in {answer.status_code for answer in [*answers[:3], elsewhere]}
    refused = answers[3]
    assert refused.status_code == 429
    assert 1 <= int(refused["Retry-After"]) <= 60
    assert b"Too many pages" in refused.content
    assert client.get("/health/live", REMOTE_ADDR=address).status_code == 200


def test_a_moderator_has_a_limit_of_their_own(client, limits, make_user):
    limits(default=3)
    address = fresh_address(key="pages:{}")
    for _ in range(4):
        client.get("/admin/login/", REMOTE_ADDR=address)
    client.force_login(make_user(role="ADMIN"))

    assert client.get("/admin/", REMOTE_ADDR=address).status_code == 200


def test_the_request_over_the_limit_is_refused_with_the_seconds_to_wait(client_for, limits):
    limits(default=5)
    address = fresh_address()

    answers = [client_for().get(LIST, REMOTE_ADDR=address) for _ in range(6)]

    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert [answer["RateLimit-Remaining"] for answer in answers] == ["4", "3", "2", "1", "0", "0"]
    assert {answer["RateLimit-Limit"] for answer in answers} == {"5"}
    refused = answers[-1]
    assert 1 <= int(refused["Retry-After"]) <= 60
    assert refused["Retry-After"] == refused["RateLimit-Reset"]
    assert refused.json()["errors"][0]["code"] == "throttled"
    assert refused["X-Request-ID"]


def test_zero_is_off(client_for, limits):
    limits()

    answers = [client_for().get(LIST) for _ in range(8)]

    assert {answer.status_code for answer in answers} == {200}
    assert not answers[0].has_header("RateLimit-Limit")


def test_users_are_counted_separately_and_by_user_not_address(client_for, limits, viewer, creator):
    limits(default=2)
    address = fresh_address()

    for user in (viewer, creator):
        client = client_for(user)
        codes = [client.get(LIST, REMOTE_ADDR=address).status_code for _ in range(2)]
        assert codes == [200, 200]
        elsewhere = client.get(LIST, REMOTE_ADDR="203.0.113.5")
        assert elsewhere.status_code in {429, 200}
        if window_end(str(user.pk)) - time.time() > 25:
            assert elsewhere.status_code == 429
    assert client_for().get(LIST, REMOTE_ADDR=address).status_code == 200


def test_a_bad_token_counts_for_its_address(client_for, limits):
    limits(default=3)
    address = fresh_address()
    bad = {"HTTP_AUTHORIZATION": "Bearer x", "REMOTE_ADDR": address}

    codes = [client_for().get(LIST, **bad).status_code for _ in range(4)]

    assert codes == [401, 401, 401, 429]
    assert client_for().get(LIST, REMOTE_ADDR=address).status_code == 429


@pytest.mark.parametrize("header", ["HTTP_X_FORWARDED_FOR", "HTTP_X_REAL_IP", "HTTP_FORWARDED"])
def test_a_header_does_not_change_who_is_counted(client_for, limits, header):
    limits(default=3)
    address = fresh_address()

    codes = [
        client_for().get(LIST, REMOTE_ADDR=address, **{header: f"10.0.0.{n}"}).status_code
        for n in range(5)
    ]

    assert codes == [200, 200, 200, 429, 429]


def test_an_ipv6_network_counts_as_one_address(client_for, limits):
    limits(default=3)
    home = next(
        f"2001:db8:0:{n:x}"
        for n in itertools.count()
        if window_end(f"2001:db8:0:{n:x}::" if n else "2001:db8::") - time.time() > 25
    )

    codes = [client_for().get(LIST, REMOTE_ADDR=f"{home}::{n:x}").status_code for n in range(1, 6)]

    assert codes == [200, 200, 200, 429, 429]


def test_sign_ins_to_one_account_are_limited_over_many_addresses(client_for, limits, make_user):
    limits(auth=5)
    email = fresh_email()
    make_user(email=email, password="a long pass phrase")

    def attempt(number, spelling, phrase="not it"):
        body = {"email": spelling, "password": phrase}
        return client_for().post(LOGIN, body, REMOTE_ADDR=f"198.51.100.{number}")

    spellings = [email, email.upper(), f" {email} ", email.title(), email]
    answers = [attempt(number, text) for number, text in enumerate(spellings, start=1)]
    assert [answer.status_code for answer in answers] == [401] * 5

    refused = attempt(99, email, "a long pass phrase")
    assert refused.status_code == 429
    assert 1 <= int(refused["Retry-After"]) <= 60
    assert RefreshFamily.objects.count() == 0
    assert attempt(99, "other@example.com").status_code == 401


def test_a_form_counts_for_the_same_account(client_for, limits, make_user):
    limits(auth=3)
    email = fresh_email()
    form = f"username={email}&password=x"
    kind = "application/x-www-form-urlencoded"

    codes = [
        client_for().post(LOGIN, form, content_type=kind, REMOTE_ADDR=f"192.0.2.{n}").status_code
        for n in range(4)
    ]

    assert codes == [401, 401, 401, 429]


def test_registrations_share_the_limit_of_sign_ins(client_for, limits):
    """So that nobody asks for a long list of addresses whether they are taken."""
    limits(auth=3)
    address, url = fresh_address(), "/api/v1/auth/register"

    def ask(path: str, email: str) -> int:
        body = {"email": email, "password": "a long pass phrase"}
        return client_for().post(path, body, REMOTE_ADDR=address).status_code

    codes = [ask(url, "a@example.com"), ask(url, "a@example.com"), ask(LOGIN, "b@example.com")]
    assert [*codes, ask(url, "c@example.com")] == [201, 400, 401, 429]


def test_a_cache_that_is_away_closes_passwords_only(client_for, make_user, settings, monkeypatch):
    user = make_user(email=fresh_email(), password="a long pass phrase")
    body = {"email": user.email, "password": "a long pass phrase"}
    pair = client_for().post(LOGIN, body).json()
    monkeypatch.setattr("config.cache.ForgivingRedisCache._asked_again_at", 0.0)
    away = {"BACKEND": "config.cache.ForgivingRedisCache", "LOCATION": "redis://127.0.0.1:9/0"}
    settings.CACHES = {"default": away}
    settings.RATE_LIMITS = dict.fromkeys(settings.RATE_LIMITS, 5)

    guessing = client_for()
    guessing.raise_request_exception = False
    refused = guessing.post(LOGIN, body)
    refreshed = client_for().post("/api/v1/auth/refresh", {"refresh_token": pair["refresh_token"]})

    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (503, "unavailable")
    assert (refreshed.status_code, client_for().get(LIST).status_code) == (200, 200)


def test_groups_are_counted_separately(client_for, limits, make_video):
    limits(default=2, stream=2)
    address = fresh_address()
    video = make_video()

    lists = [client_for().get(LIST, REMOTE_ADDR=address).status_code for _ in range(3)]
    streams = [
        client_for().get(f"/api/v1/stream/{video.pk}", REMOTE_ADDR=address).status_code
        for _ in range(3)
    ]

    assert lists == streams == [200, 200, 429]


ASK = """
import json, os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
import django; django.setup()
from django.test import Client
address = sys.argv[1]
ask = lambda: Client().post("/api/v1/auth/logout", "{}", content_type="application/json",
                            REMOTE_ADDR=address).status_code
print(json.dumps([ask() for _ in range(15)]))
"""


@pytest.mark.long
def test_two_processes_share_one_count(settings, tmp_path):
    """Of 30 requests at a limit of 8, exactly 8 pass, however they are spread over the processes."""
    address = fresh_address(45)
    environment = {
        **os.environ,
        "RATE_LIMIT_AUTH": "8",
        "DATA_DIR": str(tmp_path),
        "ALLOWED_HOSTS": "testserver",
        "AUDIT_READS": "false",
        "DATABASE_URL": "",
        "LOG_LEVEL": "ERROR",
    }
    migrate = [sys.executable, "-c", ASK, address]
    runs = [
        subprocess.Popen(
            migrate,
            cwd=settings.BASE_DIR,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(2)
    ]
    codes = [code for run in runs for code in json.loads(run.communicate(timeout=60)[0])]

    assert codes.count(429) == 22
    assert codes.count(400) == 8


def test_a_network_that_sends_forged_webhooks_is_limited_and_logged_once(
    client, limits, caplog, monkeypatch
):
    limits(default=3)
    monkeypatch.setattr(gateway_news, "_warned_at", float("-inf"))
    address = fresh_address()

    def send(name: str, address: str) -> int:
        path = f"/api/v1/payments/webhooks/{name}"
        body, kind = b"{}", "application/json"
        return client.post(path, body, content_type=kind, REMOTE_ADDR=address).status_code

    answers = [send("sandbox", address), *(send(name, address) for name in ("x", "sandbox", "y"))]

    assert answers == [400, 404, 400, 429]
    assert send("sandbox", "203.0.113.77") == 400
    assert not WebhookEvent.objects.exists()
    assert len([each for each in caplog.records if "was refused" in each.getMessage()]) == 1
