"""Closing a month: recognise its invoices, share its pools among creators, write its statements."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, Sum
from django.utils import timezone

import audit.services as audit
from accounts.models import User
from audit.actions import AuditAction
from payments import locks, modes
from payments.errors import EarlierPeriodOpen, PeriodNotOver
from payments.ledger import accounts, posting
from payments.models import (
    Invoice,
    JournalEntry,
    LedgerAccount,
    Pool,
    PoolShare,
    Transfer,
    WatchDaily,
)
from payments.periods import Month
from payments.services.payouts import statements
from payments.services.settling.split import hold_until
from payments.services.sharing import allocation, payers, recognition
from payments.services.sharing.payers import Payer
from payments.services.sharing.recognition import recognise

__all__ = ["Closing", "Share", "close_month", "recognise", "verify_month"]
# A user who watches less of a video on a day only looks at it, and gives its creator no share.
MIN_SECONDS = 30
BATCH = 2000
Role = LedgerAccount.Role
# An entry on one of these accounts makes a currency part of a month's closing.
_CREATORS_MONEY = (Role.CREATOR, Role.POOL, Role.DEFERRED)


@dataclass(frozen=True, slots=True)
class Share:
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


def close_month(
    month: Month,
    *,
    actor: User | None = None,
    dry_run: bool = False,
    on_step: Callable[[str], None] = lambda text: None,
) -> list[Closing]:
    """Close a calendar month (UTC) in each currency that has entries or subscriptions in it.

    Safe to repeat and to run twice at once: a month that is closed is only returned. A pool without a
    positive balance, or without watch time, shares nothing; its balance stays for the next month.
    A dry run is possible at any time: it returns what closing now would share, and writes nothing.
    ``on_step`` is called with a line of text before each step. Raises PeriodNotOver until
    POOL_CLOSE_AFTER_HOURS after the month's end, and EarlierPeriodOpen while an earlier month is open.
    """
    now = timezone.now()
    may_close_at = month.end + timedelta(hours=settings.POOL_CLOSE_AFTER_HOURS)
    if not dry_run and now < may_close_at:
        raise PeriodNotOver(f"{month} can be closed from {may_close_at:%Y-%m-%d %H:%M} UTC on.")
    currencies = _currencies(month)
    if not dry_run:
        for currency in currencies:
            if earlier := _open_before(month, currency):
                raise EarlierPeriodOpen(str(earlier), currency)
    closings = []
    for currency in currencies:
        stored = Pool.objects.filter(period=str(month), currency=currency).first()
        if stored is not None:
            on_step(f"{currency}: already closed")
            closings.append(_as_stored(stored))
        elif dry_run:
            closings.append(_dry_run(month, currency, now))
        else:
            on_step(f"{currency}: recognising invoices")
            recognise(month, currency)
            on_step(f"{currency}: sharing the pool")
            closings.append(_close(month, currency, actor))
    return closings


@transaction.atomic
def _close(month: Month, currency: str, actor: User | None) -> Closing:
    # The lock makes concurrent closings wait: each after the first finds the pool stored.
    account = locks.lock_ledger_account(accounts.of(Role.POOL, currency).pk)
    stored = Pool.objects.filter(period=str(month), currency=currency).first()
    if stored is not None:
        return _as_stored(stored)
    now = timezone.now()
    closing = _computed(
        month,
        currency,
        now,
        balance=_balance(account, month),
        paid=payers.of_month(currency, month, now),
    )
    pool = closing.pool
    pool.closed_by = actor
    pool.save(force_insert=True)
    PoolShare.objects.bulk_create(
        (
            PoolShare(pool=pool, creator_id=creator, seconds=share.seconds, amount=share.amount)
            for creator, share in closing.shares.items()
        ),
        batch_size=BATCH,
    )
    creators = accounts.of_creators(
        [creator for creator, share in closing.shares.items() if share.amount], currency
    )
    posting.post(
        key=f"pool:{pool.period}:{currency}",
        kind=JournalEntry.Kind.POOL,
        currency=currency,
        transfers=[
            (account, creators[creator], share.amount)
            for creator, share in closing.shares.items()
            if share.amount
        ],
        at=month.last_moment,
        available_on=hold_until(month.end),
        pool=pool,
    )
    statements.write(month, currency)
    audit.record(
        actor=actor,
        action=AuditAction.POOL_CLOSED,
        target=pool,
        period=pool.period,
        currency=currency,
        balance=pool.balance,
        amount=pool.amount,
        creators=len(closing.shares),
        input_sha256=pool.input_sha256,
    )
    return replace(closing, is_stored=True)


def verify_month(month: Month) -> list[str]:
    """Return the discrepancies between a closed month and its recomputation, one line of text for each.

    Pools, shares, entries and statements are recomputed from the ledger and the watch time. Empty when
    all is right; a month that is not closed is itself a discrepancy.
    """
    pools = list(Pool.objects.filter(period=str(month)).order_by("currency"))
    if not pools:
        return [f"{month} has not been closed"]
    return [line for pool in pools for line in _discrepancies(pool, month)]


def _discrepancies(pool: Pool, month: Month) -> Iterable[str]:
    account = accounts.of(Role.POOL, pool.currency)
    stored = _as_stored(pool).shares
    recomputed = _computed(
        month,
        pool.currency,
        pool.closed_at,
        balance=_balance(account, month),
        paid=payers.of_month(pool.currency, month, pool.closed_at, rule=pool.payers),
        algorithm=pool.algorithm,
        rule=pool.payers,
    )
    for name in ("balance", "amount", "total_seconds", "input_sha256"):
        old, new = getattr(pool, name), getattr(recomputed.pool, name)
        if old != new:
            yield f"{pool}: {name} is stored as {old}, recomputed as {new}"
    for creator in sorted(stored.keys() | recomputed.shares.keys()):
        old, new = stored.get(creator), recomputed.shares.get(creator)
        if old != new:
            yield f"{pool}: the share of creator {creator} is stored as {old}, recomputed as {new}"
    booked = _booked_shares(pool)
    for creator in sorted(stored.keys() | booked.keys()):
        share = stored[creator].amount if creator in stored else 0
        if share != booked.get(creator, 0):
            yield (
                f"{pool}: creator {creator} has a share of {share},"
                f" and {booked.get(creator, 0)} is booked"
            )
    yield from statements.discrepancies(month, pool.currency)


def _dry_run(month: Month, currency: str, now: datetime) -> Closing:
    """Return the closing of a month as it would be now, without writing anything."""
    account = LedgerAccount.objects.filter(role=Role.POOL, currency=currency).first()
    expected = list(recognition.expected(month, currency))
    booked = _balance(account, month) if account else 0
    return _computed(
        month,
        currency,
        now,
        balance=booked + sum(earning.to_pool for earning in expected),
        paid=payers.of_month(currency, month, now, expected=expected),
    )


def _computed(
    month: Month,
    currency: str,
    closed_at: datetime,
    *,
    balance: int,
    paid: dict[str, Payer],
    algorithm: str = "",
    rule: str = Pool.Payers.STAYED,
) -> Closing:
    """Return the pool and the shares that follow from its balance and the watch time, not stored.

    ``paid`` is what each subscriber's money brought in the month. The algorithm is POOL_ALGORITHM,
    unless another is given. ``rule`` says whose watch time counts.
    """
    algorithm = algorithm or settings.POOL_ALGORITHM
    counted = {user: payer for user, payer in paid.items() if payer.brought > 0}
    if rule == Pool.Payers.INVOICED:
        counted = dict.fromkeys(_invoiced(month, currency, closed_at), Payer())
    watched = _watched_seconds(month, counted)
    brought = {user: payer.brought for user, payer in paid.items()}
    weights: defaultdict[str, int] = defaultdict(int)
    for by_creator in watched.values():
        for creator, seconds in by_creator.items():
            weights[creator] += seconds
    total = sum(weights.values())
    amount = balance if balance > 0 and total else 0
    if algorithm == Pool.Algorithm.USER_CENTRIC:
        amounts = allocation.user_centric(amount, brought if amount else {}, watched)
        inputs = {user: brought.get(user, 0) for user in watched}
        for user, by_creator in watched.items():
            inputs |= {f"{user}/{creator}": seconds for creator, seconds in by_creator.items()}
    else:
        amounts = allocation.allocate(amount, weights)
        inputs = weights
    pool = Pool(
        period=str(month),
        currency=currency,
        balance=balance,
        amount=amount,
        total_seconds=total,
        algorithm=algorithm,
        payers=rule,
        input_sha256=allocation.input_sha256(algorithm, str(month), currency, amount, inputs),
        closed_at=closed_at,
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
    for user, creator, seconds in rows.order_by().iterator(chunk_size=BATCH):
        if payer := counted.get(str(user)):
            watched.setdefault(str(user), {})[str(creator)] = payer.weight(seconds)
    return watched


def _balance(account: LedgerAccount, month: Month) -> int:
    """Return the pool's balance at the month's end, before it was shared, in minor units.

    A later refund counts in its own month, as in the statements. So a month's balance never changes.
    """
    present = modes.of_present("entry__effective_at", until=month.end)
    earned = present & Q(entry__effective_at__lt=month.end)
    shared = Q(entry__key=f"pool:{month}:{account.currency}")
    return Transfer.objects.filter(earned, ~shared).net(account)


def _booked_shares(pool: Pool) -> dict[str, int]:
    """Return the amounts that a pool's journal entry credits, by the creator's id."""
    rows = Transfer.objects.filter(entry__pool=pool).values_list("credit__owner")
    return {str(owner): total for owner, total in rows.annotate(total=Sum("amount")).order_by()}


def _as_stored(pool: Pool) -> Closing:
    """Return a closed month from its stored pool and shares."""
    rows = pool.shares.order_by("creator_id").values_list("creator_id", "seconds", "amount")
    shares = {
        str(creator): Share(seconds, amount)
        for creator, seconds, amount in rows.iterator(chunk_size=BATCH)
    }
    return Closing(pool, shares)


def _currencies(month: Month) -> list[str]:
    """Return the currencies that have something to close in a month, or are closed."""
    touched = LedgerAccount.objects.filter(role__in=_CREATORS_MONEY)
    invoices = Invoice.objects.filter(status=Invoice.Status.PAID, period_start__lt=month.end)
    known = {
        *touched.values_list("currency", flat=True),
        *invoices.order_by().values_list("currency", flat=True).distinct(),
    }
    return [currency for currency in sorted(known) if _is_active(month, currency)]


def _is_active(month: Month, currency: str) -> bool:
    """Return whether a month is closed in a currency, or has entries, invoices or a balance to close.

    A month that ended before the present mode has nothing to close any more.
    """
    if Pool.objects.filter(period=str(month), currency=currency).exists():
        return True
    if modes.is_over(month.end):
        return False
    entries = JournalEntry.objects.filter(
        modes.of_present("effective_at"),
        Q(transfers__credit__role__in=_CREATORS_MONEY)
        | Q(transfers__debit__role__in=_CREATORS_MONEY),
        transfers__currency=currency,
        effective_at__gte=month.start,
        effective_at__lt=month.end,
    )
    if entries.exists() or recognition.is_open(month, currency):
        return True
    account = LedgerAccount.objects.filter(role=Role.POOL, currency=currency).first()
    return account is not None and _balance(account, month) != 0


def _open_before(month: Month, currency: str) -> Month | None:
    """Return the first earlier month that has something to close and is not closed, or None."""
    entries = JournalEntry.objects.filter(transfers__currency=currency)
    invoices = Invoice.objects.filter(status=Invoice.Status.PAID, currency=currency)
    beginnings = [
        entries.order_by("effective_at").values_list("effective_at", flat=True).first(),
        invoices.order_by("period_start").values_list("period_start", flat=True).first(),
    ]
    closed = set(Pool.objects.filter(currency=currency).values_list("period", flat=True))
    earlier = min((Month.of(moment) for moment in beginnings if moment), default=month)
    while earlier < month:
        if str(earlier) not in closed and _is_active(earlier, currency):
            return earlier
        earlier = earlier.next()
    return None
