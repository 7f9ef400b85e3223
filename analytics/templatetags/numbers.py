"""The forms in which the pages of figures show numbers."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from django import template
from django.utils.html import format_html

register = template.Library()


@register.filter
def duration(seconds: float) -> str:
    """Return a length of time for people: ``duration(3725)`` is "1 h 02 min"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {minutes:02} min"
    return f"{minutes} min {rest:02} s"


@register.filter
def thousands(number: int) -> str:
    """Return a count for people: ``thousands(30739)`` is "30,739"."""
    return f"{number:,}"


@register.filter
def hours(seconds: float) -> str:
    return f"{seconds / 3600:.4f}"


@register.filter
def seconds(moment: datetime) -> int:
    """Return a moment as seconds since 1970."""
    return int(moment.timestamp())


@register.filter
def clock(moment: datetime, interval: str) -> str:
    """Return the name of a step on the clock of its own zone, which templates would change to UTC."""
    return f"{moment:%Y-%m-%d %H:%M %z}" if interval == "hour" else f"{moment:%Y-%m-%d}"


@register.filter
def plain(number: float) -> str:
    return f"{number:g}"


@register.filter
def part(number: int, most: int) -> str:
    return f"{number / most:.0%}" if most else "none"


@register.simple_tag
def bar(value: float | str, most: Mapping[str, Decimal | int], currency: str) -> str:
    """Return a bar as long as a figure is beside the largest one of its currency, or of its table.

    The figure stands beside it, so that readers of screens are not told it twice.
    """
    longest = most.get(currency, 0)
    if not longest:
        return ""
    part = max(0.0, float(Decimal(value) / longest))
    return format_html(
        '<meter min="0" max="1" value="{}" aria-hidden="true"></meter>', f"{part:.3f}"
    )


@register.filter
def percent(ratio: float) -> str:
    return f"{ratio:.2%}"
