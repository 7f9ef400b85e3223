"""Sending mails over SMTP: each once, and none at the cost of another."""

import logging
import socket
import threading
import time
from contextlib import suppress
from datetime import timedelta
from email import message_from_bytes

import pytest
from aiosmtpd.controller import Controller
from django.utils import timezone

from accounts.models import User
from payments.models import Notice
from payments.services.notices import sending, writing


class Server:
    """Handles the commands of a real SMTP server, with an answer chosen for each recipient."""

    def __init__(self):
        self.answers: dict[str, str] = {}
        self.data_answers: dict[str, str] = {}
        self.sender_answer = ""
        self.silent: set[str] = set()
        self.received: list[tuple[str, str]] = []
        self.connections = 0
        self.tried: list[str] = []

    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        self.connections += 1
        session.host_name = hostname
        return responses

    async def handle_MAIL(self, server, session, envelope, address, options):
        if self.sender_answer:
            return self.sender_answer
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        self.tried.append(address)
        if address in self.silent:
            server.transport.close()
            return "250 OK"
        if answer := self.answers.get(address):
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        [address] = envelope.rcpt_tos
        if answer := self.data_answers.get(address):
            return answer
        message = message_from_bytes(envelope.content)
        self.received.append((address, message["Message-ID"]))
        return "250 OK"

    @property
    def to(self) -> list[str]:
        return [address for address, _ in self.received]


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    monkeypatch.setattr(sending, "_silent_until", 0.0)
    monkeypatch.setattr(sending, "_silences", 0)


@pytest.fixture
def server(settings):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    handler = Server()
    controller = Controller(handler, hostname="127.0.0.1", port=port)
    controller.start()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
    yield handler
    controller.stop()


def write_to(user: User, *, key: str, provider: str, email: str) -> None:
    template = f"{writing.MAILS}/linked_identity.html"
    writing.write_mail(user, template, dedupe_key=key, provider=provider, email=email)


@pytest.fixture
def write(make_user):
    def make(*names: str) -> list[Notice]:
        for name in names:
            user = User.objects.filter(email=f"{name}@example.com").first()
            user = user or make_user(email=f"{name}@example.com")
            write_to(user, key=f"k:{name}", provider=name, email="Grüße")
        return list(Notice.objects.order_by("pk"))

    return make


def make_due() -> None:
    Notice.objects.update(not_before=timezone.now() - timedelta(seconds=5))


pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("ahead", [timedelta(milliseconds=1), timedelta(hours=1)])
def test_a_mail_is_due_at_once_whatever_the_clock_of_the_process_says(
    server, write, monkeypatch, ahead
):
    with monkeypatch.context() as patch:
        really = timezone.now
        patch.setattr(timezone, "now", lambda: really() + ahead)
        write("a")
    assert sending.send_due() == 1


def test_every_mail_is_sent_once_over_one_connection(server, write):
    rows = write("a", "b", "c")

    assert sending.send_due() == 3
    assert sending.send_due() == 0

    assert server.to == ["a@example.com", "b@example.com", "c@example.com"]
    assert server.connections == 1
    for row in rows:
        row.refresh_from_db()
        assert (row.attempts, row.failed_at, row.failure) == (1, None, "")
        assert row.sent_at is not None


def test_a_recipient_who_is_refused_for_good_is_given_up_and_the_row_says_why(server, write):
    server.answers["odd@example.com"] = "550 5.1.1 No such user here"
    write("odd", "b")

    assert sending.send_due() == 1
    make_due()
    assert sending.send_due() == 0

    odd = Notice.objects.get(dedupe_key="k:odd")
    assert (odd.sent_at, odd.attempts) == (None, 1)
    assert odd.failed_at is not None
    assert odd.failure == "550 5.1.1 No such user here"
    assert server.tried == ["odd@example.com", "b@example.com"]


def test_an_address_that_no_mail_can_have_is_given_up_at_once(server, write):
    (notice,) = write("a")
    User.objects.filter(pk=notice.user_id).update(email="a@-.example..com")

    assert sending.send_due() == 0

    notice.refresh_from_db()
    assert (notice.sent_at, notice.attempts) == (None, 1)
    assert notice.failed_at is not None
    assert server.tried == []


def test_a_mail_that_cannot_be_made_is_given_up_at_once(server, write):
    odd, _ = write("odd", "b")
    Notice.objects.filter(pk=odd.pk).update(subject="Two\nlines")

    assert sending.send_due() == 1

    odd.refresh_from_db()
    assert (odd.sent_at, odd.attempts) == (None, 1)
    assert odd.failed_at is not None
    assert "newlines" in odd.failure
    assert server.tried == ["b@example.com"]


@pytest.mark.parametrize("stage", ["recipient", "data"])
def test_a_mail_that_is_refused_for_now_waits_alone_and_longer_each_time(server, write, stage):
    answers = server.answers if stage == "recipient" else server.data_answers
    answers["odd@example.com"] = "451 4.7.1 Greylisted"
    write("odd", "b")

    assert sending.send_due() == 1
    assert sending.send_due() == 0  # not due yet
    waits = []
    for _ in range(sending.MAX_ATTEMPTS - 1):
        odd = Notice.objects.get(dedupe_key="k:odd")
        waits.append(round((odd.not_before - timezone.now()).total_seconds() / 60))
        make_due()
        assert sending.send_due() == 0

    odd.refresh_from_db()
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256]
    assert (odd.attempts, odd.sent_at) == (sending.MAX_ATTEMPTS, None)
    assert odd.failed_at is not None
    assert "451 4.7.1 Greylisted" in odd.failure
    assert server.tried.count("odd@example.com") == sending.MAX_ATTEMPTS
    assert server.to == ["b@example.com"]


def test_it_is_sent_when_the_server_takes_it_at_last(server, write):
    server.answers["odd@example.com"] = "450 4.2.1 Mailbox busy"
    write("odd")
    sending.send_due()
    server.answers.clear()
    make_due()

    assert sending.send_due() == 1

    odd = Notice.objects.get()
    assert (odd.attempts, odd.failed_at, odd.failure) == (2, None, "")


def test_a_mail_that_breaks_the_connection_goes_last_and_the_others_go_on(
    server, write, monkeypatch
):
    server.silent.add("odd@example.com")
    write("odd", "b", "c")

    assert sending.send_due() == 0
    assert sending.send_due() == 0  # the pause
    monkeypatch.setattr(sending, "_silent_until", 0.0)
    make_due()
    assert sending.send_due() == 2

    odd = Notice.objects.get(dedupe_key="k:odd")
    assert (odd.sent_at, odd.failed_at, odd.attempts) == (None, None, 2)
    assert odd.failure
    assert server.to == ["b@example.com", "c@example.com"]


@pytest.mark.parametrize(
    "odd", ["a\nb@example.com", "änn@example.com", "no address", '"@x.example']
)
def test_an_odd_address_of_old_concerns_its_own_mail_only(server, write, odd):
    [row] = write("odd")
    User.objects.filter(pk=row.user_id).update(email=odd)
    write("b", "c")

    assert sending.send_due() == 2

    row.refresh_from_db()
    assert row.failed_at is not None
    assert row.failure
    assert server.to == ["b@example.com", "c@example.com"]


def test_a_domain_of_other_letters_is_reached_in_its_own_name(server, make_user):
    user = make_user(email="ann@faß.example")
    write_to(user, key="k", provider="Example", email="ann")

    assert sending.send_due() == 1

    assert server.to == ["ann@xn--fa-hia.example"]


@pytest.mark.parametrize(
    "answer", ["550 5.7.1 Sender not allowed", "530 5.7.0 Authentication required", "421 Closing"]
)
def test_what_concerns_every_mail_costs_no_mail_an_attempt(server, write, answer):
    server.sender_answer = answer
    write("a", "b")

    assert sending.send_due() == 0

    assert list(Notice.objects.values_list("attempts", "sent_at", "failed_at")) == [
        (0, None, None), (0, None, None),
    ]  # fmt: skip
    assert server.connections == 1


def test_a_server_that_is_away_is_noticed_once(settings, write, monkeypatch, caplog):
    with socket.socket() as listener:  # accepts, and never says a word
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = listener.getsockname()
        monkeypatch.setattr(sending, "ANSWER_SECONDS", 0.3)
        write("a", "b", "c")
        with caplog.at_level(logging.WARNING):
            for _ in range(5):
                assert sending.send_due() == 0
        listener.settimeout(0)
        asked = 0
        with suppress(BlockingIOError):
            while True:
                listener.accept()[0].close()
                asked += 1

    assert asked == 1
    assert len(caplog.records) == 1
    assert set(Notice.objects.values_list("attempts", "failed_at")) == {(0, None)}
    pauses = []
    for _ in range(7):
        monkeypatch.setattr(sending, "_silent_until", 0.0)
        sending.send_due()  # now the port is closed
        pauses.append(round(sending._silent_until - time.monotonic()))
    assert pauses == [4, 8, 16, 32, 60, 60, 60]


def test_a_round_ends_in_time(server, write, monkeypatch):
    write(*"abcde")
    monkeypatch.setattr(sending, "ROUND_SECONDS", -1)

    assert sending.send_due() == 0

    assert Notice.objects.filter(attempts=0).count() == 5


def test_a_worker_that_was_killed_leaves_its_mail_to_others(server, write):
    [row] = write("a")
    assert sending._claim(row)  # and then the process dies

    assert sending.send_due() == 0  # it may still be at it
    make_due()
    assert sending.send_due() == 1

    row.refresh_from_db()
    assert row.attempts == 2


def test_a_repeated_mail_is_recognised_by_its_message_id(server, write):
    write("a")
    sending.send_due()
    Notice.objects.update(sent_at=None)  # the answer of the server was lost
    make_due()
    sending.send_due()

    first, second = server.received
    assert first == second
    assert first[1].startswith("<notice-")


@pytest.mark.django_db(transaction=True)
def test_two_workers_send_no_mail_twice(server, write):
    from django.db import connections

    write(*"abcdefgh")
    barrier = threading.Barrier(3)

    def work():
        try:
            barrier.wait()
            sending.send_due()
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(server.to) == [f"{name}@example.com" for name in "abcdefgh"]
    assert not Notice.objects.filter(sent_at=None).exists()
