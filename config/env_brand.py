"""Readers of the settings that give mails the operator's look."""

import re
from urllib.parse import urlsplit

from config.env import masked, read, text, wrong

NAME_MAX = 60  # characters
URL_MAX = 500
# CSS Color 4, section 5.2: the hexadecimal notation, without an alpha channel.
_HEX = re.compile(r"#(?:[0-9a-f]{3}|[0-9a-f]{6})", re.ASCII)


def name(name: str, default: str) -> str:
    """Return a name of one line, of at most NAME_MAX characters."""
    value = text(name, default).strip()
    if len(value) > NAME_MAX or not value.isprintable():
        wrong(name, f"it must be one line of at most {NAME_MAX} characters", example=default)
        return default
    return value


def colour(name: str, default: str) -> str:
    """Return a colour as ``#rrggbb``, from CSS's ``#rgb`` or ``#rrggbb``."""
    value = text(name, default).strip().lower()
    if not _HEX.fullmatch(value):
        wrong(name, "it must be a colour of CSS as #rgb or #rrggbb", example=default)
        return default
    return value if len(value) == 7 else "#" + "".join(digit * 2 for digit in value[1:])


def picture(name: str) -> str:
    """Return the https address of a picture, or an empty string."""
    value = read(name).strip()
    try:
        parts = urlsplit(value)
        is_good = parts.scheme == "https" and bool(parts.hostname) and "@" not in parts.netloc
        _ = parts.port
    except ValueError:
        is_good = False
    is_plain = value.isprintable() and " " not in value and len(value) <= URL_MAX
    if value and not (is_good and is_plain):
        wrong(
            name,
            "it must be an https address of a picture, or empty",
            example="https://shop.example.com/logo.png",
            shown=f"={masked(value)}" if "@" in value else None,
        )
        return ""
    return value
