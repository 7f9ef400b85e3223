"""The 80/20 split: what the books must hold for a payment, and the difference posted."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Sum

from payments.ledger import accounts, positions, posting
from payments.models import Coupon, JournalEntry, LedgerAccount, Order, Payment, Transfer

Disposition = Payment.Disposition
Role = LedgerAccount.Role


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
        accounts.of(role, payment.currency, owner): credit
        for role, credit in credits.items()
        if credit
    }


def wanted(payment: Payment, *, back: int, bank_fees: int) -> tuple[positions.Credits, object]:
    """The credits by role, and whose the accounts are that people have: asks the database nothing
    when the payment's order, coupon, invoice and subscription are loaded.

    ``back`` has been refunded or is held by banks, ``bank_fees`` are what their disputes cost.
    """
    credits, owner = _credits(payment, back)
    return {**credits, Role.FEES: -(payment.fee + bank_fees)}, owner


def _credits(payment: Payment, back: int) -> tuple[positions.Credits, object]:
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
        return {Role.CUSTOMER_REFUND: left, Role.LOSSES: -lost}, payer_id(payment)
    return {Role.SUSPENSE: left, Role.LOSSES: -lost}, None


def subsidy(order: Order) -> int:
    """The part of the list price that the platform pays."""
    coupon = order.coupon
    by_platform = coupon is not None and coupon.funded_by == Coupon.Funding.PLATFORM
    return order.discount if by_platform else 0


def book_gift(order: Order, *, at: datetime) -> None:
    """The split of an order that cost nothing, when the platform pays for it."""
    credits = wanted_gift(order)
    promotions = accounts.of(Role.PROMOTIONS, order.currency)
    changes = {
        accounts.of(role, order.currency, order.creator_id): credits[role]
        for role in (Role.CREATOR, Role.PLATFORM)
    }
    posting.post(
        key=f"order:{order.pk}:gift",
        kind=JournalEntry.Kind.GIFT,
        currency=order.currency,
        legs=posting.legs(changes, promotions),
        at=at,
        available_on=hold_until(at),
        order=order,
    )


def wanted_gift(order: Order) -> positions.Credits:
    """The credits by role of an order that cost nothing."""
    return positions.of_gift(subsidy=subsidy(order), fee_bps=order.fee_bps)


def payer_id(payment: Payment):
    if payment.order is not None:
        return payment.order.buyer_id
    return payment.invoice.subscription.user_id if payment.invoice is not None else None


def hold_until(earned_at: datetime) -> datetime:
    """When what a creator earned then may be paid out."""
    return earned_at + timedelta(days=settings.PAYOUT_HOLD_DAYS)
