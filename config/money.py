"""Money: integer minor units inside, a decimal string with the currency's own digits outside."""

import re
from decimal import Context, Decimal

# Digits after the decimal point, ISO 4217. Only these currencies are accepted.
EXPONENTS = {
    "AUD": 2, "BRL": 2, "CAD": 2, "CHF": 2, "CZK": 2, "DKK": 2, "EUR": 2, "GBP": 2, "HKD": 2,
    "INR": 2, "ISK": 0, "JPY": 0, "KRW": 0, "KWD": 3, "MXN": 2, "NOK": 2, "NZD": 2, "PLN": 2,
    "SEK": 2, "SGD": 2, "UGX": 0, "USD": 2, "ZAR": 2,
}  # fmt: skip
MAX_MINOR = 10**12  # a price no video has; sums of many stay far below 2**63

BASIS_POINTS = 10_000

# A decimal number as JSON spells one; Decimal alone would also take "1_000", "١٢" and "NaN".
_AMOUNT = re.compile(r"[+-]?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?")
_EXACT = Context(prec=100)  # more digits than _AMOUNT lets through: nothing is ever rounded


class NotMoney(ValueError):
    """The text is no amount of this currency; the message says why."""


def to_minor(value: str | int | float | Decimal, currency: str) -> int:
    """The amount in minor units, exactly; never rounded.

    >>> to_minor("19.99", "USD"), to_minor(100, "JPY"), to_minor("1.990", "KWD")
    (1999, 100, 1990)
    """
    if currency not in EXPONENTS:
        raise NotMoney(f"{currency!r} is not a currency this service knows.")
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
    """The number as it is written; its currency is not asked.

    >>> to_decimal("19.99"), to_decimal(5)
    (Decimal('19.99'), Decimal('5'))
    """
    text = str(value).strip()
    if not _AMOUNT.fullmatch(text):
        raise NotMoney("A valid amount is required.")
    return Decimal(text)


def to_text(minor: int, currency: str) -> str:
    """The amount as the API shows it.

    >>> to_text(1999, "USD"), to_text(100, "JPY"), to_text(-5, "USD"), to_text(1990, "KWD")
    ('19.99', '100', '-0.05', '1.990')
    """
    return str(Decimal(minor).scaleb(-EXPONENTS[currency]))


def creator_share(net_minor: int, fee_bps: int) -> int:
    """What the creator gets of ``net_minor``: the platform's part is rounded down, never the creator's.

    >>> creator_share(1999, 2000), creator_share(1, 2000), creator_share(4, 2000)
    (1600, 1, 4)
    """
    return net_minor - net_minor * fee_bps // BASIS_POINTS
