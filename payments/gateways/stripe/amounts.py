"""Amounts as Stripe counts them. https://docs.stripe.com/currencies"""

from config.money import EXPONENTS, to_text
from payments.gateways.base import AmountRefused

# Without decimals for everybody, yet Stripe goes on counting their hundredths, which must be 00.
COUNTED_IN_HUNDREDTHS = {"ISK", "UGX"}
# Stripe's documented minimums in our minor units. A currency that is not listed has none of its own.
MINIMUMS = {
    "AUD": 50, "BRL": 50, "CAD": 50, "CHF": 50, "CZK": 1500, "DKK": 250, "EUR": 50, "GBP": 30,
    "HKD": 400, "INR": 50, "JPY": 50, "MXN": 1000, "NOK": 300, "NZD": 50, "PLN": 200, "SEK": 300,
    "SGD": 50, "USD": 50,
}  # fmt: skip
MAXIMUM = 99_999_999  # eight digits, as Stripe counts


def validate(amount: int, currency: str) -> None:
    """Raises AmountRefused for what Stripe would not charge."""
    counted = to_gateway(amount, currency)
    if amount <= 0:
        raise AmountRefused("The amount must be above zero.")
    if amount < MINIMUMS.get(currency, 0):
        least = to_text(MINIMUMS[currency], currency)
        raise AmountRefused(f"The least that can be paid in {currency} is {least}.")
    if counted > MAXIMUM:
        raise AmountRefused(f"This is more than can be paid at once in {currency}.")


def to_gateway(amount: int, currency: str) -> int:
    """Our minor units as Stripe's. Raises AmountRefused.

    >>> to_gateway(1999, "USD"), to_gateway(500, "JPY"), to_gateway(5, "ISK"), to_gateway(1990, "KWD")
    (1999, 500, 500, 1990)
    """
    if currency not in EXPONENTS:
        raise AmountRefused(f"{currency!r} is not a currency this service knows.")
    if EXPONENTS[currency] == 3 and amount % 10:
        raise AmountRefused(f"The last digit of an amount in {currency} must be 0.")
    return amount * 100 if currency in COUNTED_IN_HUNDREDTHS else amount


def from_gateway(amount: int, currency: str) -> int:
    """Stripe's units as ours; a currency that we do not know stays as it is.

    Raises ValueError rather than to round somebody's money.

    >>> from_gateway(500, "ISK"), from_gateway(500, "JPY"), from_gateway(1990, "KWD")
    (5, 500, 1990)
    """
    if currency not in COUNTED_IN_HUNDREDTHS:
        return amount
    if amount % 100:
        raise ValueError(f"{amount} hundredths of {currency}, which has none")
    return amount // 100


def fee_from_gateway(fee: int, currency: str) -> int:
    """A fee, which Stripe may reckon in parts of our units: rounded up, for it is our cost."""
    return -(-fee // 100) if currency in COUNTED_IN_HUNDREDTHS else fee
