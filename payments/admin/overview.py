"""Two pages that read: the revenue overview and the review queue."""

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.template.response import TemplateResponse
from django.utils import timezone

from config import money
from payments import charts, overview, reports, review
from payments.admin.common import shown

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
    period = overview.last_days(number, timezone.now().date())
    totals = {row["currency"]: row for row in reports.platform_totals(period)}
    days = overview.by_day(period)
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
        "debts": [(row, shown(row.balance, row.currency)) for row in found["negative_creators"]],
        "events": found["failed_events"],
        "checks": found["ledger_checks"],
        "latest": review.latest_check(),
        "empty": not any(found.values()),
    }
    return TemplateResponse(request, "payments/admin/review.html", context)


def _kept(payment) -> dict:
    return {
        "payment": payment,
        "captured": shown(payment.captured, payment.currency),
        "kept": shown(payment.kept, payment.currency),
    }


def _payouts(period, currencies: list[str]) -> list[tuple[str, list[str]]]:
    found = overview.payouts(period)
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
    found = overview.identity(row)
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


def _table(days: list[overview.Day], currency: str) -> list[tuple]:
    """The days on which something happened, newest first: what the chart says, in numbers."""
    return [
        (day.day, *(money.to_text(getattr(day, name), currency) for name in overview.SERIES))
        for day in reversed(days)
        if any(getattr(day, name) for name in overview.SERIES)
    ]
