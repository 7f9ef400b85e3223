from django.contrib import admin
from django.urls import path
from django.utils.html import format_html_join

from config.admin import ReadOnlyAdmin
from payments import models, review
from payments.admin import overview
from payments.admin.common import carry_out, shown
from payments.errors import NoDebt
from payments.services import payouts


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
        return review.with_balance(super().get_queryset(request))

    @admin.display(description="balance")
    def worth(self, account):
        """On the side where accounts of its kind have theirs."""
        owes = account.kind in {account.Kind.LIABILITY, account.Kind.INCOME}
        return shown(account.balance if owes else -account.balance, account.currency)

    def has_settle_permission(self, request):
        return request.user.has_perm("payments.manage_payouts")

    @admin.action(description="Write off what a creator owes", permissions=["settle"])
    def write_off(self, request, queryset):
        def act(account):
            if account.role != "creator":
                raise NoDebt("Only the debt of a creator can be written off.")
            payouts.write_off(
                creator_id=account.owner_id, currency=account.currency, actor=request.user
            )

        carry_out(self, request, queryset, act, "Written off")


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
                self.admin_site.admin_view(overview.revenue),
                name="payments_revenue",
            ),
            path(
                "review/", self.admin_site.admin_view(overview.review_queue), name="payments_review"
            ),
            *super().get_urls(),
        ]

    @admin.display(description="debit → credit")
    def legs(self, entry):
        return format_html_join(
            " · ",
            "{} → {}: {}",
            (
                (t.debit.code, t.credit.code, shown(t.amount, t.currency))
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
