"""The decision how a captured payment is used."""

import logging
import uuid
from collections.abc import Mapping
from datetime import timedelta

from django.db.models import Sum

from payments import locks
from payments.models import Invoice, Order, Payment, Subscription

logger = logging.getLogger(__name__)
Disposition = Payment.Disposition
# A subscription begins at most so long after its row: then its checkout is closed.
FIRST_PAYMENT_WITHIN = timedelta(hours=24)


def of(payment: Payment, orders: Mapping[uuid.UUID, Order]) -> Payment.Disposition:
    """Decide how a captured payment is used. Locks the invoices that it must not decide about twice.

    ``orders`` are the locked orders of the buyer for the video of the payment's order.

    UNMATCHED: it belongs to no order or invoice of ours. DUPLICATE: its amount or currency is not that
    of its order, or its order or video is paid for already. APPLIED otherwise: so exactly one payment
    pays an order. An invoice's payments are decided by `_of_invoice_payment`.
    """
    if payment.invoice is not None:
        return _of_invoice_payment(payment, payment.invoice)
    order = payment.order
    if order is None:
        logger.error(
            "Payment %s belongs to no order or invoice: its money is in suspense.", payment.pk
        )
        return Disposition.UNMATCHED
    if (payment.captured, payment.currency) != (order.amount, order.currency):
        logger.error("Payment %s has another amount than agreed: it is sent back.", payment.pk)
        return Disposition.DUPLICATE
    if _is_order_paid(order, orders):
        logger.warning("Payment %s pays a second time: it is sent back.", payment.pk)
        return Disposition.DUPLICATE
    return Disposition.APPLIED


def decided_again(payment: Payment) -> Payment.Disposition:
    """Return the disposition of a payment that is placed: its invoice may have changed since.

    A payment that has gone back in part, or whose money is earned, stays as it was decided. Nothing that
    was applied is sent back.
    """
    changeable = (Disposition.APPLIED, Disposition.UNMATCHED)
    if (
        payment.invoice is None
        or payment.disposition not in changeable
        or payment.recognised
        or payment.refunds.exists()
        or payment.disputes.exists()
    ):
        return Disposition(payment.disposition)
    return _fit_of(payment, _locked_invoices(payment.invoice)[payment.invoice.pk])


def _of_invoice_payment(payment: Payment, invoice: Invoice) -> Payment.Disposition:
    """Decide how a captured payment of an invoice is used.

    DUPLICATE: nothing must be paid, because the subscription is a duplicate, has ended or renews for a
    deactivated user. Otherwise as `_fit_of`. Locks all subscriptions of the user, and the invoices of
    this one.
    """
    invoice = _locked_invoices(invoice)[invoice.pk]
    if _must_not_be_paid(invoice, invoice.subscription):
        logger.warning("Payment %s pays for nothing: it is sent back.", payment.pk)
        return Disposition.DUPLICATE
    return _fit_of(payment, invoice)


def _locked_invoices(invoice: Invoice) -> dict[uuid.UUID, Invoice]:
    """Lock the subscriptions of an invoice's user and the invoices of its own; return those by id."""
    rows = locks.lock_subscriptions_of(invoice.subscription.user_id)
    invoices = locks.lock_invoices_of([invoice.subscription_id])
    for row in invoices.values():
        row.subscription = rows[row.subscription_id]
    return invoices


def _fit_of(payment: Payment, invoice: Invoice) -> Payment.Disposition:
    """Return how a payment fits its locked invoice.

    APPLIED: it pays the invoice or a part of it. UNMATCHED: it pays more than the invoice asks for, or
    an invoice that the gateway has given up. The gateway may have credited that money to the
    subscriber, so a person decides.
    """
    others = invoice.payments.filter(disposition=Disposition.APPLIED).exclude(pk=payment.pk)
    paid = payment.captured + (others.aggregate(total=Sum("captured"))["total"] or 0)
    if (
        payment.currency != invoice.currency
        or invoice.status in Invoice.GIVEN_UP
        or paid > invoice.amount
    ):
        if payment.disposition != Disposition.UNMATCHED:
            logger.error("Payment %s does not fit its invoice: it is in suspense.", payment.pk)
        return Disposition.UNMATCHED
    return Disposition.APPLIED


def _is_order_paid(order: Order, orders: Mapping[uuid.UUID, Order]) -> bool:
    """Tell whether the order is paid, or its buyer has bought the video with another order.

    A rental does not count, because it ends: the video can be rented again, or bought.
    """
    if any(
        other.status in Order.BOUGHT and other.kind == Order.Kind.BUY and other.pk != order.pk
        for other in orders.values()
    ):
        return True
    # An open order has no such payment: the transaction that applies one closes the order.
    is_open = order.status in Order.OPEN
    return not is_open and order.payments.filter(disposition=Disposition.APPLIED).exists()


def _must_not_be_paid(invoice: Invoice, subscription: Subscription) -> bool:
    """Return whether an invoice is of a duplicate subscription, of a time after the end of its own, or
    the renewal of a deactivated user.

    The gateway billed such a period because it had not heard of the end, or the deactivation, yet.
    """
    is_after_end = subscription.ended_at is not None and (
        subscription.period_end is None or invoice.period_start >= subscription.ended_at
    )
    is_renewal = invoice.period_start > subscription.created_at + FIRST_PAYMENT_WITHIN
    return (
        is_after_end
        or subscription.disposition == Subscription.Disposition.DUPLICATE
        or (is_renewal and not subscription.user.is_active)
    )
