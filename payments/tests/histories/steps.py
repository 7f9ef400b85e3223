"""What people, banks, gateways and time do in a history. Each step may be refused; none may fail."""

from collections.abc import Callable
from datetime import timedelta

from django.utils import timezone

from payments import entitlements
from payments.gateways.sandbox import charging, events
from payments.models import (
    Order,
    Payment,
    Payout,
    SandboxCheckout,
    SandboxDispute,
    SandboxEvent,
    SandboxPayment,
    SandboxRefund,
)
from payments.services.sharing import watchtime
from payments.tests.histories.world import API, BEGUN, World
from videos.services import catalogue
from videos.signals import worker_tick

CARDS = {
    "pm_card_visa": 12, "pm_card_chargeDeclined": 2, "pm_card_authenticationRequired": 2,
    "pm_card_pendingRefund": 1, "pm_card_chargeCustomerFail": 1, "": 3,
}  # fmt: skip
Step = Callable[[World], None]
STEPS: dict[Step, int] = {}


def step(weight: int) -> Callable[[Step], Step]:
    """Register a step with its weight among all steps."""

    def register(function: Step) -> Step:
        STEPS[function] = weight
        return function

    return register


def _card(world: World) -> dict[str, str]:
    (card,) = world.dice.choices(list(CARDS), list(CARDS.values()))
    return {"payment_method": card} if card else {}


def begin(world: World) -> None:
    """Let three weeks pass with sales, a subscriber who watches, and payouts that wait for approval.

    So the first random steps find something to refund, to dispute and to pay out.
    """
    for viewer, video in zip(world.viewers[:3], world.videos, strict=True):
        world.post(viewer, f"purchase/{video.pk}", {"payment_method": "pm_card_visa"})
    subscriber, *_, video = world.viewers[3], *world.videos
    world.post(subscriber, "subscribe", {"plan": "monthly", "payment_method": "pm_card_visa"})
    watchtime.record(
        user_id=subscriber.pk, video=video, day=timezone.now().date(), seconds=600, plan_seconds=600
    )
    world.clock.move_to(BEGUN)
    world.post(world.admins[0], "admin/payouts/run")


# --- buying ---


@step(10)
def buy(world: World) -> None:
    """Buy or rent a video, sometimes with a coupon, sometimes in two tabs."""
    viewer, video, dice = world.viewer(), world.video(), world.dice
    body: dict[str, object] = {**_card(world)}
    if dice.random() < 0.3:
        body["kind"] = "rent"
    if dice.random() < 0.3:
        body["coupon"] = dice.choice(["HALF", "GIFT", "FREE"])
    if dice.random() < 0.7:
        body["force"] = True
    keys: list[dict[str, str]] = [{}]
    if dice.random() < 0.3:
        key = f"tab-{len(world.trace)}"
        keys = [{"Idempotency-Key": key}, dice.choice([{}, {"Idempotency-Key": key}])]
    for headers in keys:
        world.post(viewer, f"purchase/{video.pk}", body, **headers)


@step(5)
def press(world: World) -> None:
    """Press a button of an open page of the gateway, also when its order has ended."""
    checkout = world.one_of(SandboxCheckout.objects.filter(status="open"))
    if checkout is not None:
        buttons = ["pay", "pay", "pay", "decline", "authenticate", "confirm", "refuse", "abandon"]
        _press(world, f"checkout/{checkout.pk}", world.dice.choice(buttons))


@step(3)
def answer_bank(world: World) -> None:
    payment = world.one_of(SandboxPayment.objects.filter(status="requires_action"))
    if payment is not None:
        button = world.dice.choice(["confirm", "confirm", "refuse"])
        _press(world, f"authenticate/{payment.pk}", button)


def _press(world: World, page: str, button: str) -> None:
    answer = world.browser.post(f"{API}/sandbox/{page}", {"button": button})
    world.note(f"  page {page} {button} -> {answer.status_code}")
    assert answer.status_code == 200


@step(1)
def give_up(world: World) -> None:
    if (order := world.one_of(Order.objects.filter(status__in=Order.OPEN))) is not None:
        world.post(order.buyer, f"orders/{order.pk}/cancel")


@step(1)
def look_again(world: World) -> None:
    if (order := world.one_of(Order.objects.all())) is not None:
        world.post(order.buyer, f"orders/{order.pk}/sync")


@step(1)
def change_price(world: World) -> None:
    video = world.video()
    video.price = world.dice.randint(1, 2500)
    video.save(update_fields=["price"])


@step(2)
def move_date(world: World) -> None:
    """Announce a video for a later day with pre-orders, move its day, or have it begin now."""
    days = world.dice.choice([None, None, 1, 4, 12])
    date = None if days is None else timezone.now() + timedelta(days=days)
    catalogue.change_video(video=world.video(), actor=None, publish_at=date, is_preorder=True)


# --- giving back ---


@step(2)
def return_own(world: World) -> None:
    if (order := world.one_of(Order.objects.filter(paid_at__isnull=False))) is not None:
        world.post(order.buyer, f"orders/{order.pk}/refund")


@step(4)
def refund(world: World) -> None:
    """Refund a part or all of an order or invoice, as an administrator."""
    payment = world.one_of(Payment.objects.filter(captured__gt=0).exclude(disposition="unmatched"))
    if payment is None:
        return
    kind, pk = (
        ("orders", payment.order_id) if payment.order_id else ("invoices", payment.invoice_id)
    )
    body = {}
    if world.dice.random() < 0.6:
        body = {"amount": f"{world.dice.randint(1, payment.captured) / 100:.2f}"}
    world.post(world.admin(), f"admin/{kind}/{pk}/refund", body)


@step(2)
def let_bank_decide_refund(world: World) -> None:
    """Let a pending refund succeed, or any refund fail."""
    pending = world.one_of(SandboxRefund.objects.filter(status="pending"))
    if pending is not None and world.dice.random() < 0.6:
        charging.resolve_refund(pending.pk, succeeds=True)
    elif (
        payment := world.one_of(Payment.objects.filter(refunds__isnull=False).distinct())
    ) is not None:
        world.post(world.admin(), f"sandbox/payments/{payment.pk}/refund-fail")


@step(2)
def dispute(world: World) -> None:
    payment = world.one_of(Payment.objects.filter(captured__gt=0))
    if payment is not None:
        body: dict = {"inquiry": world.dice.random() < 0.1}
        if world.dice.random() < 0.4:
            body["amount"] = f"{world.dice.randint(1, payment.captured) / 100:.2f}"
        world.post(world.admin(), f"sandbox/payments/{payment.pk}/dispute", body)


@step(2)
def decide_dispute(world: World) -> None:
    """Close a dispute: won, lost, or won in part."""
    row = world.one_of(SandboxDispute.objects.exclude(status__in=["won", "lost"]))
    if row is None:
        return
    payment = Payment.objects.filter(external_id=row.payment_id).first()
    if payment is not None:
        part = world.dice.choice([None, 0, world.dice.randint(0, row.withdrawn)])
        body = {} if part is None else {"amount": f"{part / 100:.2f}"}
        world.post(world.admin(), f"sandbox/payments/{payment.pk}/reinstate", body)


# --- subscribing ---


@step(7)
def subscribe(world: World) -> None:
    viewer = world.viewer()
    world.post(viewer, "subscribe", {"plan": world.dice.choice(world.plans), **_card(world)})


@step(3)
def change_plan(world: World) -> None:
    world.post(world.viewer(), "subscription/change", {"plan": world.dice.choice(world.plans)})


@step(2)
def cancel_subscription(world: World) -> None:
    at_end = world.dice.random() < 0.7
    world.post(world.viewer(), "subscription/cancel", {"at_period_end": at_end})


@step(1)
def resume(world: World) -> None:
    world.post(world.viewer(), "subscription/resume")


@step(1)
def use_another_card(world: World) -> None:
    if card := _card(world):
        world.post(world.viewer(), "subscription/payment-method", card)


@step(5)
def watch(world: World) -> None:
    """Watch a video, if one may; a subscriber's time counts for the pool."""
    viewer, video = world.viewer(), world.video()
    access = entitlements.can_watch(viewer, video)
    if access is not None:
        seconds = world.dice.randint(10, 4000)
        plan_seconds = seconds if access.kind == "subscription" else 0
        watchtime.record(
            user_id=viewer.pk, video=video, day=timezone.now().date(), seconds=seconds,
            plan_seconds=plan_seconds,
        )  # fmt: skip


# --- time, news and people ---


@step(9)
def wait(world: World) -> None:
    """Let time pass, and then the worker work; or let it be away."""
    world.wait(hours=world.dice.choice([1, 5, 26, 24 * 3, 24 * 8, 24 * 20]))
    if world.dice.random() < 0.7:
        work(world)


def work(world: World, ticks: tuple[str, ...] = ("second", "minute", "hour")) -> None:
    """Do all that a worker does at each of these ticks."""
    for every in ticks:
        for receiver, outcome in worker_tick.send_robust(sender=None, every=every):
            if isinstance(outcome, Exception):
                raise AssertionError(f"{receiver} has failed") from outcome


@step(4)
def deliver(world: World) -> None:
    """Deliver some webhook events: late, twice, and in another order than they happened."""
    recent = list(SandboxEvent.objects.order_by("-pk")[:12])
    chosen = world.dice.sample(recent, min(len(recent), 4))
    for event in [*chosen, *chosen[:2]]:
        body, headers = events.message(event)
        answer = world.browser.post(
            f"{API}/webhooks/sandbox", body, "application/json", headers=headers
        )
        assert answer.status_code == 200


@step(1)
def lose_events(world: World) -> None:
    """Lose all webhook events that are not delivered yet."""
    SandboxEvent.objects.filter(delivered_at=None).update(next_attempt_at=None)


@step(2)
def reconcile(world: World) -> None:
    world.post(world.admin(), "admin/reconcile", {"hours": 24 * 366})


@step(1)
def deactivate(world: World) -> None:
    """Deactivate a viewer or a creator, or activate them again."""
    user = world.dice.choice([*world.viewers, *world.creators])
    body = {"is_active": not user.is_active}
    world.send("patch", world.admins[0], f"/api/v1/users/{user.pk}/status", body)
    user.refresh_from_db()


# --- months and payouts ---


@step(3)
def close_month(world: World) -> None:
    if world.post(world.admin(), f"admin/pools/{world.month}/close") == 200:
        world.month = world.month.next()


@step(2)
def request_payout(world: World) -> None:
    world.post(world.creator(), "creator/payouts")


@step(3)
def run_payouts(world: World) -> None:
    world.post(world.admin(), "admin/payouts/run")


@step(8)
def move_payout(world: World) -> None:
    """Move a payout on: mostly the next step of its way, sometimes any step."""
    payout = world.one_of(Payout.objects.exclude(status__in=["failed", "canceled", "returned"]))
    if payout is None:
        return
    usual = {
        "draft": ["approve"], "approved": ["processing", "mark-paid", "cancel"],
        "processing": ["mark-paid", "mark-paid", "mark-failed"], "paid": ["mark-returned"],
    }[payout.status]  # fmt: skip
    every = ["approve", "processing", "mark-paid", "mark-failed", "mark-returned", "cancel"]
    name = world.dice.choice(usual if world.dice.random() < 0.9 else every)
    body = {"external_ref": f"SEPA-{payout.pk}", "failure": "the account is closed"}
    for _ in range(world.dice.choice([1, 1, 2])):
        world.post(world.admin(), f"admin/payouts/{payout.pk}/{name}", body)
