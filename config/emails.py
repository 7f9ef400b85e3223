"""E-mail addresses: one stored form for all ways to write the same mailbox."""

import idna
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

LENGTH_MAX = 254  # RFC 5321, section 4.5.3.1.3: a path of 256 with its angle brackets
LOCAL_MAX = 64  # RFC 5321, section 4.5.3.1.1


def normal(text: str) -> str:
    """Return an address in the form in which it is stored and mailed. Raises ValidationError.

    The part before the @ is in lower case. The domain is in the ASCII form of IDNA 2008 (RFC 5891,
    with the mapping of UTS 46, non-transitional): "faß.example" becomes "xn--fa-hia.example" and not
    "fass.example", which is another owner's domain. Python's own codec "idna" is that of 2003.
    Refuses every address that a mail server without SMTPUTF8 (RFC 6531) cannot be asked to deliver to.
    """
    text = text.strip()
    if len(text) > LENGTH_MAX:
        raise _refusal(f"This e-mail address is longer than {LENGTH_MAX} characters.")
    local, _, domain = text.rpartition("@")
    if not local or not domain:
        raise _refusal("An e-mail address has an @ with text on both sides, as in ann@example.com.")
    if not local.isascii():
        raise _refusal(
            "Mail cannot be sent to this address, because the part before the @ has letters outside"
            " a to z. Use another address."
        )
    if '"' in local:
        raise _refusal(
            "Mail cannot be sent to an address with quotation marks. Use another address."
        )
    if len(local) > LOCAL_MAX:
        raise _refusal(f"The part before the @ is longer than {LOCAL_MAX} characters.")
    try:
        address = f"{local.lower()}@{idna.encode(domain, uts46=True, std3_rules=True).decode()}"
        validate_email(address)
    except (idna.IDNAError, ValidationError):
        raise _refusal(
            "This is no e-mail address that mail can be sent to. Check its spelling, above all the"
            " domain after the @."
        ) from None
    if len(address) > LENGTH_MAX:
        raise _refusal(
            f"This e-mail address is longer than {LENGTH_MAX} characters, with its domain in the ASCII"
            " form that mail uses."
        )
    return address


def validate(text: str) -> None:
    """Refuse, with a ValidationError, an address that has no normal form."""
    normal(text)


def stored_forms(text: str) -> list[str]:
    """Return the forms in which a user with this address may be stored; the last is its normal form.

    The first is the address as it was written, in lower case: an address that was stored before it had
    a normal form, or that has none, still finds its user.
    """
    written = text.strip().lower()
    try:
        return list(dict.fromkeys([written, normal(text)]))
    except ValidationError:
        return [written]


def in_ascii(text: str) -> str:
    """Return a part of an address with its domain as it is stored; a text that is none unchanged."""
    if len(text) > LENGTH_MAX or text.isascii():
        return text
    local, at, domain = text.rpartition("@")
    try:
        return local + at + idna.encode(domain, uts46=True).decode()
    except idna.IDNAError:
        return text


def readable(address: str) -> str:
    """Return a stored address with the letters of its domain, as people write it."""
    local, at, domain = address.rpartition("@")
    try:
        return local + at + idna.decode(domain)
    except idna.IDNAError:
        return address


def _refusal(text: str) -> ValidationError:
    return ValidationError(text, code="invalid")
