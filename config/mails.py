"""Mails as templates: one file a mail, from which the subject, the text and the HTML are made.

A mail's template extends ``layout`` and fills two blocks, ``subject`` and ``body``, with the tags of
`config.templatetags.mails`. It is rendered once for each layout of `config/templates/config/mails`, so
that the text and the HTML cannot say different things.
"""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.template import Context, Engine

SUBJECT_MAX = 200  # characters
# WCAG 2.2, "relative luminance": the weights of red, green and blue, and the contrast's offset.
_WEIGHTS = (0.2126, 0.7152, 0.0722)


@dataclass(frozen=True, slots=True)
class Mail:
    """A rendered mail. ``subject`` is one line, and ``html`` a whole document."""

    subject: str
    text: str
    html: str


def render(template: str, **facts: Any) -> Mail:
    """Return the mail of a template. The HTML escapes the facts; subject and text have them as they are.

    Line breaks in the subject become spaces, so that no fact adds a header (RFC 5322, section 2.2).
    """
    subject = " ".join(_rendered(template, "subject.txt", facts).split())[:SUBJECT_MAX]
    text = _rendered(template, "base.txt", facts).strip() + "\n"
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    html = _rendered(template, "base.html", {**facts, "heading": subject})
    return Mail(subject, text, html)


def _rendered(template: str, layout: str, facts: dict[str, Any]) -> str:
    context = Context(
        {
            **facts,
            "layout": f"config/mails/{layout}",
            "brand_name": settings.BRAND_NAME,
            "brand_colour": settings.BRAND_COLOUR,
            "on_brand": text_colour_on(settings.BRAND_COLOUR),
            "brand_logo": settings.BRAND_LOGO_URL,
            "home": page("/"),
        },
        autoescape=layout.endswith(".html"),
    )
    return Engine.get_default().get_template(template).render(context)


def page(path: str) -> str:
    """Return the address of one of this service's pages. It never comes from a request's Host header."""
    return f"{settings.PUBLIC_URL or f'http://localhost:{settings.PORT}'}{path}"


def watch_page(video_id: object) -> str:
    """Return the address of the page on which a video is watched."""
    return page(f"/watch/{video_id}")


def text_colour_on(colour: str) -> str:
    """Return black or white, whichever has the higher contrast on ``#rrggbb`` (WCAG 2.2, 1.4.3)."""
    channels = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    linear = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    luminance = sum(weight * c for weight, c in zip(_WEIGHTS, linear, strict=True))
    return "#ffffff" if 1.05 / (luminance + 0.05) >= (luminance + 0.05) / 0.05 else "#000000"
