"""Amounts as Stripe counts them."""

import doctest

import pytest

from config.money import EXPONENTS
from payments.gateways import json_fields
from payments.gateways.base import AmountRefused
from payments.gateways.stripe import amounts


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
def test_both_ways(ours, currency, theirs):
    assert amounts.to_gateway(ours, currency) == theirs
    assert amounts.from_gateway(theirs, currency) == ours


@pytest.mark.parametrize("currency", sorted(EXPONENTS))
def test_what_goes_there_comes_back(currency):
    for amount in (10, 1990, 99_990):
        assert amounts.from_gateway(amounts.to_gateway(amount, currency), currency) == amount


@pytest.mark.parametrize("amount", [1995, 1991, 1])
def test_the_last_of_three_digits_must_be_zero(amount):
    with pytest.raises(AmountRefused):
        amounts.to_gateway(amount, "KWD")
    with pytest.raises(AmountRefused):
        amounts.validate(amount, "KWD")


@pytest.mark.parametrize(
    ("least", "currency"),
    [(50, "USD"), (30, "GBP"), (400, "HKD"), (1500, "CZK"), (50, "JPY"), (1, "ISK"), (10, "KWD")],
)
def test_the_least_that_can_be_paid(least, currency):
    amounts.validate(least, currency)

    with pytest.raises(AmountRefused):
        amounts.validate(least - 1, currency)


def test_the_least_is_told_in_the_digits_of_the_currency():
    with pytest.raises(AmountRefused, match=r"The least that can be paid in USD is 0\.50\."):
        amounts.validate(49, "USD")


@pytest.mark.parametrize(
    ("most", "currency"),
    [(99_999_999, "USD"), (99_999_999, "JPY"), (999_999, "ISK"), (99_999_990, "KWD")],
)
def test_the_most_that_can_be_paid(most, currency):
    amounts.validate(most, currency)

    with pytest.raises(AmountRefused):
        amounts.validate(most + (10 if currency == "KWD" else 1), currency)


@pytest.mark.parametrize("amount", [0, -1999])
def test_nothing_and_less(amount):
    with pytest.raises(AmountRefused):
        amounts.validate(amount, "USD")


@pytest.mark.parametrize("currency", ["XXX", "usd", ""])
def test_a_currency_that_we_do_not_know(currency):
    with pytest.raises(AmountRefused):
        amounts.validate(1999, currency)


def test_a_payment_in_a_currency_that_we_do_not_know_can_still_be_read():
    assert amounts.from_gateway(1999, "THB") == 1999


def test_nobodys_money_is_rounded():
    with pytest.raises(ValueError, match="hundredths of ISK"):
        amounts.from_gateway(150, "ISK")


@pytest.mark.parametrize(("theirs", "currency", "ours"), [(88, "USD", 88), (8801, "ISK", 89)])
def test_a_fee_is_rounded_up(theirs, currency, ours):
    assert amounts.fee_from_gateway(theirs, currency) == ours


def test_every_minimum_is_of_a_currency_of_ours():
    assert set(amounts.MINIMUMS) <= set(EXPONENTS)


@pytest.mark.parametrize("module", [amounts, json_fields])
def test_the_examples_in_the_docstrings(module):
    results = doctest.testmod(module)

    assert results.attempted > 0
    assert results.failed == 0
