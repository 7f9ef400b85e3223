"""Orders in the admin site."""

from django.contrib import admin

from config.admin import MoneyAdmin, act_on_each, money_column, percent_column
from payments import models
from payments.services.buying import orders


@admin.register(models.Order)
class OrderAdmin(MoneyAdmin):
    list_display = [
        "id", "buyer", "video", "kind", "status", "amount_text", "created_at", "paid_at",
    ]  # fmt: skip
    list_filter = ["status", "kind", "currency"]
    list_select_related = ["buyer", "video"]
    search_fields = ["id", "buyer__email", "video__title"]
    date_hierarchy = "created_at"
    actions = ["refund_in_full"]

    amount_text = money_column("amount", "price after discount")
    list_amount_text = money_column("list_amount", "list price")
    discount_text = money_column("discount", "discount")
    fee_bps_text = percent_column("fee_bps", "platform's share")

    def has_refund_permission(self, request):
        return request.user.has_perm("payments.refund_order")

    @admin.action(
        description="Refund in full, or take free orders back: the buyer's access ends at once",
        permissions=["refund"],
    )
    def refund_in_full(self, request, queryset):
        def refund(order):
            orders.give_back(
                order_id=order.pk,
                amount=None,
                reason=models.Refund.ON_ADMIN_SITE,
                actor=request.user,
            )

        act_on_each(self, request, queryset, refund, "Refunded")
