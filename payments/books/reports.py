"""Reports on earnings, revenue and balances, read from the books. All amounts are in minor units."""

import uuid
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import BigIntegerField, Case, Count, F, Q, QuerySet, Sum, Value, When
from django.db.models.functions import Coalesce, TruncDay

from payments import modes
from payments.books.columns import Row, amount, columns, count, same_as
from payments.ledger.accounts import GATEWAY_SIDE
from payments.models import JournalEntry, LedgerAccount, Order, Payment, Subscription, Transfer
from payments.models.books import TransferQuerySet

Kind = JournalEntry.Kind
Role = LedgerAccount.Role
# Payouts and written-off debts move money that was earned before; they earn nothing.
EARNED = Q(entry__payout__isnull=True) & ~Q(entry__kind=Kind.WRITE_OFF)


# The video and the source of a transfer.
OF_VIDEO = Coalesce("entry__payment__order__video_id", "entry__order__video_id")
SOURCE = Case(
    When(
        Q(entry__pool__isnull=False) | Q(entry__payment__invoice__isnull=False),
        then=Value("subscriptions"),
    ),
    default=Value("sales"),
)
# The transfers about an order; a payment that pays none has another disposition.
PURCHASE = Q(
    entry__payment__disposition=Payment.Disposition.APPLIED, entry__payment__order__isnull=False
) | Q(entry__order__isnull=False)
# The subscriptions that pay now.
PAYING = Q(
    status__in=[Subscription.Status.ACTIVE, Subscription.Status.PAST_DUE],
    disposition=Subscription.Disposition.PRIMARY,
)


@dataclass(frozen=True, slots=True)
class SalesRow:
    """Sales and their refunds in one currency; `docs/glossary.md` defines each figure."""

    currency: str
    sales: int = count("Videos sold", help_text="Orders that were paid, each once.")
    gross: int = amount(
        "Gross",
        help_text="Paid for orders and, for the platform, for subscriptions.",
        kinds=(Kind.CAPTURE,),
        sign=-1,
    )
    # Entries of a kind that no column names count as refunds.
    refunds: int = amount("Refunds", kinds=(Kind.REFUND,))
    net: int = amount("Net of refunds and disputes")
    disputes: int = amount("Disputes", kinds=(Kind.DISPUTE, Kind.DISPUTE_REINSTATED))


@dataclass(frozen=True, slots=True)
class CreatorRow(SalesRow):
    """One creator's sales and earnings in one currency."""

    earnings: int = amount("Earnings")


@dataclass(frozen=True, slots=True)
class RevenueRow(SalesRow):
    """The platform's revenue in one currency, and the shares and balances that it became."""

    creator_share: int = amount("Creators' share", short="creators", role=Role.CREATOR)
    platform_share: int = amount("Platform's share", short="platform", role=Role.PLATFORM)
    fees: int = amount("Gateways' fees", role=Role.FEES, sign=-1)
    losses: int = amount("Losses", role=Role.LOSSES, sign=-1)
    deferred: int = amount(
        "Deferred: paid by subscribers, not yet earned",
        help_text="Subscriptions paid, not yet earned.",
        role=Role.DEFERRED,
    )
    pool: int = amount(
        "In the pool: earned, not yet shared",
        help_text="Earned by subscriptions, not yet shared among creators.",
        role=Role.POOL,
    )
    owed_back: int = amount(
        "Owed back to buyers",
        help_text="Paid twice, on its way back to the buyers.",
        role=Role.CUSTOMER_REFUND,
    )
    promotions: int = amount(
        "Promotions",
        help_text="Discounts paid by the platform.",
        role=Role.PROMOTIONS,
        sign=-1,
    )
    suspense: int = amount("Suspense", role=Role.SUSPENSE)
    mrr: int = amount("Monthly recurring revenue, now", help_text="Monthly recurring revenue, now.")
    active_subscriptions: int = count("Active subscriptions, now")
    churned_subscriptions: int = count(
        "Subscriptions that ended", help_text="Subscriptions that ended within the period."
    )


@dataclass(frozen=True, slots=True)
class RevenueDay:
    """The platform's revenue of one day (UTC) in one currency."""

    day: datetime
    currency: str
    gross: int = same_as(RevenueRow, "gross")
    refunds: int = same_as(RevenueRow, "refunds")
    disputes: int = same_as(RevenueRow, "disputes")
    creator_share: int = same_as(RevenueRow, "creator_share")
    platform_share: int = same_as(RevenueRow, "platform_share")


@dataclass(frozen=True, slots=True)
class EarningsRow:
    """One creator's earnings of a day, a video or a source, in one currency."""

    bucket: datetime | uuid.UUID | str | None  # None: the earnings of subscriptions, by video
    currency: str
    earnings: int = same_as(CreatorRow, "earnings")


# The equation that holds for every period, video and currency: the money that came in and did not go
# back equals the shares and balances that it became. Gateways' fees are no term: they are the
# platform's expense and lower no other share. Each term is a column and the sign of its value.
CAME_IN = [(column, -column.sign) for column in columns(RevenueRow) if column.kinds]
BECAME = [
    (column, column.sign)
    for column in columns(RevenueRow)
    if column.role is not None and column.role not in GATEWAY_SIDE
]
IDENTITY = (
    " = ".join(
        " ".join(f"{'+' if sign > 0 else '-'} {column.name}" for column, sign in side)
        for side in (CAME_IN, BECAME)
    )
    .replace("= + ", "= ")
    .removeprefix("+ ")
)


@dataclass(frozen=True, slots=True)
class Period:
    """The time from ``start`` to just before ``end``; None leaves that end open."""

    start: datetime | None = None
    end: datetime | None = None

    def of(self, field: str) -> Q:
        """Return the condition that the moment in ``field`` lies within the period."""
        condition = Q()
        if self.start:
            condition &= Q(**{f"{field}__gte": self.start})
        if self.end:
            condition &= Q(**{f"{field}__lt": self.end})
        return condition


def creator_totals(creator_id: uuid.UUID, period: Period) -> list[CreatorRow]:
    """Return a creator's sales, gross, refunds and earnings by currency. Three queries."""
    booked = booked_by(CreatorRow, purchase_transfers(period, creator_id=creator_id))
    sales = _sales(period, creator_id=creator_id)
    earned = creator_earned(creator_id, period)
    return [
        CreatorRow(
            currency=currency,
            sales=sales.get(currency, 0),
            earnings=earned.get(currency, 0),
            **with_net(booked.get((currency,), {})),
        )
        for currency in sorted({*(key for (key,) in booked), *sales, *earned})
    ]


def creator_earned(
    creator_id: uuid.UUID, period: Period, video_id: uuid.UUID | None = None
) -> dict[str, int]:
    """Return a creator's earnings by currency, of all videos or of one. One query."""
    rows = (
        earning_transfers(period, video_id)
        .touching(owner_id=creator_id, role=Role.CREATOR)
        .values_list("currency")
        .annotate(earned=Sum("net"))
    )
    return dict(rows.order_by())


def purchases(
    period: Period, *, creator_id: uuid.UUID | None = None, video_id: uuid.UUID | None = None
) -> list[RevenueRow]:
    """Return the money of purchases by currency: of all, of a creator's videos, or of one video.

    The columns are those of `platform_totals`; the ones that count sales and subscriptions are left
    at 0. `IDENTITY` holds. One query.
    """
    transfers = purchase_transfers(period, creator_id=creator_id, video_id=video_id)
    booked = booked_by(RevenueRow, transfers)
    return [
        RevenueRow(currency=currency, **with_net(booked[(currency,)]))
        for (currency,) in sorted(booked)
    ]


def sold(
    period: Period, *, creator_id: uuid.UUID | None = None, video_id: uuid.UUID | None = None
) -> QuerySet[Order]:
    """Return the sales of a period: of everything, of a creator's videos, or of one video."""
    of = {"creator_id": creator_id, "video_id": video_id}
    chosen = {name: value for name, value in of.items() if value is not None}
    present = modes.of_present("created_at")
    return Order.objects.sold().filter(present, period.of("paid_at"), **chosen)


def creator_series(
    creator_id: uuid.UUID, period: Period, group_by: str, video_id: uuid.UUID | None = None
) -> list[EarningsRow]:
    """Return a creator's earnings by currency and ``day``, ``video`` or ``source``. One query.

    They are those of all videos or of one, as in `creator_earned`.
    """
    key = {
        "day": TruncDay("entry__effective_at"),
        "video": OF_VIDEO,
        "source": SOURCE,
    }[group_by]
    rows = (
        earning_transfers(period, video_id)
        .touching(owner_id=creator_id, role=Role.CREATOR)
        .annotate(bucket=key)
        .values_list("bucket", "currency")
        .annotate(earnings=Sum("net"))
        .order_by("bucket", "currency")
    )
    return [EarningsRow(*row) for row in rows]


def platform_totals(period: Period, video_id: uuid.UUID | None = None) -> list[RevenueRow]:
    """Return the platform's revenue by currency, of everything or of one video. Three queries.

    `IDENTITY` holds for each of them.
    """
    booked = booked_by(RevenueRow, earning_transfers(period, video_id))
    sales = _sales(period, video_id=video_id)
    subscribers = {} if video_id else _subscribers(period)
    return [
        RevenueRow(
            currency=currency,
            sales=sales.get(currency, 0),
            **with_net(booked.get((currency,), {})),
            **subscribers.get(currency, {}),
        )
        for currency in sorted({*(key for (key,) in booked), *sales, *subscribers})
    ]


def series(period: Period) -> list[RevenueDay]:
    """Return the platform's revenue by day and currency, oldest first. One query."""
    transfers = earning_transfers(period).annotate(day=TruncDay("entry__effective_at"))
    booked = booked_by(RevenueDay, transfers, "day")
    return [
        RevenueDay(day=day, currency=currency, **booked[day, currency])
        for day, currency in sorted(booked)
    ]


def earning_transfers(period: Period, video_id: uuid.UUID | None = None) -> TransferQuerySet:
    """Return the transfers of a period that earn or take back money, of everything or of one video.

    Without those of an earlier mode: play money is no revenue.
    """
    transfers = Transfer.objects.filter(
        EARNED, modes.of_present("entry__effective_at"), period.of("entry__effective_at")
    )
    if video_id is None:
        return transfers
    return transfers.filter(
        Q(entry__payment__order__video_id=video_id) | Q(entry__order__video_id=video_id)
    )


def purchase_transfers(
    period: Period, *, creator_id: uuid.UUID | None = None, video_id: uuid.UUID | None = None
) -> TransferQuerySet:
    """Return the transfers of a period about orders, without payments that pay no order.

    Such a payment was made twice, or has another amount than agreed: its buyer gets it back.
    """
    transfers = earning_transfers(period, video_id).filter(PURCHASE)
    if creator_id is None:
        return transfers
    return transfers.filter(
        Q(entry__payment__order__creator_id=creator_id) | Q(entry__order__creator_id=creator_id)
    )


def booked_by(
    row: type[Row], transfers: TransferQuerySet, *keys: str
) -> dict[tuple[Any, ...], dict[str, int]]:
    """Return the columns of a report's row that have a source in the books, by column name.

    One query. There are values for each combination of the transfers' ``keys`` and currency.
    """
    of_role = {column.role: column for column in columns(row) if column.role}
    of_kind = {kind: column for column in columns(row) for kind in column.kinds}
    net = transfers.net_by(
        *keys, "currency", "entry__kind", "entry__payment__disposition", account=("role",)
    )
    booked: dict[tuple[Any, ...], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for (*key, kind, disposition, role), credit in net.items():
        values = booked[tuple(key)]
        if role in of_role:
            values[of_role[role].name] += of_role[role].sign * credit
        moved_as, moved = _moved_at_gateway(kind, disposition, role, credit)
        column = of_kind.get(moved_as, of_kind[Kind.REFUND])
        values[column.name] += column.sign * moved
    return booked


def _moved_at_gateway(
    kind: Kind, disposition: str | None, role: str, credit: int
) -> tuple[Kind, int]:
    """Return the credit on the gateways' side that a report counts, and the kind that it counts as.

    A payment that pays nothing is part of the gross only as long as its money waits here. Its refund
    lowers the gross, so that a sale that was paid twice is shown as one. Only what a bank takes beyond
    that, the platform's loss, is a dispute.
    """
    if disposition not in Payment.PAYS_NOTHING:
        return kind, credit if role in GATEWAY_SIDE else 0
    if role in {Role.CUSTOMER_REFUND, Role.SUSPENSE}:
        return Kind.CAPTURE, -credit
    return kind, -credit if role == Role.LOSSES else 0


def with_net(booked: dict[str, int]) -> dict[str, int]:
    """Return a row's amounts with their ``net``: the gross without all that went back."""
    return {**booked, "net": sum(sign * booked.get(column.name, 0) for column, sign in CAME_IN)}


def _sales(period: Period, **of: uuid.UUID | None) -> dict[str, int]:
    """Return the number of sales of a period by currency. One query."""
    orders = sold(period, **of).order_by()
    return dict(orders.values_list("currency").annotate(number=Count("pk")))


def _subscribers(period: Period) -> dict[str, dict[str, int]]:
    """Return, by currency, the columns of a `RevenueRow` that count subscriptions. One query.

    Active subscriptions and their revenue are those of now; the ended ones those of the period.
    """
    monthly = Case(
        When(plan__interval="year", then=F("plan__amount") / 12),
        default=F("plan__amount"),
        output_field=BigIntegerField(),
    )
    ended = period.of("ended_at") & Q(ended_at__isnull=False, period_start__isnull=False)
    rows = (
        Subscription.objects.filter(modes.of_present("created_at"), PAYING | ended)
        .values_list("plan__currency")
        .annotate(
            active=Count("pk", filter=PAYING),
            mrr=Coalesce(Sum(monthly, filter=PAYING), 0),
            churned=Count("pk", filter=ended),
        )
    )
    return {
        currency: {"active_subscriptions": active, "mrr": mrr, "churned_subscriptions": churned}
        for currency, active, mrr, churned in rows
    }
