"""Flows of buyers: orders, coupons, the bank's questions, refunds and disputes."""

from datetime import timedelta

import time_machine
from django.db.models import Sum
from django.utils import timezone

from analytics.tests.failpoints.flow import ASKS, PAYMENTS, SLOW_REFUND, Flow, tick
from payments.gateways.sandbox import charging
from payments.models import Coupon, Order, Refund, SandboxEvent
from payments.tests.kit import DECLINED, VISA


class Buy(Flow):
    """Buying: a card that is charged at once."""

    card: str | None = VISA
    kind, coupon = "buy", ""

    def prepare(self) -> None:
        self.video = self.scene.make_video(price=1999, rental_price=399, rental_hours=48)
        for code, percent in (("HALF", 5000), ("ALL", 10_000)):
            Coupon.objects.create(code=code, percent_bps=percent, per_user=1, max_redemptions=1)

    def purchase(self) -> dict:
        body = {"kind": self.kind, "coupon": self.coupon}
        if self.card:
            body["payment_method"] = self.card
        return self.post(f"{PAYMENTS}/purchase/{self.video.pk}", body)

    def act(self) -> None:
        self.purchase()

    def check(self, *, came_back: bool) -> None:
        if came_back:
            assert Order.objects.get(buyer=self.user).status == "paid"


class BuyWithCoupon(Buy):
    coupon = "HALF"


class BuyForNothing(Buy):
    card, coupon = None, "ALL"


class Rent(Buy):
    kind = "rent"


class BuyWithADeclinedCard(Buy):
    card, coupon = DECLINED, "HALF"

    def check(self, *, came_back: bool) -> None:
        statuses = set(Order.objects.filter(buyer=self.user).values_list("status", flat=True))
        assert statuses <= {"expired"}


class BuyWithABankThatAsks(Buy):
    card, coupon = ASKS, "HALF"

    def act(self) -> None:
        step = self.purchase().get("next_action")
        if step:
            self.press(step["url"], "confirm")


class BuyAndLeaveTheBank(Buy):
    """The buyer never answers the bank's question."""

    card, coupon = ASKS, "HALF"

    def check(self, *, came_back: bool) -> None:
        statuses = set(Order.objects.filter(buyer=self.user).values_list("status", flat=True))
        assert statuses <= {"expired"}


class BuyOnCheckout(Buy):
    card, coupon = None, "HALF"

    def act(self) -> None:
        step = self.purchase().get("next_action")
        if step:
            self.press(step["url"], "pay")


class CancelOrder(Buy):
    card, coupon = None, "HALF"

    def prepare(self) -> None:
        super().prepare()
        self.order = self.purchase()["order"]["id"]

    def act(self) -> None:
        self.post(f"{PAYMENTS}/orders/{self.order}/cancel")

    def check(self, *, came_back: bool) -> None:
        assert Order.objects.get().status in {"canceled", "expired"}


class OrdersExpire(CancelOrder):
    def act(self) -> None:
        with time_machine.travel(timezone.now() + timedelta(hours=1)):
            tick()


class PayTwice(Flow):
    """A second payment of one order arrives: it goes back."""

    def prepare(self) -> None:
        self.order = self.sell()
        SandboxEvent.objects.update(next_attempt_at=None)
        charging.charge(
            amount=1999, currency="USD", payment_method=VISA, key="2", reference=str(self.order.pk)
        )

    def act(self) -> None:
        tick("second")

    def check(self, *, came_back: bool) -> None:
        assert Refund.objects.get().status == "succeeded"


class RefundInPart(Flow):
    """An administrator gives a part back."""

    card, amount = VISA, "5.00"

    def prepare(self) -> None:
        self.order, self.client = self.sell(card=self.card), self.staff()

    def act(self) -> None:
        body = {"amount": self.amount} if self.amount else {}
        self.post(f"{PAYMENTS}/admin/orders/{self.order.pk}/refund", body)

    def check(self, *, came_back: bool) -> None:
        wanted = 500 if self.amount else 1999
        counted = Refund.objects.filter(status__in=Refund.COUNTS).aggregate(sum=Sum("amount"))
        assert counted["sum"] in ({wanted} if came_back else {wanted, None})


class RefundInFull(RefundInPart):
    amount = ""


class RefundThatTakesDays(RefundInPart):
    card = SLOW_REFUND


class GiveBack(Flow):
    """The buyer gives a video back."""

    def prepare(self) -> None:
        self.order = self.sell()

    def act(self) -> None:
        self.post(f"{PAYMENTS}/orders/{self.order.pk}/refund")

    def check(self, *, came_back: bool) -> None:
        assert Order.objects.get().status in ({"refunded"} if came_back else {"refunded", "paid"})


class Dispute(Flow):
    """A bank takes the money back, and gives it again."""

    def prepare(self) -> None:
        self.order, self.client = self.sell(), self.staff()
        self.payment = self.order.payments.get().pk

    def act(self) -> None:
        if not self.order.payments.get().disputes.exists():
            self.post(f"{PAYMENTS}/sandbox/payments/{self.payment}/dispute")
        tick("second")
        self.post(f"{PAYMENTS}/sandbox/payments/{self.payment}/reinstate")
