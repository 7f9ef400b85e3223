"""The money of a dashboard: of its period and of the one before, from one reading of the books.

Amounts are in minor units. The figures are those of `payments.books.reports`: its tests compare them.
"""

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import BooleanField, Case, Count, IntegerField, Q, Sum, Value, When

from payments import modes
from payments.books.reports import (
    OF_VIDEO,
    PAYING,
    PURCHASE,
    SOURCE,
    Period,
    RevenueRow,
    booked_by,
    earning_transfers,
    purchase_transfers,
    with_net,
)
from payments.models import LedgerAccount, Subscription

Columns = dict[str, int]  # by the name of a column of RevenueRow
ByKey = dict[tuple[Any, ...], Columns]


@dataclass(frozen=True, slots=True)
class Money:
    """The money of one period: by currency, by video, and the earnings by source and currency."""

    revenue: list[RevenueRow] = field(default_factory=list)
    by_video: dict[uuid.UUID, list[RevenueRow]] = field(default_factory=dict)
    earned: dict[str, int] = field(default_factory=dict)
    earned_by_source: dict[tuple[str, str], int] = field(default_factory=dict)
    active_subscriptions: int = 0


def of_creator(
    owner_id: uuid.UUID,
    whole: Period,
    start: datetime,
    *,
    creator_id: uuid.UUID | None = None,
    video_id: uuid.UUID | None = None,
) -> tuple[Money, Money]:
    """Return the money of purchases, of a creator's videos or of one, with the owner's earnings.

    The first is that from ``start`` to the end of ``whole``, the second that before. Two queries.
    """
    purchases = purchase_transfers(whole, creator_id=creator_id, video_id=video_id)
    rows = booked_by(
        RevenueRow,
        purchases.annotate(earlier=_is_earlier("entry__effective_at", start), video=OF_VIDEO),
        *("earlier", "video"),
    )
    earnings = (
        earning_transfers(whole, video_id)
        .touching(owner_id=owner_id, role=LedgerAccount.Role.CREATOR)
        .annotate(earlier=_is_earlier("entry__effective_at", start), source=SOURCE)
        .values_list("earlier", "source", "currency")
        .annotate(earnings=Sum("net"))
        .order_by("source", "currency")
    )
    sources: tuple[dict[tuple[str, str], int], dict[tuple[str, str], int]] = {}, {}
    for earlier, source, currency, amount in earnings:
        sources[earlier][source, currency] = amount

    def money(of: int) -> Money:
        own = _only(rows, lambda key: key[0] == of)
        earned: defaultdict[str, int] = defaultdict(int)
        for (_, currency), amount in sources[of].items():
            earned[currency] += amount
        return Money(_revenue(own), _by_video(own), dict(earned), sources[of])

    return money(0), money(1)


def of_platform(
    whole: Period,
    start: datetime,
    *,
    video_id: uuid.UUID | None = None,
    sold_in: tuple[Iterable[str], Iterable[str]] = ((), ()),
) -> tuple[Money, Money]:
    """Return the platform's revenue, of everything or of one video, with its earnings.

    The first is that from ``start`` to the end of ``whole``, the second that before. ``sold_in`` are the
    currencies of the sales of both, which have a row in any case. Two queries.
    """
    transfers = earning_transfers(whole, video_id).annotate(
        earlier=_is_earlier("entry__effective_at", start),
        is_purchase=Case(
            When(PURCHASE, then=Value(True)), default=Value(False), output_field=BooleanField()
        ),
        video=OF_VIDEO,
        source=SOURCE,
    )
    rows = booked_by(RevenueRow, transfers, "earlier", "is_purchase", "video", "source")
    subscribed: tuple[set[str], set[str]] = set(), set()
    active = 0
    if video_id is None:
        subscribed, active = _subscribers(whole, start)

    def money(of: int) -> Money:
        own = _only(rows, lambda key: key[0] == of)
        by_source = _sum(own, lambda key: (key[3], key[4]))
        revenue = _revenue(own, {*sold_in[of], *subscribed[of]})
        return Money(
            revenue=revenue,
            earned={row.currency: row.platform_share for row in revenue},
            by_video=_by_video(_only(own, lambda key: bool(key[1])), place=2),
            earned_by_source={
                key: columns.get("platform_share", 0) for key, columns in sorted(by_source.items())
            },
            active_subscriptions=active,
        )

    return money(0), money(1)


def _is_earlier(moment: str, start: datetime) -> Case:
    return Case(
        When(**{f"{moment}__lt": start}, then=Value(1)),
        default=Value(0),
        output_field=IntegerField(),
    )


def _only(rows: ByKey, is_wanted: Callable[[tuple], bool]) -> ByKey:
    return {key: columns for key, columns in rows.items() if is_wanted(key)}


def _sum(rows: ByKey, key_of: Callable[[tuple], tuple]) -> ByKey:
    """Return the sums of the rows by another key."""
    summed: ByKey = defaultdict(lambda: defaultdict(int))
    for key, columns in rows.items():
        into = summed[key_of(key)]
        for name, amount in columns.items():
            into[name] += amount
    return summed


def _revenue(rows: ByKey, more: Iterable[str] = ()) -> list[RevenueRow]:
    """Return one row for each currency, which is the last part of a key, and for those in ``more``."""
    summed = _sum(rows, lambda key: key[-1:])
    return [
        RevenueRow(currency=currency, **with_net(summed.get((currency,), {})))
        for currency in sorted({*(currency for (currency,) in summed), *more})
    ]


def _by_video(rows: ByKey, place: int = 1) -> dict[uuid.UUID, list[RevenueRow]]:
    """Return the rows of each video, whose id stands at this place of a key, by currency."""
    by_video: defaultdict[uuid.UUID, ByKey] = defaultdict(dict)
    for key, columns in rows.items():
        by_video[key[place]][key] = columns
    return {video: _revenue(own) for video, own in by_video.items()}


def _subscribers(whole: Period, start: datetime) -> tuple[tuple[set[str], set[str]], int]:
    """Return the currencies of the subscriptions of both periods, and how many pay now: one query.

    A subscription is one of a period if it pays now, or ended in the period.
    """
    ended = Q(ended_at__isnull=False, period_start__isnull=False)
    now = ended & Period(start, whole.end).of("ended_at")
    before = ended & Period(whole.start, start).of("ended_at")
    rows = (
        Subscription.objects.filter(modes.of_present("created_at"), PAYING | now | before)
        .values_list("plan__currency")
        .annotate(
            active=Count("pk", filter=PAYING),
            now=Count("pk", filter=now),
            before=Count("pk", filter=before),
        )
    )
    found: tuple[set[str], set[str]] = set(), set()
    total = 0
    for currency, active, *ends in rows:
        total += active
        for of, number in enumerate(ends):
            if active or number:
                found[of].add(currency)
    return found, total
