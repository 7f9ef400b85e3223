"""Reports on earnings, revenue and balances, read from the books. All amounts are in minor units."""

import uuid
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import BigIntegerField, Case, Count, F, Q, Sum, Value, When
from django.db.models.functions import Coalesce, TruncDay

from payments.books.columns import Row, amount, columns, count, same_as
from payments.models import JournalEntry, LedgerAccount, Payment, Subscription, Transfer
from payments.models.books import TransferQuerySet

Kind = JournalEntry.Kind
Role = LedgerAccount.Role
# Payouts and written-off debts move money that was earned before; they earn nothing.
EARNED = Q(entry__payout__isnull=True) & ~Q(entry__kind=Kind.WRITE_OFF)
# A transfer that debits or credits these accounts moves money between the gateways and us. A gateway's
# fee, and an exchange into another currency, goes from one to the other and is no such movement.
GATEWAY_SIDE = frozenset({Role.CLEARING, Role.FEES, Role.FX_TRADING})


@dataclass(frozen=True, slots=True)
class SalesRow:
    """Sales and their refunds in one currency."""

    currency: str
    sales: int = count("Videos sold")
    gross: int = amount("Gross", kinds=(Kind.CAPTURE,), sign=-1)
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
class PurchasesRow:
    """The money of purchases in one currency, and the shares that it became.

    Gross minus refunds and disputes equals the two shares together.
    """

    currency: str
    gross: int = same_as(RevenueRow, "gross")
    refunds: int = same_as(RevenueRow, "refunds")
    disputes: int = same_as(RevenueRow, "disputes")
    creator_share: int = same_as(RevenueRow, "creator_share")
    platform_share: int = amount("Platform's share, less its promotions and losses")


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


@dataclass(frozen=True, slots=True)
class TrialBalanceTotal:
    """The sums of all ledger accounts in one currency. The balance of correct books is zero."""

    currency: str
    debit: int = amount("Debits")
    credit: int = amount("Credits")
    balance: int = amount("Balance", help_text="Debits minus credits; always zero.")


@dataclass(frozen=True, slots=True)
class TrialBalanceRow:
    """One ledger account with its sums. An asset has a positive balance here."""

    code: str
    kind: str
    currency: str
    debit: int = same_as(TrialBalanceTotal, "debit")
    credit: int = same_as(TrialBalanceTotal, "credit")
    balance: int = amount("Balance", help_text="Debits minus credits.")


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
    transfers = _earning_transfers(period).filter(entry__payment__order__creator_id=creator_id)
    booked = _booked(CreatorRow, transfers)
    sales = _sales(period, order__creator_id=creator_id)
    earned = creator_earned(creator_id, period)
    return [
        CreatorRow(
            currency=currency,
            sales=sales.get(currency, 0),
            earnings=earned.get(currency, 0),
            **_with_net(booked.get((currency,), {})),
        )
        for currency in sorted({*(key for (key,) in booked), *sales, *earned})
    ]


def creator_earned(
    creator_id: uuid.UUID, period: Period, video_id: uuid.UUID | None = None
) -> dict[str, int]:
    """Return a creator's earnings by currency, of all videos or of one. One query."""
    rows = (
        _earning_transfers(period, video_id)
        .touching(owner_id=creator_id, role=Role.CREATOR)
        .values_list("currency")
        .annotate(earned=Sum("net"))
    )
    return dict(rows.order_by())


def purchases(
    period: Period, *, creator_id: uuid.UUID | None = None, video_id: uuid.UUID | None = None
) -> list[PurchasesRow]:
    """Return how the money of purchases was divided: of all, of a creator's videos, or of one video.

    Without payments that are no purchase, such as one that was made twice. One query.
    """
    is_purchase = Q(entry__payment__disposition=Payment.Disposition.APPLIED)
    transfers = _earning_transfers(period, video_id).filter(
        (is_purchase & Q(entry__payment__order__isnull=False)) | Q(entry__order__isnull=False)
    )
    if creator_id:
        transfers = transfers.filter(
            Q(entry__payment__order__creator_id=creator_id) | Q(entry__order__creator_id=creator_id)
        )
    rows = []
    for (currency,), booked in sorted(_booked(PurchasesRow, transfers).items()):
        came_in = booked["gross"] - booked["refunds"] - booked["disputes"]
        kept = came_in - booked["creator_share"]
        rows.append(PurchasesRow(currency=currency, **booked, platform_share=kept))
    return rows


def creator_series(creator_id: uuid.UUID, period: Period, group_by: str) -> list[EarningsRow]:
    """Return a creator's earnings by currency and ``day``, ``video`` or ``source``. One query."""
    key = {
        "day": TruncDay("entry__effective_at"),
        "video": F("entry__payment__order__video_id"),
        "source": Case(
            When(entry__pool__isnull=False, then=Value("subscriptions")), default=Value("sales")
        ),
    }[group_by]
    rows = (
        _earning_transfers(period)
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
    booked = _booked(RevenueRow, _earning_transfers(period, video_id))
    sales = _sales(period, **({"order__video_id": video_id} if video_id else {}))
    subscribers = {} if video_id else _subscribers(period)
    return [
        RevenueRow(
            currency=currency,
            sales=sales.get(currency, 0),
            **_with_net(booked.get((currency,), {})),
            **subscribers.get(currency, {}),
        )
        for currency in sorted({*(key for (key,) in booked), *sales, *subscribers})
    ]


def series(period: Period) -> list[RevenueDay]:
    """Return the platform's revenue by day and currency, oldest first. One query."""
    transfers = _earning_transfers(period).annotate(day=TruncDay("entry__effective_at"))
    booked = _booked(RevenueDay, transfers, "day")
    return [
        RevenueDay(day=day, currency=currency, **booked[day, currency])
        for day, currency in sorted(booked)
    ]


def trial_balance() -> list[TrialBalanceRow]:
    """Return every ledger account with its sums of debits and credits, by code. Three queries."""
    debits, credits = (
        dict(Transfer.objects.order_by().values_list(side).annotate(total=Sum("amount")))
        for side in ("debit", "credit")
    )
    rows = LedgerAccount.objects.order_by("code").values_list("pk", "code", "kind", "currency")
    return [
        TrialBalanceRow(code, kind, currency, debit, credit, debit - credit)
        for pk, code, kind, currency in rows
        for debit, credit in [(debits.get(pk, 0), credits.get(pk, 0))]
    ]


def trial_balance_totals(rows: Iterable[TrialBalanceRow]) -> list[TrialBalanceTotal]:
    """Return the sums of a trial balance by currency."""
    sums: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for row in rows:
        sums[row.currency][0] += row.debit
        sums[row.currency][1] += row.credit
    return [
        TrialBalanceTotal(currency, debit, credit, debit - credit)
        for currency, (debit, credit) in sorted(sums.items())
    ]


def _earning_transfers(period: Period, video_id: uuid.UUID | None = None) -> TransferQuerySet:
    """Return the transfers of a period that earn or take back money, of everything or of one video."""
    transfers = Transfer.objects.filter(EARNED, period.of("entry__effective_at"))
    if video_id is None:
        return transfers
    return transfers.filter(
        Q(entry__payment__order__video_id=video_id) | Q(entry__order__video_id=video_id)
    )


def _booked(
    row: type[Row], transfers: TransferQuerySet, *keys: str
) -> dict[tuple[Any, ...], dict[str, int]]:
    """Return the columns of a report's row that have a source in the books, by column name. One query.

    There are values for each combination of the transfers' ``keys`` and currency.
    """
    of_role = {column.role: column for column in columns(row) if column.role}
    of_kind = {kind: column for column in columns(row) for kind in column.kinds}
    net = transfers.net_by(*keys, "currency", "entry__kind", account=("role",))
    booked: dict[tuple[Any, ...], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for (*key, kind, role), credit in net.items():
        values = booked[tuple(key)]
        if role in of_role:
            values[of_role[role].name] += of_role[role].sign * credit
        if role in GATEWAY_SIDE:
            moved = of_kind.get(kind, of_kind[Kind.REFUND])
            values[moved.name] += moved.sign * credit
    return booked


def _with_net(booked: dict[str, int]) -> dict[str, int]:
    """Return a row's amounts with their ``net``: the gross without all that went back."""
    return {**booked, "net": sum(sign * booked.get(column.name, 0) for column, sign in CAME_IN)}


def _sales(period: Period, **of: object) -> dict[str, int]:
    """Return the number of orders paid within a period, by currency. One query."""
    sold = Payment.objects.filter(period.of("captured_at"), captured__gt=0, **of)
    return dict(sold.order_by().values_list("currency").annotate(number=Count("order")))


def _subscribers(period: Period) -> dict[str, dict[str, int]]:
    """Return, by currency, the columns of a `RevenueRow` that count subscriptions. One query.

    Active subscriptions and their revenue are those of now; the ended ones those of the period.
    """
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
        .values_list("plan__currency")
        .annotate(
            active=Count("pk", filter=paying),
            mrr=Coalesce(Sum(monthly, filter=paying), 0),
            churned=Count("pk", filter=ended),
        )
    )
    return {
        currency: {"active_subscriptions": active, "mrr": mrr, "churned_subscriptions": churned}
        for currency, active, mrr, churned in rows
    }
