"""Flows of subscriptions, months, payouts and webhook events."""

from datetime import timedelta
from typing import Any, ClassVar
from unittest.mock import patch

import time_machine
from django.utils import timezone

from accounts.models import User
from analytics.tests.failpoints.flow import ASKS, FAILS_LATER, PAYMENTS, Flow, tick
from payments.gateways.sandbox import charging, events
from payments.models import (
    Order,
    Payout,
    Plan,
    Pool,
    SandboxEvent,
    SandboxPayment,
    SandboxSubscription,
    Subscription,
    Transfer,
)
from payments.periods import Month
from payments.services.buying import checkout
from payments.services.payouts import payouts, statements
from payments.services.sharing import pools
from payments.services.subscribing import subscriptions
from payments.tests.kit import DECLINED, VISA
from payments.tests.months import watch


def subscription_of(user: User) -> Subscription:
    return Subscription.objects.get(user=user)


class Subscribe(Flow):
    card: str | None = VISA

    def act(self) -> None:
        self.subscribe()

    def subscribe(self) -> dict:
        body = {"plan": "monthly"} | ({"payment_method": self.card} if self.card else {})
        return self.post(f"{PAYMENTS}/subscribe", body)

    def check(self, *, came_back: bool) -> None:
        if came_back:
            assert subscription_of(self.user).status == "active"


class SubscribeOnCheckout(Subscribe):
    card = None

    def act(self) -> None:
        step = self.subscribe().get("next_action")
        if step:
            self.press(step["url"], "pay")


class SubscribeWithABankThatAsks(Subscribe):
    card = ASKS

    def act(self) -> None:
        step = self.subscribe().get("next_action")
        if step:
            self.press(step["url"], "confirm")


class SubscribeWithADeclinedCard(Subscribe):
    card = DECLINED

    def check(self, *, came_back: bool) -> None:
        assert not Subscription.objects.exclude(status="incomplete_expired").exists()


class Subscribed(Flow):
    """The base of the flows of a subscriber."""

    path = ""
    body: ClassVar[dict[str, Any]] = {}
    card = VISA

    def prepare(self) -> None:
        Plan.objects.create(
            code="yearly", name="Yearly", amount=9900, currency="USD", interval="year"
        )
        subscriptions.subscribe(user=self.user, plan_code="monthly", payment_method=self.card)

    def act(self) -> None:
        self.post(f"{PAYMENTS}/subscription/{self.path}", self.body)


class Upgrade(Subscribed):
    path, body = "change", {"plan": "yearly"}

    def check(self, *, came_back: bool) -> None:
        at_gateway = SandboxSubscription.objects.get()
        assert subscription_of(self.user).plan.code == at_gateway.plan_code
        assert at_gateway.plan_code == "yearly" or not came_back


class Cancel(Subscribed):
    path, body = "cancel", {"at_period_end": True}

    def check(self, *, came_back: bool) -> None:
        at_gateway = SandboxSubscription.objects.get().cancel_at_period_end
        assert subscription_of(self.user).cancel_at_period_end == at_gateway
        assert at_gateway or not came_back


class CancelAtOnce(Subscribed):
    path, body = "cancel", {"at_period_end": False}

    def check(self, *, came_back: bool) -> None:
        assert subscription_of(self.user).status == "canceled" or not came_back


class ChangeCard(Subscribed):
    path, body = "payment-method", {"payment_method": "pm_card_amex"}


class Renew(Subscribed):
    """The sandbox's clock moves by a month, and the subscription is billed."""

    days = 32

    def prepare(self) -> None:
        super().prepare()
        self.client = self.staff()

    def act(self) -> None:
        self.post(f"{PAYMENTS}/sandbox/clock", {"days": self.days})
        tick()

    def check(self, *, came_back: bool) -> None:
        periods = SandboxPayment.objects.exclude(captured=0).count()
        assert subscription_of(self.user).invoices.filter(status="paid").count() == periods


class FailToRenew(Renew):
    card = FAILS_LATER


class CloseMonth(Flow):
    """An administrator closes a month with a subscriber and watch time, in batches of two creators.

    The worker finishes a close that was begun, also when nobody comes back.
    """

    def prepare(self) -> None:
        last = Month.of(timezone.now() - timedelta(days=40))
        with time_machine.travel(last.start + timedelta(hours=12)):
            subscriptions.subscribe(user=self.user, plan_code="monthly", payment_method=VISA)
            self.sell()
            for _ in range(5):
                watch(self.user, self.scene.make_video(), f"{last}-03", 600)
        self.month, self.client = last, self.staff()

    def act(self) -> None:
        with patch.object(pools, "BATCH", 2), patch.object(statements, "BATCH", 2):
            self.post(f"{PAYMENTS}/admin/pools/{self.month}/close")

    def check(self, *, came_back: bool) -> None:
        closed = Pool.objects.filter(period=str(self.month))
        assert [pool.status for pool in closed] in ([["closed"]] if came_back else [[], ["closed"]])
        for pool in closed:
            assert pool.shares.count() == 5
            assert Transfer.objects.filter(entry__pool=pool).count() == 5
            assert pools.verify_month(self.month) == []


class RunPayouts(Flow):
    def prepare(self) -> None:
        with time_machine.travel(timezone.now() - timedelta(days=90)):
            for _ in range(3):
                self.sell()
        self.client = self.staff()

    def act(self) -> None:
        self.post(f"{PAYMENTS}/admin/payouts/run")

    def check(self, *, came_back: bool) -> None:
        drafts = Payout.objects.count()
        assert drafts == 3 if came_back else drafts in range(4)
        for creator in User.objects.filter(payouts__isnull=False):
            assert payouts.available(creator.pk)["USD"]["balance"] == 0


class PayOut(RunPayouts):
    """A second administrator approves a payout, and it is paid."""

    def prepare(self) -> None:
        super().prepare()
        self.payout = payouts.run()[0].pk

    def act(self) -> None:
        for step, body in (
            ("approve", {}),
            ("processing", {}),
            ("mark-paid", {"external_ref": "7"}),
        ):
            self.post(f"{PAYMENTS}/admin/payouts/{self.payout}/{step}", body)

    def check(self, *, came_back: bool) -> None:
        assert Payout.objects.get(pk=self.payout).status == "paid" or not came_back


class Webhook(Flow):
    """The gateway tells of a payment that we have not heard of."""

    def prepare(self) -> None:
        video = self.scene.make_video(price=1999)
        order, _ = checkout.purchase(
            buyer=self.user, video_id=video.pk, options=checkout.PurchaseOptions()
        )
        charging.charge(
            amount=1999, currency="USD", payment_method=VISA, key="1", reference=str(order.pk)
        )
        self.body, self.headers = events.message(SandboxEvent.objects.latest("pk"))
        SandboxEvent.objects.update(next_attempt_at=None)  # it is never sent again

    def act(self) -> None:
        answer = self.client.post(
            f"{PAYMENTS}/webhooks/sandbox",
            self.body,
            content_type="application/json",
            headers=self.headers,
        )
        assert answer.status_code in {200, 400}  # 400: a repeat hours later is too old

    def check(self, *, came_back: bool) -> None:
        assert Order.objects.get().status == "paid"
