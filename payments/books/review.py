"""The review queue: money, payouts and webhook events that wait for a person to decide.

It only reads.
"""

from dataclasses import dataclass, fields

from django.db.models import Exists, F, OuterRef, QuerySet

from payments import modes
from payments.models import (
    Dispute,
    JournalEntry,
    LedgerAccount,
    LedgerCheck,
    Order,
    Payment,
    Payout,
    Refund,
    WebhookEvent,
)
from payments.models.books import sum_by
from payments.services.payouts import waiting

AT_MOST = 100  # rows of each kind; a longer list cannot be worked through by hand


def suspense() -> QuerySet[Payment]:
    """Return the payments of no known order or invoice that are not refunded in full."""
    return _with_money_left().filter(disposition=Payment.Disposition.UNMATCHED)


def duplicates_not_refunded() -> QuerySet[Payment]:
    """Return the duplicate payments with an automatic refund that failed or was canceled."""
    failed = Refund.objects.filter(status__in=[Refund.Status.FAILED, Refund.Status.CANCELED])
    return _with_money_left().filter(
        disposition=Payment.Disposition.DUPLICATE, pk__in=failed.values("payment")
    )


def superseded_with_money() -> QuerySet[Payment]:
    """Return the payments of superseded orders: the buyer paid again, and this money is still here."""
    return _with_money_left().filter(order__status=Order.Status.SUPERSEDED)


def ended_with_money() -> QuerySet[Payment]:
    """Return the payments of ended subscriptions with money that came back after the end.

    The subscription ended because the money of its latest period went back. Then the refund failed, or
    the bank returned disputed money: the subscriber has paid for days that they could not watch.
    """
    came_back = JournalEntry.objects.filter(
        payment=OuterRef("pk"),
        kind__in=[JournalEntry.Kind.DISPUTE_REINSTATED, JournalEntry.Kind.REFUND_REVERSED],
        effective_at__gt=OuterRef("invoice__subscription__ended_at"),
    )
    return _with_money_left().filter(
        Exists(came_back),
        disposition=Payment.Disposition.APPLIED,
        invoice__period_end__gt=F("invoice__subscription__ended_at"),
    )


def negative_creators() -> QuerySet[LedgerAccount]:
    """Return the accounts of creators who owe money, after refunds of money that was paid out.

    Each has its ``balance`` in minor units, below 0.
    """
    return (
        LedgerAccount.objects.filter(role=LedgerAccount.Role.CREATOR)
        .with_balance()
        .filter(balance__lt=0)  # type: ignore[misc]  # annotated by with_balance
        .select_related("owner")
        .order_by("currency", "balance")
    )


def failed_events() -> QuerySet[WebhookEvent]:
    """Return the webhook events that could not be processed, newest first."""
    return WebhookEvent.objects.filter(status=WebhookEvent.Status.FAILED).order_by("-received_at")


def latest_check() -> LedgerCheck | None:
    """Return the result of the latest `verify_ledger`, or None before the first."""
    return LedgerCheck.objects.order_by("-started_at").first()


@dataclass(frozen=True, slots=True)
class Queue:
    """The rows to review, of each kind at most AT_MOST."""

    suspense: list[Payment]
    failed_refunds: list[Payment]
    superseded: list[Payment]
    ended_subscriptions: list[Payment]
    negative_creators: list[LedgerAccount]
    payouts: list[Payout]  # those that have waited too long
    failed_events: list[WebhookEvent]
    ledger_checks: list[LedgerCheck]  # the latest one, if it found discrepancies

    @property
    def is_empty(self) -> bool:
        return not any(getattr(self, kind.name) for kind in fields(self))


def queue() -> Queue:
    """Return all rows to review. One query for each kind."""
    check = latest_check()
    return Queue(
        suspense=list(suspense()[:AT_MOST]),
        failed_refunds=list(duplicates_not_refunded()[:AT_MOST]),
        superseded=list(superseded_with_money()[:AT_MOST]),
        ended_subscriptions=list(ended_with_money()[:AT_MOST]),
        negative_creators=list(negative_creators()[:AT_MOST]),
        payouts=list(waiting.overdue()[:AT_MOST]),
        failed_events=list(failed_events()[:AT_MOST]),
        ledger_checks=[check] if check and check.discrepancies else [],
    )


def _with_money_left() -> QuerySet[Payment]:
    """Return the payments with money left, newest first, annotated with ``kept``: how much is left.

    Kept is the captured amount without refunds, requested ones too, and without disputed money.
    """
    counting = [*Refund.COUNTS, Refund.Status.REQUESTED]
    back = Refund.objects.filter(status__in=counting)
    return (
        Payment.objects.filter(modes.of_present("created_at"), captured__gt=0)
        .annotate(
            kept=F("captured")
            - sum_by("payment", back, F("amount"))
            - sum_by("payment", Dispute.objects.all(), F("withdrawn") - F("reinstated"))
        )
        .filter(kept__gt=0)
        .select_related("order__buyer", "order__video")
        .order_by("-created_at")
    )
