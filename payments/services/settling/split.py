"""The 80/20 split: what the books must hold for a payment, and the difference posted."""

from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Sum

from payments.ledger import accounts, positions, posting
from payments.models import LedgerAccount, Order, Payment, Transfer

Disposition = Payment.Disposition


def book_payment(payment: Payment, *, kind: str, at: datetime) -> None:
    """Bring the books to the payment's facts. Posts nothing when they are there already.

    Called with the payment's row locked, in the transaction that changed its facts.
    """
    changes = differences(payment)
    if not any(changes.values()):
        return
    number = payment.entries_booked + 1
    posting.post(
        key=f"payment:{payment.pk}:{number}",
        kind=kind,
        currency=payment.currency,
        legs=posting.legs(changes, accounts.clearing(payment.gateway, payment.currency)),
        at=at,
        available_on=payment.available_on,
        payment=payment,
    )
    payment.entries_booked = number
    payment.save(update_fields=["entries_booked"])


def differences(payment: Payment) -> dict[LedgerAccount, int]:
    """By account, what the books lack of what they must hold for a payment; clearing is left out."""
    clearing = accounts.clearing(payment.gateway, payment.currency)
    wanted = targets(payment)
    booked = Transfer.objects.filter(entry__payment=payment).net_by_account()
    booked.pop(clearing, None)
    return {
        account: wanted.get(account, 0) - booked.get(account, 0) for account in {**wanted, **booked}
    }


def targets(payment: Payment) -> dict[LedgerAccount, int]:
    """By account, the credit that the books must hold for a payment."""
    of_banks = payment.disputes.aggregate(total=Sum("fee"))["total"] or 0
    credits, owner = wanted(
        payment, back=payment.refunded() + payment.disputed(), bank_fees=of_banks
    )
    return {
        _account(role, payment.currency, owner): credit
        for role, credit in credits.items()
        if credit
    }


def wanted(payment: Payment, *, back: int, bank_fees: int) -> tuple[dict[str, int], object]:
    """The credits by role, and whose the accounts are that people have: asks the database nothing
    when the payment's order, coupon, invoice and subscription are loaded.

    ``back`` has been refunded or is held by banks, ``bank_fees`` are what their disputes cost.
    """
    credits, owner = _credits(payment, back)
    return {**credits, "fees": -(payment.fee + bank_fees)}, owner


def _credits(payment: Payment, back: int) -> tuple[dict[str, int], object]:
    """Credits by role, and whose the account is, for the roles that have one for each person."""
    captured = payment.captured
    if payment.disposition == Disposition.APPLIED and payment.order is not None:
        order = payment.order
        sale = positions.of_sale(
            captured=captured, back=back, fee_bps=order.fee_bps, subsidy=subsidy(order)
        )
        return sale, order.creator_id
    if payment.disposition == Disposition.APPLIED:
        invoice = payment.invoice
        return (
            positions.of_invoice(
                captured=captured,
                back=back,
                recognised=invoice.recognised,
                fee_bps=invoice.fee_bps,
            ),
            None,
        )
    left, lost = max(0, captured - back), max(0, back - captured)
    if payment.disposition == Disposition.DUPLICATE:
        return {"customer_refund": left, "losses": -lost}, payer_id(payment)
    return {"suspense": left, "losses": -lost}, None


def subsidy(order: Order) -> int:
    """The part of the list price that the platform pays."""
    coupon = order.coupon
    return order.discount if coupon is not None and coupon.funded_by == "platform" else 0


def book_gift(order: Order, *, at: datetime) -> None:
    """The split of an order that cost nothing, when the platform pays for it."""
    credits = wanted_gift(order)
    promotions = accounts.promotions(order.currency)
    changes = {
        accounts.creator(order.creator_id, order.currency): credits["creator"],
        accounts.platform(order.currency): credits["platform"],
    }
    posting.post(
        key=f"order:{order.pk}:gift",
        kind="gift",
        currency=order.currency,
        legs=posting.legs(changes, promotions),
        at=at,
        available_on=hold_until(at),
        order=order,
    )


def wanted_gift(order: Order) -> dict[str, int]:
    """The credits by role of an order that cost nothing."""
    return positions.of_gift(subsidy=subsidy(order), fee_bps=order.fee_bps)


def payer_id(payment: Payment):
    if payment.order is not None:
        return payment.order.buyer_id
    return payment.invoice.subscription.user_id if payment.invoice is not None else None


_OF_PERSONS: dict[str, Callable] = {
    "creator": accounts.creator,
    "customer_refund": accounts.customer_refund,
}
_OF_ALL: dict[str, Callable] = {
    "platform": accounts.platform,
    "promotions": accounts.promotions,
    "losses": accounts.losses,
    "fees": accounts.fees,
    "deferred": accounts.deferred,
    "pool": accounts.pool,
    "suspense": accounts.suspense,
}


def _account(role: str, currency: str, owner_id) -> LedgerAccount:
    if role in _OF_PERSONS:
        return _OF_PERSONS[role](owner_id, currency)
    return _OF_ALL[role](currency)


def hold_until(earned_at: datetime) -> datetime:
    """When what a creator earned then may be paid out."""
    return earned_at + timedelta(days=settings.PAYOUT_HOLD_DAYS)
