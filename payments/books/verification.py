"""Proving that the books follow from the facts, and the rights to watch from the books.

Every check asks for what is wrong in a few statements, whatever the number of rows. What is found
while money moves is looked at again under the lock of its row before it is called wrong.
"""

import time
from collections.abc import Callable, Iterable, Iterator

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, Sum
from django.utils import timezone

from payments import locks
from payments.books import verification_payments
from payments.books.reports import trial_balance
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
    PoolShare,
    Refund,
    Subscription,
    Transfer,
)
from payments.services import access

Role = LedgerAccount.Role
BATCH = 2000
SHOWN = 20  # discrepancies kept in words
Step = Callable[[int, int], None]


def verify_ledger(*, on_step: Step = lambda done, total: None) -> LedgerCheck:
    """Check all of it, and keep what was found: how many discrepancies, and the first in words.

    ``on_step`` is told how many of how many payments are done. The row that is returned has the
    first few discrepancies as ``found``. Changes nothing else.
    """
    started_at, clock = timezone.now(), time.monotonic()
    total = Payment.objects.count()
    count, found = 0, []
    for line in _all_discrepancies(lambda done: on_step(min(done, total), total)):
        count += 1
        if len(found) < SHOWN:
            found.append(line)
    on_step(total, total)
    check = LedgerCheck.objects.create(
        started_at=started_at,
        seconds=time.monotonic() - clock,
        payments=total,
        discrepancies=count,
        first=found[0][:500] if found else "",
    )
    check.found = found
    return check


def _all_discrepancies(on_step: Callable[[int], None]) -> Iterator[str]:
    yield from _missing_triggers()
    yield from _unbalanced()
    yield from _foreign_currencies()
    yield from _unexplained_entries()
    yield from verification_payments.payments(on_step)
    yield from verification_payments.gifts()
    yield from _rights_of_orders()
    yield from _rights_of_subscriptions()
    yield from _pools()
    yield from _payouts()
    yield from _invoices()


def _missing_triggers() -> Iterator[str]:
    for name in protection.missing(Transfer.objects.db):
        yield f"the trigger {name} is missing: the books could be rewritten"


def _unbalanced() -> Iterator[str]:
    sums: dict[str, int] = {}
    for row in trial_balance():
        sums[row.currency] = sums.get(row.currency, 0) + row.balance
    for currency, off in sums.items():
        if off:
            yield f"debits and credits of {currency} differ by {off}"


def _foreign_currencies() -> Iterator[str]:
    same = Q(debit__currency=F("currency"), credit__currency=F("currency"))
    for pk in Transfer.objects.exclude(same).values_list("pk", flat=True):
        yield f"transfer {pk} is in another currency than its accounts"


def _unexplained_entries() -> Iterator[str]:
    """Entries that are about nothing may only write debts off."""
    about_nothing = Transfer.objects.filter(
        entry__payment=None, entry__order=None, entry__pool=None, entry__payout=None
    )
    write_off = Q(
        entry__kind=JournalEntry.Kind.WRITE_OFF,
        debit__role=Role.BAD_DEBT,
        credit__role=Role.CREATOR,
    )
    entries = about_nothing.exclude(write_off).values_list("entry__key", flat=True)
    for key in entries.order_by().distinct():
        yield f"the entry {key} is about nothing that we know"
    several = JournalEntry.objects.exclude(payment=None).exclude(order=None, pool=None, payout=None)
    for key in several.values_list("key", flat=True):
        yield f"the entry {key} is about more than one thing"


# --- rights -------------------------------------------------------------------------------------


def _rights(source: str, source_id) -> Exists:
    return Exists(
        Entitlement.objects.filter(source_type=source, source_id=source_id, revoked_at=None)
    )


def _rights_of_orders() -> Iterator[str]:
    """Each of the two is one statement: whatever happens meanwhile, it sees one moment."""
    bought = Entitlement.Source.ORDER
    unserved = Order.objects.filter(~_rights(bought, OuterRef("pk")), status=Order.Status.PAID)
    for pk in unserved.order_by("pk").values_list("pk", flat=True):
        yield f"order {pk} is paid, and its buyer may not watch"
    paid = Order.objects.filter(pk=OuterRef("source_id"), status=Order.Status.PAID)
    unpaid = Entitlement.objects.filter(~Exists(paid), source_type=bought, revoked_at=None)
    for pk in unpaid.order_by("pk").values_list("source_id", flat=True):
        yield f"order {pk} is not paid, and its buyer may watch"
    of_another = Entitlement.objects.filter(
        Exists(
            Order.objects.filter(pk=OuterRef("source_id")).exclude(
                buyer=OuterRef("user"), video=OuterRef("video")
            )
        ),
        source_type=bought,
        revoked_at=None,
    )
    for pk in of_another.values_list("pk", flat=True):
        yield f"entitlement {pk} is of another buyer or video than its order"


def _rights_of_subscriptions() -> Iterator[str]:
    subscribed = Entitlement.Source.SUBSCRIPTION
    entitled = _rights(subscribed, OuterRef("pk"))
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
            may_watch = Subscription.objects.filter(entitled, pk=pk).exists()
            pays = Subscription.objects.filter(runs, pk=pk).exists()
            pays = pays and not access.is_taken_back(row)
        if pays != may_watch:
            yield f"subscription {pk} is {row.status}, and its subscriber " + (
                "may watch" if may_watch else "may not watch"
            )
    rows = Subscription.objects.filter(pk=OuterRef("source_id"))
    lost = Entitlement.objects.filter(
        ~Exists(rows.filter(user=OuterRef("user"))), source_type=subscribed, revoked_at=None
    )
    for pk in lost.values_list("pk", flat=True):
        yield f"entitlement {pk} is of another user than its subscription"


# --- what was shared and paid out -----------------------------------------------------------------


def _by_account(transfers) -> Iterable[tuple]:
    rows = transfers.values_list("debit__role", "credit__role", "credit__owner")
    return rows.annotate(total=Sum("amount")).order_by().iterator(chunk_size=BATCH)


def _pools() -> Iterator[str]:
    """Is each pool the sum of its shares, and each share what its creator got?"""
    for pool in Pool.objects.order_by("period", "currency"):
        shares = dict(
            PoolShare.objects.filter(pool=pool, amount__gt=0).values_list("creator_id", "amount")
        )
        got: dict = {}
        for debit, credit, owner, total in _by_account(Transfer.objects.filter(entry__pool=pool)):
            if (debit, credit) != (Role.POOL, Role.CREATOR):
                yield f"{pool}: its entry moves money from {debit} to {credit}"
            got[owner] = got.get(owner, 0) + total
        if sum(shares.values()) != pool.amount:
            yield f"{pool} shared {pool.amount}, and its shares are {sum(shares.values())}"
        for creator in sorted(shares.keys() | got.keys(), key=str):
            if shares.get(creator, 0) != got.get(creator, 0):
                yield (
                    f"{pool}: {creator} got {got.get(creator, 0)}"
                    f" of a share of {shares.get(creator, 0)}"
                )


_OUT = {(Role.CREATOR, Role.PAYOUT_TRANSIT): 1, (Role.PAYOUT_TRANSIT, Role.CREATOR): -1}
_PAID = {(Role.PAYOUT_TRANSIT, Role.CLEARING): 1}


def _payouts() -> Iterator[str]:
    """Is what was set aside, paid and given back of each payout what its status says?"""
    moved = _moved(Transfer.objects.filter(entry__payout__isnull=False))
    in_transit: dict[str, int] = {}
    for payout in Payout.objects.order_by("pk").iterator(chunk_size=BATCH):
        if payout.status in Payout.IN_FLIGHT:
            in_transit[payout.currency] = in_transit.get(payout.currency, 0) + payout.amount
        if moved.get(payout.pk, (0, 0, 0)) != _expected(payout) and _payout_is_wrong(payout.pk):
            yield f"payout {payout.pk} is {payout.status}, and the books say otherwise"
    for currency, held in _held_in_transit().items():
        if held != in_transit.get(currency, 0) and held != _in_flight(currency):
            yield f"{held} {currency} are set aside for payouts of {in_transit.get(currency, 0)}"


def _moved(transfers) -> dict:
    """By payout: taken from the creator, brought to the bank, and moved in any other way."""
    found: dict = {}
    rows = transfers.values_list(
        "entry__payout_id", "entry__payout__creator_id", "debit__role", "credit__role",
        "debit__owner_id", "credit__owner_id",
    )  # fmt: skip
    for payout_id, creator, debit, credit, payer, payee, total in rows.annotate(
        total=Sum("amount")
    ).order_by():
        out, paid, other = found.get(payout_id, (0, 0, 0))
        way = debit, credit
        if way in _OUT and creator in {payer, payee}:
            out += _OUT[way] * total
        elif way in _PAID:
            paid += total
        else:
            other += total
        found[payout_id] = out, paid, other
    return found


def _expected(payout: Payout) -> tuple[int, int, int]:
    if payout.status in Payout.IN_FLIGHT:
        return payout.amount, 0, 0
    paid = payout.amount if payout.status == Payout.Status.PAID else 0
    return paid, paid, 0


@transaction.atomic
def _payout_is_wrong(payout_id) -> bool:
    payout = locks.lock_payout(payout_id)
    moved = _moved(Transfer.objects.filter(entry__payout=payout))
    return moved.get(payout_id, (0, 0, 0)) != _expected(payout)


def _held_in_transit() -> dict[str, int]:
    transit = LedgerAccount.objects.filter(role=Role.PAYOUT_TRANSIT).with_balance()
    return dict(transit.values_list("currency", "balance"))


def _in_flight(currency: str) -> int:
    rows = Payout.objects.filter(currency=currency, status__in=Payout.IN_FLIGHT)
    return rows.aggregate(total=Sum("amount"))["total"] or 0


def _invoices() -> Iterator[str]:
    """The database holds this too; but constraints can be dropped."""
    wrong = Q(recognised__gt=F("amount")) | Q(recognised__lt=0)
    for pk in Invoice.objects.filter(wrong).values_list("pk", flat=True):
        yield f"invoice {pk} has earned more than it cost"
    unpaid = Invoice.objects.exclude(status=Invoice.Status.PAID).filter(
        payments__disposition=Payment.Disposition.APPLIED
    )
    for pk in unpaid.values_list("pk", flat=True):
        yield f"invoice {pk} was paid, and does not say so"
