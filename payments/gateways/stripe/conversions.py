"""Movements on Stripe's balance, when it is kept in another currency than a payment's.

Stripe exchanges each movement at its own rate of that day. https://docs.stripe.com/currencies/conversions
"""

import logging
from collections.abc import Iterable, Iterator
from fractions import Fraction
from math import ceil

from config.money import EXPONENTS
from payments.gateways.base import ConversionSnapshot
from payments.gateways.json_fields import (
    Json,
    currency_of,
    integer,
    nested,
    objects,
    required_integer,
    required_text,
)
from payments.gateways.stripe.amounts import fee_from_gateway, from_gateway

logger = logging.getLogger(__name__)


def of_payment(
    intent: Json, *, captured: int, refunds: Iterable[Json], disputes: Iterable[Json]
) -> Iterator[ConversionSnapshot]:
    """Yield the conversions of a PaymentIntent's charge, refunds and disputes.

    ``captured`` is the captured amount in our minor units. A movement in the payment's own currency is
    no conversion. One in a currency that this service does not know is logged and left out: its money
    stays on the clearing account of the payment's currency.
    """
    currency = currency_of(intent)
    moved = [(nested(intent, "latest_charge", "balance_transaction"), captured)]
    for refund in refunds:
        amount = from_gateway(required_integer(refund, "amount"), currency)
        moved.append((nested(refund, "balance_transaction"), -amount))
        moved.append((nested(refund, "failure_balance_transaction"), amount))
    for dispute in disputes:
        moved += of_dispute(dispute, intent)
    for movement, presented in moved:
        settled_in = currency_of(movement)
        if not presented or settled_in in {"", currency}:
            continue
        if settled_in not in EXPONENTS:
            logger.error("Stripe settles in %s, which this service does not know.", settled_in)
            continue
        yield ConversionSnapshot(
            external_id=required_text(movement, "id"),
            currency=settled_in,
            amount=_settled(required_integer(movement, "amount"), settled_in),
            fee=fee_from_gateway(integer(movement, "fee"), settled_in),
            presented=presented,
        )


def disputed_amount(dispute: Json, intent: Json) -> int:
    """Return the disputed amount in our minor units of the payment's currency.

    A bank may claim it in the currency of the balance. It is then the same fraction of the payment as
    of the settled charge; without that charge, it is the whole payment.
    """
    currency, claimed_in = currency_of(intent), currency_of(dispute)
    claimed = required_integer(dispute, "amount")
    if claimed_in in {"", currency}:
        return from_gateway(claimed, currency)
    paid = from_gateway(required_integer(intent, "amount"), currency)
    charge = nested(intent, "latest_charge", "balance_transaction")
    if currency_of(charge) != claimed_in or not integer(charge, "amount"):
        return paid
    return min(paid, round(Fraction(paid * claimed, integer(charge, "amount"))))


def of_dispute(dispute: Json, intent: Json) -> list[tuple[Json, int]]:
    """Return the movements of a dispute, each with its amount in the payment's currency.

    Stripe tells that amount only for the dispute as a whole. The first withdrawal in another currency
    has taken it; the other movements are set in proportion to it, each at its own exchange rate.
    """
    currency = currency_of(intent)
    amount = disputed_amount(dispute, intent)
    movements = objects(dispute.get("balance_transactions"))
    foreign = [movement for movement in movements if currency_of(movement) != currency]
    withdrawal = next((one for one in foreign if required_integer(one, "amount") < 0), None)
    return [
        (
            movement,
            from_gateway(required_integer(movement, "amount"), currency)
            if currency_of(movement) == currency
            else _presented(movement, withdrawal, amount),
        )
        for movement in movements
    ]


def _presented(movement: Json, withdrawal: Json | None, amount: int) -> int:
    """Return the amount of a foreign movement in the payment's currency; 0 without a withdrawal.

    A difference that the rounding to the settled currency can explain is no difference.
    """
    if withdrawal is None:
        return 0
    settled = -required_integer(withdrawal, "amount")
    taken = Fraction(settled) / _rate(withdrawal)
    moved = Fraction(required_integer(movement, "amount")) / _rate(movement)
    presented = min(amount, round(amount * moved / taken))
    if abs(abs(presented) - amount) <= max(1, ceil(Fraction(amount, settled))):
        return amount if presented > 0 else -amount
    return presented


def _rate(movement: Json) -> Fraction:
    """Return a movement's exchange rate; 1 if Stripe names none."""
    rate = movement.get("exchange_rate")
    return Fraction(str(rate)) if isinstance(rate, int | float) and rate > 0 else Fraction(1)


def _settled(amount: int, currency: str) -> int:
    """Convert a settled amount to our minor units, rounded down: against us, as a fee is."""
    return -fee_from_gateway(-amount, currency)
