"""The ledger check of payments and gifts: do the books hold the credits that their facts require?"""

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import F, QuerySet, Sum
from django.db.models.expressions import Combinable

from payments import locks
from payments.ledger.accounts import PERSONAL
from payments.models import (
    Conversion,
    Dispute,
    LedgerAccount,
    Order,
    Payment,
    Refund,
    Transfer,
)
from payments.services.settling import split

Role = LedgerAccount.Role

BATCH = 2000  # payments that are checked together


# The fields that the split and the order's status follow from. Dates and texts of a million rows cost
# time, and nothing here reads them.
_READ = (
    *("gateway", "currency", "captured", "fee", "disposition", "recognised"),
    *("order__creator", "order__buyer", "order__fee_bps", "order__status", "order__discount"),
    *("order__coupon__funded_by", "invoice__fee_bps", "invoice__subscription__user"),
)


class _AccountName(NamedTuple):
    """The identity of a ledger account without its id: ``code`` only tells clearing accounts apart."""

    role: str
    owner_id: uuid.UUID | None
    currency: str
    code: str = ""


@dataclass(slots=True)
class _Facts:
    """The facts of a batch of payments: sums by the payment's id, in minor units."""

    refunded: dict[uuid.UUID, int]
    disputed: dict[uuid.UUID, int]
    undecided: set[uuid.UUID]  # the payments with such a dispute
    lost: set[uuid.UUID]
    bank_fees: dict[uuid.UUID, int] = field(default_factory=dict)
    converted: dict[uuid.UUID, list[split.Converted]] = field(default_factory=dict)
    booked: dict[uuid.UUID, dict[_AccountName, int]] = field(default_factory=dict)


def payments(on_step: Callable[[int], None]) -> Iterator[str]:
    """Report payments that are booked in another way than their facts require, and their orders.

    A fixed number of queries for each batch of payments. ``on_step`` is called with the number of
    payments that are checked.
    """
    names = _AccountNames()
    rows = Payment.objects.select_related("order__coupon", "invoice__subscription").only(*_READ)
    last, done = None, 0
    while batch := list((rows.filter(pk__gt=last) if last else rows).order_by("pk")[:BATCH]):
        facts = _facts_of(batch[0].pk, batch[-1].pk, names)
        for payment in batch:
            if not _is_booked(payment, facts) and (changes := _differences(payment.pk)):
                yield f"payment {payment.pk}: the books differ from its facts: {changes}"
            order = payment.order
            if order and not _order_follows(payment, facts) and _order_is_wrong(payment.pk):
                yield f"order {order.pk} is {order.status}, which does not fit its payment"
        last, done = batch[-1].pk, done + len(batch)
        on_step(done)


class _AccountNames:
    """The names of ledger accounts by id; all are loaded again when an unknown id is met."""

    def __init__(self) -> None:
        self._names: dict[int, _AccountName] = {}

    def name(self, account_id: int) -> _AccountName:
        if account_id not in self._names:
            rows = LedgerAccount.objects.values_list("pk", "role", "owner_id", "currency", "code")
            self._names = {
                pk: _AccountName(role, owner, currency, code if role == Role.CLEARING else "")
                for pk, role, owner, currency, code in rows.iterator(chunk_size=BATCH)
            }
        return self._names[account_id]


def _facts_of(first: uuid.UUID, last: uuid.UUID, names: _AccountNames) -> _Facts:
    """Return the facts of the payments with ids from ``first`` to ``last``. Seven queries."""
    span = {"payment_id__gte": first, "payment_id__lte": last}

    def sums(rows: QuerySet[Any], amount: str | Combinable) -> dict[uuid.UUID, int]:
        return dict(rows.values_list("payment_id").annotate(total=Sum(amount)).order_by())

    refunds, disputes = Refund.objects.filter(**span), Dispute.objects.filter(**span)
    booked: dict[uuid.UUID, dict[_AccountName, int]] = {}
    net = Transfer.objects.filter(entry__payment_id__gte=first, entry__payment_id__lte=last).net_by(
        "entry__payment_id", account=("pk",)
    )
    for (payment_id, account_id), credit in net.items():
        credits, name = booked.setdefault(payment_id, {}), names.name(account_id)
        credits[name] = credits.get(name, 0) + credit
    converted: dict[uuid.UUID, list[split.Converted]] = {}
    for row in Conversion.objects.filter(**span):
        fields = split.Converted(row.currency, row.amount, row.fee, row.presented)
        converted.setdefault(row.payment_id, []).append(fields)
    return _Facts(
        converted=converted,
        refunded=sums(refunds.filter(status__in=Refund.COUNTS), "amount"),
        disputed=sums(disputes, F("withdrawn") - F("reinstated")),
        undecided=set(disputes.undecided().values_list("payment_id", flat=True)),
        lost=set(disputes.lost().values_list("payment_id", flat=True)),
        bank_fees=sums(disputes, "fee"),
        booked=booked,
    )


def _is_booked(payment: Payment, facts: _Facts) -> bool:
    """Return whether the books hold exactly the credits that a payment's facts require."""
    pk = payment.pk
    back = facts.refunded.get(pk, 0) + facts.disputed.get(pk, 0)
    credits = split.required_credits(
        payment,
        back=back,
        bank_fees=facts.bank_fees.get(pk, 0),
        converted=facts.converted.get(pk, ()),
    )
    owner_id = split.account_owner_id(payment)
    required = {
        _AccountName(role, owner_id if role in PERSONAL else None, currency): credit
        for (role, currency), credit in credits.items()
        if credit
    }
    booked = dict(facts.booked.get(pk, {}))
    # Clearing is the other side of all these transfers: it is right if they are.
    for currency in {currency for _, currency in credits}:
        clearing = f"clearing:{payment.gateway}:{currency}"
        booked.pop(_AccountName(Role.CLEARING, None, currency, clearing), None)
    return {name: credit for name, credit in booked.items() if credit} == required


@transaction.atomic
def _differences(payment_id: uuid.UUID) -> str:
    """Return the changes that would correct the books of a payment, or "". Locks the payment."""
    payment = locks.lock_payment(pk=payment_id)
    changes = {account.code: change for account, change in split.differences(payment).items()}
    return ", ".join(
        f"{code} must change by {change}" for code, change in sorted(changes.items()) if change
    )


def _order_follows(payment: Payment, facts: _Facts) -> bool:
    """Return whether the status of a payment's order fits the payment's refunds and disputes."""
    if payment.order is None or payment.disposition != Payment.Disposition.APPLIED:
        return True
    expected = Order.status_when_paid(
        captured=payment.captured,
        refunded=facts.refunded.get(payment.pk, 0),
        disputed=facts.disputed.get(payment.pk, 0),
        is_undecided=payment.pk in facts.undecided,
        is_lost=payment.pk in facts.lost,
    )
    # A superseded order keeps its status until its money is refunded: the buyer bought again.
    return payment.order.status in {expected, Order.Status.SUPERSEDED, Order.Status.VOID}


@transaction.atomic
def _order_is_wrong(payment_id: uuid.UUID) -> bool:
    payment = locks.lock_payment(pk=payment_id)
    facts = _Facts(
        refunded={payment_id: payment.refunded()},
        disputed={payment_id: payment.disputed()},
        undecided={payment_id} if payment.has_undecided_dispute() else set(),
        lost={payment_id} if payment.has_lost_dispute() else set(),
    )
    return not _order_follows(payment, facts)


def gifts() -> Iterator[str]:
    """Report free orders that are booked in another way than their split.

    Also report gifts that are booked for orders with a price.
    """
    booked: defaultdict[uuid.UUID, dict[str, int]] = defaultdict(dict)
    transfers = Transfer.objects.filter(entry__order__isnull=False)
    for (order_id, role), credit in transfers.net_by("entry__order_id", account=("role",)).items():
        booked[order_id][role] = credit
    free = Order.objects.filter(amount=0, paid_at__isnull=False).select_related("coupon")
    for order in free.order_by("pk").iterator(chunk_size=BATCH):
        credits = split.required_gift_credits(order)
        required = {str(role): credit for role, credit in credits.items() if credit}
        entries = {role: credit for role, credit in booked.pop(order.pk, {}).items() if credit}
        if entries != required:
            yield f"order {order.pk} cost nothing, but its entries are not its split"
    for order_id in booked:
        yield f"order {order_id} has the entry of a free order, but was not free"
