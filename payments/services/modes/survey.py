"""What the database holds in its present mode, for the operator who is about to end that mode."""

from typing import NamedTuple

from django.db.models import Q

from config.money import to_text
from payments import modes
from payments.models import (
    Entitlement,
    Notice,
    Order,
    Payment,
    Payout,
    Subscription,
    Transfer,
    WebhookEvent,
)
from payments.models.books import LedgerAccount


class Holding(NamedTuple):
    """Some rows of the present mode, how many there are, and what a switch does to them."""

    what: str
    number: int
    fate: str


def holdings() -> list[Holding]:
    """Return what a switch would close, each kind with its number. It changes nothing."""
    present = modes.of_present("created_at")
    orders, subscriptions = Order.objects.filter(present), Subscription.objects.filter(present)
    payouts = Payout.objects.filter(present)
    open_checkout = Q(checkout_id__isnull=False, checkout_closed=False)
    checkouts = orders.filter(open_checkout).count() + subscriptions.filter(open_checkout).count()
    return [
        Holding("paid or disputed orders", orders.filter(status__in=Order.BOUGHT).count(), "void"),
        Holding("open orders", orders.filter(status__in=Order.OPEN).count(), "expired"),
        Holding("open checkouts", checkouts, "closed: nobody can pay on them any more"),
        Holding(
            "live subscriptions",
            subscriptions.filter(status__in=Subscription.LIVE).count(),
            "ended",
        ),
        Holding(
            "entitlements", Entitlement.objects.live().count(), "revoked, and their playback ended"
        ),
        Holding("payments", Payment.objects.filter(present).count(), "kept, and count no more"),
        Holding(
            "payouts under way", payouts.filter(status__in=Payout.IN_FLIGHT).count(), "canceled"
        ),
        Holding(
            "paid payouts",
            payouts.filter(status__in=Payout.PAID_OUT).count(),
            "kept, count no more",
        ),
        Holding(
            "webhook events to process",
            WebhookEvent.objects.filter(status__in=["received", "failed"]).count(),
            "ignored",
        ),
        Holding(
            "mails to send",
            Notice.objects.filter(sent_at=None, failed_at=None).count(),
            "given up",
        ),
    ]


def balances() -> list[str]:
    """Return a line for each ledger account with a balance, with the number of creators in sums."""
    lines: dict[tuple[str, str], tuple[int, int]] = {}
    for (role, _, currency), net in (
        Transfer.objects.all().net_by(account=("role", "pk", "currency")).items()
    ):
        number, total = lines.get((role, currency), (0, 0))
        lines[role, currency] = (number + bool(net), total + net)
    return [
        f"{to_text(total, currency)} {currency} {LedgerAccount.Role(role).label} ({number} accounts)"
        for (role, currency), (number, total) in sorted(lines.items())
        if number
    ]
