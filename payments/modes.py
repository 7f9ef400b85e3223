"""The mode of the database: the kind of money that its orders, balances and entitlements rest on.

`payments.gateways` compares it with the mode of the gateway before each call; this module only reads
and records it, and tells which rows belong to the present mode.
"""

from datetime import UTC, datetime

from django.db.models import Q, Subquery, Value
from django.db.models.functions import Coalesce

from config.prepared import Prepared
from payments.models import MoneyMode

Mode = MoneyMode.Mode
FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_ALWAYS = Value(FIRST)
_PRESENT = Prepared(lambda: MoneyMode.objects.order_by("-number").values_list("mode")[:1])


def of_database() -> Mode | None:
    """Return the mode of the database, or None before its first order or subscription."""
    rows = _PRESENT.rows()
    return Mode(rows[0][0]) if rows else None


def record_first_use(mode: Mode) -> Mode:
    """Give a database without a mode this one; return the mode that it has now. Safe to repeat."""
    known = of_database()
    if known is not None:
        return known
    MoneyMode.objects.bulk_create([MoneyMode(number=1, mode=mode)], ignore_conflicts=True)
    return of_database() or mode  # another process may have been first


def of_present(field: str, *, until: datetime | None = None) -> Q:
    """Return the condition that the moment in ``field`` lies in the present mode. Costs no query.

    With ``until``: in the mode that the database had just before that moment.

    >>> Transfer.objects.filter(of_present("entry__effective_at"))  # doctest: +SKIP
    """
    switches = MoneyMode.objects.filter(began_at__isnull=False)
    if until is not None:
        switches = switches.filter(began_at__lt=until)
    latest = Subquery(switches.order_by("-number").values("began_at")[:1])
    return Q(**{f"{field}__gte": Coalesce(latest, _ALWAYS)})


def began_before(moment: datetime) -> datetime:
    """Return when the mode began that the database had just before a moment: 1970 for the first one."""
    switches = MoneyMode.objects.filter(began_at__lt=moment).order_by("-number")
    began_at: datetime | None = switches.values_list("began_at", flat=True).first()
    return began_at or FIRST


def is_over(moment: datetime) -> bool:
    """Return whether a moment lies before the present mode, so that nothing of it counts any more."""
    return MoneyMode.objects.filter(began_at__gt=moment).exists()
