"""Money is exact and never rounded; a CSV cell never runs as a formula."""

import csv
import doctest
import io
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import money
from config.api.csv import cell, csv_response

currencies = st.sampled_from(sorted(money.EXPONENTS))
amounts = st.integers(-money.MAX_MINOR, money.MAX_MINOR)


def test_the_examples_in_the_docstrings():
    assert doctest.testmod(money).failed == 0


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("0", "USD", 0),
        ("19.99", "USD", 1999),
        ("19.9", "USD", 1990),
        ("19.990", "USD", 1999),
        (19.99, "USD", 1999),
        (Decimal("0.01"), "EUR", 1),
        ("1e2", "USD", 10_000),
        (" 5 ", "USD", 500),
        ("-3.50", "USD", -350),
        ("100", "JPY", 100),
        ("1.234", "KWD", 1234),
        ("10000000000.00", "USD", money.MAX_MINOR),
    ],
)
def test_amounts(text, currency, minor):
    assert money.to_minor(text, currency) == minor


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("1.001", "USD"),
        ("1.0000000000000000000000000001", "USD"),
        ("0.1", "JPY"),
        ("1.2345", "KWD"),
        ("10000000000.01", "USD"),
        ("1e300", "USD"),
        ("1e-300", "USD"),
        ("1e999999999999999999", "USD"),
        ("NaN", "USD"),
        ("sNaN", "USD"),
        ("Infinity", "USD"),
        ("-inf", "USD"),
        ("", "USD"),
        ("1,50", "USD"),
        ("1_000", "USD"),
        ("١٢", "USD"),
        ("0x10", "USD"),
        ("$5", "USD"),
        ("9" * 5000, "USD"),
        (float("nan"), "USD"),
        (None, "USD"),
        ("5", "XXX"),
        ("5", "usd"),
        ("5", ""),
    ],
)
def test_an_invalid_amount_is_refused(text, currency):
    with pytest.raises(money.NotMoney):
        money.to_minor(text, currency)


@given(amounts, currencies)
def test_text_and_back_is_the_same_amount(minor, currency):
    text = money.to_text(minor, currency)

    assert money.to_minor(text, currency) == minor
    digits = money.EXPONENTS[currency]
    assert len(text.partition(".")[2]) == digits
    assert "E" not in text


@given(st.text(max_size=40) | st.decimals().map(str) | st.floats().map(str), currencies)
def test_any_text_is_an_exact_amount_or_refused(text, currency):
    try:
        minor = money.to_minor(text, currency)
    except money.NotMoney:
        return
    assert Decimal(text.strip()) * 10 ** money.EXPONENTS[currency] == minor


@given(st.integers(0, money.MAX_MINOR), st.integers(0, money.BASIS_POINTS))
def test_the_two_parts_add_up_to_the_whole(net, fee):
    share = money.creator_share(net, fee)
    platform = net - share

    assert 0 <= share <= net
    assert platform * money.BASIS_POINTS <= net * fee < (platform + 1) * money.BASIS_POINTS


@pytest.mark.parametrize(
    ("net", "fee", "share"),
    [(0, 2000, 0), (1, 2000, 1), (5, 2000, 4), (999, 3000, 700), (100, 10_000, 0), (100, 0, 100)],
)
def test_the_odd_cent_is_the_creators(net, fee, share):
    assert money.creator_share(net, fee) == share


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "=HYPERLINK(1)"])
def test_a_cell_runs_no_formula(text):
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(-5, "-5"), (None, ""), (1.5, "1.5"), ("a=1", "a=1"), ("", ""), ("'=", "'=")],
)
def test_numbers_and_plain_text_are_not_changed(value, shown):
    assert cell(value) == shown


@given(st.lists(st.lists(st.text(max_size=20), min_size=2, max_size=2), max_size=5))
def test_csv_reads_back_as_it_was(rows):
    answer = csv_response("name", ["a", "b"], rows)

    text = answer.getvalue().decode("utf-8", "surrogatepass")
    read = list(csv.reader(io.StringIO(text, newline="")))
    assert read == [["a", "b"], *[[cell(value) for value in row] for row in rows]]
