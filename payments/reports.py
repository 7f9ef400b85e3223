"""What was earned, from the books: read side."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Case, Count, F, Q, Sum, When
from django.db.models.functions import TruncDay

from payments.ledger import balances
from payments.models import LedgerAccount, Order, Payment, Refund, Subscription, Transfer

Kind = LedgerAccount.Kind


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
    sales = _sales(Q(order__creator_id=creator_id), period)
    earned = balances.net_credits(
        Q(owner_id=creator_id, kind=Kind.LIABILITY), period.of("entry__effective_at")
    )
    return [
        {**_sale(sales, currency), "currency": currency, "earnings": earned.get(currency, 0)}
        for currency in sorted(sales.keys() | earned.keys())
    ]


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


def platform_totals(period: Period) -> list[dict]:
    """By currency, in minor units. ``gross - refunds - disputes = creator_share + platform_share -
    losses + deferred + suspense`` holds for every period."""
    sales = _sales(Q(), period)
    entries = period.of("entry__effective_at")
    parts = {
        "creator_share": balances.net_credits(Q(code__startswith="creator:"), entries),
        "platform_share": balances.net_credits(Q(code__startswith="platform:"), entries),
        "deferred": balances.net_credits(Q(code__startswith="deferred:"), entries),
        "suspense": balances.net_credits(Q(code__startswith="suspense:"), entries),
        "losses": {
            currency: -amount
            for currency, amount in balances.net_credits(
                Q(code__startswith="losses:"), entries
            ).items()
        },
        "fees": {},
        "disputes": {},
    }
    subscribers = _subscribers()
    currencies = set(sales) | set(subscribers) | {c for part in parts.values() for c in part}
    return [
        {
            "currency": currency,
            **_sale(sales, currency),
            **{name: part.get(currency, 0) for name, part in parts.items()},
            **subscribers.get(currency, {"active_subscriptions": 0, "mrr": 0}),
        }
        for currency in sorted(currencies)
    ]


def purchases(condition: Q, period: Period) -> int:
    """How many films were bought, refunded ones included."""
    return Order.objects.filter(condition, period.of("paid_at"), paid_at__isnull=False).count()


def _sales(condition: Q, period: Period) -> dict[str, dict]:
    """Captures and refunds by currency; a condition speaks of the payment's order."""
    found: dict[str, dict] = {}
    captures = (
        Payment.objects.filter(condition, period.of("captured_at"), captured__gt=0)
        .values("currency")
        .annotate(gross=Sum("captured"), sales=Count("order"))
    )
    for row in captures:
        found.setdefault(row["currency"], {}).update(gross=row["gross"], sales=row["sales"])
    of_payment = Q(payment__in=Payment.objects.filter(condition)) if condition else Q()
    refunds = (
        Refund.objects.filter(of_payment, period.of("created_at"), status__in=Refund.COUNTS)
        .values("payment__currency")
        .annotate(total=Sum("amount"))
    )
    for row in refunds:
        found.setdefault(row["payment__currency"], {})["refunds"] = row["total"]
    return found


def _sale(sales: dict[str, dict], currency: str) -> dict:
    row = {"sales": 0, "gross": 0, "refunds": 0, **sales.get(currency, {})}
    return {**row, "net": row["gross"] - row["refunds"]}


def _subscribers() -> dict[str, dict]:
    monthly = Case(
        When(plan__interval="year", then=F("plan__amount") / 12), default=F("plan__amount")
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


def video_earnings(video_id: uuid.UUID, period: Period) -> list[dict]:
    """What one film earned its creator, by currency, in minor units."""
    of_film = Q(entry__payment__order__video_id=video_id) & period.of("entry__effective_at")
    earned = balances.net_credits(Q(kind=Kind.LIABILITY, owner__isnull=False), of_film)
    return [{"currency": currency, "earnings": total} for currency, total in sorted(earned.items())]
