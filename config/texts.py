"""Names: short texts of one line that other people see. One rule for all of them."""

import re
import unicodedata

import idna
from django.core.exceptions import ValidationError

# Default_Ignorable_Code_Point of Unicode's DerivedCoreProperties.txt: these show nothing by themselves,
# and some of them (U+202A to U+202E, U+2066 to U+2069) turn the text around them. U+2800 is a Braille
# cell without dots, which is as empty.
INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
# Every field of a name is shorter, and refuses a longer text by its own limit. To put the accents of a
# very long text in order takes the square of their number.
CHECKED_MAX = 500
ZWNJ, ZWJ = "\u200c", "\u200d"
_VARIATION = re.compile("[\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")
# The flags of England, Scotland and Wales, and others of their kind (UTS 51, ED-14a).
_FLAG = re.compile("\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f")
# The categories of emoji, of the colours of skin among them, and of those newer than Python's Unicode.
_EMOJI = {"So", "Sk", "Sm", "Cn"}
MARKS_MAX = 4  # on one letter; the most that living scripts put there (Tibetan, pointed Hebrew)


def validate_name(text: str) -> None:
    """Refuse, with a ValidationError, a name that deceives about itself.

    Refused are control characters, invisible and direction-changing ones, half characters, and piles
    of accents. A joiner stays where it joins: in an emoji, and where RFC 5892 (appendices A.1 and A.2)
    allows it, such as in Persian and in the scripts of India. One variation selector may follow a
    visible character. This is the FreeformClass of RFC 8264 with these emoji, and without its rule on
    unassigned characters: a new emoji only has to be shown.
    """
    if len(text) > CHECKED_MAX:
        return
    text = _FLAG.sub("\U0001f3f4", text)
    for place, letter in enumerate(text):
        if unicodedata.category(letter) in {"Cc", "Cs", "Zl", "Zp"}:
            raise _refusal(letter, "is no part of a name")
        if INVISIBLE.match(letter) and not _is_wanted(text, place):
            raise _refusal(letter, "is invisible, or changes the direction of the text")
    if _marks_in_a_row(text) > MARKS_MAX:
        raise ValidationError(
            f"One letter of this text has more than {MARKS_MAX} accents. Use fewer.", code="invalid"
        )


def spellings(text: str) -> list[str]:
    """Return the ways to write a short text: its accents joined to their letters (NFC), and apart (NFD).

    Keyboards send the first form; names of files on a Mac have the second.
    """
    return list(dict.fromkeys(unicodedata.normalize(form, text) for form in ("NFC", "NFD")))


def folded(text: str | None) -> str | None:
    """Return a text by which two texts are compared without regard to case and to their `spellings`."""
    return None if text is None else unicodedata.normalize("NFC", text).casefold()


def _is_wanted(text: str, place: int) -> bool:
    """Return whether the invisible character at this place changes what people see of its neighbours."""
    letter, before, after = text[place], text[:place], text[place + 1 :]
    if not before:
        return False
    if _VARIATION.match(letter):
        return not INVISIBLE.match(before[-1]) and before[-1] != " "
    if letter == ZWJ:
        joined = before.rstrip("\ufe0f")[-1:] + after[:1]
        if len(joined) == 2 and {unicodedata.category(each) for each in joined} <= _EMOJI:
            return True
    return letter in {ZWNJ, ZWJ} and idna.valid_contextj(text, place)


def _marks_in_a_row(text: str) -> int:
    """Return the highest number of combining marks that follow one another, after composition."""
    most = row = 0
    for letter in unicodedata.normalize("NFC", text):
        is_mark = unicodedata.category(letter) in {"Mn", "Me"} and not INVISIBLE.match(letter)
        row = row + 1 if is_mark else 0
        most = max(most, row)
    return most


def _refusal(letter: str, reason: str) -> ValidationError:
    name = unicodedata.name(letter, "control character")
    return ValidationError(
        f"The character U+{ord(letter):04X} ({name}) {reason}. Remove it.", code="invalid"
    )
