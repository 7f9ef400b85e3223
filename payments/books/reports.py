"""What was earned, from the books: read side."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from django.db.models import BigIntegerField, Case, Count, F, Q, Sum, Value, When
from django.db.models.functions import Coalesce, TruncDay

from payments.models import JournalEntry, LedgerAccount, Payment, Subscription, Transfer

Kind, Role = JournalEntry.Kind, LedgerAccount.Role
# Payouts and written-off debts move what was earned, and earn nothing.
EARNED = Q(entry__payout__isnull=True) & ~Q(entry__kind=Kind.WRITE_OFF)


@dataclass(frozen=True, slots=True)
class Period:
    """From ``start`` to just before ``end``; either may be open."""

    start: datetime | None = None
    end: datetime | None = None

    def of(self, field: str) -> Q:
        condition = Q()
        if self.start:
            condition &= Q(**{f"{field}__gte": self.start})
        if self.end:
            condition &= Q(**{f"{field}__lt": self.end})
        return condition


def creator_totals(creator_id: uuid.UUID, period: Period) -> list[dict]:
    """By currency, in minor units: sales, gross, refunds, and what the books say was earned."""
    of_creator = Q(entry__payment__order__creator_id=creator_id)
    sales = _sales(_net_by_kind(_entries(period) & of_creator))
    numbers = _numbers(period, order__creator_id=creator_id)
    earned = creator_earned(creator_id, period)
    return [
        {**_sale(sales, numbers, currency), "earnings": earned.get(currency, 0)}
        for currency in sorted({*sales, *numbers, *earned})
    ]


def creator_earned(
    creator_id: uuid.UUID, period: Period, video_id: uuid.UUID | None = None
) -> dict[str, int]:
    """What the books say was earned, by all videos or by one: currency to minor units. One query."""
    rows = (
        Transfer.objects.filter(_entries(period, video_id))
        .touching(owner_id=creator_id, role=Role.CREATOR)
        .values_list("currency")
        .annotate(earned=Sum("net"))
    )
    return dict(rows.order_by())


def creator_series(creator_id: uuid.UUID, period: Period, group_by: str) -> list[dict]:
    """Earnings by ``day``, ``video`` or ``source``, in minor units."""
    key = {
        "day": TruncDay("entry__effective_at"),
        "video": F("entry__payment__order__video_id"),
        "source": Case(
            When(entry__pool__isnull=False, then=Value("subscriptions")), default=Value("sales")
        ),
    }[group_by]
    rows = (
        Transfer.objects.filter(_entries(period))
        .touching(owner_id=creator_id, role=Role.CREATOR)
        .annotate(bucket=key)
        .values("bucket", "currency")
        .annotate(earnings=Sum("net"))
        .order_by("bucket", "currency")
    )
    return list(rows)


def platform_totals(period: Period, video_id: uuid.UUID | None = None) -> list[dict]:
    """By currency, in minor units, of everything or of one video.

    For every period ``gross - refunds - disputes = creator_share + platform_share - losses -
    promotions + deferred + pool + owed_back + suspense``. Gateways' fees stand beside it: they are
    the platform's expense and lower nobody's share.
    """
    entries = _entries(period, video_id)
    net = _net_by_kind(entries)
    sales = _sales(net)
    numbers = _numbers(period, **({"order__video_id": video_id} if video_id else {}))
    booked: dict[str, dict[str, int]] = {}
    for (currency, _kind, role), credit in net.items():
        of_role = booked.setdefault(role, {})
        of_role[currency] = of_role.get(currency, 0) + credit
    subscribers = {} if video_id else _subscribers(period)
    currencies = {*sales, *numbers, *subscribers}
    currencies |= {currency for of_role in booked.values() for currency in of_role}

    def part(role: str, currency: str) -> int:
        return booked.get(role, {}).get(currency, 0)

    return [
        {
            **_sale(sales, numbers, currency),
            "creator_share": part(Role.CREATOR, currency),
            "platform_share": part(Role.PLATFORM, currency),
            "deferred": part(Role.DEFERRED, currency),
            "pool": part(Role.POOL, currency),
            "owed_back": part(Role.CUSTOMER_REFUND, currency),
            "suspense": part(Role.SUSPENSE, currency),
            "losses": -part(Role.LOSSES, currency),
            "promotions": -part(Role.PROMOTIONS, currency),
            "fees": -part(Role.FEES, currency),
            **subscribers.get(currency, _NO_SUBSCRIBERS),
        }
        for currency in sorted(currencies)
    ]


def series(period: Period) -> list[dict]:
    """Gross, refunds, disputes and both shares by day and currency, in minor units, oldest first."""
    transfers = Transfer.objects.filter(_entries(period)).annotate(
        day=TruncDay("entry__effective_at")
    )
    net = transfers.net_by("day", "currency", "entry__kind", account=("role",))
    days: dict[tuple, dict] = {}
    for (day, currency, kind, role), credit in net.items():
        row = days.setdefault(
            (day, currency),
            {
                "day": day, "currency": currency, "gross": 0, "refunds": 0,
                "disputes": 0, "creator_share": 0, "platform_share": 0,
            },
        )  # fmt: skip
        if role in {Role.CREATOR, Role.PLATFORM}:
            row[f"{role}_share"] += credit
        elif role in _OUTSIDE:
            name, direction = _COLUMNS.get(kind, _COLUMNS[Kind.FEE])
            row[name] += direction * credit
    return [days[key] for key in sorted(days)]


def _entries(period: Period, video_id: uuid.UUID | None = None) -> Q:
    of_video = (
        Q(entry__payment__order__video_id=video_id) | Q(entry__order__video_id=video_id)
        if video_id
        else Q()
    )
    return EARNED & of_video & period.of("entry__effective_at")


# What a kind of entry moved between us and the gateway, and whether credits count up or down.
# A gateway's fee goes from clearing to fees and is neither.
_OUTSIDE = {Role.CLEARING, Role.FEES}
_COLUMNS = {
    Kind.CAPTURE: ("gross", -1),
    Kind.REFUND: ("refunds", 1),
    Kind.REFUND_REVERSED: ("refunds", 1),
    Kind.ADJUSTMENT: ("refunds", 1),
    Kind.DISPUTE: ("disputes", 1),
    Kind.DISPUTE_REINSTATED: ("disputes", 1),
    Kind.FEE: ("refunds", 1),  # sums to nothing, like what follows from no payment
}


def _net_by_kind(entries: Q) -> dict[tuple, int]:
    """Return credits minus debits by currency, kind of entry and role of account. One query."""
    return Transfer.objects.filter(entries).net_by("currency", "entry__kind", account=("role",))


def _sales(net: dict[tuple, int]) -> dict[str, dict]:
    """By currency, what came in and went back, from the books."""
    sales: dict[str, dict] = {}
    for (currency, kind, role), credit in net.items():
        if role in _OUTSIDE:
            name, direction = _COLUMNS.get(kind, _COLUMNS[Kind.FEE])
            sale = sales.setdefault(currency, {})
            sale[name] = sale.get(name, 0) + direction * credit
    return sales


def _numbers(period: Period, **of) -> dict[str, int]:
    """By currency, how many orders were paid."""
    sold = Payment.objects.filter(period.of("captured_at"), captured__gt=0, **of)
    rows = sold.values_list("currency").annotate(number=Count("order"))
    return dict(rows.order_by())


def _sale(sales: dict[str, dict], numbers: dict[str, int], currency: str) -> dict:
    row = {"gross": 0, "refunds": 0, "disputes": 0, **sales.get(currency, {})}
    return {
        "currency": currency,
        "sales": numbers.get(currency, 0),
        **row,
        "net": row["gross"] - row["refunds"] - row["disputes"],
    }


_NO_SUBSCRIBERS = {"active_subscriptions": 0, "mrr": 0, "churned_subscriptions": 0}


def _subscribers(period: Period) -> dict[str, dict]:
    """By currency: how many pay now, what that is a month, and how many ended within the time."""
    monthly = Case(
        When(plan__interval="year", then=F("plan__amount") / 12),
        default=F("plan__amount"),
        output_field=BigIntegerField(),
    )
    paying = Q(
        status__in=[Subscription.Status.ACTIVE, Subscription.Status.PAST_DUE],
        disposition=Subscription.Disposition.PRIMARY,
    )
    ended = period.of("ended_at") & Q(ended_at__isnull=False, period_start__isnull=False)
    rows = (
        Subscription.objects.filter(paying | ended)
        .values("plan__currency")
        .annotate(
            count=Count("pk", filter=paying),
            mrr=Coalesce(Sum(monthly, filter=paying), 0),
            churned=Count("pk", filter=ended),
        )
    )
    return {
        row["plan__currency"]: {
            "active_subscriptions": row["count"],
            "mrr": row["mrr"],
            "churned_subscriptions": row["churned"],
        }
        for row in rows
    }
