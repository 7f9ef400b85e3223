"""Recognition: moving the earned part of each invoice from *deferred* to the pool and the platform."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from django.db import transaction
from django.db.models import F, prefetch_related_objects
from django.db.models.functions import Greatest

from config import rows
from config.money import creator_share
from config.turns import Turns
from payments import locks, modes
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
from payments.services.settling.split import book_payment, booked_of

ONE_DAY = timedelta(days=1)
BATCH = 20  # invoices that are locked, recognised and booked at once


def recognise(month: Month, currency: str) -> int:
    """Recognise every paid invoice up to the month's end; return the number of invoices booked.

    In transactions of BATCH invoices. Safe to repeat, also after a run that was killed: an invoice that
    is recognised up to the month's end is skipped, and so is a month that is closed.
    """
    turns, number = Turns(), 0
    invoice_ids = _open_invoices(month, currency)
    for begin in range(0, len(invoice_ids), BATCH):
        number += _recognise(invoice_ids[begin : begin + BATCH], month, currency)
        turns.give()
    return number


def earned_by_end_of(invoice: Invoice, *, left: int, month: Month) -> int:
    """Return how much of an invoice is earned by the end of a month, in minor units.

    ``left`` is the paid amount without refunds and disputed money, and the most that can be earned. The
    part of it that is not recognised yet is earned evenly over the remaining days (UTC) of the period,
    from this month on. Where an upgrade cut the period short, what is not earned by then belongs to the
    period that the upgrade began, and is earned over its days. All is earned by the end of the month in
    which the period ends, or was cut short by the end of the subscription.
    """
    earned = min(invoice.recognised, left)
    if _is_recognised(invoice, month):
        return earned
    following = month.next().first_day
    day = max(invoice.period_start.date(), month.first_day)
    period: Invoice | None = invoice
    while period is not None:
        upgrade = _period_after_upgrade(period)
        cut = period.ended_early_at
        if upgrade is None and cut is not None and cut < month.end:
            return left
        begin = period.period_start.date()
        end = max(period.period_end.date(), begin + ONE_DAY)
        stop = min(following, cut.date() if upgrade is not None and cut is not None else end)
        if stop > day:
            earned += (left - earned) * (stop - day).days // (end - day).days
            day = stop
        if day >= following:
            return earned
        period = upgrade
    return left


def _period_after_upgrade(invoice: Invoice) -> Invoice | None:
    """Return the period that an upgrade began by cutting this one short, if one did."""
    if invoice.ended_early_at is None:
        return None
    following = Invoice.objects.filter(
        subscription=invoice.subscription_id,
        period_start=invoice.ended_early_at,
        status=Invoice.Status.PAID,
    )
    return following.exclude(pk=invoice.pk).first()  # a period may end when it begins


@dataclass(frozen=True, slots=True)
class Earning:
    """The amount in minor units that closing a month adds to the pool from one subscriber's payment."""

    payment_id: uuid.UUID
    user_id: uuid.UUID
    to_pool: int


def expected(month: Month, currency: str) -> Iterator[Earning]:
    """Return the earnings that `recognise` would book now, without writing anything."""
    for invoice_id in _open_invoices(month, currency):
        invoice = Invoice.objects.select_related("subscription").get(pk=invoice_id)
        payments = invoice.payments.filter(disposition=Payment.Disposition.APPLIED)
        left = {payment: _left(payment) for payment in payments.order_by("pk")}
        after = earned_by_end_of(invoice, left=sum(left.values()), month=month)
        for payment, part in _parts(after, left).items():
            before = creator_share(min(payment.recognised, left[payment]), invoice.fee_bps)
            added = creator_share(part, invoice.fee_bps) - before
            yield Earning(payment.pk, invoice.subscription.user_id, added)


def is_open(month: Month, currency: str) -> bool:
    """Return whether `recognise` has an invoice to book by the month's end."""
    return bool(_open_invoices(month, currency))


def _open_invoices(month: Month, currency: str) -> list[uuid.UUID]:
    """Return the ids of the invoices that `recognise` has to book up to the month's end. One query.

    They are paid, begin before the month's end, and have recognised less than what is left of the
    payment, or more since a refund. An invoice that is recognised up to the month's last day is left
    out.
    """
    refunds = Refund.objects.filter(status__in=Refund.COUNTS)
    disputed = F("withdrawn") - F("reinstated")
    back = sum_by("payment", refunds, F("amount")) + sum_by(
        "payment", Dispute.objects.all(), disputed
    )
    return list(
        Payment.objects.filter(
            modes.of_present("captured_at", until=month.end),
            disposition=Payment.Disposition.APPLIED,
            invoice__status=Invoice.Status.PAID,
            invoice__currency=currency,
            invoice__period_start__lt=month.end,
        )
        .exclude(invoice__recognised_upto__gte=_last_day(month))
        .annotate(left=Greatest(F("captured") - back, 0))
        .exclude(recognised=F("left"))
        .order_by("invoice_id")
        .values_list("invoice_id", flat=True)
        .distinct()
    )


@transaction.atomic
def _recognise(invoice_ids: list[uuid.UUID], month: Month, currency: str) -> int:
    """Recognise and book some invoices up to the month's end; return the number that was booked."""
    applied = Payment.Disposition.APPLIED
    payments = locks.lock_payments(invoice_id__in=invoice_ids, disposition=applied)
    invoices = locks.lock_invoices(invoice_ids)
    # Closing a month locks this account too, so that a pool does not grow after it was shared.
    locks.lock_ledger_account(accounts.of(LedgerAccount.Role.POOL, currency).pk)
    if Pool.objects.filter(period=str(month), currency=currency).exists():
        return 0
    # All of it changes only under the lock of its payment: so it is read for all payments at once.
    prefetch_related_objects(payments, "refunds", "disputes", "conversions")
    booked = booked_of(payments)
    due = [invoice for invoice in invoices if not _is_recognised(invoice, month)]
    for invoice in due:
        # The recognised amount falls after a refund. If the refund fails later, the money is unearned
        # again and is recognised from the month on in which it is back.
        left = {row: _left(row) for row in payments if row.invoice_id == invoice.pk}
        invoice.recognised = earned_by_end_of(invoice, left=sum(left.values()), month=month)
        invoice.recognised_upto = _last_day(month)
        rows.save(invoice, "recognised", "recognised_upto")
        for payment, part in _parts(invoice.recognised, left).items():
            payment.invoice, payment.recognised = invoice, part
            rows.save(payment, "recognised")
            book_payment(
                payment,
                kind=JournalEntry.Kind.RECOGNITION,
                at=month.last_moment,
                booked=booked[payment.pk],
            )
    return len(due)


def _parts(recognised: int, left: dict[Payment, int]) -> dict[Payment, int]:
    """Divide an invoice's recognised amount among its payments: the first ones are earned first."""
    parts = {}
    for payment, most in left.items():
        parts[payment] = min(recognised, most)
        recognised -= parts[payment]
    return parts


def _left(payment: Payment) -> int:
    """Return the paid amount without refunds and disputed money, at least 0."""
    return max(0, payment.captured - payment.refunded() - payment.disputed())


def _last_day(month: Month) -> date:
    return month.next().first_day - ONE_DAY


def _is_recognised(invoice: Invoice, month: Month) -> bool:
    return invoice.recognised_upto is not None and invoice.recognised_upto >= _last_day(month)
