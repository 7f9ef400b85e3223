"""Closing a month: recognise its invoices, share its pools among creators, write its statements."""

from bisect import bisect_right
from collections.abc import Callable, Iterable
from datetime import timedelta
from operator import itemgetter

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, Sum
from django.utils import timezone

import audit.services as audit
from accounts.models import User
from audit.actions import AuditAction
from config import bulk
from config.bulk import id_text
from config.turns import Turns
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
)
from payments.periods import Month
from payments.services.payouts import statements
from payments.services.settling.split import hold_until
from payments.services.sharing import figures, recognition
from payments.services.sharing.figures import Closing, Share
from payments.services.sharing.recognition import recognise

__all__ = ["Closing", "Share", "close_month", "finish_closes", "recognise", "verify_month"]
BATCH = 5000
Role = LedgerAccount.Role
# The figures of a pool, which follow from the ledger and the watch time.
_FIGURES = ("balance", "amount", "total_seconds", "input_sha256")
# An entry on one of these accounts makes a currency part of a month's closing.
_CREATORS_MONEY = (Role.CREATOR, Role.POOL, Role.DEFERRED)


def close_month(
    month: Month,
    *,
    actor: User | None = None,
    dry_run: bool = False,
    on_step: Callable[[str], None] = lambda text: None,
) -> list[Closing]:
    """Close a calendar month (UTC) in each currency that has entries or subscriptions in it.

    Safe to repeat, to run twice at once, and to kill at any point: a month that is closed is only
    returned, and a close that was left is finished. A pool without a positive balance, or without watch
    time, shares nothing; its balance stays for the next month.
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
        if stored is not None and stored.status == Pool.Status.CLOSED:
            on_step(f"{currency}: already closed")
            closings.append(figures.as_stored(stored))
        elif dry_run:
            closings.append(
                figures.recomputed(stored, month)
                if stored
                else figures.foreseen(month, currency, now)
            )
        else:
            if stored is None:
                on_step(f"{currency}: recognising invoices")
                recognise(month, currency)
            with bulk.rare_collections():
                closings.append(_close(month, currency, actor, on_step))
    return closings


def finish_closes() -> None:
    """Finish the closes that were begun and left, such as by a process that was killed."""
    for pool in Pool.objects.filter(status=Pool.Status.CLOSING).order_by("period", "currency"):
        close_month(Month.named(pool.period), actor=pool.closed_by)


# A close writes a few rows for each creator. They are written in batches, so that other transactions
# get their turn between them on SQLite, which has one writer at a time. The steps are:
#
# 1. The pool is stored as CLOSING, under the lock of the pool's account. From then on nothing counts in
#    the month any more: watch time goes to today (`watchtime.record`), no invoice is recognised in it
#    (`recognition`), and refunds, sales and payouts are booked at their own moment, after the month. So
#    every later step computes the same figures, at any time and in any process.
# 2. The figures are stored, once.
# 3. Each batch writes some creators' shares and their transfers in one transaction, under the same
#    lock, and begins after the last creator who has a share. So a repeat goes on where a killed process
#    has stopped, and two processes at once do the work of one.
# 4. The statements follow from the books. A repeat skips those that are stored.
# 5. The pool becomes CLOSED. Until then the next month cannot be closed, because its pool holds what
#    this month leaves.
#
# The worker finishes a close that was left (`finish_closes`), and a switch of the mode does so first.


def _close(
    month: Month, currency: str, actor: User | None, on_step: Callable[[str], None]
) -> Closing:
    account = accounts.of(Role.POOL, currency)
    pool = _begin(account, month, actor)
    if pool.status == Pool.Status.CLOSED:
        return figures.as_stored(pool)
    on_step(f"{currency}: sharing the pool")
    closing = figures.recomputed(pool, month)
    known = {name: getattr(closing.pool, name) for name in _FIGURES}
    Pool.objects.filter(pk=pool.pk, input_sha256="").update(**known)
    pool.refresh_from_db()
    if pool.input_sha256 != closing.pool.input_sha256:
        raise RuntimeError(
            f"{pool} is being closed, and its watch time or its entries were changed meanwhile."
            f" Compare them with a backup: they must give the hash {pool.input_sha256}."
        )
    shares = list(closing.shares.items())  # by the creator's id, in order
    turns = Turns()
    while _share_batch(pool, account, shares, month):
        turns.give()
    on_step(f"{currency}: writing the statements")
    statements.write(month, currency)
    _finish(pool, account, creators=len(shares))
    return Closing(pool, closing.shares)


@transaction.atomic
def _begin(account: LedgerAccount, month: Month, actor: User | None) -> Pool:
    """Return the pool of the month, stored as CLOSING if there is none: then the month is frozen."""
    locks.lock_ledger_account(account.pk)
    pool, _ = Pool.objects.get_or_create(
        period=str(month),
        currency=account.currency,
        defaults={
            "status": Pool.Status.CLOSING, "closed_by": actor, "algorithm": settings.POOL_ALGORITHM,
            **dict.fromkeys(("balance", "amount", "total_seconds"), 0),
        },
    )  # fmt: skip
    return pool


@transaction.atomic
def _share_batch(
    pool: Pool, account: LedgerAccount, shares: list[tuple[str, Share]], month: Month
) -> bool:
    """Write and book the next shares of a pool; return False if there is none.

    ``shares`` are all shares of the pool, by the creator's id.
    """
    locks.lock_ledger_account(account.pk)
    last = pool.shares.order_by("-creator_id").values_list("creator_id", flat=True).first()
    begin = bisect_right(shares, str(last), key=itemgetter(0)) if last else 0
    batch = shares[begin : begin + BATCH]
    if not batch:
        return False
    bulk.insert(
        PoolShare,
        ("pool", "creator", "seconds", "amount"),
        [(pool.pk, creator, share.seconds, share.amount) for creator, share in batch],
    )
    if pool.amount:
        span = {"first": batch[0][0], "last": batch[-1][0]}
        accounts.open_for_shares(pool, **span)
        posting.post_shares(
            pool,
            account,
            **span,
            at=month.last_moment,
            available_on=hold_until(month.end),
        )
    return True


@transaction.atomic
def _finish(pool: Pool, account: LedgerAccount, *, creators: int) -> None:
    """Mark the month as closed, unless another process has done so."""
    locks.lock_ledger_account(account.pk)
    closing = Pool.objects.filter(pk=pool.pk, status=Pool.Status.CLOSING)
    if closing.update(status=Pool.Status.CLOSED):
        audit.record(
            actor=pool.closed_by,
            action=AuditAction.POOL_CLOSED,
            target=pool,
            period=pool.period,
            currency=pool.currency,
            balance=pool.balance,
            amount=pool.amount,
            creators=creators,
            input_sha256=pool.input_sha256,
        )
    pool.status = Pool.Status.CLOSED


def verify_month(month: Month) -> list[str]:
    """Return the discrepancies between a closed month and its recomputation, one line of text for each.

    Pools, shares, entries and statements are recomputed from the ledger and the watch time. Empty when
    all is right; a month that is not closed is itself a discrepancy.
    """
    pools = list(Pool.objects.filter(period=str(month)).order_by("currency"))
    if not pools:
        return [f"{month} has not been closed"]
    with bulk.rare_collections():
        return [line for pool in pools for line in _discrepancies(pool, month)]


def _discrepancies(pool: Pool, month: Month) -> Iterable[str]:
    if pool.status != Pool.Status.CLOSED:
        yield f"{pool} is still being closed"
        return
    stored = figures.as_stored(pool).shares
    recomputed = figures.recomputed(pool, month)
    for name in _FIGURES:
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


def _booked_shares(pool: Pool) -> dict[str, int]:
    """Return the amounts that a pool's journal entry credits, by the creator's id."""
    rows = Transfer.objects.filter(entry__pool=pool).values_list("credit__owner")
    totals = rows.annotate(total=Sum("amount")).order_by()
    return {id_text(owner): int(total) for owner, total in bulk.read(totals)}


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
    return account is not None and figures.balance_of(account, month) != 0


def _open_before(month: Month, currency: str) -> Month | None:
    """Return the first earlier month that has something to close and is not closed, or None."""
    # A condition for each entry and no join: the first entry in the order of the moments is enough.
    transfers = Transfer.objects.filter(entry=OuterRef("pk"), currency=currency)
    entries = JournalEntry.objects.filter(Exists(transfers))
    invoices = Invoice.objects.filter(status=Invoice.Status.PAID, currency=currency)
    beginnings = [
        entries.order_by("effective_at").values_list("effective_at", flat=True).first(),
        invoices.order_by("period_start").values_list("period_start", flat=True).first(),
    ]
    pools = Pool.objects.filter(currency=currency, status=Pool.Status.CLOSED)
    closed = set(pools.values_list("period", flat=True))
    earlier = min((Month.of(moment) for moment in beginnings if moment), default=month)
    while earlier < month:
        if str(earlier) not in closed and _is_active(earlier, currency):
            return earlier
        earlier = earlier.next()
    return None
