"""The sandbox's cards. Stripe's names, so that a client's tests need no second set."""

from dataclasses import dataclass

from payments.gateways.base import MethodUnknown


@dataclass(frozen=True, slots=True)
class Card:
    decline_code: str = ""
    needs_authentication: bool = False  # when the buyer is there; renewals are exempt
    fails_on_renewal: bool = False
    refund_status: str = "succeeded"


METHODS = {
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
    """Raises MethodUnknown."""
    try:
        return METHODS[payment_method]
    except KeyError:
        raise MethodUnknown(payment_method) from None
