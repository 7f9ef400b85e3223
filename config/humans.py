"""Figures as people read them."""

from django.template.defaultfilters import filesizeformat

MINUTE, HOUR, DAY = 60, 3600, 86_400


def duration_text(seconds: float) -> str:
    """Return a duration with its two largest units.

    >>> duration_text(3725), duration_text(59.6), duration_text(0)
    ('1 h 2 min', '1 min', '0 s')
    """
    left = round(seconds)
    parts = []
    for size, unit in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (1, "s")):
        number, left = divmod(left, size)
        if number:
            parts.append(f"{number} {unit}")
    return " ".join(parts[:2]) or "0 s"


def size_text(octets: int) -> str:
    """Return a size in the unit that suits it, such as "1.5 GB"."""
    return filesizeformat(octets).replace("\xa0", " ")
