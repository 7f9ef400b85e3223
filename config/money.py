"""Conversion of money between integer minor units (inside) and decimal strings (in the API).

A minor unit is the smallest unit of a currency in ISO 4217, such as one cent of USD.
"""

import re
from decimal import Context, Decimal

# The currencies that the service accepts, with their digits after the decimal point (ISO 4217).
EXPONENTS = {
    "AUD": 2, "BRL": 2, "CAD": 2, "CHF": 2, "CZK": 2, "DKK": 2, "EUR": 2, "GBP": 2, "HKD": 2,
    "INR": 2, "ISK": 0, "JPY": 0, "KRW": 0, "KWD": 3, "MXN": 2, "NOK": 2, "NZD": 2, "PLN": 2,
    "SEK": 2, "SGD": 2, "UGX": 0, "USD": 2, "ZAR": 2,
}  # fmt: skip
# The largest single amount. Sums of millions of such amounts still fit into a database integer (2**63).
MAX_MINOR = 10**12

BASIS_POINTS = 10_000  # in a whole: one basis point is 1/100 of a percent

# A decimal number as JSON writes it. Decimal alone would also accept "1_000", "١٢" and "NaN".
_AMOUNT = re.compile(r"[+-]?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?")
_EXACT = Context(prec=100)  # more digits than _AMOUNT accepts, so that no amount is ever rounded


class NotMoney(ValueError):
    """The error for a value that is not an amount of the currency. The message gives the reason."""


def to_minor(value: str | int | float | Decimal, currency: str) -> int:
    """Return an amount in minor units. Raises NotMoney instead of rounding.

    >>> to_minor("19.99", "USD"), to_minor(100, "JPY"), to_minor("1.990", "KWD")
    (1999, 100, 1990)
    """
    if currency not in EXPONENTS:
        raise NotMoney(f"{currency!r} is not a currency that this service accepts.")
    amount = to_decimal(value)
    if abs(amount) > MAX_MINOR:
        raise NotMoney("This amount is too large.")
    minor = amount.scaleb(EXPONENTS[currency], context=_EXACT)
    if minor != minor.to_integral_value():
        raise NotMoney(f"{currency} has {EXPONENTS[currency]} digits after the decimal point.")
    if abs(minor) > MAX_MINOR:
        raise NotMoney("This amount is too large.")
    return int(minor)


def to_decimal(value: str | int | float | Decimal) -> Decimal:
    """Return an amount as a Decimal, without a check against a currency. Raises NotMoney.

    >>> to_decimal("19.99"), to_decimal(5)
    (Decimal('19.99'), Decimal('5'))
    """
    text = str(value).strip()
    if not _AMOUNT.fullmatch(text):
        raise NotMoney("A valid amount is required.")
    return Decimal(text)


def to_text(minor: int, currency: str) -> str:
    """Return an amount in minor units as the API shows it, with all digits of the currency.

    >>> to_text(1999, "USD"), to_text(100, "JPY"), to_text(-5, "USD"), to_text(1990, "KWD")
    ('19.99', '100', '-0.05', '1.990')
    """
    digits = EXPONENTS[currency]
    if not digits:
        return str(minor)
    whole, part = divmod(abs(minor), 10**digits)
    return f"{'-' if minor < 0 else ''}{whole}.{part:0{digits}}"


def creator_share(net_minor: int, fee_bps: int) -> int:
    """Return the creator's part of ``net_minor``, after a platform fee of ``fee_bps`` basis points.

    The fee is rounded down, so that the creator gets the odd minor unit.

    >>> creator_share(1999, 2000), creator_share(1, 2000), creator_share(4, 2000)
    (1600, 1, 4)
    """
    return net_minor - net_minor * fee_bps // BASIS_POINTS
