"""Money is looked at here. It moves only through the services."""

from django.contrib import admin, messages
from django.utils.html import format_html_join

from config import money
from config.admin import HouseAdmin, ReadOnlyAdmin
from config.errors import DomainError
from payments import models
from payments.services import refunds


def amount(field: str, title: str):
    @admin.display(description=title, ordering=field)
    def shown(row):
        return f"{money.to_text(getattr(row, field), row.currency)} {row.currency}"

    return shown


@admin.register(models.Plan)
class PlanAdmin(HouseAdmin):
    list_display = ["code", "name", amount("amount", "price"), "interval", "is_active"]

    def get_readonly_fields(self, request, obj=None):
        # A price that was sold stands: a new price is a new plan.
        return ["code", "amount", "currency", "interval"] if obj else []

    def has_delete_permission(self, request, obj=None):
        return False


@admin.register(models.Order)
class OrderAdmin(ReadOnlyAdmin):
    list_display = [
        "id",
        "buyer",
        "video",
        "status",
        amount("amount", "amount"),
        "created_at",
        "paid_at",
    ]
    list_filter = ["status", "currency"]
    list_select_related = ["buyer", "video"]
    search_fields = ["id", "buyer__email", "video__title"]
    date_hierarchy = "created_at"
    actions = ["refund_in_full"]

    def has_refund_permission(self, request):
        return request.user.has_perm("payments.refund_order")

    @admin.action(description="Refund in full: playback ends at once", permissions=["refund"])
    def refund_in_full(self, request, queryset):
        for order in queryset:
            try:
                refunds.refund_order(
                    order_id=order.pk, amount=None, reason="admin site", actor=request.user
                )
            except DomainError as error:
                self.message_user(request, f"{order}: {error.detail}", messages.ERROR)


@admin.register(models.Payment)
class PaymentAdmin(ReadOnlyAdmin):
    list_display = [
        "external_id", "gateway", "status", "disposition", amount("captured", "captured"), "captured_at",
    ]  # fmt: skip
    list_filter = ["status", "disposition", "gateway"]
    search_fields = ["external_id", "order__id"]


@admin.register(models.Refund)
class RefundAdmin(ReadOnlyAdmin):
    list_display = ["payment", "status", "amount", "by", "created_at"]
    list_select_related = ["payment", "by"]
    list_filter = ["status"]


@admin.register(models.Subscription)
class SubscriptionAdmin(ReadOnlyAdmin):
    list_display = ["user", "plan", "status", "period_end", "cancel_at_period_end", "created_at"]
    list_filter = ["status", "plan"]
    list_select_related = ["user", "plan"]
    search_fields = ["user__email"]


@admin.register(models.Invoice)
class InvoiceAdmin(ReadOnlyAdmin):
    list_display = [
        "subscription",
        "period_start",
        "period_end",
        amount("amount", "amount"),
        "status",
    ]
    list_filter = ["status"]
    list_select_related = ["subscription"]


@admin.register(models.Entitlement)
class EntitlementAdmin(ReadOnlyAdmin):
    list_display = ["user", "video", "source_type", "starts_at", "ends_at", "revoked_at"]
    list_filter = ["source_type"]
    list_select_related = ["user", "video"]
    search_fields = ["user__email", "video__title"]


@admin.register(models.LedgerAccount)
class LedgerAccountAdmin(ReadOnlyAdmin):
    list_display = ["code", "kind", "currency", "owner"]
    list_filter = ["kind", "currency"]
    list_select_related = ["owner"]
    search_fields = ["code"]


@admin.register(models.JournalEntry)
class JournalEntryAdmin(ReadOnlyAdmin):
    list_display = ["effective_at", "kind", "legs", "key"]
    list_filter = ["kind"]
    date_hierarchy = "effective_at"

    def get_queryset(self, request):
        return (
            super().get_queryset(request).prefetch_related("transfers__debit", "transfers__credit")
        )

    @admin.display(description="debit → credit")
    def legs(self, entry):
        return format_html_join(
            " · ",
            "{} → {}: {} {}",
            (
                (t.debit.code, t.credit.code, money.to_text(t.amount, t.currency), t.currency)
                for t in entry.transfers.all()
            ),
        )
