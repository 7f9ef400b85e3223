"""The cards of the sandbox, named like Stripe's test cards, so that a client needs one set of names."""

from dataclasses import dataclass

from payments.gateways.base import MethodUnknown


@dataclass(frozen=True, slots=True)
class Card:
    """A test card: how the bank answers when it is charged."""

    decline_code: str = ""  # empty for a card that is accepted
    needs_authentication: bool = False  # in a buyer's presence; a renewal goes through without it
    fails_on_renewal: bool = False
    refund_status: str = "succeeded"  # of a refund to this card


CARDS = {
    "pm_card_visa": Card(),
    "pm_card_mastercard": Card(),
    "pm_card_amex": Card(),
    "pm_card_chargeDeclined": Card("generic_decline"),
    "pm_card_chargeDeclinedInsufficientFunds": Card("insufficient_funds"),
    "pm_card_chargeDeclinedExpiredCard": Card("expired_card"),
    "pm_card_authenticationRequired": Card(needs_authentication=True),
    "pm_card_chargeCustomerFail": Card(fails_on_renewal=True),
    "pm_card_pendingRefund": Card(refund_status="pending"),
}


def card(payment_method: str) -> Card:
    """Return the card with this name. Raises MethodUnknown."""
    try:
        return CARDS[payment_method]
    except KeyError:
        raise MethodUnknown(payment_method) from None
