"""The parts of a mail. Each is written as text or as HTML, whichever its layout is made of.

The layout of HTML escapes (``autoescape``), and the one of text does not: this tells them apart. Mail
programs drop style sheets, so the styles stand in the elements.
"""

from django import template
from django.template import Context
from django.utils.html import format_html
from django.utils.safestring import mark_safe

register = template.Library()

LINK = "{link}"  # where the link of a mail stands that is made when the mail is sent
_BUTTON = (
    '<p style="margin:24px 0 8px;"><a href="{url}" style="display:inline-block;padding:12px 22px;'
    "border-radius:8px;background-color:{colour};color:{on};font-weight:600;text-decoration:none;"
    '">{label}</a></p>'
    '<p class="quiet" style="margin:0 0 24px;font-size:13px;line-height:1.5;color:#5b5b66;'
    'word-break:break-all;">{url}</p>'
)
_QUOTE = (
    '<blockquote class="quote" style="margin:0 0 16px;padding:10px 16px;border-left:3px solid {colour};'
    'background-color:#f4f4f7;white-space:pre-line;" dir="auto">{words}</blockquote>'
)


@register.simple_block_tag(takes_context=True)
def paragraph(context: Context, content: str) -> str:
    """Write a paragraph. Its line breaks are those of the template, and become spaces."""
    return _lines(context, content, '<p style="margin:0 0 16px;">{}</p>')


@register.simple_block_tag(takes_context=True)
def fine(context: Context, content: str) -> str:
    """Write a paragraph in small letters: the number of an order, and the like."""
    style = "margin:24px 0 0;font-size:13px;line-height:1.5;color:#5b5b66;word-break:break-word;"
    return _lines(context, content, f'<p class="quiet" style="{style}">{{}}</p>')


def _lines(context: Context, content: str, html: str) -> str:
    words = " ".join(content.split())
    if not context.autoescape:
        return f"{words}\n\n"
    return format_html(html, mark_safe(words))  # noqa: S308 - the block has escaped it


@register.simple_tag(takes_context=True)
def button(context: Context, url: str, label: str) -> str:
    """Write a link to a page: a button with the address below it, or both as text.

    What is no web address is shown and not linked.
    """
    if not context.autoescape:
        return f"{label}:\n{url}\n\n"
    if url != LINK and not url.startswith(("https://", "http://")):
        return format_html('<p style="margin:0 0 16px;">{}: {}</p>', label, url)
    colour, on = context["brand_colour"], context["on_brand"]
    return format_html(_BUTTON, url=url, label=label, colour=colour, on=on)


@register.simple_tag(takes_context=True)
def quote(context: Context, words: str) -> str:
    """Write a person's own words, with their line breaks."""
    words = words.strip()
    if not context.autoescape:
        return f"{words}\n\n"
    return format_html(_QUOTE, words=words, colour=context["brand_colour"])
