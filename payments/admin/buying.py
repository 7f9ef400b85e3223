from django.contrib import admin

from config.admin import ReadOnlyAdmin, amount, carry_out
from payments import models
from payments.services.settling import refunds


@admin.register(models.Order)
class OrderAdmin(ReadOnlyAdmin):
    list_display = [
        "id", "buyer", "video", "kind", "status", amount("amount", "amount"), "created_at",
        "paid_at",
    ]  # fmt: skip
    list_filter = ["status", "kind", "currency"]
    list_select_related = ["buyer", "video"]
    search_fields = ["id", "buyer__email", "video__title"]
    date_hierarchy = "created_at"
    actions = ["refund_in_full"]

    def has_refund_permission(self, request):
        return request.user.has_perm("payments.refund_order")

    @admin.action(description="Refund in full: playback ends at once", permissions=["refund"])
    def refund_in_full(self, request, queryset):
        def act(order):
            refunds.refund_order(
                order_id=order.pk, amount=None, reason="admin site", actor=request.user
            )

        carry_out(self, request, queryset, act, "Refunded")
