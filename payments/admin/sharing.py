from django.contrib import admin
from django.utils.html import format_html

from config.admin import ReadOnlyAdmin, amount, shown, table
from payments import models

SHARES_MAX = 200


@admin.register(models.Pool)
class PoolAdmin(ReadOnlyAdmin):
    list_display = [
        "period", "currency", amount("balance", "in the pool"), amount("amount", "shared"),
        "total_seconds", "algorithm", "closed_at", "closed_by",
    ]  # fmt: skip
    list_filter = ["currency", "algorithm"]
    list_select_related = ["closed_by"]
    search_fields = ["period"]
    fields = [
        "period", "currency", "in_pool", "shared", "total_seconds", "algorithm", "input_sha256",
        "closed_at", "closed_by", "shares",
    ]  # fmt: skip
    readonly_fields = fields

    @admin.display(description="in the pool")
    def in_pool(self, pool):
        return shown(pool.balance, pool.currency)

    @admin.display(description="shared")
    def shared(self, pool):
        return shown(pool.amount, pool.currency)

    @admin.display(description="shares")
    def shares(self, pool):
        rows = pool.shares.select_related("creator").order_by("-amount", "creator_id")
        total = rows.count()
        found = table(
            ("creator", "seconds", "amount"),
            (
                (share.creator, share.seconds, shown(share.amount, pool.currency))
                for share in rows[:SHARES_MAX]
            ),
        )
        if total <= SHARES_MAX:
            return found
        return format_html("{}<p>The largest {} of {}.</p>", found, SHARES_MAX, total)


@admin.register(models.WatchDaily)
class WatchDailyAdmin(ReadOnlyAdmin):
    list_display = ["day", "user", "video", "creator", "seconds", "plan_seconds"]
    list_select_related = ["user", "video", "creator"]
    search_fields = ["user__email", "creator__email", "video__title"]
    date_hierarchy = "day"
