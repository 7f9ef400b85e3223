"""The books in the admin site, with the revenue overview and the review queue."""

from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html_join

from config import money
from config.admin import ReadOnlyAdmin, money_text
from config.attention import Tile, count, needs_attention
from config.confirming import asks_first
from payments import models
from payments.books import charts, figures, reports, review
from payments.books.columns import amounts, as_text, columns
from payments.errors import NoDebt
from payments.services.payouts import payouts


@admin.register(models.LedgerAccount)
class LedgerAccountAdmin(ReadOnlyAdmin):
    """Ledger accounts with their balances. A creator's debt is written off here."""

    list_display = ["code", "kind", "balance_text", "owner"]
    list_filter = ["kind", "role", "currency"]
    list_select_related = ["owner"]
    search_fields = ["code", "owner__email"]
    readonly_fields = ("code", "kind", "role", "owner", "currency", "balance_text")
    fields = readonly_fields
    actions = ["write_off"]

    def get_queryset(self, request):
        return models.LedgerAccount.objects.with_balance()

    @admin.display(description="balance")
    def balance_text(self, account):
        """Return the balance as accountants show it: positive where the account's kind has it."""
        is_credit = account.kind in {account.Kind.LIABILITY, account.Kind.INCOME}
        return money_text(account.balance if is_credit else -account.balance, account.currency)

    def has_write_off_permission(self, request):
        return request.user.has_perm("payments.write_off_debt")

    @asks_first(
        "Write off the debt …",
        permission="write_off",
        title="Write off the debts of these creators?",
        effect="The platform bears the loss, for good. Later earnings of the creator are no longer kept"
        " back for it.",
        button="Write off",
        done="Written off",
        amount=lambda account: (max(0, -account.balance), account.currency),
    )
    def write_off(self, actor, account):
        if account.role != account.Role.CREATOR:
            raise NoDebt("Only the debt of a creator can be written off.")
        payouts.write_off(creator_id=account.owner_id, currency=account.currency, actor=actor)


@admin.register(models.JournalEntry)
class JournalEntryAdmin(ReadOnlyAdmin):
    """The journal. The revenue overview and the review queue have addresses below it."""

    list_display = ["effective_at", "kind", "transfers_text", "key"]
    list_filter = ["kind"]
    search_fields = ["key"]
    date_hierarchy = "effective_at"
    readonly_fields = (
        "key", "kind", "effective_at", "payment", "order", "pool", "payout", "transfers_text",
    )  # fmt: skip
    fields = readonly_fields

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

    @admin.display(description="transfers (debit → credit)")
    def transfers_text(self, entry):
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
    """The results of the ledger checks."""

    list_display = ["started_at", "is_right", "payments", "discrepancies", "first", "seconds"]
    date_hierarchy = "started_at"

    @admin.display(description="the books are right", boolean=True)
    def is_right(self, check):
        return not check.discrepancies


DAYS = (7, 30, 90, 365)  # the choices of the revenue overview
DEFAULT_DAYS = 30


def _check_permission(request: HttpRequest) -> None:
    if not request.user.has_perm("payments.view_revenue"):
        raise PermissionDenied


def revenue(request: HttpRequest) -> TemplateResponse:
    """Show the revenue overview of the last ``?days=``: chart, totals and the equation they fulfil."""
    _check_permission(request)
    days_parameter = request.GET.get("days", "")
    number = int(days_parameter) if days_parameter in map(str, DAYS) else DEFAULT_DAYS
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


def review_queue(request: HttpRequest) -> TemplateResponse:
    """Show the rows that an administrator must decide about."""
    _check_permission(request)
    queue = review.queue()
    context = {
        **admin.site.each_context(request),
        "title": "Review queue",
        "at_most": review.AT_MOST,
        "payments": [
            (title, hint, [_payment_row(payment) for payment in payments])
            for title, hint, payments in (
                (
                    "Suspense",
                    "Payments that belong to no known order or invoice. Refund them, or ask the payer.",
                    queue.suspense,
                ),
                (
                    "Refunds that failed",
                    "The buyer paid twice, and the automatic refund of this payment failed.",
                    queue.failed_refunds,
                ),
                (
                    "Superseded orders with money",
                    "The buyer paid for the video again, and the money of the first order is left.",
                    queue.superseded,
                ),
                (
                    "Ended subscriptions with money",
                    "The subscription ended because this money went back, and then it came back. Refund"
                    " the invoice, or keep the money.",
                    queue.ended_subscriptions,
                ),
            )
        ],
        "debts": [(row, money_text(row.balance, row.currency)) for row in queue.negative_creators],
        "payouts": [(row, money_text(row.amount, row.currency)) for row in queue.payouts],
        "events": queue.failed_events,
        "checks": queue.ledger_checks,
        "latest": review.latest_check(),
        "empty": queue.is_empty,
    }
    return TemplateResponse(request, "payments/admin/review.html", context)


def _payment_row(payment) -> dict[str, object]:
    return {
        "payment": payment,
        "captured": money_text(payment.captured, payment.currency),
        "kept": money_text(payment.kept, payment.currency),
    }


def _payouts(period: reports.Period, currencies: list[str]) -> list[tuple[str, list[str]]]:
    """Return the payout rows of the totals: a title, and an amount for each currency."""
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
        for name, title in (
            ("paid", "Paid out"),
            ("returned", "Payouts returned by banks"),
            ("in_transit", "Payouts under way, now"),
        )
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


SOON = timedelta(days=3)  # a dispute that is due by then is urgent


@needs_attention("Money", permission="payments.view_revenue")
def money_review(request):
    """Yield the review queue, and the latest check of the books."""
    queue = review.queue()
    by_name: dict[str, list[Any]] = {
        "in suspense": queue.suspense,
        "failed refunds": queue.failed_refunds,
        "superseded orders": queue.superseded,
        "ended subscriptions": queue.ended_subscriptions,
        "debts": queue.negative_creators,
        "payouts that wait": queue.payouts,
        "webhook events": queue.failed_events,
    }
    found = {name: len(rows) for name, rows in by_name.items() if rows}
    number, state = count(sum(found.values()), state="look")
    say = ", ".join(f"{number} {name}" for name, number in found.items())
    yield Tile("Money to review", number, state, reverse("admin:payments_review"), say)
    check = review.latest_check()
    books = reverse("admin:payments_ledgercheck_changelist")
    if check is None:
        yield Tile("Books", "unchecked", "look", books, "The ledger has not been checked yet.")
    else:
        number, state = count(check.discrepancies, state="urgent")
        say = f"Checked {check.started_at:%Y-%m-%d %H:%M} UTC. {check.first}".strip()
        yield Tile("Discrepancies of the books", number, state, books, say)


@needs_attention("Money", permission="payments.manage_payouts")
def payouts_to_approve(request):
    """Yield the payouts that wait for an approval."""
    drafts = models.Payout.objects.filter(status=models.Payout.Status.DRAFT)
    number, state = count(drafts.count(), state="look")
    url = f"{reverse('admin:payments_payout_changelist')}?status__exact=draft"
    yield Tile("Payouts to approve", number, state, url)


@needs_attention("Money", permission="payments.answer_dispute")
def disputes_to_answer(request):
    """Yield the disputes whose evidence is due, and the first one's time."""
    now = timezone.now()
    due = models.Dispute.objects.undecided().filter(evidence_due__gt=now)
    first = due.order_by("evidence_due").values_list("evidence_due", flat=True).first()
    soon = first is not None and first < now + SOON
    number, state = count(due.count(), state="urgent" if soon else "look")
    say = f"The first is due {first:%Y-%m-%d %H:%M} UTC." if first else ""
    yield Tile(
        "Disputes to answer", number, state, reverse("admin:payments_dispute_changelist"), say
    )
