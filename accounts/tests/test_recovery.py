"""A forgotten password: one link, once, for an hour, and nothing for those who guess."""

import re
import threading
from datetime import timedelta

import pytest
import time_machine
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import links, tokens
from accounts.errors import LinkInvalid
from accounts.forgetting import LINKS_KEPT, forget_old_links
from accounts.models import MailedLink, RefreshFamily, User
from accounts.signals import link_requested
from audit.models import AuditEntry

pytestmark = pytest.mark.django_db
API = "/api/v1/auth"
OLD, NEW = "a long pass phrase", "quite another phrase"
Purpose = MailedLink.Purpose


@pytest.fixture
def ann(make_user):
    return make_user(email="ann@example.com", password=OLD)


@pytest.fixture
def forgot(client_for):
    """Asks for a link, as often as a test wants: each time from another network."""
    count = iter(range(1, 250))

    def ask(email="ann@example.com", **headers):
        address = f"203.0.113.{next(count)}"
        path = f"{API}/password/forgot"
        return client_for().post(path, {"email": email}, REMOTE_ADDR=address, **headers)

    return ask


@pytest.fixture
def reset(client_for):
    def post(token: str, password: str = NEW):
        body = {"token": token, "new_password": password}
        return client_for().post(f"{API}/password/reset", body)

    return post


def newest() -> str:
    """Return the token of the newest link, once the worker has taken it."""
    links.prepare_due()
    return links.token_of(MailedLink.objects.filter(mailed_at__isnull=False).latest("pk").pk)


def refused(answer) -> bool:
    [error] = answer.json()["errors"]
    return (answer.status_code, error["code"], error["attr"]) == (400, "link_invalid", "token")


def knows(password: str) -> bool:
    return User.objects.get(email="ann@example.com").check_password(password)


def test_a_link_sets_a_new_password_and_ends_every_sign_in(ann, forgot, reset, client_for):
    pair = tokens.issue(ann)
    assert forgot("Ann@Example.com").status_code == 202

    answer = reset(newest())

    assert (answer.status_code, answer.content) == (204, b"")
    assert knows(NEW)
    assert not RefreshFamily.objects.filter(revoked_at=None).exists()
    client = client_for()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {pair.access}")
    assert client.get(f"{API}/me").status_code == 401
    assert User.objects.get(pk=ann.pk).email_verified  # the mail was read
    entry = AuditEntry.objects.get(action="user.password_reset")
    assert (entry.actor_id, entry.target_id) == (ann.pk, str(ann.pk))


def test_a_link_works_once(ann, forgot, reset):
    forgot()
    token = newest()
    reset(token)
    assert refused(reset(token, "a third pass phrase"))
    assert knows(NEW)


def test_of_two_calls_that_have_read_a_link_one_uses_it(ann, forgot):
    forgot()
    link = links.read(newest(), Purpose.RESET_PASSWORD)
    links.use(link)
    with pytest.raises(LinkInvalid):
        links.use(link)


def test_a_link_lives_for_an_hour(ann, forgot, reset):
    with time_machine.travel(timezone.now(), tick=False) as clock:
        forgot()
        token = newest()
        clock.shift(timedelta(hours=1))
        assert refused(reset(token))
        assert knows(OLD)
        clock.shift(timedelta(seconds=-1))
        assert reset(token).status_code == 204


def test_a_newer_link_ends_the_older_one(ann, forgot, reset):
    forgot()
    older = newest()
    forgot()
    newer = newest()
    assert refused(reset(older))
    assert knows(OLD)
    assert reset(newer).status_code == 204


def test_a_weak_password_leaves_the_link(ann, forgot, reset):
    forgot()
    token = newest()
    for weak in ("short", "ann@example.com", "password123"):
        answer = reset(token, weak)
        assert answer.status_code == 400
        assert {error["attr"] for error in answer.json()["errors"]} == {"new_password"}
    assert knows(OLD)
    assert reset(token).status_code == 204


def test_a_new_password_set_elsewhere_ends_the_link(ann, forgot, reset, client_for):
    forgot()
    token = newest()
    body = {"current_password": OLD, "new_password": "a third pass phrase"}
    assert client_for(ann).post(f"{API}/password", body).status_code == 204
    assert refused(reset(token))
    assert knows("a third pass phrase")


def test_a_deactivated_users_link_is_over(ann, forgot, reset):
    forgot()
    token = newest()
    User.objects.update(is_active=False)
    assert refused(reset(token))
    User.objects.update(is_active=True)
    assert knows(OLD)


@pytest.mark.parametrize("damage", ["", "x", "A" * 64, "é" * 64, "flip", "cut", "long", "other"])
def test_a_token_that_was_not_mailed_opens_nothing(ann, forgot, reset, damage):
    forgot()
    token = newest()
    other = MailedLink.objects.create(
        purpose=Purpose.RESET_PASSWORD, email=ann.email, expires_at=timezone.now()
    )
    swapped = {
        "flip": token[:-1] + ("A" if token[-1] != "A" else "B"),
        "cut": token[:-4],
        "long": token + "AAAA",
        "other": links.token_of(other.pk)[:20] + token[20:],
    }
    answer = reset(swapped.get(damage, damage))
    assert answer.status_code == 400
    assert knows(OLD)
    assert reset(token).status_code == 204


def test_a_link_to_verify_an_address_sets_no_password_and_the_other_way_round(
    ann, reset, forgot, client_for
):
    client_for(ann).post(f"{API}/email/resend")
    assert refused(reset(newest()))
    forgot()
    token = newest()
    answer = client_for().post(f"{API}/email/verify", {"token": token})
    assert refused(answer)
    assert knows(OLD)
    assert not User.objects.get(pk=ann.pk).email_verified
    assert reset(token).status_code == 204


@pytest.mark.django_db(transaction=True)
def test_of_two_resets_at_once_one_wins(ann, forgot, client_for):
    forgot()
    token = newest()
    phrases = [f"pass phrase number {number}" for number in range(4)]
    barrier, answers = threading.Barrier(4), {}

    def work(phrase: str) -> None:
        try:
            client = client_for()
            barrier.wait()
            body = {"token": token, "new_password": phrase}
            answers[phrase] = client.post(f"{API}/password/reset", body).status_code
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=[phrase]) for phrase in phrases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answers.values()) == [204, 400, 400, 400]
    [winner] = [phrase for phrase, status in answers.items() if status == 204]
    assert knows(winner)
    assert AuditEntry.objects.filter(action="user.password_reset").count() == 1


# --- those who guess -------------------------------------------------------------------------


def statements(ask) -> list[str]:
    """Return the shapes of the statements of one request, without their values."""
    with CaptureQueriesContext(
        connection,
    ) as seen:
        ask()
    shapes = [query["sql"].split("VALUES")[0] for query in seen.captured_queries]
    return [re.sub(r'"s\d+_x\d+"', "savepoint", shape) for shape in shapes]


def test_known_unknown_and_deactivated_addresses_get_one_answer_for_one_work(
    ann, make_user, forgot
):
    make_user(email="gone@example.com", is_active=False)
    forgot()  # what a process does once
    seen = {}
    for email in ("ann@example.com", "nobody@example.com", "gone@example.com", "no address"):
        answers: list = []
        shapes = statements(lambda email=email, answers=answers: answers.append(forgot(email)))
        [answer] = answers
        assert not any("accounts_user" in shape for shape in shapes)
        headers = {
            name: value
            for name, value in answer.headers.items()
            if name not in {"X-Request-ID", "RateLimit-Reset"}
        }
        seen[email] = (answer.status_code, answer.content, headers, shapes)
    assert len({repr(each) for each in seen.values()}) == 1
    assert seen["ann@example.com"][:2] == (202, b"")


def test_the_worker_forgets_unknown_and_deactivated_addresses(ann, make_user, forgot):
    make_user(email="gone@example.com", is_active=False)
    told = []
    hears = lambda sender, user, **kwargs: told.append(user)  # noqa: E731
    link_requested.connect(hears)
    try:
        for email in ("nobody@example.com", "gone@example.com", "no address", "ann@example.com"):
            forgot(email)
        assert links.prepare_due() == 4
        assert links.prepare_due() == 0
    finally:
        link_requested.disconnect(hears)
    assert told == [ann]
    assert MailedLink.objects.get().email == ann.email


def test_an_address_gets_three_links_an_hour_and_the_last_one_works(ann, forgot, reset):
    with time_machine.travel(timezone.now(), tick=False) as clock:
        for _ in range(3):
            forgot()
            token = newest()
        for _ in range(5):
            assert forgot().status_code == 202
        assert newest() == token
        assert MailedLink.objects.count() == 3
        clock.shift(timedelta(minutes=59))
        assert reset(token).status_code == 204
        clock.shift(timedelta(minutes=2))
        forgot()
        assert newest() != token


def test_requests_about_one_account_from_one_network_are_limited(ann, client_for, settings):
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "auth": 3}
    path, here = f"{API}/password/forgot", {"REMOTE_ADDR": "198.51.100.77"}
    codes = [
        client_for().post(path, {"email": "ann@example.com"}, **here).status_code for _ in range(5)
    ]
    assert codes[0] == 202
    assert codes[-1] == 429
    assert MailedLink.objects.count() == codes.count(202)


def test_no_address_and_no_token_is_recorded(ann, forgot, reset, caplog):
    forgot()
    token = newest()
    with caplog.at_level("DEBUG"):
        reset(token)
        forgot()
        newest()
    recorded = repr(list(AuditEntry.objects.values())) + caplog.text
    assert "user.password_reset_asked" in recorded
    assert token not in recorded
    assert "ann@example.com" not in recorded


def test_a_request_that_no_worker_takes_ends_and_is_forgotten(ann, forgot):
    with time_machine.travel(timezone.now(), tick=False) as clock:
        forgot()
        clock.shift(timedelta(hours=1))
        assert links.prepare_due() == 0  # the link would be over
        clock.shift(LINKS_KEPT)
        assert forget_old_links() == 0
        clock.shift(timedelta(seconds=1))
        assert forget_old_links() == 1
    assert not MailedLink.objects.exists()


def test_the_database_holds_no_token(ann, forgot):
    forgot()
    token = newest()
    assert token not in repr(list(MailedLink.objects.values()))
    assert links.token_of(MailedLink.objects.get().pk) == token


@pytest.mark.parametrize(
    ("pages", "public", "home"),
    [
        ("", "", "http://localhost:2001"),
        ("", "https://vod.example.com", "https://vod.example.com"),
        ("https://shop.example.com", "https://vod.example.com", "https://shop.example.com"),
    ],
)
def test_a_link_leads_to_the_address_of_the_settings_whatever_host_was_asked(
    ann, forgot, settings, pages, public, home
):
    settings.ALLOWED_HOSTS, settings.PORT = ["*"], 2001
    settings.ACCOUNT_PAGES_URL, settings.PUBLIC_URL = pages, public
    forgot(HTTP_HOST="evil.example", HTTP_X_FORWARDED_HOST="evil.example")
    token = newest()
    url = links.url_of(MailedLink.objects.get().pk)
    assert url == f"{home}/account/reset#token={token}"
