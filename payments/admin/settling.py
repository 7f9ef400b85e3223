from django.contrib import admin

from config.admin import ReadOnlyAdmin, amount, carry_out, shown
from payments import models
from payments.services.settling import refunds


@admin.register(models.Payment)
class PaymentAdmin(ReadOnlyAdmin):
    list_display = [
        "external_id", "gateway", "status", "disposition", amount("captured", "captured"),
        amount("fee", "fee"), "captured_at",
    ]  # fmt: skip
    list_filter = ["status", "disposition", "gateway", "currency"]
    search_fields = ["external_id", "order__id", "id"]
    actions = ["send_back"]

    def has_refund_permission(self, request):
        return request.user.has_perm("payments.refund_order")

    @admin.action(description="Send back what pays nothing we know of", permissions=["refund"])
    def send_back(self, request, queryset):
        def act(payment):
            refunds.refund_unapplied(payment_id=payment.pk, actor=request.user)

        carry_out(self, request, queryset, act, "Sent back")


@admin.register(models.Refund)
class RefundAdmin(ReadOnlyAdmin):
    list_display = ["payment", "status", "worth", "reason", "is_automatic", "by", "created_at"]
    list_select_related = ["payment", "by"]
    list_filter = ["status", "is_automatic"]
    search_fields = ["payment__external_id", "external_id"]

    @admin.display(description="amount")
    def worth(self, refund):
        return shown(refund.amount, refund.payment.currency)


@admin.register(models.Dispute)
class DisputeAdmin(ReadOnlyAdmin):
    list_display = [
        "external_id", "payment", "status", "reason", "worth", "held", "evidence_due", "created_at",
    ]  # fmt: skip
    list_select_related = ["payment"]
    list_filter = ["status"]
    search_fields = ["external_id", "payment__external_id"]

    @admin.display(description="amount")
    def worth(self, dispute):
        return shown(dispute.amount, dispute.payment.currency)

    @admin.display(description="the bank holds")
    def held(self, dispute):
        return shown(dispute.withdrawn - dispute.reinstated, dispute.payment.currency)
