"""The rule for names that other people see."""

# ruff: noqa: RUF001 - texts of many scripts

import time

import pytest
from django.core.exceptions import ValidationError

from config.texts import validate_name


@pytest.mark.parametrize(
    "name",
    [
        "Ann", "O’Neil", "a  b", "Tiếng Việt", "한국어", "葛\U000e0100城", "ไก่ ที่นี่", "བརྒྱུད",
        "שָׁלוֹם", "בְּרֵאשִׁ֖ית", "السلام عليكم", "می\u200cخواهم", "नमस्\u200dते", "क्\u200cष",
        "❤\ufe0f", "1\ufe0f\u20e3", "👨\u200d👩\u200d👧", "🏳\ufe0f\u200d🌈", "🧑🏽\u200d🚀",
        "🏴\u200d☠\ufe0f", "👁\ufe0f\u200d🗨\ufe0f", "🙂\u200d↔\ufe0f",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "\U0001fae9 newer than this Python",
    ],
)  # fmt: skip
def test_names_of_all_scripts_and_emoji_are_accepted(name):
    validate_name(name)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        *((f"a{letter}b", f"U+{ord(letter):04X}") for letter in (
            "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"  # direction
            "\u200b\u2060\ufeff\u00ad\u034f\u180e\u115f\u3164\uffa0\u2800\u2062\ufff9"  # invisible
            "\U000e0001\U000e0041\u17b4"
            "\x00\x07\t\n\r\x1b\x7f\x85\u2028\u2029\ud800"  # control, line breaks, half characters
        )),
        ("a\u200db", "U+200D"),  # a joiner that joins nothing
        ("a\u200cb", "U+200C"),
        ("\u200d", "U+200D"),
        ("👨\u200d", "U+200D"),
        ("👨\u200d\u200d👩", "U+200D"),
        ("می\u200c\u200cخواهم", "U+200C"),
        ("\ufe0fa", "U+FE0F"),
        ("a\ufe0f\ufe0f", "U+FE0F"),
        ("🏴\U000e0067", "U+E0067"),
        ("e" + "\u0301" * 6, "accents"),
        ("Z\u0335\u0348\u0359\u030e\u0342algo", "accents"),
        ("a" + "\u0489" * 50, "accents"),
    ],
)  # fmt: skip
def test_a_name_that_deceives_is_refused_and_the_reason_is_named(name, reason):
    with pytest.raises(ValidationError) as refusal:
        validate_name(name)

    assert reason in refusal.value.messages[0]


def test_a_text_that_is_no_name_costs_nothing():
    """A megabyte of accents in a wrong order would take minutes to be put in order."""
    started = time.thread_time()

    validate_name("\u0301\u0327" * 500_000)

    assert time.thread_time() - started < 1
