"""Subscriptions and invoices in the admin site."""

from django.contrib import admin

from config.admin import MoneyAdmin, ReadOnlyAdmin, act_on_each, money_column, percent_column
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

    @admin.action(
        description="Cancel now: the subscriber's access ends at once", permissions=["end"]
    )
    def cancel_now(self, request, queryset):
        def cancel(subscription):
            if subscriptions.current(subscription.user).pk != subscription.pk:
                raise NoSubscription("This subscription is not running.")
            subscriptions.cancel(user=subscription.user, at_period_end=False, actor=request.user)

        act_on_each(self, request, queryset.select_related("user"), cancel, "Canceled")


@admin.register(models.Invoice)
class InvoiceAdmin(MoneyAdmin):
    list_display = [
        "subscription", "period_start", "period_end", "amount_text", "recognised_text", "status",
    ]  # fmt: skip
    list_filter = ["status", "currency"]
    list_select_related = ["subscription"]
    search_fields = ["id", "external_id", "subscription__user__email"]
    actions = ["refund_in_full"]

    amount_text = money_column("amount", "amount")
    recognised_text = money_column("recognised", "earned so far")
    fee_bps_text = percent_column("fee_bps", "platform's share")

    def has_refund_permission(self, request):
        return request.user.has_perm("payments.refund_order")

    @admin.action(
        description="Refund in full: refunding the current period also ends the subscription",
        permissions=["refund"],
    )
    def refund_in_full(self, request, queryset):
        def refund(invoice):
            refunds.refund_invoice(
                invoice_id=invoice.pk,
                amount=None,
                reason=models.Refund.ON_ADMIN_SITE,
                actor=request.user,
            )

        act_on_each(self, request, queryset, refund, "Refunded")
