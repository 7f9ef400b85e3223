"""What somebody must look at: money that no rule could place. Read side."""

from django.db.models import F, OuterRef, QuerySet, Subquery

from payments.models import (
    Dispute,
    LedgerAccount,
    LedgerCheck,
    Order,
    Payment,
    Refund,
    WebhookEvent,
)
from payments.models.books import sum_by

AT_MOST = 100  # of each kind: what is longer is no list to work through


def suspense() -> QuerySet[Payment]:
    """Money that pays nothing we know of and has not gone back."""
    return _kept().filter(disposition=Payment.Disposition.UNMATCHED)


def duplicates_kept() -> QuerySet[Payment]:
    """Paid twice, and the refund that should have gone by itself did not."""
    asked = Refund.objects.filter(
        payment=OuterRef("pk"), status__in=[Refund.Status.FAILED, Refund.Status.CANCELED]
    )
    return (
        _kept()
        .filter(disposition=Payment.Disposition.DUPLICATE)
        .filter(pk__in=Subquery(asked.values("payment")))
    )


def superseded_with_money() -> QuerySet[Payment]:
    """Paid for an order that another one has replaced: the buyer has paid, and watches by the other."""
    return _kept().filter(order__status=Order.Status.SUPERSEDED)


def negative_creators() -> QuerySet[LedgerAccount]:
    """Accounts of creators who owe us, after refunds of money that was paid out."""
    return (
        LedgerAccount.objects.filter(role=LedgerAccount.Role.CREATOR)
        .with_balance()
        .filter(balance__lt=0)
        .select_related("owner")
        .order_by("currency", "balance")
    )


def failed_events() -> QuerySet[WebhookEvent]:
    return WebhookEvent.objects.filter(status=WebhookEvent.Status.FAILED).order_by("-received_at")


def latest_check() -> LedgerCheck | None:
    return LedgerCheck.objects.order_by("-started_at").first()


def state_of_the_books() -> tuple[str, str] | None:
    """What the latest check says, for readiness; None before the first one."""
    check = latest_check()
    if check is None:
        return None
    return "ledger", "ok" if not check.discrepancies else "check failed"


def queue() -> dict[str, list]:
    """All of it, by kind; of each no more than ``AT_MOST``."""
    check = latest_check()
    return {
        "suspense": list(suspense()[:AT_MOST]),
        "failed_refunds": list(duplicates_kept()[:AT_MOST]),
        "superseded": list(superseded_with_money()[:AT_MOST]),
        "negative_creators": list(negative_creators()[:AT_MOST]),
        "failed_events": list(failed_events()[:AT_MOST]),
        "ledger_checks": [check] if check and check.discrepancies else [],
    }


def _kept() -> QuerySet[Payment]:
    """Payments with what of them is still here: neither given back, nor asked to be, nor disputed."""
    counting = [*Refund.COUNTS, Refund.Status.REQUESTED]
    back = Refund.objects.filter(status__in=counting)
    return (
        Payment.objects.filter(captured__gt=0)
        .annotate(
            kept=F("captured")
            - sum_by("payment", back, F("amount"))
            - sum_by("payment", Dispute.objects.all(), F("withdrawn") - F("reinstated"))
        )
        .filter(kept__gt=0)
        .select_related("order__buyer", "order__video")
        .order_by("-created_at")
    )
