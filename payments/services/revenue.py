"""The 80/20 split: what the books must hold for a payment, and the difference posted."""

from datetime import datetime

from payments.ledger import accounts, posting
from payments.ledger.positions import positions
from payments.models import Payment
from payments.services.settlement import refunded


def book_payment(payment: Payment, *, at: datetime) -> None:
    """Bring the books to the payment's facts. Posts nothing when they are there already.

    Called with the payment's row locked, in the transaction that changed its facts.
    """
    legs = _legs(payment)
    number = payment.entries_booked + 1
    entry = posting.post(
        key=f"payment:{payment.pk}:{number}",
        kind="capture" if number == 1 else "adjustment",
        currency=payment.currency,
        legs=legs,
        payment=payment,
        at=at,
    )
    if entry is not None:
        payment.entries_booked = number
        payment.save(update_fields=["entries_booked"])


def _legs(payment: Payment) -> list[posting.Leg]:
    currency, back = payment.currency, refunded(payment)
    clearing = accounts.clearing(payment.gateway, currency)
    if payment.disposition == Payment.Disposition.APPLIED and payment.order is not None:
        target = positions(captured=payment.captured, refunded=back, fee_bps=payment.order.fee_bps)
        creator = accounts.creator(payment.order.creator_id, currency)
        wanted = [
            (creator, target.creator),
            (accounts.platform(currency), target.platform),
            (accounts.losses(currency), -target.losses),  # an expense grows by debits
        ]
    elif payment.disposition == Payment.Disposition.APPLIED:
        # A subscription is earned as its period passes; until then it is owed.
        wanted = [(accounts.deferred(currency), payment.captured - back)]
    else:
        wanted = [(accounts.suspense(currency), payment.captured - back)]
    return [
        posting.move_to(clearing, account, amount - posting.booked(payment, account))
        for account, amount in wanted
    ]
