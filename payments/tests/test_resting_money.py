"""An upgraded period rests on its own payment, and on the earlier money that the upgrade deducted."""

from datetime import timedelta

import pytest

from config.tests import cases
from payments.gateways.sandbox import charging, events
from payments.models import Notice, Plan, SandboxEvent, Subscription
from payments.services.gateway_news import followups
from payments.services.settling.facts import sync_payment
from payments.tests.kit import VISA
from payments.tests.test_upgrades import MINE, SANDBOX, URL, Desk, clock, desk, plans

pytestmark = pytest.mark.months

__all__ = ["clock", "desk", "plans"]  # fixtures
DISPUTES = [None, "3.00"]
TRIAL_OVER = "Your free days are over"
P = "/api/v1/payments"


@pytest.fixture
def stream(desk, make_video, creator):
    """Return a function that asks for the stream as the subscriber, and returns the status."""
    video = make_video(creator=creator, price=1999)

    def ask() -> int:
        return desk.me.get(f"/api/v1/stream/{video.pk}").status_code

    return ask


def dispute(desk: Desk, number: int, amount: str | None = None) -> None:
    body = {"amount": amount} if amount else {}
    payment = desk.payments()[number]
    answer = desk.admin.post(f"{SANDBOX}/payments/{payment.pk}/dispute", body)
    assert answer.status_code == 200, answer.data
    desk.clock.shift(timedelta(seconds=1))


def lose(desk: Desk, number: int) -> None:
    payment = desk.payments()[number]
    answer = desk.admin.post(f"{SANDBOX}/payments/{payment.pk}/reinstate", {"amount": "0.00"})
    assert (answer.status_code, answer.data["status"]) == (200, "lost"), answer.data


def may_subscribe_again(desk: Desk) -> bool:
    followups.run()
    answer = desk.me.post(URL, {"plan": "small", "payment_method": VISA})
    return answer.status_code == 201


@pytest.mark.promise("plan-change")
@pytest.mark.parametrize("amount", DISPUTES)
def test_an_upgrade_in_a_dispute_is_watched_whatever_the_bank_decides(desk, stream, amount):
    """An upgrade during a dispute deducts no disputed money, and gives access: that of a dispute which
    is lost later, too."""
    desk.subscribe()
    dispute(desk, 0, amount)
    assert stream() == 403
    assert desk.upgrade("huge") == {"3.00": "92.01"}.get(str(amount), "99.00")
    assert stream() == 200
    lose(desk, 0)
    assert (stream(), desk.me.get(MINE).data["status"]) == (200, "active")
    desk.upgrade("giant")
    assert stream() == 200


@pytest.mark.promise("plan-change")
@cases.crossed(to=[["medium"], ["huge"], ["medium", "large"]], amount=DISPUTES)
def test_money_that_an_upgrade_deducted_ends_the_subscription_when_it_is_lost(
    desk, stream, to, amount
):
    """When a bank takes money back that an upgrade has deducted, the access waits for the decision. A
    loss ends the subscription, and the person can subscribe again."""
    desk.subscribe()
    for plan in to:
        desk.upgrade(plan)
    desk.clock.shift(timedelta(days=20))
    dispute(desk, 0, amount)
    assert (stream(), desk.me.get(MINE).data["status"]) == (403, "active")
    lose(desk, 0)
    assert (stream(), desk.me.get(MINE).status_code) == (403, 404)
    assert may_subscribe_again(desk)
    assert stream() == 200


def test_an_upgrade_ends_the_wait_for_a_dispute_of_deducted_money(desk, stream):
    desk.subscribe()
    desk.upgrade("medium")
    dispute(desk, 0)
    assert stream() == 403
    assert desk.upgrade("large") == "29.99"  # 20.00 of 29.99 are held, the other money is disputed
    assert stream() == 200
    lose(desk, 0)
    assert (stream(), desk.me.get(MINE).data["plan"]) == (200, "large")


def test_a_dispute_of_a_period_that_was_renewed_since_changes_nothing(desk, stream, run_minute):
    desk.subscribe()
    desk.upgrade("medium")
    desk.clock.shift(timedelta(days=31))
    run_minute()
    dispute(desk, 0)
    assert stream() == 200
    lose(desk, 0)
    assert (stream(), desk.me.get(MINE).data["status"]) == (200, "active")


@pytest.mark.promise("plan-change")
def test_a_full_refund_of_money_that_an_upgrade_deducted_ends_the_subscription(desk, stream):
    """The dearer plan does not go on when the money that was deducted from its price went back."""
    desk.subscribe()
    desk.upgrade("medium")
    desk.refund(desk.payments()[0], "9.98")
    assert stream() == 200
    desk.refund(desk.payments()[0])
    assert (stream(), desk.me.get(MINE).status_code) == (403, 404)
    assert may_subscribe_again(desk)
    assert stream() == 200


def test_a_refund_under_way_of_deducted_money_suspends_and_restores_the_access(desk, stream):
    desk.subscribe(card="pm_card_pendingRefund")
    desk.upgrade("medium")
    first = desk.payments()[0]
    desk.refund(first)
    assert (stream(), desk.me.get(MINE).data["status"]) == (403, "active")
    answer = desk.admin.post(f"{SANDBOX}/payments/{first.pk}/refund-fail", {})
    assert answer.status_code == 200
    assert stream() == 200


def test_a_refund_under_way_before_the_upgrade_was_not_deducted(desk, stream):
    desk.subscribe(card="pm_card_pendingRefund")
    desk.refund(desk.payments()[0])
    assert (desk.upgrade("medium"), stream()) == ("29.99", 200)
    (refund,) = desk.payments()[0].refunds.all()
    charging.resolve_refund(refund.external_id, succeeds=True)
    sync_payment(gateway="sandbox", external_id=desk.payments()[0].external_id)
    assert (stream(), desk.me.get(MINE).data["status"]) == (200, "active")


class TestMails:
    """Who loses a subscription without having ended it is told so, once."""

    def mails(self) -> list[tuple[str, str]]:
        rows = Notice.objects.filter(subject__in=["Your subscription has ended", TRIAL_OVER])
        return list(rows.values_list("subject", "body"))

    def test_after_a_lost_dispute(self, desk):
        desk.subscribe()
        dispute(desk, 0)
        assert self.mails() == []
        lose(desk, 0)
        ((subject, body),) = self.mails()
        assert subject == "Your subscription has ended"
        assert "your bank has taken back money of your payment of 9.99 USD" in body

    @pytest.mark.parametrize("card", [VISA, "pm_card_pendingRefund"])
    def test_after_a_full_refund(self, desk, card):
        desk.subscribe(card=card)
        desk.refund(desk.payments()[0], "1.00")
        desk.refund(desk.payments()[0])
        if card != VISA:
            assert self.mails() == []
            for refund in desk.payments()[0].refunds.all():
                charging.resolve_refund(refund.external_id, succeeds=True)
            sync_payment(gateway="sandbox", external_id=desk.payments()[0].external_id)
        ((subject, body),) = self.mails()
        assert subject == "Your subscription has ended"
        assert "your payment of 9.99 USD was refunded in full" in body
        assert "bank" not in body

    def test_not_after_the_subscribers_own_cancellation(self, desk):
        desk.subscribe()
        desk.me.post(f"{MINE}/cancel", {"at_period_end": False})
        desk.refund(desk.payments()[0])
        assert self.mails() == []

    @pytest.mark.parametrize("cancels", [False, True])
    def test_after_free_days_without_a_card(self, desk, run_minute, cancels):
        Plan.objects.create(code="try", name="Try", amount=999, currency="USD", trial_days=7)
        assert desk.me.post(URL, {"plan": "try"}).status_code == 201
        if cancels:
            assert desk.me.post(f"{MINE}/cancel").status_code == 200
        desk.clock.shift(timedelta(days=7, minutes=1))
        run_minute()
        events.deliver_due()
        assert desk.me.get(MINE).status_code == 404
        assert [subject for subject, _ in self.mails()] == ([] if cancels else [TRIAL_OVER])


class TestEndedHere:
    @pytest.fixture
    def deliver(self, client):
        """Return a function that delivers all events of the sandbox, the oldest first."""

        def send() -> set[int]:
            answers = set()
            for event in SandboxEvent.objects.order_by("pk"):
                body, headers = events.message(event)
                url = f"{P}/webhooks/sandbox"
                answer = client.post(url, body, "application/json", headers=headers)
                answers.add(answer.status_code)
            return answers

        return send

    def statuses(self) -> list[tuple[str, str]]:
        return sorted(Subscription.objects.values_list("plan__code", "status"))

    @pytest.mark.parametrize("card", ["", "pm_card_authenticationRequired", VISA])
    def test_late_events_of_a_replaced_unpaid_subscription_change_nothing(
        self, desk, deliver, card
    ):
        ask = "pm_card_authenticationRequired"
        assert desk.me.post(URL, {"plan": "huge", "payment_method": ask}).status_code == 202
        body = {"plan": "small"} | ({"payment_method": card} if card else {})
        assert desk.me.post(URL, body).status_code in {201, 202}
        before = self.statuses()
        assert before[0] == ("huge", "canceled")
        assert deliver() == {200}
        assert self.statuses() == before

    def test_late_events_of_a_canceled_unpaid_subscription_open_nothing(self, desk, deliver):
        ask = "pm_card_authenticationRequired"
        desk.me.post(URL, {"plan": "huge", "payment_method": ask})
        answer = desk.me.post(f"{MINE}/cancel", {"at_period_end": False})
        assert answer.status_code == 200
        assert deliver() == {200}
        assert self.statuses() == [("huge", "canceled")]
