"""The forms in which the pages of figures show numbers."""

from datetime import datetime

from django import template

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


@register.filter
def percent(ratio: float) -> str:
    return f"{ratio:.2%}"
