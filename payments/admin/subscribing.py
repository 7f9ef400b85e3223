"""Subscriptions and invoices in the admin site."""

from django.contrib import admin

from config.admin import MoneyAdmin, ReadOnlyAdmin, money_column, percent_column
from config.confirming import asks_first
from payments import models
from payments.admin.settling import PAYMENTS, left_of_bought
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

    def name_of(self, subscription):
        return f"{subscription.plan} of {subscription.user}"

    def has_end_permission(self, request):
        return request.user.has_perm("payments.cancel_any_subscription")

    @asks_first(
        "Cancel now …",
        permission="end",
        title="Cancel these subscriptions now?",
        effect="The subscribers lose their access at once, and are not charged again. Nothing is"
        " refunded: refund the invoice for that.",
        button="Cancel now",
        done="Canceled",
    )
    def cancel_now(self, actor, subscription):
        if subscriptions.current(subscription.user).pk != subscription.pk:
            raise NoSubscription("This subscription is not running.")
        subscriptions.cancel(user=subscription.user, at_period_end=False, actor=actor)


@admin.register(models.Invoice)
class InvoiceAdmin(MoneyAdmin):
    list_display = [
        "subscriber", "period_start", "period_end", "amount_text", "recognised_text", "status",
    ]  # fmt: skip
    list_filter = ["status", "currency"]
    list_select_related = ["subscription__user"]
    search_fields = ["id", "external_id", "subscription__user__email"]
    actions = ["refund_in_full"]

    amount_text = money_column("amount", "amount")
    recognised_text = money_column("recognised", "earned so far")
    fee_bps_text = percent_column("fee_bps", "platform's share")

    @admin.display(description="subscriber", ordering="subscription__user__email")
    def subscriber(self, invoice):
        return invoice.subscription.user

    def name_of(self, invoice):
        return f"{invoice.period_start:%Y-%m-%d} of {invoice.subscription.user}"

    def has_refund_permission(self, request):
        return request.user.has_perm("payments.refund_order")

    @asks_first(
        "Refund in full …",
        permission="refund",
        title="Refund these invoices in full?",
        effect="The subscribers get back what was not refunded yet. Refunding the current period ends"
        " the subscription at once. A refund cannot be undone.",
        button="Refund in full",
        done="Refunded",
        amount=left_of_bought,
        prefetch=PAYMENTS,
    )
    def refund_in_full(self, actor, invoice):
        refunds.refund_invoice(
            invoice_id=invoice.pk, amount=None, reason=models.Refund.ON_ADMIN_SITE, actor=actor
        )
