"""What was earned, from the books: read side."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from django.db.models import BigIntegerField, Case, Count, F, Q, Sum, Value, When
from django.db.models.functions import TruncDay

from payments.ledger import balances
from payments.models import Payment, Refund, Subscription, Transfer


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
    sales = _sales("order__creator_id", creator_id, period)
    earned = creator_earned(creator_id, period)
    return [
        {**_sale(sales, currency), "currency": currency, "earnings": earned.get(currency, 0)}
        for currency in sorted(sales.keys() | earned.keys())
    ]


def creator_earned(
    creator_id: uuid.UUID, period: Period, video_id: uuid.UUID | None = None
) -> dict[str, int]:
    """What the books say was earned, by all films or by one: currency to minor units. One query."""
    return balances.owed_to(creator_id, _entries(period, video_id))


def creator_series(creator_id: uuid.UUID, period: Period, group_by: str) -> list[dict]:
    """Earnings by ``day``, ``video`` or ``source``, in minor units."""
    key = {
        "day": TruncDay("entry__effective_at"),
        "video": F("entry__payment__order__video_id"),
        "source": F("entry__kind"),
    }[group_by]
    mine = Q(credit__owner_id=creator_id) | Q(debit__owner_id=creator_id)
    signed = Case(When(credit__owner_id=creator_id, then=F("amount")), default=-F("amount"))
    rows = (
        Transfer.objects.filter(mine, period.of("entry__effective_at"))
        .annotate(bucket=key)
        .values("bucket", "currency")
        .annotate(earnings=Sum(signed))
        .order_by("bucket", "currency")
    )
    return list(rows)


def platform_totals(period: Period, video_id: uuid.UUID | None = None) -> list[dict]:
    """By currency, in minor units, of everything or of one film. ``gross - refunds - disputes =
    creator_share + platform_share - losses + deferred + suspense`` holds for every period."""
    sales = _sales("order__video_id", video_id, period)
    booked = balances.net_credits(_entries(period, video_id))
    subscribers = _subscribers()
    currencies = {*sales, *subscribers, *(c for part in booked.values() for c in part)}

    def part(role: str, currency: str) -> int:
        return booked.get(role, {}).get(currency, 0)

    return [
        {
            "currency": currency,
            **_sale(sales, currency),
            "creator_share": part("creator", currency),
            "platform_share": part("platform", currency),
            "deferred": part("deferred", currency),
            "suspense": part("suspense", currency),
            "losses": -part("losses", currency),
            "fees": 0,
            "disputes": 0,
            **subscribers.get(currency, {"active_subscriptions": 0, "mrr": 0}),
        }
        for currency in sorted(currencies)
    ]


def _entries(period: Period, video_id: uuid.UUID | None) -> Q:
    of_film = Q(entry__payment__order__video_id=video_id) if video_id else Q()
    return of_film & period.of("entry__effective_at")


def _sales(field: str, value: uuid.UUID | None, period: Period) -> dict[str, dict]:
    """Captures and refunds by currency, of the payments whose ``field`` has the value. One query."""
    of_payment = Q(**{field: value}) if value else Q()
    of_refund = Q(**{f"payment__{field}": value}) if value else Q()
    captures = (
        Payment.objects.filter(of_payment, period.of("captured_at"), captured__gt=0)
        .values("currency", what=Value("gross"))
        .annotate(total=Sum("captured"), number=Count("order"))
    )
    refunds = (
        Refund.objects.filter(of_refund, period.of("counted_at"), status__in=Refund.COUNTS)
        .values(code=F("payment__currency"), what=Value("refunds"))
        .annotate(total=Sum("amount"), number=Count("pk"))
    )
    columns = ("what", "total", "number")
    found: dict[str, dict] = {}
    for currency, what, total, number in captures.values_list("currency", *columns).union(
        refunds.values_list("code", *columns), all=True
    ):
        row = found.setdefault(currency, {})
        row[what] = total
        if what == "gross":
            row["sales"] = number
    return found


def _sale(sales: dict[str, dict], currency: str) -> dict:
    row = {"sales": 0, "gross": 0, "refunds": 0, **sales.get(currency, {})}
    return {**row, "net": row["gross"] - row["refunds"]}


def _subscribers() -> dict[str, dict]:
    monthly = Case(
        When(plan__interval="year", then=F("plan__amount") / 12),
        default=F("plan__amount"),
        output_field=BigIntegerField(),
    )
    rows = (
        Subscription.objects.filter(status=Subscription.Status.ACTIVE)
        .values("plan__currency")
        .annotate(count=Count("pk"), mrr=Sum(monthly))
    )
    return {
        row["plan__currency"]: {"active_subscriptions": row["count"], "mrr": row["mrr"]}
        for row in rows
    }
