"""Pools and watch time in the admin site."""

from django import forms
from django.contrib import admin
from django.utils import timezone
from django.utils.html import format_html

from config.admin import MoneyAdmin, ReadOnlyAdmin, html_table, money_column, money_text
from config.confirming import task
from config.humans import duration_text
from payments import models
from payments.periods import Month, add_months
from payments.services.sharing import pools

SHARES_MAX = 200
MONTHS_SHOWN = 24


def _months():
    """Return the past months as choices, the newest first, with those that are closed named so."""
    today = timezone.now()
    closed = set(
        models.Pool.objects.filter(status=models.Pool.Status.CLOSED).values_list(
            "period", flat=True
        )
    )
    names = [str(Month.of(add_months(today, -back).date())) for back in range(1, MONTHS_SHOWN + 1)]
    return [(name, f"{name} (closed)" if name in closed else name) for name in names]


def _closing_lines(closings):
    return [
        f"{closing.pool.period}: {money_text(closing.pool.amount, closing.pool.currency)} of"
        f" {money_text(closing.pool.balance, closing.pool.currency)}, creators: {len(closing.shares)}"
        for closing in closings
    ]


@admin.register(models.Pool)
class PoolAdmin(MoneyAdmin):
    list_display = [
        "period", "currency", "balance_text", "amount_text", "watched", "algorithm",
        "status", "closed_at", "closed_by",
    ]  # fmt: skip
    list_filter = ["currency", "status", "algorithm"]
    list_select_related = ["closed_by"]
    search_fields = ["period"]
    fields = [
        "period", "currency", "balance", "amount", "watched", "algorithm", "payers",
        "input_sha256", "status", "closed_at", "closed_by", "shares",
    ]  # fmt: skip

    tasks = ["close_month"]

    balance_text = money_column("balance", "in the pool")
    amount_text = money_column("amount", "shared among creators")

    def has_close_permission(self, request):
        return request.user.has_perm("payments.close_pool")

    def would_be_shared(self, period):
        return _closing_lines(pools.close_month(Month.named(period), dry_run=True)) or [
            f"{period}: there is nothing to close."
        ]

    @task(
        "Close a month …",
        permission="close",
        title="Close a month?",
        effect="The month's invoices are recognised, its pools are shared among the creators by their"
        " watch time, and its statements are written. A closed month is never opened again. It may take"
        " minutes; the worker finishes a close that was interrupted.",
        button="Close the month",
        done="The month is closed.",
        fields=lambda: {"period": forms.ChoiceField(label="Month (UTC)", choices=_months)},
        preview=would_be_shared,
    )
    def close_month(self, actor, period):
        return _closing_lines(pools.close_month(Month.named(period), actor=actor))

    @admin.display(description="watch time", ordering="total_seconds")
    def watched(self, pool):
        return duration_text(pool.total_seconds)

    @admin.display(description="shares")
    def shares(self, pool):
        """Return a table of the shares, the largest first, cut after SHARES_MAX."""
        rows = pool.shares.select_related("creator").order_by("-amount", "creator_id")
        total = rows.count()
        table = html_table(
            ("creator", "watch time", "share"),
            (
                (
                    share.creator,
                    duration_text(share.seconds),
                    money_text(share.amount, pool.currency),
                )
                for share in rows[:SHARES_MAX]
            ),
        )
        if total <= SHARES_MAX:
            return table
        return format_html("{}<p>The largest {} of {} shares.</p>", table, SHARES_MAX, total)


@admin.register(models.WatchDaily)
class WatchDailyAdmin(ReadOnlyAdmin):
    list_display = ["day", "user", "video", "creator", "watched", "watched_on_a_plan"]
    list_select_related = ["user", "video", "creator"]
    search_fields = ["user__email", "creator__email", "video__title"]
    date_hierarchy = "day"

    @admin.display(description="watch time", ordering="seconds")
    def watched(self, row):
        return duration_text(row.seconds)

    @admin.display(description="on a subscription", ordering="plan_seconds")
    def watched_on_a_plan(self, row):
        return duration_text(row.plan_seconds)
