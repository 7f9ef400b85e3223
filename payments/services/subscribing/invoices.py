"""The invoices of a subscription, as its gateway has written them and its payments have paid them."""

from collections.abc import Mapping

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from payments import locks
from payments.gateways.base import InvoiceSnapshot
from payments.models import Invoice, Payment, Subscription
from payments.services import access


def settled_payments(row: Subscription) -> set[str]:
    """Return the gateway's ids of the payments that have paid an invoice of the subscription."""
    payments = Payment.objects.filter(
        invoice__subscription=row,
        invoice__status=Invoice.Status.PAID,
        status=Payment.Status.CAPTURED,
        disposition=Payment.Disposition.APPLIED,
    )
    return set(payments.values_list("external_id", flat=True))


def update_invoice(
    row: Subscription,
    known: Mapping[str | None, Invoice],
    fact: InvoiceSnapshot,
    *,
    is_newest: bool,
) -> Invoice | None:
    """Return the row of an invoice of the gateway, created or updated. ``known`` are those before.

    Return None for an invoice of 0 that is not paid and has no row, and for a second invoice of a
    period: a period has one invoice. An answer that is not the newest updates nothing.
    """
    invoice = known.get(fact.external_id)
    if invoice is not None:
        invoice.subscription = row
    else:
        if not fact.amount and fact.status != Invoice.Status.PAID:
            return None
        invoice, created = Invoice.objects.get_or_create(
            subscription=row,
            period_start=fact.period_start,
            defaults={
                "external_id": fact.external_id,
                "period_end": fact.period_end,
                "amount": fact.amount,
                "currency": fact.currency,
                "fee_bps": settings.PLATFORM_FEE_BPS,
            },
        )
        if not created:
            is_free = invoice.external_id is None or _is_replaced(invoice, fact)
            if not is_free:
                return None
            invoice.external_id, invoice.period_end = fact.external_id, fact.period_end
            invoice.save(update_fields=["external_id", "period_end"])
        if fact.status == Invoice.Status.PAID:
            cut_short(row, invoice)
    terms = ("amount", "hosted_url", "status", "paid_at")
    before = [getattr(invoice, name) for name in terms]
    if is_newest and invoice.status != Invoice.Status.PAID:
        invoice.amount = fact.amount or invoice.amount
        invoice.hosted_url = fact.hosted_url[:2000]
        # PAID is set together with the payment, or by `note_paid_elsewhere`. An invoice of 0 has none.
        if fact.status != Invoice.Status.PAID:
            invoice.status = fact.status
        elif not invoice.amount:
            invoice.status, invoice.paid_at = Invoice.Status.PAID, invoice.period_start
        elif invoice.status in Invoice.GIVEN_UP:
            invoice.status = Invoice.Status.OPEN  # it was collected after all
    if [getattr(invoice, name) for name in terms] != before:
        invoice.save(update_fields=terms)
    return invoice


def _is_replaced(invoice: Invoice, fact: InvoiceSnapshot) -> bool:
    """Return whether the gateway bills a period anew whose earlier invoice was given up unpaid."""
    return (
        invoice.status in Invoice.GIVEN_UP
        and fact.status not in Invoice.GIVEN_UP
        and not invoice.payments.exclude(disposition=Payment.Disposition.NONE).exists()
    )


@transaction.atomic
def note_paid_elsewhere(invoice: Invoice) -> None:
    """Mark an invoice as paid that the gateway calls paid although its payments do not sum up to it.

    The missing part was paid outside of the gateway, or from the customer's balance there. It is not
    in the books: no money has come in. An invoice with a payment in suspense, or one that goes back,
    stays as it is.
    """
    row = locks.lock_subscriptions_of(invoice.subscription.user_id)[invoice.subscription_id]
    locked = locks.lock_invoices_of([row.pk])[invoice.pk]
    unfit = (Payment.Disposition.DUPLICATE, Payment.Disposition.UNMATCHED)
    if locked.status == Invoice.Status.PAID or locked.payments.filter(disposition__in=unfit):
        return
    locked.status, locked.paid_at = Invoice.Status.PAID, timezone.now()
    locked.save(update_fields=["status", "paid_at"])
    cut_short(row, locked)
    access.update_for_subscription(row)


def cut_short(row: Subscription, paid: Invoice) -> None:
    """End the period in which a paid one begins: that of an upgrade begins inside the old one."""
    row.invoices.filter(
        period_start__lt=paid.period_start, period_end__gt=paid.period_start, ended_early_at=None
    ).update(ended_early_at=paid.period_start)
