"""The one form of an e-mail address."""

# ruff: noqa: RUF001 - texts of many scripts

import pytest
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage
from django.core.mail.message import sanitize_address
from hypothesis import given
from hypothesis import strategies as st

from config import emails


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("ann@example.com", "ann@example.com"),
        ("  Ann.O'Neil+films@EXAMPLE.Com ", "ann.o'neil+films@example.com"),
        ("ann@ｅxample。com", "ann@example.com"),
        ("ann@faß.example", "ann@xn--fa-hia.example"),
        ("ann@XN--FA-HIA.example", "ann@xn--fa-hia.example"),
        ("ann@fass.example", "ann@fass.example"),
        ("ann@MÜLLER.example", "ann@xn--mller-kva.example"),
        ("ann@mu\u0308ller.example", "ann@xn--mller-kva.example"),
        ("ann@σόλος.example", "ann@xn--wxaijb9b.example"),  # IDNA 2003 loses the final sigma
        ("ann@نامه\u200cای.example", "ann@xn--mgba3gch31f060k.example"),
        ("ann@exam\u200bple.com", "ann@example.com"),
        ("a" * 64 + "@example.com", "a" * 64 + "@example.com"),
    ],
)
def test_each_way_to_write_an_address_has_one_form(written, stored):
    assert emails.normal(written) == stored
    assert emails.normal(stored) == stored
    assert emails.normal(emails.readable(stored)) == stored


@pytest.mark.parametrize(
    "text",
    [
        "", "@", "ann", "ann@", "@example.com", "ann@example", "ann@example.com.", "ann@.com",
        "a b@example.com", "a..b@example.com", ".a@example.com", "ann@@example.com",
        '"ann"@example.com', '"a b"@example.com', "ann\\@example.com", "<ann@example.com>",
        "Ann <ann@example.com>", "ann@example.com,bob@example.com", "ann@a_b.example",
        "ann@[127.0.0.1]", "ann@[IPv6:::1]", "ann@127.0.0.1", "ann@-a.example", "ann@a-.example",
        "ann@ab--cd.example", "ann@xn--a.example", "ann@☃.example", "ann@ex＠ample.com",
        "ｂnn@example.com", "änn@example.com", "аnn@example.com",
        "ann@example.com\r\nBcc: bob@example.com", "ann\n@example.com", "ann@exam\x00ple.com",
        "ann\x7f@example.com", "ann\u202e@example.com", "ann@\udc80.com", "\ud800@example.com",
        "a" * 65 + "@example.com", "ann@" + "a" * 64 + ".com", "ann@" + "ä" * 63 + ".com",
        "a@" + "bcdefghi." * 28 + "com", "ann@" + "ﷺ." * 40 + "com", "x" * 1_000_000, "@" * 10_000,
    ],
)  # fmt: skip
def test_an_address_that_cannot_be_mailed_is_refused_with_a_sentence(text):
    with pytest.raises(ValidationError) as refusal:
        emails.normal(text)

    assert refusal.value.messages[0].endswith(".")
    assert len(refusal.value.messages) == 1
    assert emails.stored_forms(text) == [text.strip().lower()]


@given(st.emails() | st.text(alphabet="aB.@-_+'\"\\ ßäσ\u0301\u200d。\n", max_size=20))
def test_what_is_accepted_is_ascii_and_django_sends_it_unchanged(text):
    try:
        stored = emails.normal(text)
    except ValidationError:
        return
    assert stored.isascii()
    assert emails.normal(stored) == stored
    assert sanitize_address(stored, "utf-8") == stored
    assert EmailMessage("s", "b", to=[stored]).message()["To"] == stored


def test_a_part_of_an_address_is_found_in_its_stored_form():
    assert emails.in_ascii("faß.example") == "xn--fa-hia.example"
    assert emails.in_ascii("n@müller.example") == "n@xn--mller-kva.example"
    for text in ("ann", "Ann@Example.com", "Ännchen von Tharau", "ä" * 300, "ä..", "☃"):
        assert emails.in_ascii(text) == text
