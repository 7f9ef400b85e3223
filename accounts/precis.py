"""The normal form of passwords: the profile OpaqueString of PRECIS (RFC 8265, section 4.2)."""

import unicodedata

from django.core.exceptions import ValidationError

from config.texts import INVISIBLE

LENGTH_MAX = (
    128  # characters in normal form: to hash a very long password would occupy the processor
)
# Characters as sent. One letter of the normal form may be sent as four. A longer text is not brought to
# its normal form at all: putting many accents in order takes the square of their number.
SENT_MAX = 4 * LENGTH_MAX

# What FreeformClass (RFC 8264, section 4.3) disallows by its category. Unassigned characters ("Cn") are
# among them: a device with a newer Unicode may send them in another order.
_DISALLOWED = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
# Against the RFC: emoji are written with these, and people use emoji in passwords.
_OF_EMOJI = {"\u200d", "\ufe0e", "\ufe0f"}
_OLD_JAMO = range(
    0x1100, 0x1200
)  # Hangul that was not composed to syllables (RFC 8264, section 9.9)


def opaque_string(password: str) -> str:
    """Return the form of a password that is hashed. Raises ValidationError.

    Every space becomes U+0020, and accented letters become the composed ones (NFC), so that all
    keyboards and systems send the same password. Nothing else is changed. The rules of RFC 5892 for the
    neighbours of single characters are not applied: they are about look-alikes, which do no harm here.
    """
    if len(password) > SENT_MAX:
        raise _too_long()
    spaced = "".join(" " if unicodedata.category(each) == "Zs" else each for each in password)
    form = unicodedata.normalize("NFC", spaced)
    if len(form) > LENGTH_MAX:
        raise _too_long()
    if not form:
        raise ValidationError("A password cannot be empty.", code="password_empty")
    for letter in form:
        if letter not in _OF_EMOJI and (
            unicodedata.category(letter) in _DISALLOWED
            or INVISIBLE.match(letter)
            or ord(letter) in _OLD_JAMO
        ):
            raise ValidationError(
                f"The character U+{ord(letter):04X} cannot be used in a password, because not every"
                " keyboard can send it. Choose a password without it.",
                code="password_characters",
            )
    return form


def forms(password: str) -> list[str]:
    """Return the forms in which a password may have been hashed, its normal form first.

    Passwords that were set before there was a normal form were hashed as they were sent. The number of
    forms, and with it the time of a sign-in, depends on the password alone and not on the account.
    """
    if not password or len(password) > SENT_MAX:
        return []
    try:
        return list(dict.fromkeys([opaque_string(password), password]))
    except ValidationError:
        return [password]


def _too_long() -> ValidationError:
    text = f"This password is longer than {LENGTH_MAX} characters. Choose a shorter one."
    return ValidationError(text, code="password_too_long")
