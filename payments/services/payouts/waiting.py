"""Payouts that wait for an administrator or the bank, and the clocks that end this or report it."""

from contextlib import suppress
from datetime import timedelta

from django.db.models import Q, QuerySet
from django.utils import timezone

from payments.errors import PayoutNotOpen
from payments.models import Payout
from payments.services.payouts import payouts

DRAFT_LIFE = timedelta(days=30)  # then the money is better in the creator's balance
OVERDUE_AFTER = timedelta(days=7)  # a bank needs one or two days
Status = Payout.Status


def cancel_forgotten() -> int:
    """Cancel the payouts that nobody has approved within DRAFT_LIFE; return how many. Safe to repeat.

    An approved payout stays, because the bank may have been asked already: see `overdue`.
    """
    begun_by = timezone.now() - DRAFT_LIFE
    forgotten = Payout.objects.filter(status=Status.DRAFT, created_at__lte=begun_by)
    canceled = 0
    for pk in list(forgotten.values_list("pk", flat=True)):
        with suppress(PayoutNotOpen):  # an administrator has just moved it on
            payouts.cancel(
                payout_id=pk,
                actor=None,
                reason=f"Nobody has approved it within {DRAFT_LIFE.days} days.",
                expected=(Status.DRAFT,),
            )
            canceled += 1
    return canceled


def overdue() -> QuerySet[Payout]:
    """Return the payouts that have waited for longer than OVERDUE_AFTER, oldest first.

    Only a person knows whether the bank has paid, so the review queue and the doctor report them.
    """
    by = timezone.now() - OVERDUE_AFTER
    for_approval = Q(status=Status.DRAFT, created_at__lte=by)
    for_bank = Q(status__in=[Status.APPROVED, Status.PROCESSING], approved_at__lte=by)
    rows = Payout.objects.filter(for_approval | for_bank)
    return rows.select_related("creator").order_by("created_at")
