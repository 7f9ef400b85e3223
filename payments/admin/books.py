"""The ledger in the admin site, with two pages: the revenue overview and the review queue."""

from datetime import datetime

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.template.response import TemplateResponse
from django.urls import path
from django.utils import timezone
from django.utils.html import format_html_join

from config import money
from config.admin import ReadOnlyAdmin, act_on_each, money_text
from payments import models
from payments.books import charts, figures, reports, review
from payments.books.columns import amounts, as_text, columns
from payments.errors import NoDebt
from payments.services.payouts import payouts


@admin.register(models.LedgerAccount)
class LedgerAccountAdmin(ReadOnlyAdmin):
    list_display = ["code", "kind", "worth", "owner"]
    list_filter = ["kind", "role", "currency"]
    list_select_related = ["owner"]
    search_fields = ["code", "owner__email"]
    fields = ["code", "kind", "role", "owner", "currency", "worth"]
    readonly_fields = fields
    actions = ["write_off"]

    def get_queryset(self, request):
        return super().get_queryset(request).with_balance()

    @admin.display(description="balance")
    def worth(self, account):
        """On the side where accounts of its kind have theirs."""
        owes = account.kind in {account.Kind.LIABILITY, account.Kind.INCOME}
        return money_text(account.balance if owes else -account.balance, account.currency)

    def has_settle_permission(self, request):
        return request.user.has_perm("payments.write_off_debt")

    @admin.action(description="Write off what a creator owes", permissions=["settle"])
    def write_off(self, request, queryset):
        def act(account):
            if account.role != account.Role.CREATOR:
                raise NoDebt("Only the debt of a creator can be written off.")
            payouts.write_off(
                creator_id=account.owner_id, currency=account.currency, actor=request.user
            )

        act_on_each(self, request, queryset, act, "Written off")


@admin.register(models.JournalEntry)
class JournalEntryAdmin(ReadOnlyAdmin):
    """The journal; and the pages that read it, the revenue overview and the review queue."""

    list_display = ["effective_at", "kind", "legs", "key"]
    list_filter = ["kind"]
    search_fields = ["key"]
    date_hierarchy = "effective_at"
    fields = ["key", "kind", "effective_at", "payment", "order", "pool", "payout", "legs"]
    readonly_fields = fields

    def get_queryset(self, request):
        return (
            super().get_queryset(request).prefetch_related("transfers__debit", "transfers__credit")
        )

    def get_urls(self):
        return [
            path(
                "revenue/",
                self.admin_site.admin_view(revenue),
                name="payments_revenue",
            ),
            path("review/", self.admin_site.admin_view(review_queue), name="payments_review"),
            *super().get_urls(),
        ]

    @admin.display(description="debit → credit")
    def legs(self, entry):
        return format_html_join(
            " · ",
            "{} → {}: {}",
            (
                (t.debit.code, t.credit.code, money_text(t.amount, t.currency))
                for t in entry.transfers.all()
            ),
        )


@admin.register(models.LedgerCheck)
class LedgerCheckAdmin(ReadOnlyAdmin):
    list_display = ["started_at", "is_right", "payments", "discrepancies", "first", "seconds"]
    date_hierarchy = "started_at"

    @admin.display(description="the books are right", boolean=True)
    def is_right(self, check):
        return not check.discrepancies


DAYS = (7, 30, 90, 365)
DEFAULT_DAYS = 30


def _may_look(request) -> None:
    if not request.user.has_perm("payments.view_revenue"):
        raise PermissionDenied


def revenue(request):
    _may_look(request)
    asked = request.GET.get("days", "")
    number = int(asked) if asked in map(str, DAYS) else DEFAULT_DAYS
    today = timezone.now().date()
    period = figures.last_days(number, today)
    totals = reports.platform_totals(period)
    currencies = [row.currency for row in totals]
    shown_totals = [as_text(row) for row in totals]
    context = {
        **admin.site.each_context(request),
        "title": "Revenue overview",
        "choices": DAYS,
        "chosen": number,
        "since": period.start,
        "currencies": currencies,
        "rows": [
            (column.title, [row[column.name] for row in shown_totals])
            for column in columns(reports.RevenueRow)
            if column.title
        ],
        "payouts": _payouts(period, currencies),
        "identities": [_identity(row) for row in totals],
        "day_columns": [column.short for column in amounts(reports.RevenueDay)],
        "plots": [
            {"chart": charts.revenue(days, currency), "days": _table(days)}
            for currency, days in figures.by_day(number, today).items()
        ],
        "check": review.latest_check(),
    }
    return TemplateResponse(request, "payments/admin/revenue.html", context)


def review_queue(request):
    _may_look(request)
    found = review.queue()
    context = {
        **admin.site.each_context(request),
        "title": "Review queue",
        "at_most": review.AT_MOST,
        "payments": [
            (title, hint, [_kept(payment) for payment in found[name]])
            for name, title, hint in (
                ("suspense", "Suspense", "Money that pays nothing we know of."),
                (
                    "failed_refunds",
                    "Refunds that failed",
                    "Paid twice; the refund that goes by itself did not.",
                ),
                (
                    "superseded",
                    "Superseded orders with money",
                    "The buyer has bought again, and the first order's money is still here.",
                ),
            )
        ],
        "debts": [
            (row, money_text(row.balance, row.currency)) for row in found["negative_creators"]
        ],
        "events": found["failed_events"],
        "checks": found["ledger_checks"],
        "latest": review.latest_check(),
        "empty": not any(found.values()),
    }
    return TemplateResponse(request, "payments/admin/review.html", context)


def _kept(payment) -> dict:
    return {
        "payment": payment,
        "captured": money_text(payment.captured, payment.currency),
        "kept": money_text(payment.kept, payment.currency),
    }


def _payouts(period: reports.Period, currencies: list[str]) -> list[tuple[str, list[str]]]:
    totals = figures.payouts(period)
    return [
        (
            title,
            [
                money.to_text(getattr(totals[currency], name), currency)
                if currency in totals
                else "-"
                for currency in currencies
            ],
        )
        for name, title in (("paid", "Paid out"), ("in_transit", "Payouts on their way, now"))
    ]


def _identity(row: reports.RevenueRow) -> dict[str, object]:
    """Return both sides of a currency's equation for the page, as (is subtracted, amount, name)."""

    def text(minor: int) -> str:
        return money.to_text(minor, row.currency)

    identity = figures.identity(row)
    return {
        "currency": row.currency,
        "came_in": [(sign < 0, text(value), name) for name, sign, value in identity.came_in],
        "net": text(identity.left),
        "became": [
            (sign * value < 0, text(abs(value)), name)
            for name, sign, value in identity.became
            if value
        ],
        "right": text(identity.right),
        "holds": identity.holds,
    }


def _table(days: list[reports.RevenueDay]) -> list[tuple[datetime, list[object]]]:
    """Return the amounts of the chart as text, the newest day first, without days of zeros only."""
    names = [column.name for column in amounts(reports.RevenueDay)]
    return [
        (day.day, [as_text(day)[name] for name in names])
        for day in reversed(days)
        if any(getattr(day, name) for name in names)
    ]
