"""``POST /payments/admin/orders/{id}/refund``: the money goes back and the access ends."""

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.roles import Role
from payments.models import Entitlement, Order, Refund, SandboxRefund, Transfer
from payments.services.settling.facts import sync_payment
from payments.tests.kit import (
    VISA,
    DyingGateway,
    Killed,
    SilentGateway,
    all_money,
    assert_books_balance,
    balances,
    code,
    nothing_changes,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def order(buy, viewer, make_video, creator):
    return buy(viewer, make_video(creator=creator, price=1999))


@pytest.fixture
def refund(client_for, admin):
    def ask(order, *, by=None, **body):
        client = client_for(by or admin)
        client.raise_request_exception = False
        return client.post(f"/api/v1/payments/admin/orders/{order.pk}/refund", body)

    return ask


@pytest.mark.promise("full-refund-ends-access")
def test_a_full_refund_reverses_the_split_and_ends_the_access(order, refund, viewer, client_for):
    """A full refund empties the balances, ends the entitlement and refuses the stream at once."""
    answer = refund(order, reason="asked nicely")

    assert (answer.status_code, answer.data["status"]) == (200, "refunded")
    assert balances() == {}
    assert_books_balance()
    assert not Entitlement.objects.live().exists()
    given = Refund.objects.get()
    assert (given.amount, given.status, given.reason) == (1999, "succeeded", "asked nicely")
    stream = client_for(viewer).get(f"/api/v1/stream/{order.video_id}")
    assert (stream.status_code, code(stream)) == (403, "purchase_required")


@pytest.mark.promise("refund-never-exceeds-capture")
def test_partial_refunds_add_up_to_the_last_cent(order, refund):
    """Partial refunds stop at the captured amount: 7.50 of the remaining 7.49 is answered 422."""
    expected = [
        ("5.00", {"clearing:USD": -1499, "creator:USD": 1200, "platform:USD": 299}),
        ("0.01", {"clearing:USD": -1498, "creator:USD": 1199, "platform:USD": 299}),
        ("7.49", {"clearing:USD": -749, "creator:USD": 600, "platform:USD": 149}),
    ]
    for amount, books in expected:
        answer = refund(order, amount=amount)
        assert (answer.status_code, answer.data["status"]) == (200, "paid")
        assert balances() == books
        assert Entitlement.objects.live().count() == 1
    with nothing_changes():
        too_much = refund(order, amount="7.50")
    assert (too_much.status_code, code(too_much)) == (422, "refund_too_large")
    assert too_much.data["errors"][0]["attr"] == "amount"
    assert "7.49 USD" in too_much.data["errors"][0]["detail"]
    rest = refund(order)
    assert (rest.status_code, rest.data["status"]) == (200, "refunded")
    assert balances() == {}
    assert not Entitlement.objects.live().exists()


@pytest.mark.promise("full-refund-ends-access")
def test_partial_refunds_of_the_whole_amount_end_the_access(order, refund):
    refund(order, amount="10.00")
    answer = refund(order, amount="9.99")
    assert answer.data["status"] == "refunded"
    assert not Entitlement.objects.live().exists()
    assert balances() == {}


def test_a_refunded_order_cannot_be_refunded_again(order, refund):
    refund(order)
    with nothing_changes():
        answer = refund(order)
    assert (answer.status_code, code(answer)) == (409, "not_refundable")


def test_an_unpaid_order_cannot_be_refunded(viewer, make_video, client_for, refund):
    video = make_video(price=1999)
    client_for(viewer).post(f"/api/v1/payments/purchase/{video.pk}")
    with nothing_changes():
        answer = refund(Order.objects.get())
    assert (answer.status_code, code(answer)) == (409, "not_refundable")


@pytest.mark.parametrize("amount", ["0", "-1", "0.001", "1e12", "abc", None, [], True, "NaN"])
def test_an_invalid_amount_is_refused(order, refund, amount):
    with nothing_changes():
        answer = refund(order, amount=amount)
    assert answer.status_code in {400, 422}
    assert answer.data["errors"][0]["attr"] == "amount"


@pytest.mark.promise("creators-cannot-refund")
def test_only_an_administrator_refunds(order, refund, viewer, creator, make_user):
    for user in (viewer, creator, make_user(Role.CREATOR)):
        with nothing_changes():
            answer = refund(order, by=user)
        assert (answer.status_code, code(answer)) == (403, "permission_denied")


def test_an_unknown_order_is_answered_404(refund, order):
    with nothing_changes():
        answer = refund(Order(pk=uuid.uuid4()), amount="1.00")
    assert (answer.status_code, code(answer)) == (404, "not_found")


@pytest.mark.promise("fee-fixed-at-sale")
def test_a_new_fee_does_not_touch_old_money(order, refund, settings, buy, make_user):
    settings.PLATFORM_FEE_BPS = 5000
    refund(order, amount="5.00")
    assert balances() == {"clearing:USD": -1499, "creator:USD": 1200, "platform:USD": 299}
    buy(make_user(), order.video)
    assert balances()["creator:USD"] == 1200 + 1000


def test_a_refunded_buyer_can_buy_again(order, refund, client_for, viewer):
    refund(order)
    answer = client_for(viewer).post(
        f"/api/v1/payments/purchase/{order.video_id}", {"payment_method": VISA}
    )
    assert (answer.status_code, answer.data["order"]["status"]) == (201, "paid")
    assert balances() == {"clearing:USD": -1999, "creator:USD": 1600, "platform:USD": 399}
    payment = order.payments.get()
    with nothing_changes():  # news of the old payment says nothing about the new order
        sync_payment(gateway="sandbox", external_id=payment.external_id)


@pytest.mark.promise("refund-at-gateway-is-mirrored")
def test_a_refund_made_at_the_gateway_is_booked_once(order):
    payment = order.payments.get()
    SandboxRefund.objects.create(
        id="sbr_dashboard",
        idempotency_key="somebody",
        payment_id=payment.external_id,
        amount=999,
    )
    sync_payment(gateway="sandbox", external_id=payment.external_id)

    assert balances() == {"clearing:USD": -1000, "creator:USD": 800, "platform:USD": 200}
    with nothing_changes():
        sync_payment(gateway="sandbox", external_id=payment.external_id)
    assert Transfer.objects.count() == 4


@pytest.mark.promise("refund-booked-once")
def test_a_sync_before_the_gateways_answer_books_the_same_refund(order, gateway_is, refund):
    """The gateway has refunded, and a sync comes before the refunding process got the answer."""
    payment = order.payments.get()
    with gateway_is(DyingGateway), pytest.raises(Killed):
        refund(order, amount="5.00")
    assert Refund.objects.get().external_id is None

    sync_payment(gateway="sandbox", external_id=payment.external_id)

    given = Refund.objects.get()
    assert (given.status, given.amount) == ("succeeded", 500)
    assert given.external_id == SandboxRefund.objects.get().pk
    assert balances() == {"clearing:USD": -1499, "creator:USD": 1200, "platform:USD": 299}


def test_a_refund_with_an_unknown_outcome_is_not_paid_twice(order, gateway_is, refund):
    with gateway_is(SilentGateway):
        lost = refund(order)
    assert (lost.status_code, code(lost)) == (503, "gateway_unavailable")
    before = all_money()
    early = refund(order)
    assert (early.status_code, code(early)) == (409, "refund_in_progress")
    assert early["Retry-After"] == "60"
    assert all_money() == before

    Refund.objects.update(created_at=timezone.now() - timedelta(minutes=2))
    again = refund(order)

    assert (again.status_code, again.data["status"]) == (200, "refunded")
    assert SandboxRefund.objects.get().amount == 1999
    assert balances() == {}


def test_a_refund_without_an_answer_is_finished_before_the_next_one(order, gateway_is, refund):
    with gateway_is(SilentGateway):
        refund(order, amount="5.00")
    Refund.objects.update(created_at=timezone.now() - timedelta(minutes=2))

    answer = refund(order, amount="3.00")

    assert answer.status_code == 200
    assert sorted(SandboxRefund.objects.values_list("amount", flat=True)) == [300, 500]
    assert balances() == {"clearing:USD": -1199, "creator:USD": 960, "platform:USD": 239}


def test_a_refund_that_the_gateway_refuses_is_canceled_and_the_payment_synced(order, refund):
    payment = order.payments.get()
    SandboxRefund.objects.create(
        id="sbr_first", idempotency_key="k", payment_id=payment.external_id, amount=1500
    )
    answer = refund(order, amount="10.00")
    assert (answer.status_code, code(answer)) == (422, "refund_too_large")
    assert sorted(Refund.objects.values_list("amount", "status")) == [
        (1000, "canceled"),
        (1500, "succeeded"),
    ]
    assert SandboxRefund.objects.get().amount == 1500
    assert balances() == {"clearing:USD": -499, "creator:USD": 400, "platform:USD": 99}
    assert Entitlement.objects.live().count() == 1
    assert refund(order).data["status"] == "refunded"
    assert balances() == {}
