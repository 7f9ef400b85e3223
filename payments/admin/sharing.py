"""Pools and watch time in the admin site."""

from django.contrib import admin
from django.utils.html import format_html

from config.admin import MoneyAdmin, ReadOnlyAdmin, html_table, money_column, money_text
from payments import models

SHARES_MAX = 200


@admin.register(models.Pool)
class PoolAdmin(MoneyAdmin):
    list_display = [
        "period", "currency", "balance_text", "amount_text", "total_seconds", "algorithm",
        "status", "closed_at", "closed_by",
    ]  # fmt: skip
    list_filter = ["currency", "status", "algorithm"]
    list_select_related = ["closed_by"]
    search_fields = ["period"]
    fields = [
        "period", "currency", "balance", "amount", "total_seconds", "algorithm", "payers",
        "input_sha256", "status", "closed_at", "closed_by", "shares",
    ]  # fmt: skip

    balance_text = money_column("balance", "in the pool")
    amount_text = money_column("amount", "shared among creators")

    @admin.display(description="shares")
    def shares(self, pool):
        """Return a table of the shares, the largest first, cut after SHARES_MAX."""
        rows = pool.shares.select_related("creator").order_by("-amount", "creator_id")
        total = rows.count()
        table = html_table(
            ("creator", "seconds watched", "share"),
            (
                (share.creator, share.seconds, money_text(share.amount, pool.currency))
                for share in rows[:SHARES_MAX]
            ),
        )
        if total <= SHARES_MAX:
            return table
        return format_html("{}<p>The largest {} of {} shares.</p>", table, SHARES_MAX, total)


@admin.register(models.WatchDaily)
class WatchDailyAdmin(ReadOnlyAdmin):
    list_display = ["day", "user", "video", "creator", "seconds", "plan_seconds"]
    list_select_related = ["user", "video", "creator"]
    search_fields = ["user__email", "creator__email", "video__title"]
    date_hierarchy = "day"
