"""Payments, refunds and disputes in the admin site."""

from django.contrib import admin

from config.admin import MoneyAdmin, act_on_each, money_column, money_text
from payments import models
from payments.services.settling import refunds


@admin.register(models.Payment)
class PaymentAdmin(MoneyAdmin):
    list_display = [
        "external_id", "gateway", "status", "disposition", "captured_text", "fee_text",
        "captured_at",
    ]  # fmt: skip
    list_filter = ["status", "disposition", "gateway", "currency"]
    search_fields = ["external_id", "order__id", "id"]
    actions = ["send_back"]

    amount_text = money_column("amount", "amount")
    captured_text = money_column("captured", "captured")
    fee_text = money_column("fee", "gateway's fee")

    def has_refund_permission(self, request):
        return request.user.has_perm("payments.refund_order")

    @admin.action(
        description="Refund payments that are unmatched or duplicates", permissions=["refund"]
    )
    def send_back(self, request, queryset):
        def refund(payment):
            refunds.refund_unapplied(payment_id=payment.pk, actor=request.user)

        act_on_each(self, request, queryset, refund, "Refunded")


@admin.register(models.Refund)
class RefundAdmin(MoneyAdmin):
    list_display = [
        "payment", "status", "amount_text", "reason", "is_automatic", "by", "created_at",
    ]  # fmt: skip
    list_select_related = ["payment", "by"]
    list_filter = ["status", "is_automatic"]
    search_fields = ["payment__external_id", "external_id"]

    amount_text = money_column("amount", "amount", currency="payment.currency")


@admin.register(models.Conversion)
class ConversionAdmin(MoneyAdmin):
    list_display = ["external_id", "payment", "presented_text", "amount_text", "fee_text"]
    list_select_related = ["payment"]
    list_filter = ["currency"]
    search_fields = ["external_id", "payment__external_id"]

    presented_text = money_column("presented", "of the payment", currency="payment.currency")
    amount_text = money_column("amount", "on the gateway's balance")
    fee_text = money_column("fee", "gateway's fee")


@admin.register(models.Dispute)
class DisputeAdmin(MoneyAdmin):
    list_display = [
        "external_id", "payment", "status", "reason", "amount_text", "held", "evidence_due",
        "created_at",
    ]  # fmt: skip
    list_select_related = ["payment"]
    list_filter = ["status"]
    search_fields = ["external_id", "payment__external_id"]

    amount_text = money_column("amount", "disputed amount", currency="payment.currency")
    withdrawn_text = money_column("withdrawn", "taken by the bank", currency="payment.currency")
    reinstated_text = money_column("reinstated", "given back", currency="payment.currency")
    fee_text = money_column("fee", "gateway's fee", currency="payment.currency")

    @admin.display(description="held by the bank")
    def held(self, dispute):
        return money_text(dispute.withdrawn - dispute.reinstated, dispute.payment.currency)
