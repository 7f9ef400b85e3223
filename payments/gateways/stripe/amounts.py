"""Amounts as Stripe counts them. https://docs.stripe.com/currencies"""

from config.money import EXPONENTS, to_text
from payments.gateways.base import AmountRefused

# Currencies without decimals that Stripe counts in hundredths all the same. The hundredths must be 00.
COUNTED_IN_HUNDREDTHS = {"ISK", "UGX"}
# Stripe's documented minimums in our minor units. A currency that is not listed has no minimum.
MINIMUMS = {
    "AUD": 50, "BRL": 50, "CAD": 50, "CHF": 50, "CZK": 1500, "DKK": 250, "EUR": 50, "GBP": 30,
    "HKD": 400, "INR": 50, "JPY": 50, "MXN": 1000, "NOK": 300, "NZD": 50, "PLN": 200, "SEK": 300,
    "SGD": 50, "USD": 50,
}  # fmt: skip
MAXIMUM = 99_999_999  # in Stripe's units: at most eight digits


def validate(amount: int, currency: str) -> None:
    """Refuse an amount that Stripe would not charge. Raises AmountRefused."""
    at_stripe = to_gateway(amount, currency)
    if amount <= 0:
        raise AmountRefused("The amount must be above zero.")
    if amount < MINIMUMS.get(currency, 0):
        least = to_text(MINIMUMS[currency], currency)
        raise AmountRefused(f"The least that can be paid in {currency} is {least}.")
    if at_stripe > MAXIMUM:
        raise AmountRefused(f"This amount is too large to be paid at once in {currency}.")


def chargeable(amount: int, currency: str) -> int:
    """Return the largest amount up to ``amount`` that Stripe can charge; 0 below its minimum.

    >>> chargeable(2000, "USD"), chargeable(49, "USD"), chargeable(-5, "USD"), chargeable(1995, "KWD")
    (2000, 0, 0, 1990)
    """
    if amount < max(1, MINIMUMS.get(currency, 0)):
        return 0
    return amount - amount % 10 if EXPONENTS[currency] == 3 else amount


def to_gateway(amount: int, currency: str) -> int:
    """Convert our minor units to Stripe's. Raises AmountRefused.

    >>> to_gateway(1999, "USD"), to_gateway(500, "JPY"), to_gateway(5, "ISK"), to_gateway(1990, "KWD")
    (1999, 500, 500, 1990)
    """
    if currency not in EXPONENTS:
        raise AmountRefused(f"{currency!r} is not a currency that this service knows.")
    if EXPONENTS[currency] == 3 and amount % 10:
        raise AmountRefused(f"The last digit of an amount in {currency} must be 0.")
    return amount * 100 if currency in COUNTED_IN_HUNDREDTHS else amount


def from_gateway(amount: int, currency: str) -> int:
    """Convert Stripe's units to our minor units. Currencies that we do not know are left as they are.

    Raises ValueError for an amount that would have to be rounded.

    >>> from_gateway(500, "ISK"), from_gateway(500, "JPY"), from_gateway(1990, "KWD")
    (5, 500, 1990)
    """
    if currency not in COUNTED_IN_HUNDREDTHS:
        return amount
    if amount % 100:
        raise ValueError(f"{amount} hundredths of {currency} are not a whole amount of {currency}")
    return amount // 100


def fee_from_gateway(fee: int, currency: str) -> int:
    """Convert Stripe's fee to our minor units, rounded up: the fee is the platform's cost.

    >>> fee_from_gateway(150, "ISK"), fee_from_gateway(150, "USD")
    (2, 150)
    """
    return -(-fee // 100) if currency in COUNTED_IN_HUNDREDTHS else fee
