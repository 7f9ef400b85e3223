"""The value of a subscription's period: what its subscriber has paid for it and not got back."""

from django.db.models import Sum

from payments.models import Payment, Refund, Subscription
from payments.periods import unused_part
from payments.services import access


def period_value(subscription: Subscription) -> int:
    """Return the value of the current period at its start, in minor units.

    It is the money that was paid for the period and kept, without refunds and disputed money. Where an
    upgrade began the period, the unused part of the value of the period before belongs to it too. So
    all that a subscriber has paid and not got back is the value of the time used plus the value of the
    rest, whatever was upgraded, refunded or disputed in between.
    """
    value = 0
    for invoice, payments in reversed(access.paid_periods(subscription)):
        value += sum(_kept(payment) for payment in payments)
        if invoice.ended_early_at is not None:
            value = unused_part(
                value, invoice.period_start, invoice.period_end, invoice.ended_early_at
            )
    return value


def _kept(payment: Payment) -> int:
    """Return a payment's money without disputed money and refunds, also those only requested so far."""
    going_back = payment.refunds.filter(status__in=[Refund.Status.REQUESTED, *Refund.COUNTS])
    total: int = going_back.aggregate(total=Sum("amount", default=0))["total"]
    return max(0, payment.captured - total - payment.disputed())
