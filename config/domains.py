"""Domains whose pages may show a player in a frame: their form, and the header that names them."""

import re
from collections.abc import Sequence

import idna
from django.core.exceptions import ValidationError

ALL = "*"
DOMAINS_MAX = 50
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def normal(domain: str) -> str:
    """Return a domain in the form in which it is stored: lower case, and ASCII as RFC 5891 writes it.

    Taken are the name of a host, such a name after `*.` for all hosts below it, an IPv4 address, and `*`
    alone for every site. Raises ValidationError for everything else, an address or a port for example.
    """
    text = domain.strip().lower()
    if text == ALL:
        return text
    below, name = ("*.", text[2:]) if text.startswith("*.") else ("", text)
    name = name.rstrip(".")
    try:
        name = name if name.isascii() else idna.encode(name, uts46=True).decode()
    except idna.IDNAError:
        name = ""
    labels = name.split(".")
    is_short = len(name) <= 253 and (not below or len(labels) > 1)
    if not is_short or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValidationError(
            "This is no domain. Send a host name like example.com, *.example.com for all hosts below it,"
            " or * for every site: without https://, port and path."
        )
    return below + name


def normal_all(domains: Sequence[str]) -> list[str]:
    """Return the domains in normal form, each once, in the order sent. Raises ValidationError."""
    if len(domains) > DOMAINS_MAX:
        raise ValidationError(f"Send {DOMAINS_MAX} domains at most.")
    return list(dict.fromkeys(normal(domain) for domain in domains))


def of_text(text: str) -> list[str]:
    """Return the domains of a text, between blanks, line breaks or commas, as `normal_all` does."""
    return normal_all([domain for domain in re.split(r"[\s,]+", text) if domain])


def frame_ancestors(domains: Sequence[str]) -> str:
    """Return the directive of Content-Security-Policy (level 3, section 6.4.2) for these domains.

    Our own host always may. A domain stands for all its ports.
    """
    sources = [ALL] if ALL in domains else [f"{domain}:*" for domain in domains]
    return " ".join(["frame-ancestors 'self'", *sources])
