"""The ledger check: do the books follow from the facts, and the entitlements from the books?

Each check selects the wrong rows in a few queries, for any number of rows. Payments are booked while
the check runs. So a row that looks wrong is checked again under its lock before it is reported.
"""

import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

from django.db import connections, router, transaction
from django.db.models import Exists, F, Model, OuterRef, Q, QuerySet, Sum
from django.utils import timezone

from payments import locks
from payments.books import verification_payments
from payments.ledger import protection
from payments.models import (
    Entitlement,
    Invoice,
    JournalEntry,
    LedgerAccount,
    LedgerCheck,
    Order,
    Payment,
    Payout,
    Pool,
    Refund,
    Subscription,
    Transfer,
)
from payments.models.books import sum_by
from payments.services import access
from payments.services.modes import switching

Role = LedgerAccount.Role
BATCH = 2000
SHOWN = 20  # discrepancies kept as text; all are counted
Row = TypeVar("Row", bound=Model)
Step = Callable[[int, int], None]


def verify_ledger(*, on_step: Step = lambda done, total: None) -> LedgerCheck:
    """Check the whole ledger; store and return the result. Nothing else is changed.

    The returned row has the number of discrepancies, and up to SHOWN of them as text in
    ``first_discrepancies``. ``on_step`` is called with the number of payments checked and their total.
    """
    started_at, clock = timezone.now(), time.monotonic()
    total = Payment.objects.count()
    count = 0
    shown: list[str] = []
    for line in _all_discrepancies(lambda done: on_step(min(done, total), total)):
        count += 1
        if len(shown) < SHOWN:
            shown.append(line)
    on_step(total, total)
    check = LedgerCheck.objects.create(
        started_at=started_at,
        seconds=time.monotonic() - clock,
        payments=total,
        discrepancies=count,
        first=shown[0][:500] if shown else "",
    )
    check.first_discrepancies = shown
    return check


def _all_discrepancies(on_step: Callable[[int], None]) -> Iterator[str]:
    yield from _missing_triggers()
    yield from _currencies()
    yield from _unexplained_entries()
    yield from verification_payments.payments(on_step)
    yield from verification_payments.gifts()
    yield from _entitlements_of_orders()
    yield from _entitlements_of_subscriptions()
    yield from _pools()
    yield from _payouts()
    yield from _invoices()
    yield from switching.money_out_of_place()


def _missing_triggers() -> Iterator[str]:
    for name in protection.missing(Transfer.objects.db):
        yield f"the trigger {name} is missing: the books are not protected against changes"


def _currencies() -> Iterator[str]:
    """Report currencies whose debits and credits differ, and transfers in another than their accounts'.

    A transfer debits and credits one amount. So the sums of a currency only differ when the two
    accounts are in different ones, and the other transfers need not be added up.
    """
    same = Q(debit__currency=F("currency"), credit__currency=F("currency"))
    mixed = Transfer.objects.exclude(same)
    off: defaultdict[str, int] = defaultdict(int)
    sides = mixed.order_by().values_list("debit__currency", "credit__currency")
    for debited, credited, total in sides.annotate(Sum("amount")):
        off[debited] += total
        off[credited] -= total
    for currency, total in off.items():
        if total:
            yield f"debits and credits of {currency} differ by {total}"
    if off:
        for pk in mixed.values_list("pk", flat=True).iterator(BATCH):
            yield f"transfer {pk} is in another currency than its accounts"


def _unexplained_entries() -> Iterator[str]:
    """Report entries with several subjects, and those without one that write off or close nothing."""
    without_subject = Transfer.objects.filter(
        entry__payment=None, entry__order=None, entry__pool=None, entry__payout=None
    )
    write_off = Q(
        entry__kind=JournalEntry.Kind.WRITE_OFF,
        debit__role=Role.BAD_DEBT,
        credit__role=Role.CREATOR,
    )
    closes_mode = Q(entry__kind=JournalEntry.Kind.MODE_CLOSED, entry__key__startswith="mode:")
    unexplained = without_subject.exclude(write_off | closes_mode)
    entries = unexplained.values_list("entry__key", flat=True)
    for key in entries.order_by().distinct():
        yield f"entry {key} is about no payment, order, pool or payout, and writes off no debt"
    several = JournalEntry.objects.exclude(payment=None).exclude(order=None, pool=None, payout=None)
    for key in several.values_list("key", flat=True):
        yield f"entry {key} is about more than one payment, order, pool or payout"


# --- entitlements -------------------------------------------------------------------------------


def _has_entitlement(source: str, source_id: OuterRef) -> Exists:
    return Exists(
        Entitlement.objects.filter(source_type=source, source_id=source_id, revoked_at=None)
    )


def _entitlements_of_orders() -> Iterator[str]:
    """Report orders and entitlements that do not fit each other.

    Each check is one statement and sees the rows of one moment, so that no lock is needed.
    """
    bought = Entitlement.Source.ORDER
    entitled = _has_entitlement(bought, OuterRef("pk"))
    without = Order.objects.filter(~entitled, status=Order.Status.PAID)
    for pk in without.order_by("pk").values_list("pk", flat=True):
        yield f"order {pk} is paid, but its buyer has no entitlement"
    fitting = Order.objects.filter(
        pk=OuterRef("source_id"),
        status=Order.Status.PAID,
        buyer=OuterRef("user"),
        video=OuterRef("video"),
    )
    others = Entitlement.objects.filter(~Exists(fitting), source_type=bought, revoked_at=None)
    for batch in _batches(others):
        orders = Order.objects.in_bulk([row.source_id for row in batch])
        for row in batch:
            order = orders.get(row.source_id)
            if order is None or order.status != Order.Status.PAID:
                yield f"order {row.source_id} is not paid, but its buyer has an entitlement"
            if order and (order.buyer_id, order.video_id) != (row.user_id, row.video_id):
                yield f"entitlement {row.pk} belongs to another buyer or video than its order"


def _entitlements_of_subscriptions() -> Iterator[str]:
    """Report subscriptions and entitlements that do not fit each other."""
    subscribed = Entitlement.Source.SUBSCRIPTION
    entitled = _has_entitlement(subscribed, OuterRef("pk"))
    runs = Q(
        disposition=Subscription.Disposition.PRIMARY,
        status__in=(
            Subscription.Status.TRIALING,
            Subscription.Status.ACTIVE,
            Subscription.Status.PAST_DUE,
        ),
    )
    went_back = Payment.objects.filter(invoice__subscription=OuterRef("pk")).filter(
        Q(refunds__status__in=Refund.COUNTS) | Q(disputes__withdrawn__gt=F("disputes__reinstated"))
    )
    suspects = Subscription.objects.filter(
        (runs & ~entitled) | (~runs & entitled) | (runs & Exists(went_back))
    )
    for pk in suspects.order_by("pk").values_list("pk", flat=True):
        with transaction.atomic():
            row = locks.lock_subscription(pk)
            is_entitled = Subscription.objects.filter(entitled, pk=pk).exists()
            is_running = Subscription.objects.filter(runs, pk=pk).exists()
            is_paid = is_running and not access.is_taken_back(row)
        if is_paid != is_entitled:
            has = "has an entitlement" if is_entitled else "has no entitlement"
            yield f"subscription {pk} is {row.status}, but its subscriber {has}"
    rows = Subscription.objects.filter(pk=OuterRef("source_id"))
    lost = Entitlement.objects.filter(
        ~Exists(rows.filter(user=OuterRef("user"))), source_type=subscribed, revoked_at=None
    )
    for pk in lost.values_list("pk", flat=True):
        yield f"entitlement {pk} belongs to another user than its subscription"


# --- pools, payouts and invoices ------------------------------------------------------------------


_SHARED_AND_BOOKED = """
    SELECT pool_id, creator_id, SUM(shared), SUM(booked)
    FROM (
        SELECT pool_id, creator_id, amount AS shared, 0 AS booked FROM payments_poolshare
        UNION ALL
        SELECT entry.pool_id, account.owner_id, 0, transfer.amount
        FROM payments_pool AS pool
        CROSS JOIN payments_journalentry AS entry
        CROSS JOIN payments_transfer AS transfer
        JOIN payments_ledgeraccount AS account ON account.id = transfer.credit_id
        WHERE entry.pool_id = pool.id AND transfer.entry_id = entry.id
    ) AS amounts
    GROUP BY pool_id, creator_id
    HAVING SUM(shared) <> SUM(booked)
    ORDER BY pool_id, creator_id
"""


def _pools() -> Iterator[str]:
    """Report pools that differ from the sum of their shares, and shares that differ from the books.

    A close that is under way has written some of the shares, and booked these.
    """
    closed = Pool.objects.filter(status=Pool.Status.CLOSED).annotate(
        shared=Sum("shares__amount", default=0)
    )
    for wrong in closed.exclude(shared=F("amount")).order_by("period", "currency"):
        yield f"{wrong}: {wrong.amount} was shared, but its shares are {wrong.shared}"
    shared = Q(debit__role=Role.POOL, credit__role=Role.CREATOR)
    # A subquery of entries, so that SQLite begins with them: it would read all transfers otherwise.
    of_pools = JournalEntry.objects.filter(pool__isnull=False)
    moves = Transfer.objects.filter(entry__in=of_pools).exclude(shared).order_by()
    sides = ("debit__role", "credit__role", "credit__owner")
    for pool_id, debit, credit, _ in moves.values_list("entry__pool", *sides).distinct():
        pool = Pool.objects.get(pk=pool_id)
        yield f"{pool}: its entry moves money from {debit} to {credit}"
    with connections[router.db_for_read(Pool)].cursor() as cursor:
        cursor.execute(_SHARED_AND_BOOKED)
        while rows := cursor.fetchmany(BATCH):
            for pool_id, creator, share, booked in rows:
                pool = Pool.objects.get(pk=pool_id)
                owner = uuid.UUID(str(creator)) if creator else None
                yield f"{pool}: creator {owner} has a share of {share}, and {booked} is booked"


class _PayoutSums(NamedTuple):
    """The sums of a payout's transfers in minor units."""

    taken: int = 0  # from the creator's account, without the part that came back
    paid: int = 0  # from transit to the bank, without the part that came back
    other: int = 0  # between any other accounts


_TAKEN = {(Role.CREATOR, Role.PAYOUT_TRANSIT): 1, (Role.PAYOUT_TRANSIT, Role.CREATOR): -1}
_PAID = {(Role.PAYOUT_TRANSIT, Role.CLEARING): 1, (Role.CLEARING, Role.PAYOUT_TRANSIT): -1}


def _payouts() -> Iterator[str]:
    """Report payouts and transfers that do not fit each other, and transit money without a payout."""
    in_flight = _in_flight()
    for batch in _batches(Payout.objects.all()):
        span = {"entry__payout__gte": batch[0].pk, "entry__payout__lte": batch[-1].pk}
        booked = _payout_sums(Transfer.objects.filter(**span))
        for payout in batch:
            if booked.get(payout.pk, _PayoutSums()) != _expected(payout) and _payout_is_wrong(
                payout.pk
            ):
                yield f"payout {payout.pk} is {payout.status}, but its transfers do not fit that"
    for account in LedgerAccount.objects.filter(role=Role.PAYOUT_TRANSIT).with_balance():
        expected = in_flight.get(account.currency, 0)
        # A payout may have changed since the sums were read; so they are read again.
        if account.balance not in {expected, _in_flight().get(account.currency, 0)}:
            yield f"{account} holds {account.balance}, but payouts under way are {expected}"


def _payout_sums(transfers: QuerySet[Transfer]) -> dict[uuid.UUID, _PayoutSums]:
    sums: dict[uuid.UUID, _PayoutSums] = {}
    rows = transfers.values_list(
        "entry__payout_id", "entry__payout__creator_id", "debit__role", "credit__role",
        "debit__owner_id", "credit__owner_id",
    )  # fmt: skip
    for payout_id, creator, debit, credit, payer, payee, total in rows.annotate(
        total=Sum("amount")
    ).order_by():
        taken, paid, other = sums.get(payout_id, _PayoutSums())
        if (debit, credit) in _TAKEN and creator in {payer, payee}:
            taken += _TAKEN[debit, credit] * total
        elif (debit, credit) in _PAID:
            paid += _PAID[debit, credit] * total
        else:
            other += total
        sums[payout_id] = _PayoutSums(taken, paid, other)
    return sums


def _expected(payout: Payout) -> _PayoutSums:
    if payout.status in Payout.IN_FLIGHT:
        return _PayoutSums(taken=payout.amount)
    if payout.status == Payout.Status.PAID:
        return _PayoutSums(taken=payout.amount, paid=payout.amount)
    return _PayoutSums()


@transaction.atomic
def _payout_is_wrong(payout_id: uuid.UUID) -> bool:
    payout = locks.lock_payout(payout_id)
    booked = _payout_sums(Transfer.objects.filter(entry__payout=payout))
    return booked.get(payout_id, _PayoutSums()) != _expected(payout)


def _in_flight() -> dict[str, int]:
    """Return the amount of the payouts under way by currency, in minor units."""
    rows = Payout.objects.filter(status__in=Payout.IN_FLIGHT).order_by()
    return dict(rows.values_list("currency").annotate(total=Sum("amount")))


def _invoices() -> Iterator[str]:
    """Report invoices that no correct booking can produce.

    The database's constraints forbid some of them too; but constraints can be dropped.
    """
    applied = Payment.objects.filter(disposition=Payment.Disposition.APPLIED)
    sums = Invoice.objects.annotate(
        paid=sum_by("invoice", applied, F("captured")),
        parts=sum_by("invoice", applied, F("recognised")),
    )
    is_impossible = Q(recognised__gt=F("amount")) | Q(recognised__lt=0)
    is_open = Q(paid__gte=F("amount")) & ~Q(status=Invoice.Status.PAID)
    for row in sums.filter(is_impossible | is_open | ~Q(parts=F("recognised"))).iterator(BATCH):
        if not 0 <= row.recognised <= row.amount:
            yield f"invoice {row.pk}: the recognised amount is below 0 or above the price"
        if row.paid >= row.amount and row.status != Invoice.Status.PAID:
            yield f"invoice {row.pk} is paid in full, but is not marked as paid"
        if row.parts != row.recognised:
            yield f"invoice {row.pk}: the recognised amount is not the sum of its payments' parts"


def _batches(rows: QuerySet[Row]) -> Iterator[list[Row]]:
    """Yield the rows by id, in lists of BATCH."""
    rows = rows.order_by("pk")
    batch = list(rows[:BATCH])
    while batch:
        yield batch
        batch = list(rows.filter(pk__gt=batch[-1].pk)[:BATCH])
