"""The money that the confirmation pages say, in minor units with its currency."""

from payments import models

PAYMENTS = ("payments__refunds", "payments__disputes")


def of_payment(payment):
    """Return the part of a payment that can still be refunded."""
    return max(0, payment.refundable()), payment.currency


def of_bought(row):
    """Return the part of an order's or invoice's applied payments that can still be refunded."""
    applied = models.Payment.Disposition.APPLIED
    payments = [each for each in row.payments.all() if each.disposition == applied]
    return sum(max(0, payment.refundable()) for payment in payments), row.currency


def of_payout(payout):
    """Return the amount of a payout."""
    return payout.amount, payout.currency


def of_debt(account):
    """Return the debt of a creator's account."""
    return max(0, -account.balance), account.currency
