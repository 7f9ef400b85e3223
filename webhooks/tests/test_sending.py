"""Deliveries to a real receiver: signed, once, in order, tried again, and given up at last."""

import contextlib
import logging
import socket
import threading
import time
from datetime import timedelta

import pytest
import urllib3
from django.core import mail
from django.db.models.functions import Now
from standardwebhooks import Webhook, WebhookVerificationError

from audit.models import AuditEntry
from payments import gateways
from payments.models import Notice
from payments.services.notices import sending as mails
from videos.services import catalogue
from videos.signals import worker_tick
from webhooks import outbox, posting, sending, services, sweeping
from webhooks.catalogue import EventType
from webhooks.models import Delivery, Endpoint, Event
from webhooks.tests.fixtures import pass_time, send_all
from webhooks.tests.receiving import dripping, huge, status

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def tell(about: str, *, key: object = "", number: int = 0) -> None:
    outbox.announce(
        EventType.USER_REGISTERED,
        about=about,
        key=key,
        data=lambda: {"id": about, "number": number},
    )


@pytest.fixture
def endpoint(make_endpoint, admin):
    return make_endpoint(admin)


def only() -> Delivery:
    return Delivery.objects.select_related("endpoint").get()


def test_a_delivery_is_signed_as_receivers_verify_it(endpoint, receiver, make_video, admin):
    video = make_video(title="Grüße & <b>Küsse</b>")
    catalogue.delete_video(video=video, actor=admin)
    assert send_all() == 1
    (sent,) = receiver.verified(endpoint.secret)
    assert sent["type"] == "video.removed"
    assert sent["data"]["title"] == "Grüße & <b>Küsse</b>"
    delivery = only()
    assert (delivery.status, delivery.answer_status, delivery.attempts) == ("delivered", 204, 1)
    assert delivery.duration_ms is not None
    assert receiver.ids == [f"msg_{delivery.pk.hex}"]
    assert send_all() == 0  # once
    assert len(receiver.requests) == 1


def test_a_changed_body_or_another_secret_is_found_out(endpoint, receiver):
    tell("a")
    send_all()
    headers, body = receiver.requests[0]
    with pytest.raises(WebhookVerificationError):
        Webhook(endpoint.secret).verify(body + b" ", headers)
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + "A" * 43 + "=").verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(endpoint.secret).verify(body, {**headers, "webhook-id": "msg_other"})


def test_after_a_rotation_both_secrets_verify_for_a_day(endpoint, receiver, admin):
    old = endpoint.secret
    new = services.change_endpoint(endpoint=endpoint, actor=admin, changes={}, rotates=True).secret
    assert new != old
    tell("a")
    send_all()
    assert receiver.verified(old) == receiver.verified(new)

    receiver.requests.clear()
    Endpoint.objects.update(previous_until=Now() - timedelta(seconds=1))
    tell("b")
    send_all()
    assert receiver.verified(new)
    with pytest.raises(WebhookVerificationError):
        receiver.verified(old)
    sweeping.sweep()
    assert Endpoint.objects.get().previous_secret == ""


def test_a_receiver_that_was_away_gets_all_once_and_in_order(endpoint, receiver):
    receiver.stop()
    for number in range(3):
        for about in "abcd":
            tell(about, key=number, number=number)
    for _ in range(12):  # an hour
        sending.send_due()
        pass_time(timedelta(minutes=5))
    assert receiver.requests == []
    assert Delivery.objects.waiting().count() == 12

    receiver.start()
    for _ in range(40):
        sending.send_due()
        pass_time(timedelta(minutes=5))
    got = [
        (sent["data"]["id"], sent["data"]["number"]) for sent in receiver.verified(endpoint.secret)
    ]
    for about in "abcd":
        assert [number for name, number in got if name == about] == [0, 1, 2]
    assert len(got) == len(set(receiver.ids)) == 12
    assert not Delivery.objects.waiting().exists()
    endpoint.refresh_from_db()
    assert (endpoint.failures, endpoint.failing_since) == (0, None)


def test_news_of_one_object_waits_for_the_earlier_one(endpoint, receiver):
    receiver.answers = [status(500)]
    tell("a", key=1, number=1)
    tell("a", key=2, number=2)
    assert sending.send_due() == 0
    assert len(receiver.requests) == 1
    Endpoint.objects.update(failures=0, not_before=Now())  # only the order of the object holds it
    assert sending.send_due() == 0
    assert len(receiver.requests) == 1
    pass_time(timedelta(minutes=1))
    assert send_all() == 2
    assert [sent["data"]["number"] for sent in receiver.verified(endpoint.secret)] == [1, 1, 2]


@pytest.mark.parametrize(
    ("answer", "code", "failure"),
    [
        (status(500, "boom"), 500, "The address answered 500 instead of 2xx."),
        (status(404), 404, "The address answered 404 instead of 2xx."),
        (status(301, Location="/elsewhere"), 301, "The address answered 301 instead of 2xx."),
    ],
)
def test_other_answers_are_failures(answer, code, failure, endpoint, receiver):
    receiver.answers = [answer]
    tell("a")
    assert sending.send_due() == 0
    delivery = only()
    assert (delivery.status, delivery.answer_status, delivery.failure) == ("waiting", code, failure)
    assert len(receiver.requests) == 1  # no redirect was followed
    pass_time(timedelta(minutes=1))
    assert send_all() == 1
    assert len(set(receiver.ids)) == 1  # the same message


def test_an_answer_is_kept_as_an_excerpt(endpoint, receiver):
    receiver.answers = [status(500, "no\x00pe\n" + "z" * 3000)]
    tell("a")
    sending.send_due()
    excerpt = only().answer_excerpt
    assert excerpt.startswith("no pe zzz")
    assert len(excerpt) == 500


def test_a_huge_answer_is_not_read(endpoint, receiver):
    receiver.answers = [huge]
    tell("a")
    began = time.monotonic()
    assert sending.send_due() == 1
    assert time.monotonic() - began < 4
    assert len(only().answer_excerpt) == 500


def test_the_body_of_a_redirect_is_not_read(endpoint, receiver):
    """It could unpack to more than there is memory."""
    sent = []

    def flood(handler) -> None:
        handler.send_response(302)
        handler.send_header("Location", "/elsewhere")
        handler.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(64):
                handler.wfile.write(b"x" * 1024 * 1024)
                sent.append(1)

    receiver.answers = [flood]
    tell("a")
    assert sending.send_due() == 0
    assert (only().answer_status, len(receiver.requests)) == (302, 1)
    assert len(sent) < 32


def test_a_receiver_that_drips_is_cut_off(endpoint, receiver, monkeypatch):
    monkeypatch.setattr(posting, "WHOLE_SECONDS", 0.6)
    receiver.answers = [dripping]
    tell("a")
    began = time.monotonic()
    assert sending.send_due() == 0
    assert time.monotonic() - began < 4
    delivery = only()
    assert delivery.failure.startswith("No answer came within")
    assert delivery.answer_status is None


def test_a_receiver_that_is_silent_is_cut_off(endpoint, receiver, monkeypatch):
    monkeypatch.setattr(posting, "WHOLE_SECONDS", 0.6)
    receiver.answers = [lambda handler: time.sleep(3)]
    tell("a")
    began = time.monotonic()
    assert sending.send_due() == 0
    assert time.monotonic() - began < 2.5
    assert only().failure.startswith("No answer came within")


def test_one_that_hangs_does_not_hold_the_others(make_endpoint, admin, receiver, monkeypatch):
    monkeypatch.setattr(posting, "WHOLE_SECONDS", 1.0)
    slow = make_endpoint(admin)
    silent = socket.create_server(("127.0.0.1", 0))  # takes connections and says nothing
    Endpoint.objects.filter(pk=slow.pk).update(url=f"http://127.0.0.1:{silent.getsockname()[1]}/")
    make_endpoint(admin)
    tell("a")
    with silent:
        assert sending.send_due() == 1
    assert len(receiver.requests) == 1


class TestAddresses:
    @pytest.mark.parametrize(
        "host",
        ["127.0.0.1", "localhost", "10.1.2.3", "169.254.169.254", "[::1]", "0.0.0.0"],  # noqa: S104 - no binding
    )
    def test_private_addresses_are_refused_when_connecting(
        self, host, endpoint, receiver, settings
    ):
        settings.WEBHOOK_ALLOW_LOCAL = False
        Endpoint.objects.update(url=f"http://{host}:{receiver.url.split(':')[2]}")
        tell("a")
        assert sending.send_due() == 0
        assert only().failure == posting.REFUSED
        assert receiver.requests == []

    def test_a_name_that_is_bound_to_another_address_later_is_refused(
        self, endpoint, receiver, settings, monkeypatch
    ):
        """DNS rebinding: whoever checks the name first gets a public address, and then a private one."""
        settings.WEBHOOK_ALLOW_LOCAL = False
        names = ["93.184.216.34", "127.0.0.1"]
        connected: list[str] = []

        def resolve(host, port, *args, **kwargs):
            address = names.pop(0) if host == "rebind.example" else host
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

        def connect(address, *args, **kwargs):
            connected.append(address[0])
            raise OSError("This test has no network.")

        Endpoint.objects.update(url=receiver.url.replace("127.0.0.1", "rebind.example"))
        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        monkeypatch.setattr(urllib3.util.connection, "create_connection", connect)
        tell("a")
        assert sending.send_due() == 0
        assert connected == ["93.184.216.34"]  # the address that was checked, and no name
        pass_time(timedelta(hours=1))
        assert sending.send_due() == 0
        assert names == []
        assert connected == ["93.184.216.34"]
        assert only().failure == posting.REFUSED
        assert receiver.requests == []

    def test_a_proxy_of_the_environment_is_not_used(self, endpoint, receiver, monkeypatch):
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        tell("a")
        assert send_all() == 1


class TestTheEnd:
    def test_after_three_days_a_delivery_is_given_up(self, endpoint, receiver):
        receiver.always = status(500)
        tell("a")
        sending.send_due()
        pass_time(3 * DAY - timedelta(minutes=1))
        assert sending.give_up_old() == 0
        pass_time(timedelta(minutes=2))
        before = len(receiver.requests)
        sending.send_due()
        assert len(receiver.requests) == before
        assert sending.give_up_old() == 1
        delivery = only()
        assert (delivery.status, delivery.failure) == ("failed", sending.GAVE_UP)
        assert delivery.finished_at is not None

    def test_a_dead_endpoint_is_disabled_with_one_mail(self, endpoint, receiver, admin):
        receiver.always = status(503)
        tell("a")
        sending.send_due()
        pass_time(3 * DAY + timedelta(minutes=1))
        tell("b")
        sending.send_due()
        endpoint.refresh_from_db()
        assert not endpoint.is_active
        assert "3 days" in endpoint.disabled_reason
        assert not Delivery.objects.waiting().exists()
        notice = Notice.objects.get(user=admin)
        assert notice.subject == "A webhook endpoint was disabled"
        assert str(endpoint.pk) in notice.body
        assert endpoint.secret not in notice.body
        entry = AuditEntry.objects.get(action="webhook_endpoint.disabled")
        assert (entry.actor_id, entry.target_id) == (None, str(endpoint.pk))
        assert mails.send_due() == 1
        assert mail.outbox[0].to == [admin.email]
        tell("c")  # a disabled endpoint is told of nothing new
        assert Delivery.objects.count() == 2

    def test_an_endpoint_that_is_gone_is_disabled_at_once(self, endpoint, receiver):
        receiver.answers = [status(410)]
        tell("a")
        sending.send_due()
        endpoint.refresh_from_db()
        assert endpoint.disabled_reason == "It answered 410 (gone)."

    def test_enabled_again_it_gets_what_is_replayed(self, endpoint, receiver, admin):
        receiver.answers = [status(410)]
        tell("a")
        sending.send_due()
        endpoint = services.change_endpoint(
            endpoint=endpoint, actor=admin, changes={"is_active": True}
        )
        assert (endpoint.failures, endpoint.disabled_reason) == (0, "")
        services.replay(delivery=only(), actor=admin)
        assert send_all() == 1
        assert len(set(receiver.ids)) == 1

    def test_the_log_of_a_month_is_kept(self, endpoint, receiver):
        tell("a")
        send_all()
        assert sweeping.sweep() == 0
        Delivery.objects.update(finished_at=Now() - 31 * DAY)
        Event.objects.update(created_at=Now() - 31 * DAY)
        assert sweeping.sweep() == 2
        assert not Event.objects.exists()

    def test_a_waiting_delivery_is_not_swept(self, endpoint):
        tell("a")
        Event.objects.update(created_at=Now() - 31 * DAY)
        assert sweeping.sweep() == 0
        assert Delivery.objects.waiting().count() == 1


class TestTheWorker:
    def test_the_tick_sends(self, endpoint, receiver):
        tell("a")
        worker_tick.send(sender=None, every="second")
        assert len(receiver.requests) == 1

    def test_a_copy_of_a_live_database_tells_nobody(self, endpoint, receiver, monkeypatch):
        monkeypatch.setattr(gateways, "are_open", lambda: False)
        tell("a")
        worker_tick.send(sender=None, every="second")
        assert receiver.requests == []
        assert only().attempts == 0

    def test_a_worker_that_died_leaves_its_delivery_to_others(self, endpoint, receiver):
        tell("a")
        (chosen,) = sending._chosen()
        assert sending._claimed(chosen) is not None  # and then it is killed
        assert send_all() == 0
        pass_time(sending.LEASE)
        assert send_all() == 1
        assert len(receiver.requests) == 1

    def test_the_outcome_of_a_late_attempt_changes_nothing(self, endpoint, receiver):
        tell("a")
        (chosen,) = sending._chosen()
        late = sending._claimed(chosen)
        assert late is not None
        pass_time(sending.LEASE)
        assert send_all() == 1
        sending._store(late.delivery, posting.Answer(failure="too late"))
        assert (only().status, only().failure) == ("delivered", "")
        endpoint.refresh_from_db()
        assert endpoint.failures == 0

    def test_a_failing_endpoint_is_asked_with_one_delivery(self, endpoint, receiver):
        receiver.always = status(500)
        for number in range(8):
            tell(str(number))
        sending.send_due()
        assert len(receiver.requests) == sending.PER_ENDPOINT
        assert sending.send_due() == 0  # it pauses
        assert len(receiver.requests) == sending.PER_ENDPOINT
        pass_time(sending.LONGEST_PAUSE)
        sending.send_due()
        assert len(receiver.requests) == sending.PER_ENDPOINT + 1


def test_an_endpoint_with_much_to_be_sent_holds_up_no_other(make_endpoint, admin, receiver):
    for _ in range(6):
        make_endpoint(admin)
    busy = Endpoint.objects.first()
    for number in range(60):
        tell(str(number))
    Delivery.objects.exclude(endpoint=busy).exclude(about="user:59").delete()
    for _ in range(4):
        sending.send_due()
    waiting = Delivery.objects.waiting().exclude(endpoint=busy)
    assert not waiting.exists()
    assert Delivery.objects.waiting().filter(endpoint=busy).count() >= 60 - 4 * sending.PER_ENDPOINT


def test_no_secret_and_no_address_is_logged(endpoint, receiver, caplog, admin):
    caplog.set_level(logging.DEBUG)
    Endpoint.objects.update(url=f"{receiver.url}?token=hidden")
    receiver.answers = [status(500)]
    tell("a")
    sending.send_due()
    services.change_endpoint(endpoint=endpoint, actor=admin, changes={}, rotates=True)
    receiver.stop()
    pass_time(timedelta(minutes=1))
    sending.send_due()
    receiver.start()
    secrets = [Endpoint.objects.get().secret, endpoint.secret]
    ours = "\n".join(
        record.getMessage() for record in caplog.records if record.name.startswith("webhooks")
    )
    assert "was not delivered" in ours
    assert "hidden" not in ours
    every = caplog.text + "\n".join(map(repr, AuditEntry.objects.values_list("data", flat=True)))
    assert not [secret for secret in secrets if secret in every or secret[6:] in every]
    task = sending._Task(only(), posting.Message("msg_1", "u", b"", tuple(secrets)))
    assert not [secret for secret in secrets if secret in repr(task)]


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_send_each_delivery_once(make_endpoint, make_user, receiver):
    from django.db import connections

    from accounts.roles import Role

    make_endpoint(make_user(Role.ADMIN))
    for number in range(12):
        tell(str(number))
    gate = threading.Barrier(3)

    def work() -> None:
        gate.wait()
        try:
            send_all(rounds=6)
        finally:
            connections.close_all()

    workers = [threading.Thread(target=work) for _ in range(3)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    send_all()
    assert len(receiver.requests) == len(set(receiver.ids)) == 12
