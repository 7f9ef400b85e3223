from django.contrib import admin

from config.admin import ReadOnlyAdmin, amount, carry_out
from payments import models
from payments.errors import NoSubscription
from payments.services.settling import refunds
from payments.services.subscribing import subscriptions


@admin.register(models.Subscription)
class SubscriptionAdmin(ReadOnlyAdmin):
    list_display = [
        "user", "plan", "status", "disposition", "period_end", "cancel_at_period_end", "created_at",
    ]  # fmt: skip
    list_filter = ["status", "disposition", "plan"]
    list_select_related = ["user", "plan"]
    search_fields = ["user__email", "external_id"]
    actions = ["cancel_now"]

    def has_end_permission(self, request):
        return request.user.has_perm("payments.cancel_any_subscription")

    @admin.action(description="Cancel now: the right to watch ends at once", permissions=["end"])
    def cancel_now(self, request, queryset):
        def act(row):
            if subscriptions.current(row.user).pk != row.pk:
                raise NoSubscription("This subscription is not running.")
            subscriptions.cancel(user=row.user, at_period_end=False, actor=request.user)

        carry_out(self, request, queryset.select_related("user"), act, "Canceled")


@admin.register(models.Invoice)
class InvoiceAdmin(ReadOnlyAdmin):
    list_display = [
        "subscription", "period_start", "period_end", amount("amount", "amount"),
        amount("recognised", "earned so far"), "status",
    ]  # fmt: skip
    list_filter = ["status", "currency"]
    list_select_related = ["subscription"]
    search_fields = ["id", "external_id", "subscription__user__email"]
    actions = ["refund_in_full"]

    def has_refund_permission(self, request):
        return request.user.has_perm("payments.refund_order")

    @admin.action(
        description="Refund in full: the current period's ends the subscription",
        permissions=["refund"],
    )
    def refund_in_full(self, request, queryset):
        def act(invoice):
            refunds.refund_invoice(
                invoice_id=invoice.pk, amount=None, reason="admin site", actor=request.user
            )

        carry_out(self, request, queryset, act, "Refunded")
