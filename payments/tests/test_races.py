"""Simultaneous requests, on real threads and database connections, have one outcome."""

from collections import Counter

import pytest

from payments.models import (
    Entitlement,
    IdempotencyRecord,
    Invoice,
    Order,
    Payment,
    Refund,
    SandboxPayment,
    SandboxRefund,
    Subscription,
    Transfer,
)
from payments.services.settling import refunds
from payments.services.settling.facts import sync_payment
from payments.tests.kit import (
    DECLINED,
    VISA,
    assert_books_balance,
    balances,
    code,
    nothing_changes,
    together,
)

pytestmark = pytest.mark.django_db(transaction=True)

SOLD = {"clearing:USD": -1999, "creator:USD": 1600, "platform:USD": 399}


@pytest.fixture
def video(make_video, creator):
    return make_video(creator=creator, price=1999)


@pytest.mark.promise("simultaneous-purchases-charge-once")
def test_sixteen_clicks_buy_a_video_once(client_for, viewer, video):
    """Sixteen purchases at the same moment make one order, one charge, one entitlement and one split."""
    clients = [client_for(viewer) for _ in range(16)]
    url = f"/api/v1/payments/purchase/{video.pk}"

    def click(client):
        return lambda: client.post(url, {"payment_method": VISA})

    answers = together([click(client) for client in clients])

    order = Order.objects.get()
    for answer in answers:
        if answer.status_code == 409:  # it arrived after the purchase was complete
            assert code(answer) == "already_owned"
        else:
            assert answer.status_code in {200, 201}, answer.data
            assert answer.data["order"]["id"] == str(order.pk)
            assert answer.data["order"]["status"] == "paid"
    assert sum(answer.status_code == 201 for answer in answers) == 1
    assert order.status == "paid"
    assert SandboxPayment.objects.get().captured == 1999
    assert Payment.objects.get().disposition == "applied"
    assert Entitlement.objects.count() == 1
    assert Transfer.objects.count() == 2
    assert balances() == SOLD


def test_sixteen_buyers_each_get_an_order(client_for, make_user, video):
    clients = [client_for(make_user()) for _ in range(16)]
    url = f"/api/v1/payments/purchase/{video.pk}"
    answers = together([lambda c=c: c.post(url, {"payment_method": VISA}) for c in clients])
    assert [answer.status_code for answer in answers] == [201] * 16
    assert balances() == {account: 16 * part for account, part in SOLD.items()}
    assert Entitlement.objects.live().count() == 16


def test_good_and_bad_cards_at_once_charge_at_most_once(client_for, viewer, video):
    url = f"/api/v1/payments/purchase/{video.pk}"
    cards = [VISA, DECLINED] * 4
    clients = [client_for(viewer) for _ in cards]
    answers = together(
        [
            lambda c=c, card=card: c.post(url, {"payment_method": card})
            for c, card in zip(clients, cards, strict=True)
        ]
    )
    assert {answer.status_code for answer in answers} <= {200, 201, 402, 409}
    captured = SandboxPayment.objects.filter(captured__gt=0).count()
    order = Order.objects.get()
    assert captured == (1 if order.status == "paid" else 0)
    assert order.status in {"paid", "pending"}
    final = client_for(viewer).post(url, {"payment_method": VISA})
    assert final.status_code == (409 if captured else 200)
    assert SandboxPayment.objects.filter(captured__gt=0).count() == 1
    assert balances() == SOLD


def test_sixteen_syncs_of_one_payment_settle_it_once(viewer, video, buy):
    payment = buy(viewer, video).payments.get()
    SandboxRefund.objects.create(
        id="sbr_1", idempotency_key="k", payment_id=payment.external_id, amount=500
    )
    told = lambda: sync_payment(gateway="sandbox", external_id=payment.external_id)  # noqa: E731
    together([told] * 16)
    assert Refund.objects.get().amount == 500
    assert Transfer.objects.count() == 4
    assert balances() == {"clearing:USD": -1499, "creator:USD": 1200, "platform:USD": 299}
    with nothing_changes():
        told()


@pytest.mark.promise("simultaneous-refunds-bounded")
def test_two_administrators_never_refund_more_than_was_captured(
    client_for, viewer, admin, make_user, video, buy
):
    """Of eight refunds of 6.00 at the same moment, only three fit into the captured 19.99."""
    order = buy(viewer, video)
    url = f"/api/v1/payments/admin/orders/{order.pk}/refund"
    clients = [client_for(admin) for _ in range(8)]
    answers = together([lambda c=c: c.post(url, {"amount": "6.00"}) for c in clients])

    assert Counter(answer.status_code for answer in answers) == {200: 3, 422: 5}
    assert sum(SandboxRefund.objects.values_list("amount", flat=True)) == 1800
    assert balances() == {"clearing:USD": -199, "creator:USD": 160, "platform:USD": 39}
    order.refresh_from_db()
    assert order.status == "paid"


@pytest.mark.promise("refund-booked-once")
def test_simultaneous_refunds_and_syncs_book_each_refund_once(viewer, admin, video, buy):
    order = buy(viewer, video)
    payment = order.payments.get()

    def give(amount):
        return lambda: refunds.refund_order(
            order_id=order.pk, amount=amount, reason="", actor=admin
        )

    told = lambda: sync_payment(gateway="sandbox", external_id=payment.external_id)  # noqa: E731
    together([give(100), told, give(200), told, give(300), told, told, give(400)])
    told()
    amounts = Refund.objects.values_list("amount", flat=True)
    assert sorted(amounts) == [100, 200, 300, 400]
    assert set(Refund.objects.values_list("status", flat=True)) == {"succeeded"}
    assert balances() == {"clearing:USD": -999, "creator:USD": 800, "platform:USD": 199}
    assert_books_balance()


@pytest.mark.promise("second-subscription-refunded")
def test_two_tabs_make_one_subscription(client_for, viewer):
    clients = [client_for(viewer) for _ in range(8)]
    body = {"plan": "monthly", "payment_method": VISA}
    answers = together([lambda c=c: c.post("/api/v1/payments/subscribe", body) for c in clients])
    assert {answer.status_code for answer in answers} <= {200, 201, 409}
    assert sum(answer.status_code == 201 for answer in answers) == 1
    subscription = Subscription.objects.get()
    assert subscription.status == "active"
    assert Invoice.objects.get().status == "paid"
    assert SandboxPayment.objects.count() == 1
    assert balances() == {"clearing:USD": -999, "deferred:USD": 999}
    assert Entitlement.objects.live().count() == 1


@pytest.mark.promise("idempotency-key-in-progress")
def test_simultaneous_requests_with_one_key_are_carried_out_once(client_for, viewer, video):
    """Of eight requests with one key at the same moment, one is carried out; the others get 409 or
    its answer."""
    clients = [client_for(viewer) for _ in range(8)]
    url = f"/api/v1/payments/purchase/{video.pk}"

    def click(client):
        return lambda: client.post(
            url, {"payment_method": VISA}, headers={"Idempotency-Key": "one-click"}
        )

    answers = together([click(client) for client in clients])
    for answer in answers:
        if answer.status_code == 409:
            assert code(answer) == "idempotency_in_progress"
            assert answer["Retry-After"] == "1"
        else:
            assert answer.status_code == 201
    fresh = [a for a in answers if a.status_code == 201 and "Idempotent-Replayed" not in a]
    assert len(fresh) == 1
    assert IdempotencyRecord.objects.get().response_status == 201
    assert Order.objects.count() == SandboxPayment.objects.count() == 1


def test_cancel_and_pay_at_once_agree_on_one_outcome(client_for, viewer, video):
    for _ in range(4):
        client_for(viewer).post(f"/api/v1/payments/purchase/{video.pk}")
        order = Order.objects.get(status="pending")
        payer, canceler = client_for(viewer), client_for(viewer)
        paid, canceled = together(
            [
                lambda p=payer: p.post(
                    f"/api/v1/payments/purchase/{video.pk}", {"payment_method": VISA}
                ),
                lambda c=canceler, o=order: c.post(f"/api/v1/payments/orders/{o.pk}/cancel"),
            ]
        )
        order.refresh_from_db()
        if canceled.status_code == 200:
            assert order.status == "canceled"
        live = Order.objects.filter(status__in=Order.LIVE)
        if paid.status_code in {200, 201}:
            assert live.get().status == "paid"
            break
        assert (paid.status_code, code(paid)) == (409, "order_not_open")
        assert not live.exists()
    assert SandboxPayment.objects.count() == Order.objects.filter(status="paid").count()
    assert_books_balance()
