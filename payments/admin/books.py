"""The ledger in the admin site, with two pages: the revenue overview and the review queue."""

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
ROWS = (
    ("gross", "Gross"),
    ("refunds", "Refunds"),
    ("disputes", "Disputes"),
    ("net", "Net"),
    ("creator_share", "Creators' share"),
    ("platform_share", "Platform's share"),
    ("deferred", "Deferred: paid by subscribers, not yet earned"),
    ("pool", "In the pool: earned, not yet shared"),
    ("owed_back", "Owed back to buyers"),
    ("suspense", "Suspense"),
    ("losses", "Losses"),
    ("promotions", "Promotions"),
    ("fees", "Gateways' fees"),
    ("mrr", "Monthly recurring revenue, now"),
)
COUNTS = (
    ("sales", "Videos sold"),
    ("active_subscriptions", "Active subscriptions, now"),
    ("churned_subscriptions", "Subscriptions that ended"),
)


def _may_look(request) -> None:
    if not request.user.has_perm("payments.view_revenue"):
        raise PermissionDenied


def revenue(request):
    _may_look(request)
    asked = request.GET.get("days", "")
    number = int(asked) if asked in map(str, DAYS) else DEFAULT_DAYS
    period = figures.last_days(number, timezone.now().date())
    totals = {row["currency"]: row for row in reports.platform_totals(period)}
    days = figures.by_day(period)
    context = {
        **admin.site.each_context(request),
        "title": "Revenue overview",
        "choices": DAYS,
        "chosen": number,
        "since": period.start,
        "currencies": list(totals),
        "rows": [
            (title, [money.to_text(row[name], currency) for currency, row in totals.items()])
            for name, title in ROWS
        ],
        "counts": [(title, [row[name] for row in totals.values()]) for name, title in COUNTS],
        "payouts": _payouts(period, list(totals)),
        "identities": [_told(currency, row) for currency, row in totals.items()],
        "plots": [
            {"chart": charts.revenue(found, currency), "days": _table(found, currency)}
            for currency, found in days.items()
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


def _payouts(period, currencies: list[str]) -> list[tuple[str, list[str]]]:
    found = figures.payouts(period)
    return [
        (
            title,
            [
                money.to_text(found[currency][name], currency) if currency in found else "-"
                for currency in currencies
            ],
        )
        for name, title in (("paid", "Paid out"), ("in_transit", "Payouts on their way, now"))
    ]


def _told(currency: str, row: dict) -> dict:
    found = figures.identity(row)
    terms = [(name, value) for name, value in found.became.items() if value]
    return {
        "currency": currency,
        "gross": money.to_text(row["gross"], currency),
        "refunds": money.to_text(row["refunds"], currency),
        "disputes": money.to_text(row["disputes"], currency),
        "net": money.to_text(found.left, currency),
        "terms": [(value < 0, money.to_text(abs(value), currency), name) for name, value in terms],
        "right": money.to_text(found.right, currency),
        "holds": found.holds,
    }


def _table(days: list[figures.Day], currency: str) -> list[tuple]:
    """The days on which something happened, newest first: what the chart says, in numbers."""
    return [
        (day.day, *(money.to_text(getattr(day, name), currency) for name in figures.SERIES))
        for day in reversed(days)
        if any(getattr(day, name) for name in figures.SERIES)
    ]
