"""Conversion between our minor units and the units in which Stripe counts."""

import doctest

import pytest

from config.money import EXPONENTS
from payments.gateways import json_fields
from payments.gateways.base import AmountRefused
from payments.gateways.stripe import amounts


@pytest.mark.promise("currency-digits")
@pytest.mark.parametrize(
    ("ours", "currency", "theirs"),
    [
        (1999, "USD", 1999),
        (100, "JPY", 100),
        (5000, "KRW", 5000),
        (500, "ISK", 50_000),
        (4000, "UGX", 400_000),
        (1990, "KWD", 1990),
    ],
)
def test_amounts_are_converted_to_stripes_units_and_back(ours, currency, theirs):
    assert amounts.to_gateway(ours, currency) == theirs
    assert amounts.from_gateway(theirs, currency) == ours


@pytest.mark.parametrize("currency", sorted(EXPONENTS))
def test_converting_there_and_back_changes_no_amount(currency):
    for amount in (10, 1990, 99_990):
        assert amounts.from_gateway(amounts.to_gateway(amount, currency), currency) == amount


@pytest.mark.promise("currency-digits")
@pytest.mark.parametrize("amount", [1995, 1991, 1])
def test_three_decimal_amounts_must_end_in_zero(amount):
    with pytest.raises(AmountRefused):
        amounts.to_gateway(amount, "KWD")
    with pytest.raises(AmountRefused):
        amounts.validate(amount, "KWD")


@pytest.mark.parametrize(
    ("least", "currency"),
    [(50, "USD"), (30, "GBP"), (400, "HKD"), (1500, "CZK"), (50, "JPY"), (1, "ISK"), (10, "KWD")],
)
def test_the_minimum_is_accepted_and_one_unit_less_is_refused(least, currency):
    amounts.validate(least, currency)

    with pytest.raises(AmountRefused):
        amounts.validate(least - 1, currency)


def test_the_refusal_names_the_minimum_in_major_units():
    with pytest.raises(AmountRefused, match=r"The least that can be paid in USD is 0\.50\."):
        amounts.validate(49, "USD")


@pytest.mark.parametrize(
    ("most", "currency"),
    [(99_999_999, "USD"), (99_999_999, "JPY"), (999_999, "ISK"), (99_999_990, "KWD")],
)
def test_the_maximum_is_accepted_and_more_is_refused(most, currency):
    amounts.validate(most, currency)

    with pytest.raises(AmountRefused):
        amounts.validate(most + (10 if currency == "KWD" else 1), currency)


@pytest.mark.parametrize("amount", [0, -1999])
def test_zero_and_negative_amounts_are_refused(amount):
    with pytest.raises(AmountRefused):
        amounts.validate(amount, "USD")


@pytest.mark.parametrize("currency", ["XXX", "usd", ""])
def test_an_unknown_currency_is_refused(currency):
    with pytest.raises(AmountRefused):
        amounts.validate(1999, currency)


def test_an_amount_in_an_unknown_currency_can_still_be_read():
    assert amounts.from_gateway(1999, "THB") == 1999


def test_an_amount_that_would_need_rounding_is_refused():
    with pytest.raises(ValueError, match="hundredths of ISK"):
        amounts.from_gateway(150, "ISK")


@pytest.mark.parametrize(("theirs", "currency", "ours"), [(88, "USD", 88), (8801, "ISK", 89)])
def test_a_fee_is_rounded_up(theirs, currency, ours):
    assert amounts.fee_from_gateway(theirs, currency) == ours


def test_every_minimum_belongs_to_a_known_currency():
    assert set(amounts.MINIMUMS) <= set(EXPONENTS)


@pytest.mark.parametrize("module", [amounts, json_fields])
def test_the_examples_in_the_docstrings(module):
    results = doctest.testmod(module)

    assert results.attempted > 0
    assert results.failed == 0
