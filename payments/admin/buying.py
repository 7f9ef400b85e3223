"""Orders in the admin site."""

from django.contrib import admin

from config.admin import MoneyAdmin, money_column, percent_column
from config.confirming import asks_first
from payments import models
from payments.admin.settling import PAYMENTS, left_of_bought
from payments.services.buying import orders


@admin.register(models.Order)
class OrderAdmin(MoneyAdmin):
    list_display = [
        "id", "buyer", "video", "kind", "status", "amount_text", "created_at",
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

    def name_of(self, order):
        return f"{order.video} for {order.buyer}"

    def has_refund_permission(self, request):
        return request.user.has_perm("payments.refund_order")

    @asks_first(
        "Refund in full …",
        permission="refund",
        title="Refund these orders in full?",
        effect="The buyers get back what they paid and has not been refunded yet, and their access ends"
        " at once. Free orders are taken back. A refund cannot be undone.",
        button="Refund in full",
        done="Refunded",
        amount=left_of_bought,
        prefetch=PAYMENTS,
    )
    def refund_in_full(self, actor, order):
        orders.give_back(
            order_id=order.pk, amount=None, reason=models.Refund.ON_ADMIN_SITE, actor=actor
        )
