"""``Idempotency-Key``: a request that is repeated with its key is carried out once."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from config import batches
from payments import idempotency
from payments.models import IdempotencyRecord, Order, SandboxPayment, SandboxRefund
from payments.tests.kit import DECLINED, VISA, SilentGateway, code, nothing_changes

pytestmark = pytest.mark.django_db


@pytest.fixture
def video(make_video):
    return make_video(price=1999)


@pytest.fixture
def ask(client_for, viewer, video):
    """Return a function that posts with a key: by default the viewer's purchase of the video."""

    def post(key="a-key", *, user=viewer, to=None, **body):
        client = client_for(user)
        client.raise_request_exception = False
        return client.post(
            to or f"/api/v1/payments/purchase/{video.pk}", body, headers={"Idempotency-Key": key}
        )

    return post


@pytest.mark.promise("idempotency-key-replays-answer")
def test_a_repeat_gets_the_same_answer_and_changes_nothing(ask):
    """A repeated request with the same key gets the same bytes back and changes nothing."""
    first = ask(payment_method=VISA)
    assert first.status_code == 201
    assert "Idempotent-Replayed" not in first
    for _ in range(10):
        with nothing_changes():
            again = ask(payment_method=VISA)
        assert (again.status_code, again["Idempotent-Replayed"]) == (201, "true")
        assert json.loads(again.content) == json.loads(first.content)
        assert again.content == first.content


@pytest.mark.promise("idempotency-key-replays-answer")
def test_other_spellings_of_the_same_address_are_the_same_request(ask, video):
    """A repeat that ends in a slash, or spells the video's id in upper case, gets the first answer."""
    first, address = ask(payment_method=VISA), f"/api/v1/payments/purchase/{video.pk}"
    for same in (f"{address}/", address.replace(str(video.pk), str(video.pk).upper())):
        with nothing_changes():
            again = ask(to=same, payment_method=VISA)
        assert (again.status_code, again["Idempotent-Replayed"]) == (201, "true"), same
        assert again.content == first.content


@pytest.mark.promise("idempotency-key-bound-to-request")
def test_another_request_with_the_key_is_refused(ask, video, make_video):
    """A key that was used for another body or path is refused with 422 and changes nothing."""
    ask(payment_method=VISA)
    other = f"/api/v1/payments/purchase/{make_video(price=500).pk}"
    for refused in (
        lambda: ask(payment_method=VISA, force=True),
        lambda: ask(),
        lambda: ask(to=other, payment_method=VISA),
    ):
        with nothing_changes():
            answer = refused()
        assert (answer.status_code, code(answer)) == (422, "idempotency_key_reused")


@pytest.mark.promise("idempotency-key-per-user")
def test_the_same_key_of_another_user_is_independent(ask, make_user):
    """The same key of another user makes an order of its own."""
    ask(payment_method=VISA)
    answer = ask(user=make_user(), payment_method=VISA)
    assert answer.status_code == 201
    assert "Idempotent-Replayed" not in answer
    assert Order.objects.count() == 2


def test_a_declined_card_is_replayed_for_its_key(ask):
    first = ask(payment_method=DECLINED)
    with nothing_changes():
        again = ask(payment_method=DECLINED)
    assert (first.status_code, again.status_code) == (402, 402)
    assert again["Idempotent-Replayed"] == "true"
    assert again.content == first.content
    assert SandboxPayment.objects.count() == 1
    assert ask("another-key", payment_method=DECLINED).status_code == 402
    assert SandboxPayment.objects.count() == 2


def test_a_404_answer_is_replayed_for_its_key(ask):
    first = ask(to="/api/v1/payments/purchase/01900000-0000-7000-8000-000000000000")
    again = ask(to="/api/v1/payments/purchase/01900000-0000-7000-8000-000000000000")
    assert (first.status_code, again.status_code) == (404, 404)
    assert again["Idempotent-Replayed"] == "true"


@pytest.mark.promise("idempotency-key-in-progress")
def test_a_request_is_refused_while_its_key_is_in_use(ask, viewer, video):
    path = f"/api/v1/payments/purchase/{video.pk}"
    mark = idempotency.fingerprint("POST", path, {"payment_method": VISA})
    claim = idempotency.begin(user=viewer, key="a-key", request_fingerprint=mark)
    with nothing_changes():
        answer = ask(payment_method=VISA)
    assert (answer.status_code, code(answer)) == (409, "idempotency_in_progress")
    assert answer["Retry-After"] == "1"

    # Its process is dead: two minutes later the key is taken over.
    IdempotencyRecord.objects.update(started_at=timezone.now() - timedelta(seconds=121))
    assert ask(payment_method=VISA).status_code == 201
    idempotency.keep(claim, 200, "{}")
    idempotency.forget(claim)
    assert ask(payment_method=VISA).status_code == 201


def test_a_503_answer_is_not_stored_for_its_key(ask, gateway_is):
    with gateway_is(SilentGateway):
        assert ask(payment_method=VISA).status_code == 503
    assert not IdempotencyRecord.objects.exists()
    answer = ask(payment_method=VISA)
    assert (answer.status_code, answer.data["order"]["status"]) == (200, "paid")
    assert "Idempotent-Replayed" not in answer
    assert SandboxPayment.objects.count() == 1


def test_a_refund_is_replayed_for_its_key(ask, admin, viewer, video, buy):
    order = buy(viewer, video)
    url = f"/api/v1/payments/admin/orders/{order.pk}/refund"
    first = ask(user=admin, to=url, amount="5.00")
    with nothing_changes():
        again = ask(user=admin, to=url, amount="5.00")
    assert (first.status_code, again.status_code) == (200, 200)
    assert again.content == first.content
    assert SandboxRefund.objects.get().amount == 500


def test_a_key_expires_after_a_day(ask, run_minute):
    ask(payment_method=VISA)
    IdempotencyRecord.objects.update(started_at=timezone.now() - timedelta(hours=25))
    answer = ask()
    assert (answer.status_code, code(answer)) == (409, "already_owned")
    IdempotencyRecord.objects.update(started_at=timezone.now() - timedelta(hours=25))
    run_minute()
    assert not IdempotencyRecord.objects.exists()


def test_old_keys_are_forgotten_and_no_key_that_is_in_use(viewer, monkeypatch):
    monkeypatch.setattr(batches, "SIZE", 2)
    hours = [0, 23, 25, 26, 27]
    for number in hours:
        IdempotencyRecord.objects.create(
            user=viewer,
            key=str(number),
            fingerprint="x",
            started_at=timezone.now() - timedelta(hours=number),
        )

    assert idempotency.forget_old_keys() == 3
    assert idempotency.forget_old_keys() == 0
    assert set(IdempotencyRecord.objects.values_list("key", flat=True)) == {"0", "23"}


@pytest.mark.parametrize("key", ["", "   ", "k" * 256, "ключ", "a\tb"])
def test_an_invalid_key_is_refused(ask, key):
    with nothing_changes():
        answer = ask(key, payment_method=VISA)
    assert (answer.status_code, code(answer)) == (400, "parse_error")


def test_the_key_of_an_anonymous_caller_is_not_stored(client_for, video):
    answer = client_for().post(
        f"/api/v1/payments/purchase/{video.pk}", {}, headers={"Idempotency-Key": "k"}
    )
    assert answer.status_code == 401
    assert not IdempotencyRecord.objects.exists()
