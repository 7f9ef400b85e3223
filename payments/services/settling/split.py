"""Booking of payments: the 80/20 split, and the difference between it and the books."""

import uuid
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from django.conf import settings

from config import rows
from payments.ledger import accounts, positions, posting
from payments.models import Coupon, JournalEntry, LedgerAccount, Order, Payment, Transfer

Disposition = Payment.Disposition
Role = LedgerAccount.Role


def book_payment(
    payment: Payment,
    *,
    kind: str,
    at: datetime,
    back: int | None = None,
    booked: dict[LedgerAccount, int] | None = None,
) -> None:
    """Book the difference between a payment's facts and its earlier entries, if there is one.

    There is one journal entry for each currency with a difference. ``kind`` is its kind, and ``back``
    the money that had gone back when its fact was taken over: by default, all that has gone back by
    now. ``booked`` is what `booked_of` has read under the lock. Call it with the payment's row locked,
    in the transaction that changed the facts: then it is safe to repeat.
    """
    if booked is None:
        # Its own rows count the entries: a payment without one has nothing booked.
        booked = _booked(payment) if payment.entries_booked else {}
    differing, clearing = _differences(payment, booked, back=back)
    changes: defaultdict[str, dict[LedgerAccount, int]] = defaultdict(dict)
    for account, change in differing.items():
        if change:
            changes[account.currency][account] = change
    for currency, of_currency in sorted(changes.items()):
        payment.entries_booked += 1
        posting.post(
            key=f"payment:{payment.pk}:{payment.entries_booked}",
            kind=kind,
            currency=currency,
            transfers=posting.transfers_for(of_currency, clearing[currency]),
            at=at,
            available_on=payment.available_on,
            payment=payment,
        )
    if changes:
        rows.save(payment, "entries_booked")


def differences(payment: Payment, *, back: int | None = None) -> dict[LedgerAccount, int]:
    """Return, for each account, the credit that a payment's facts require minus the booked one.

    ``back`` is the money that has gone back: by default, all by now. The clearing accounts of the
    payment's gateway are left out: they balance the others.
    """
    return _differences(payment, _booked(payment), back=back)[0]


def booked_of(payments: Iterable[Payment]) -> dict[uuid.UUID, dict[LedgerAccount, int]]:
    """Return what is booked for each of some payments, by their ids. One query.

    Each account comes in the order of `TransferQuerySet.net_by_account`.
    """
    ids = [payment.pk for payment in payments]
    nets = Transfer.objects.filter(entry__payment__in=ids).net_by_payment()
    return {payment_id: nets.get(payment_id, {}) for payment_id in ids}


def _booked(payment: Payment) -> dict[LedgerAccount, int]:
    return Transfer.objects.filter(entry__payment=payment).net_by_account()


def _differences(
    payment: Payment, booked: dict[LedgerAccount, int], *, back: int | None
) -> tuple[dict[LedgerAccount, int], dict[str, LedgerAccount]]:
    """Return what `differences` returns, and the clearing accounts of the payment by currency."""
    required = _required(payment, back=back)
    currencies = {key.currency for key in required} | {account.currency for account in booked}
    of_gateway = {
        currency: accounts.Key(Role.CLEARING, currency, gateway=payment.gateway)
        for currency in currencies
    }
    opened = accounts.of_each([*required, *of_gateway.values()], known=booked)
    clearing = {currency: opened[key] for currency, key in of_gateway.items()}
    by_account = {opened[key]: credit for key, credit in required.items()}
    return {
        account: by_account.get(account, 0) - booked.get(account, 0)
        for account in {**by_account, **booked}
        if account not in clearing.values()
    }, clearing


def _required(payment: Payment, *, back: int | None) -> dict[accounts.Key, int]:
    """Return the credits that a payment's facts require, without zeros."""
    credits = required_credits(
        facts_of(payment),
        back=payment.gone_back() if back is None else back,
        bank_fees=sum(dispute.fee for dispute in payment.disputes.all()),
        converted=[
            Converted(row.currency, row.amount, row.fee, row.presented)
            for row in payment.conversions.all()
        ],
    )
    owner_id = account_owner_id(payment)
    return {
        accounts.Key(role, currency, owner_id): credit
        for (role, currency), credit in credits.items()
        if credit
    }


class Converted(NamedTuple):
    """The facts of a `Conversion` that the books follow."""

    currency: str
    amount: int
    fee: int
    presented: int


class SplitFacts(NamedTuple):
    """The facts of a payment that its split follows from; amounts are minor units."""

    currency: str
    disposition: str
    captured: int
    fee: int
    recognised: int
    order_fee_bps: int | None  # None without an order
    discount: int | None
    funded_by: str | None  # of the order's coupon
    invoice_fee_bps: int | None  # None without an invoice


def facts_of(payment: Payment) -> SplitFacts:
    """Return the facts of a payment. No query if its order, coupon and invoice are loaded."""
    order, invoice = payment.order, payment.invoice
    coupon = order.coupon if order is not None else None
    return SplitFacts(
        payment.currency,
        payment.disposition,
        payment.captured,
        payment.fee,
        payment.recognised,
        order_fee_bps=order.fee_bps if order is not None else None,
        discount=order.discount if order is not None else None,
        funded_by=coupon.funded_by if coupon is not None else None,
        invoice_fee_bps=invoice.fee_bps if invoice is not None else None,
    )


def required_credits(
    facts: SplitFacts, *, back: int, bank_fees: int, converted: Iterable[Converted]
) -> dict[tuple[LedgerAccount.Role, str], int]:
    """Return the credits that the books must hold for a payment by role and currency.

    ``back`` has been refunded or is held by banks; ``bank_fees`` is the cost of its disputes, in the
    payment's currency. Clearing is left out: it holds what is on the gateway's balance, in each
    currency.
    """
    credits: defaultdict[tuple[LedgerAccount.Role, str], int] = defaultdict(int)
    for role, credit in _split(facts, back).items():
        credits[role, facts.currency] += credit
    credits[Role.FEES, facts.currency] -= facts.fee + bank_fees
    for currency, amount, fee, presented in converted:
        credits[Role.FX_TRADING, facts.currency] -= presented
        credits[Role.FX_TRADING, currency] += amount
        credits[Role.FEES, currency] -= fee
    return credits


def _split(facts: SplitFacts, back: int) -> positions.Credits:
    captured = facts.captured
    if facts.disposition == Disposition.DUPLICATE:
        return positions.of_duplicate(captured=captured, back=back)
    if facts.disposition != Disposition.APPLIED:
        return positions.of_unmatched(captured=captured, back=back)
    if facts.order_fee_bps is not None:
        return positions.of_sale(
            captured=captured,
            back=back,
            fee_bps=facts.order_fee_bps,
            subsidy=_subsidy(facts.discount or 0, facts.funded_by),
        )
    if facts.invoice_fee_bps is None:
        raise ValueError("A payment is applied, but has no order or invoice.")
    return positions.of_invoice(
        captured=captured, back=back, recognised=facts.recognised, fee_bps=facts.invoice_fee_bps
    )


def account_owner_id(payment: Payment) -> uuid.UUID | None:
    """Return the user of the personal account that a payment credits: a sale's creator, or the payer.

    None for a payment that credits no personal account.
    """
    if payment.disposition == Disposition.DUPLICATE:
        return payer_id(payment)
    if payment.disposition == Disposition.APPLIED and payment.order is not None:
        return payment.order.creator_id
    return None


def payer_id(payment: Payment) -> uuid.UUID | None:
    """Return the buyer or subscriber of a payment; None if it belongs to no order or invoice."""
    if payment.order is not None:
        return payment.order.buyer_id
    return payment.invoice.subscription.user_id if payment.invoice is not None else None


def _subsidy(discount: int, funded_by: str | None) -> int:
    """Return the part of a discount that the platform pays, in minor units."""
    return discount if funded_by == Coupon.Funding.PLATFORM else 0


def book_gift(order: Order, *, at: datetime) -> None:
    """Book the split of a free order. Without a subsidy by the platform there is nothing to book.

    A second booking of the same order raises IntegrityError.
    """
    credits = required_gift_credits(order)
    changes = {
        accounts.of(role, order.currency, order.creator_id): credits[role]
        for role in (Role.CREATOR, Role.PLATFORM)
    }
    posting.post(
        key=f"order:{order.pk}:gift",
        kind=JournalEntry.Kind.GIFT,
        currency=order.currency,
        transfers=posting.transfers_for(changes, accounts.of(Role.PROMOTIONS, order.currency)),
        at=at,
        available_on=hold_until_due(at, order),
        order=order,
    )


def reverse_gift(order: Order, *, at: datetime) -> None:
    """Book back all that is booked for a free order, with the hold of its earnings.

    A second call changes nothing. Call it with the order's row locked.
    """
    booked = Transfer.objects.filter(entry__order=order)
    changes = {account: -credit for account, credit in booked.net_by_account().items()}
    promotions = accounts.of(Role.PROMOTIONS, order.currency)
    changes.pop(promotions, None)
    posting.post(
        key=f"order:{order.pk}:gift:reversed",
        kind=JournalEntry.Kind.GIFT_REVERSED,
        currency=order.currency,
        transfers=posting.transfers_for(changes, promotions),
        at=at,
        available_on=booked.values_list("available_on", flat=True).first(),
        order=order,
    )


def required_gift_credits(order: Order) -> positions.Credits:
    """Return the credits that the books must hold for a free order, by role: none once it is revoked."""
    funded_by = order.coupon.funded_by if order.coupon is not None else None
    is_kept = order.status != Order.Status.REFUNDED
    return positions.of_gift(
        subsidy=_subsidy(order.discount, funded_by) if is_kept else 0, fee_bps=order.fee_bps
    )


def hold_until(earned_at: datetime) -> datetime:
    """Return the moment from which a creator's earning may be paid out: PAYOUT_HOLD_DAYS later."""
    return earned_at + timedelta(days=settings.PAYOUT_HOLD_DAYS)


def hold_until_due(earned_at: datetime, order: Order | None) -> datetime:
    """Return the end of the hold of a sale's earning, which for a pre-order begins with the video."""
    begins = order.available_from if order is not None else None
    return hold_until(max(earned_at, begins or earned_at))
