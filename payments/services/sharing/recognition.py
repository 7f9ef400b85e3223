"""Subscriptions earned as time goes by: from what is owed as time to watch to pool and platform."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Greatest

from config.money import creator_share
from payments import locks
from payments.ledger import accounts
from payments.models import (
    Dispute,
    Invoice,
    JournalEntry,
    LedgerAccount,
    Payment,
    Pool,
    Refund,
)
from payments.models.books import sum_by
from payments.periods import Month
from payments.services.settling.split import book_payment

ONE_DAY = timedelta(days=1)


def recognise(month: Month, currency: str) -> int:
    """Earn what a month's days are worth of every paid invoice; returns how many invoices changed.

    Each invoice in its own transaction, under its payment's lock; one that is done for the month is
    left alone, so a run that was killed goes on where it was. Nothing is earned of a month that is
    closed already.
    """
    return sum(_recognise(pk, month) for pk in _with_something_open(month, currency))


def earned_then(invoice: Invoice, *, left: int, month: Month) -> int:
    """How much of an invoice is earned when the month is over, in minor units.

    ``left`` of it has not gone back. The remainder is earned evenly over the days (UTC) that are
    left of the period, the month's own among them; the last month takes what is left, and so does
    the month in which the period was cut short. What was earned and went back is not earned.
    """
    earned = min(invoice.recognised, left)
    remainder = left - earned
    if _done(invoice, month):
        return earned
    if invoice.ended_early_at is not None and invoice.ended_early_at < month.end:
        return left
    begin = max(invoice.period_start.date(), month.first_day)
    end = max(invoice.period_end.date(), invoice.period_start.date() + ONE_DAY)
    days_left = (end - begin).days
    days = (min(end, month.next().first_day) - begin).days
    if days >= days_left:
        return left
    return earned + remainder * days // days_left


@dataclass(frozen=True, slots=True)
class Earning:
    """What a month's close adds to the pool from one subscriber's invoice."""

    user_id: object
    to_pool: int


def expected(month: Month, currency: str) -> Iterator[Earning]:
    """What `recognise` would earn now, without writing anything."""
    for pk in _with_something_open(month, currency):
        invoice = Invoice.objects.select_related("subscription").get(pk=pk)
        payment = invoice.payments.get(disposition=Payment.Disposition.APPLIED)
        left = _left(payment)
        before = min(invoice.recognised, left)
        after = earned_then(invoice, left=left, month=month)
        yield Earning(
            invoice.subscription.user_id,
            creator_share(after, invoice.fee_bps) - creator_share(before, invoice.fee_bps),
        )


def has_something_open(month: Month, currency: str) -> bool:
    return bool(_with_something_open(month, currency))


def _with_something_open(month: Month, currency: str) -> list:
    """Paid invoices begun by the month's end whose earned part is not what is left of them."""
    refunds = Refund.objects.filter(status__in=Refund.COUNTS)
    back = sum_by("payment", refunds, F("amount")) + sum_by(
        "payment", Dispute.objects.all(), F("withdrawn") - F("reinstated")
    )
    return list(
        Payment.objects.filter(
            disposition=Payment.Disposition.APPLIED,
            invoice__status=Invoice.Status.PAID,
            invoice__currency=currency,
            invoice__period_start__lt=month.end,
        )
        .exclude(invoice__recognised_upto__gte=_last_day(month))
        .annotate(left=Greatest(F("captured") - back, 0))
        .exclude(invoice__recognised=F("left"))
        .order_by("pk")
        .values_list("invoice_id", flat=True)
    )


@transaction.atomic
def _recognise(invoice_id, month: Month) -> bool:
    payment = locks.lock_payment(invoice_id=invoice_id, disposition=Payment.Disposition.APPLIED)
    invoice = locks.lock_invoice(invoice_id)
    # Whoever closes the month holds this row: nothing is added to a pool that is shared already.
    locks.lock_ledger_account(accounts.of(LedgerAccount.Role.POOL, invoice.currency).pk)
    closed = Pool.objects.filter(period=str(month), currency=invoice.currency)
    if _done(invoice, month) or closed.exists():
        return False
    # Below what it was when money has gone back: that must not be earned a second time unnoticed
    # when the refund fails, but in the month in which it is there again.
    invoice.recognised = earned_then(invoice, left=_left(payment), month=month)
    invoice.recognised_upto = _last_day(month)
    invoice.save(update_fields=["recognised", "recognised_upto"])
    payment.invoice = invoice
    book_payment(payment, kind=JournalEntry.Kind.RECOGNITION, at=month.last_moment)
    return True


def _left(payment: Payment) -> int:
    return max(0, payment.captured - payment.refunded() - payment.disputed())


def _last_day(month: Month):
    return month.next().first_day - ONE_DAY


def _done(invoice: Invoice, month: Month) -> bool:
    return invoice.recognised_upto is not None and invoice.recognised_upto >= _last_day(month)
