"""The figures of a month's pool and its shares, as they follow from the ledger and the watch time."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from django.conf import settings
from django.db.models import F, Q, Sum

from config import bulk
from config.bulk import id_text
from payments import modes
from payments.ledger import accounts
from payments.models import Invoice, LedgerAccount, Pool, Transfer, WatchDaily
from payments.periods import Month
from payments.services.sharing import allocation, payers, recognition
from payments.services.sharing.payers import Payer

# A user who watches less of a video on a day only looks at it, and gives its creator no share.
MIN_SECONDS = 30
Role = LedgerAccount.Role


class Share(NamedTuple):
    """One creator's share of a pool: the watch time of their videos and the amount in minor units."""

    seconds: int
    amount: int


@dataclass(frozen=True, slots=True)
class Closing:
    """A month's pool in one currency with its shares by the creator's id.

    The pool of a dry run is not stored.
    """

    pool: Pool
    shares: dict[str, Share] = field(repr=False)
    is_stored: bool = True


def as_stored(pool: Pool) -> Closing:
    """Return a closed month from its stored pool and shares."""
    rows = pool.shares.order_by("creator_id").values_list("creator", "seconds", "amount")
    shares = {
        id_text(creator): Share(seconds, amount) for creator, seconds, amount in bulk.read(rows)
    }
    return Closing(pool, shares)


def recomputed(pool: Pool, month: Month) -> Closing:
    """Return the closing of a stored pool as it follows from the ledger and the watch time now."""
    account = accounts.of(Role.POOL, pool.currency)
    return _computed(
        Pool(
            period=pool.period,
            currency=pool.currency,
            algorithm=pool.algorithm,
            payers=pool.payers,
            closed_at=pool.closed_at,
        ),
        month,
        balance=balance_of(account, month),
        paid=payers.of_month(pool.currency, month, pool.closed_at, rule=pool.payers),
    )


def foreseen(month: Month, currency: str, now: datetime) -> Closing:
    """Return the closing of a month as it would be now, without writing anything."""
    account = LedgerAccount.objects.filter(role=Role.POOL, currency=currency).first()
    expected = list(recognition.expected(month, currency))
    booked = balance_of(account, month) if account else 0
    balance = booked + sum(earning.to_pool for earning in expected)
    paid = payers.of_month(currency, month, now, expected=expected)
    pool = Pool(
        period=str(month), currency=currency, algorithm=settings.POOL_ALGORITHM, closed_at=now
    )
    return _computed(pool, month, balance=balance, paid=paid)


def _computed(pool: Pool, month: Month, *, balance: int, paid: dict[str, Payer]) -> Closing:
    """Give a pool that is not stored the figures that follow from its balance and the watch time.

    ``paid`` is what each subscriber's money brought in the month. The pool's ``payers`` say whose watch
    time counts.
    """
    counted = {user: payer for user, payer in paid.items() if payer.brought > 0}
    if pool.payers == Pool.Payers.INVOICED:
        counted = dict.fromkeys(_invoiced(month, pool.currency, pool.closed_at), Payer())
    watched = _watched_seconds(month, counted)
    brought = {user: payer.brought for user, payer in paid.items()}
    weights: defaultdict[str, int] = defaultdict(int)
    for by_creator in watched.values():
        for creator, seconds in by_creator.items():
            weights[creator] += seconds
    total = sum(weights.values())
    amount = balance if balance > 0 and total else 0
    if pool.algorithm == Pool.Algorithm.USER_CENTRIC:
        amounts = allocation.user_centric(amount, brought if amount else {}, watched)
        inputs = {user: brought.get(user, 0) for user in watched}
        for user, by_creator in watched.items():
            inputs |= {f"{user}/{creator}": seconds for creator, seconds in by_creator.items()}
    else:
        amounts = allocation.allocate(amount, weights)
        inputs = weights
    pool.balance, pool.amount, pool.total_seconds = balance, amount, total
    pool.input_sha256 = allocation.input_sha256(
        pool.algorithm, pool.period, pool.currency, amount, inputs
    )
    shares = {creator: Share(weights[creator], part) for creator, part in sorted(amounts.items())}
    return Closing(pool, shares, is_stored=False)


def _invoiced(month: Month, currency: str, closed_at: datetime) -> set[str]:
    """Return the subscribers who had paid for a part of the month by ``closed_at``, refunded or not."""
    invoices = Invoice.objects.filter(
        modes.of_present("paid_at", until=month.end),
        status=Invoice.Status.PAID,
        currency=currency,
        paid_at__lte=closed_at,
        period_start__lt=month.end,
        period_end__gt=month.start,
    )
    return {str(user) for user in invoices.values_list("subscription__user", flat=True)}


def _watched_seconds(month: Month, counted: Mapping[str, Payer]) -> dict[str, dict[str, int]]:
    """Return the seconds that weigh in a month's pool, by subscriber and then by creator."""
    rows = (
        WatchDaily.objects.filter(
            day__gte=month.first_day,
            day__lt=month.next().first_day,
            plan_seconds__gte=MIN_SECONDS,
        )
        .exclude(user=F("creator"))
        .values_list("user", "creator")
        .annotate(seconds=Sum("plan_seconds"))
    )
    watched: dict[str, dict[str, int]] = {}
    viewer, payer, own = None, None, {}  # the rows of a viewer mostly follow each other
    for user, creator, seconds in bulk.read(rows.order_by()):
        if user != viewer:
            viewer, name = user, id_text(user)
            payer = counted.get(name)
            own = watched.setdefault(name, {}) if payer else {}
        if payer:
            own[id_text(creator)] = payer.weight(int(seconds))
    return watched


def balance_of(account: LedgerAccount, month: Month) -> int:
    """Return the pool's balance at the month's end, before it was shared, in minor units.

    A later refund counts in its own month, as in the statements. So a month's balance never changes.
    """
    present = modes.of_present("entry__effective_at", until=month.end)
    earned = present & Q(entry__effective_at__lt=month.end)
    shared = Q(entry__key=f"pool:{month}:{account.currency}")
    return Transfer.objects.filter(earned, ~shared).net(account)
