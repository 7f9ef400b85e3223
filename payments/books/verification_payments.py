"""Proving that the books hold for each payment what its facts say: many payments in few statements."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.db import transaction
from django.db.models import F, Sum

from payments import locks
from payments.ledger.accounts import PERSONAL
from payments.models import (
    Dispute,
    LedgerAccount,
    Order,
    Payment,
    Refund,
    Transfer,
)
from payments.services.settling import split

Role = LedgerAccount.Role

BATCH = 2000  # payments looked at together


# All that the split and the order's status rest on; dates and texts of a million rows cost time.
_READ = (
    *("gateway", "currency", "captured", "fee", "disposition"),
    *("order__creator", "order__buyer", "order__fee_bps", "order__status", "order__discount"),
    *("order__coupon__funded_by", "invoice__fee_bps", "invoice__recognised"),
    "invoice__subscription__user",
)


@dataclass(slots=True)
class _Facts:
    """What happened to a batch of payments, as sums by payment."""

    refunded: dict
    disputed: dict
    bank_fees: dict
    booked: dict


def payments(on_step: Callable[[int], None]) -> Iterator[str]:
    """Does the ledger hold for each payment what its facts say, and its order the same?"""
    accounts = _Accounts()
    rows = Payment.objects.select_related("order__coupon", "invoice__subscription").only(*_READ)
    last, done = None, 0
    while batch := list((rows.filter(pk__gt=last) if last else rows).order_by("pk")[:BATCH]):
        facts = _facts_of(batch[0].pk, batch[-1].pk, accounts)
        for payment in batch:
            if not _is_booked(payment, facts) and (off := _differences(payment.pk)):
                yield f"payment {payment.pk}: the books differ from its facts: {off}"
            if not _order_follows(payment, facts) and _order_is_wrong(payment.pk):
                yield f"order {payment.order_id} is {payment.order.status}, and its payment is not"
        last, done = batch[-1].pk, done + len(batch)
        on_step(done)


class _Accounts:
    """Accounts by id, as (role, whose): loaded once, and again when new ones are met."""

    def __init__(self):
        self._names: dict[int, tuple] = {}

    def name(self, account_id: int) -> tuple:
        if account_id not in self._names:
            rows = LedgerAccount.objects.values_list("pk", "role", "owner_id", "currency", "code")
            self._names = {
                pk: (role, owner, currency, code if role == Role.CLEARING else "")
                for pk, role, owner, currency, code in rows.iterator(chunk_size=BATCH)
            }
        return self._names[account_id]


def _facts_of(first, last, accounts: _Accounts) -> _Facts:
    span = {"payment_id__gte": first, "payment_id__lte": last}

    def sums(rows, amount) -> dict:
        return dict(rows.values_list("payment_id").annotate(total=Sum(amount)).order_by())

    refunds, disputes = Refund.objects.filter(**span), Dispute.objects.filter(**span)
    booked: dict[object, dict[tuple, int]] = {}
    net = Transfer.objects.filter(entry__payment_id__gte=first, entry__payment_id__lte=last).net_by(
        "entry__payment_id", account=("pk",)
    )
    for (payment_id, account_id), credit in net.items():
        credits, name = booked.setdefault(payment_id, {}), accounts.name(account_id)
        credits[name] = credits.get(name, 0) + credit
    return _Facts(
        refunded=sums(refunds.filter(status__in=Refund.COUNTS), "amount"),
        disputed=sums(disputes, F("withdrawn") - F("reinstated")),
        bank_fees=sums(disputes, "fee"),
        booked=booked,
    )


def _is_booked(payment: Payment, facts: _Facts) -> bool:
    pk = payment.pk
    credits, owner = split.wanted(
        payment,
        back=facts.refunded.get(pk, 0) + facts.disputed.get(pk, 0),
        bank_fees=facts.bank_fees.get(pk, 0),
    )
    wanted = {
        (role, owner if role in PERSONAL else None, payment.currency, ""): credit
        for role, credit in credits.items()
        if credit
    }
    booked = dict(facts.booked.get(pk, {}))
    # What clearing holds follows from the rest: every transfer has two sides.
    clearing = f"clearing:{payment.gateway}:{payment.currency}"
    booked.pop((Role.CLEARING, None, payment.currency, clearing), None)
    return {name: credit for name, credit in booked.items() if credit} == wanted


@transaction.atomic
def _differences(payment_id) -> str:
    """By account, what the books of one payment lack now; nobody changes it meanwhile."""
    payment = locks.lock_payment(pk=payment_id)
    off = {account.code: lack for account, lack in split.differences(payment).items() if lack}
    return ", ".join(f"{code} lacks {lack}" for code, lack in sorted(off.items()))


def _order_follows(payment: Payment, facts: _Facts) -> bool:
    if payment.order is None or payment.disposition != Payment.Disposition.APPLIED:
        return True
    if facts.refunded.get(payment.pk, 0) >= payment.captured:
        expected = Order.Status.REFUNDED
    else:
        held = facts.disputed.get(payment.pk, 0) > 0
        expected = Order.Status.DISPUTED if held else Order.Status.PAID
    # What was bought again before its refund failed waits for people to sort it out.
    return payment.order.status in {expected, Order.Status.SUPERSEDED}


@transaction.atomic
def _order_is_wrong(payment_id) -> bool:
    payment = locks.lock_payment(pk=payment_id)
    facts = _Facts({payment_id: payment.refunded()}, {}, {}, {})
    facts.disputed[payment_id] = payment.disputed()
    return not _order_follows(payment, facts)


def gifts() -> Iterator[str]:
    """Orders that cost nothing, of which the platform pays the creator's share."""
    booked: dict[object, dict[str, int]] = {}
    gift_transfers = Transfer.objects.filter(entry__order__isnull=False)
    for (order_id, role), credit in gift_transfers.net_by(
        "entry__order_id", account=("role",)
    ).items():
        booked.setdefault(order_id, {})[role] = credit
    free = Order.objects.filter(amount=0, paid_at__isnull=False).select_related("coupon")
    for order in free.order_by("pk").iterator(chunk_size=BATCH):
        wanted = {role: credit for role, credit in split.wanted_gift(order).items() if credit}
        if {role: credit for role, credit in booked.pop(order.pk, {}).items() if credit} != wanted:
            yield f"order {order.pk}: the books of this gift are not its split"
    for order_id in booked:
        yield f"order {order_id} has entries of a gift, and is none"
