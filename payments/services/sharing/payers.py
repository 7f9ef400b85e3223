"""The subscribers whose money fills a month's pool, and how much their watch time weighs there."""

import uuid
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q, Sum

from payments import modes
from payments.models import LedgerAccount, Payment, Pool, Transfer
from payments.periods import Month
from payments.services.sharing.recognition import Earning

Role = LedgerAccount.Role
# A transaction that has begun before a close may commit after it. What it books counts in full, so that
# the close can be recomputed.
UNDER_WAY = timedelta(minutes=1)
# Together they hold what is left of an invoice's payment.
_OF_INVOICES = (Role.DEFERRED, Role.POOL, Role.PLATFORM)


@dataclass(slots=True)
class Payer:
    """One subscriber's part of a month's pool, in minor units.

    ``brought`` is what their money has added to the pool. ``asked`` is what it would have added if
    nothing of the payments behind it had gone back.
    """

    brought: int = 0
    asked: int = 0

    def weight(self, seconds: int) -> int:
        """Return the seconds that weigh: in proportion to the money that stayed.

        >>> Payer(brought=1, asked=1000).weight(6000)
        6
        """
        return seconds * self.brought // self.asked if 0 < self.brought < self.asked else seconds


def of_month(
    currency: str,
    month: Month,
    closed_at: datetime,
    *,
    rule: str = Pool.Payers.STAYED,
    expected: Iterable[Earning] = (),
) -> dict[str, Payer]:
    """Return the payers of a month by user, as of the moment of its close.

    ``expected`` are earnings that are not booked yet. By the present rule each payment counts by itself:
    what goes back of an earlier month's payment lessens the pool, and not the weight of the money that
    pays for this month. By an older ``rule`` all payments of a user are summed up, and their seconds
    weigh in full.
    """
    earned = [*_booked(currency, month), *expected]
    users = {earning.payment_id: str(earning.user_id) for earning in earned}
    brought: defaultdict[uuid.UUID, int] = defaultdict(int)
    for earning in earned:
        brought[earning.payment_id] += earning.to_pool
    payers: defaultdict[str, Payer] = defaultdict(Payer)
    if rule != Pool.Payers.STAYED:
        for payment_id, amount in brought.items():
            payers[users[payment_id]].brought += amount
        return dict(payers)
    parts = _parts_that_stayed(currency, closed_at - UNDER_WAY)
    for payment_id, amount in brought.items():
        if amount > 0:
            captured, kept = parts.get(payment_id, (1, 1))
            payer = payers[users[payment_id]]
            payer.brought += amount
            payer.asked += amount * captured // kept
    return dict(payers)


def _booked(currency: str, month: Month) -> list[Earning]:
    """Return what each payment has added to the pool in the month; below 0 where money went back."""
    account = LedgerAccount.objects.filter(role=Role.POOL, currency=currency).first()
    if account is None:
        return []
    rows = (
        Transfer.objects.touching(pk=account.pk)
        .filter(
            modes.of_present("entry__effective_at", until=month.end),
            entry__payment__invoice__isnull=False,
            entry__effective_at__gte=month.start,
            entry__effective_at__lt=month.end,
        )
        .values_list("entry__payment", "entry__payment__invoice__subscription__user")
        .annotate(total=Sum("net"))
    )
    return [Earning(*row) for row in rows.order_by()]


def _parts_that_stayed(currency: str, at: datetime) -> dict[uuid.UUID, tuple[int, int]]:
    """Return the captured money and what was left of it, of each payment of which a part is left.

    Only payments of subscriptions of which money has gone back. Computed from the books, so that the
    answer for a moment is the same for ever.
    """
    returned = Payment.objects.filter(
        Q(refunds__isnull=False) | Q(disputes__isnull=False),
        invoice__isnull=False,
        currency=currency,
    )
    booked = Transfer.objects.filter(entry__payment__in=returned, entry__effective_at__lte=at)
    left: defaultdict[uuid.UUID, int] = defaultdict(int)
    for (payment_id, role), net in booked.net_by("entry__payment", account=("role",)).items():
        left[payment_id] += net if role in _OF_INVOICES else 0
    captured = dict(returned.values_list("pk", "captured"))
    return {
        payment_id: (captured[payment_id], kept) for payment_id, kept in left.items() if kept > 0
    }
