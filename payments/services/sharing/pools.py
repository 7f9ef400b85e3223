"""Closing a month: what subscribers paid for it is earned, shared among creators, and written down."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, Sum
from django.utils import timezone

import audit.services as audit
from audit.actions import AuditAction
from payments import locks
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
from payments.services.sharing import allocation, recognition
from payments.services.sharing.recognition import recognise

__all__ = ["Closing", "Share", "close_month", "recognise", "verify_month"]
COUNTS_FROM = 30  # seconds of a video on a day; less is a look, and shares nothing
BATCH = 2000
Role = LedgerAccount.Role
_CONCERNS_CREATORS = (Role.CREATOR, Role.POOL, Role.DEFERRED)


@dataclass(frozen=True, slots=True)
class Share:
    seconds: int
    amount: int


@dataclass(frozen=True, slots=True)
class Closing:
    """A month's pool of one currency, stored (or, of a dry run, not), with the shares by creator."""

    pool: Pool
    shares: dict[str, Share] = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Viewing:
    """What the subscribers of a currency watched: seconds by subscriber and creator."""

    by_user: dict[str, dict[str, int]]

    @property
    def by_creator(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for watched in self.by_user.values():
            for creator, seconds in watched.items():
                found[creator] = found.get(creator, 0) + seconds
        return found


def close_month(
    month: Month,
    *,
    actor=None,
    dry_run: bool = False,
    on_step: Callable[[str], None] = lambda text: None,
) -> list[Closing]:
    """Earn, share and write down a calendar month (UTC) in every currency that has anything of it.

    Two at once share once, and closing again changes nothing and returns what was shared. What
    cannot be shared, for want of money or of viewers, stays in the pool. Raises PeriodNotOver until
    POOL_CLOSE_AFTER_HOURS after the month, and EarlierPeriodOpen. A dry run may be made at any time
    and writes nothing: it says what closing now would share.
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
            on_step(f"{currency}: closed already")
            closings.append(_as_stored(stored))
        elif dry_run:
            closings.append(_expected(month, currency, now))
        else:
            on_step(f"{currency}: earning what the month is worth")
            recognition.recognise(month, currency)
            on_step(f"{currency}: sharing it out")
            closings.append(_close(month, currency, actor))
    return closings


@transaction.atomic
def _close(month: Month, currency: str, actor) -> Closing:
    # The row of the account is the queue of those who want to close.
    account = locks.lock_ledger_account(accounts.of(Role.POOL, currency).pk)
    stored = Pool.objects.filter(period=str(month), currency=currency).first()
    if stored is not None:
        return _as_stored(stored)
    now = timezone.now()
    closing = _share(
        month, currency, now, balance=_balance(account, month), paid=_paid(account, month)
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
        legs=[
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
    return closing


def verify_month(month: Month) -> list[str]:
    """What is stored of a closed month and does not follow from the ledger and what was watched."""
    pools = list(Pool.objects.filter(period=str(month)).order_by("currency"))
    if not pools:
        return [f"{month} has not been closed"]
    return [line for pool in pools for line in _discrepancies(pool, month)]


def _discrepancies(pool: Pool, month: Month) -> Iterable[str]:
    account = accounts.of(Role.POOL, pool.currency)
    stored = _as_stored(pool).shares
    again = _share(
        month,
        pool.currency,
        pool.closed_at,
        balance=_balance(account, month),
        paid=_paid(account, month),
        algorithm=pool.algorithm,
    )
    for name in ("balance", "amount", "total_seconds", "input_sha256"):
        was, is_now = getattr(pool, name), getattr(again.pool, name)
        if was != is_now:
            yield f"{pool}: {name} was {was} and is {is_now}"
    for creator in sorted(stored.keys() | again.shares.keys()):
        if stored.get(creator) != again.shares.get(creator):
            yield f"{pool}: the share of {creator} was {stored.get(creator)} and is " + (
                f"{again.shares.get(creator)}"
            )
    booked = _booked(pool)
    for creator in sorted(stored.keys() | booked.keys()):
        share = stored[creator].amount if creator in stored else 0
        if share != booked.get(creator, 0):
            yield f"{pool}: {creator} got {booked.get(creator, 0)} of a share of {share}"
    yield from statements.discrepancies(month, pool.currency)


def _expected(month: Month, currency: str, now: datetime) -> Closing:
    """What closing now would share; asks, and writes nothing."""
    account = LedgerAccount.objects.filter(role=Role.POOL, currency=currency).first()
    balance = _balance(account, month) if account else 0
    paid = _paid(account, month) if account else {}
    for earning in recognition.expected(month, currency):
        balance += earning.to_pool
        user = str(earning.user_id)
        paid[user] = paid.get(user, 0) + earning.to_pool
    return _share(month, currency, now, balance=balance, paid=paid)


def _share(
    month: Month,
    currency: str,
    closed_at: datetime,
    *,
    balance: int,
    paid: dict[str, int],
    algorithm: str = "",
) -> Closing:
    """The pool and its shares as they follow from the balance and what was watched; not stored."""
    algorithm = algorithm or settings.POOL_ALGORITHM
    viewing = _viewing(month, currency, closed_at)
    weights = viewing.by_creator
    total = sum(weights.values())
    amount = balance if balance > 0 and total else 0
    if algorithm == Pool.Algorithm.USER_CENTRIC:
        parts = allocation.user_centric(amount, paid if amount else {}, viewing.by_user)
        inputs = {user: paid.get(user, 0) for user in viewing.by_user}
        for user, watched in viewing.by_user.items():
            inputs |= {f"{user}/{creator}": seconds for creator, seconds in watched.items()}
    else:
        parts = allocation.allocate(amount, weights)
        inputs = weights
    pool = Pool(
        period=str(month),
        currency=currency,
        balance=balance,
        amount=amount,
        total_seconds=total,
        algorithm=algorithm,
        input_sha256=allocation.input_sha256(algorithm, str(month), currency, amount, inputs),
        closed_at=closed_at,
    )
    return Closing(
        pool, {creator: Share(weights[creator], part) for creator, part in sorted(parts.items())}
    )


def _viewing(month: Month, currency: str, closed_at: datetime) -> _Viewing:
    """Seconds of subscribers who had paid for a part of the month in that currency by then."""
    payers = Invoice.objects.filter(
        status=Invoice.Status.PAID,
        currency=currency,
        paid_at__lte=closed_at,
        period_start__lt=month.end,
        period_end__gt=month.start,
    )
    rows = (
        WatchDaily.objects.filter(
            day__gte=month.first_day,
            day__lt=month.next().first_day,
            plan_seconds__gte=COUNTS_FROM,
            user__in=payers.values("subscription__user"),
        )
        .exclude(user=F("creator"))
        .values_list("user", "creator")
        .annotate(seconds=Sum("plan_seconds"))
    )
    by_user: dict[str, dict[str, int]] = {}
    for user, creator, seconds in rows.order_by().iterator(chunk_size=BATCH):
        by_user.setdefault(str(user), {})[str(creator)] = seconds
    return _Viewing(by_user)


def _balance(account: LedgerAccount, month: Month) -> int:
    """What was in the pool when the month was over, before it was shared.

    A later refund counts in the month in which it happens, as it does in the statements: so the
    number is the same whenever it is asked for.
    """
    earned = Q(entry__effective_at__lt=month.end)
    shared = Q(entry__key=f"pool:{month}:{account.currency}")
    return Transfer.objects.filter(earned, ~shared).net(account)


def _paid(account: LedgerAccount, month: Month) -> dict[str, int]:
    """What each subscriber's own money brought into the pool in that month."""
    rows = (
        Transfer.objects.touching(pk=account.pk)
        .filter(
            entry__payment__invoice__isnull=False,
            entry__effective_at__gte=month.start,
            entry__effective_at__lt=month.end,
        )
        .values_list("entry__payment__invoice__subscription__user")
        .annotate(total=Sum("net"))
    )
    return {str(user): total for user, total in rows.order_by()}


def _booked(pool: Pool) -> dict[str, int]:
    rows = Transfer.objects.filter(entry__pool=pool).values_list("credit__owner")
    return {str(owner): total for owner, total in rows.annotate(total=Sum("amount")).order_by()}


def _as_stored(pool: Pool) -> Closing:
    rows = pool.shares.order_by("creator_id").values_list("creator_id", "seconds", "amount")
    return Closing(
        pool,
        {
            str(creator): Share(seconds, amount)
            for creator, seconds, amount in rows.iterator(chunk_size=BATCH)
        },
    )


def _currencies(month: Month) -> list[str]:
    """The currencies that have anything to close: entries, or subscriptions, until the month's end."""
    moved = LedgerAccount.objects.filter(role__in=_CONCERNS_CREATORS).values("currency")
    billed = Invoice.objects.filter(status=Invoice.Status.PAID, period_start__lt=month.end)
    known = {
        *moved.values_list("currency", flat=True),
        *billed.order_by().values_list("currency", flat=True).distinct(),
    }
    return [currency for currency in sorted(known) if _is_active(month, currency)]


def _is_active(month: Month, currency: str) -> bool:
    if Pool.objects.filter(period=str(month), currency=currency).exists():
        return True
    touching = JournalEntry.objects.filter(
        Q(transfers__credit__role__in=_CONCERNS_CREATORS)
        | Q(transfers__debit__role__in=_CONCERNS_CREATORS),
        transfers__currency=currency,
        effective_at__gte=month.start,
        effective_at__lt=month.end,
    )
    if touching.exists() or recognition.has_something_open(month, currency):
        return True
    account = LedgerAccount.objects.filter(role=Role.POOL, currency=currency).first()
    return account is not None and _balance(account, month) != 0


def _open_before(month: Month, currency: str) -> Month | None:
    """The first earlier month that has something to close, and is not closed."""
    entries = JournalEntry.objects.filter(transfers__currency=currency)
    billed = Invoice.objects.filter(status=Invoice.Status.PAID, currency=currency)
    begins = [
        entries.order_by("effective_at").values_list("effective_at", flat=True).first(),
        billed.order_by("period_start").values_list("period_start", flat=True).first(),
    ]
    closed = set(Pool.objects.filter(currency=currency).values_list("period", flat=True))
    earlier = min((Month.of(begin) for begin in begins if begin), default=month)
    while earlier < month:
        if str(earlier) not in closed and _is_active(earlier, currency):
            return earlier
        earlier = earlier.next()
    return None
