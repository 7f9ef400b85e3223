"""Purchases, orders and receipts in the API."""

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from config import money
from config.api.fields import MoneyField
from payments.models import Order, Payment
from payments.serializers.settling import NextActionSerializer


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Pay at once",
            value={"payment_method": "pm_card_visa", "expected_amount": "19.99"},
            request_only=True,
        )
    ]
)
class PurchaseSerializer(serializers.Serializer):
    kind = serializers.ChoiceField(choices=Order.Kind.choices, default=Order.Kind.BUY)
    currency = serializers.ChoiceField(choices=sorted(money.EXPONENTS), required=False)
    expected_amount = MoneyField(
        required=False,
        help_text="The price that the buyer has seen. A different current price is a 409.",
    )
    payment_method = serializers.CharField(
        max_length=60, required=False, help_text="Leave it out to pay on the gateway's hosted page."
    )
    force = serializers.BooleanField(
        source="even_if_covered",
        default=False,
        help_text="Buy the video even if a subscription covers it.",
    )
    coupon = serializers.CharField(max_length=40, required=False, allow_blank=True, default="")
    return_url = serializers.CharField(
        max_length=2000,
        required=False,
        help_text="The address to which the gateway's hosted page sends the buyer back.",
    )


class OrderSerializer(serializers.ModelSerializer):
    """An order. Amounts are decimal strings in ``currency``."""

    video_id = serializers.UUIDField(read_only=True)
    amount = MoneyField(read_only=True)
    list_amount = MoneyField(read_only=True)
    discount = MoneyField(read_only=True)

    class Meta:
        model = Order
        fields = [
            "id", "video_id", "kind", "rental_hours", "status", "amount", "list_amount",
            "discount", "currency", "created_at", "expires_at", "paid_at",
        ]  # fmt: skip
        read_only_fields = fields


class ReceiptSerializer(OrderSerializer):
    """An order with its video, buyer and seller, and the amount that was refunded."""

    title = serializers.CharField(source="video.title", read_only=True)
    seller = serializers.CharField(source="creator.display_name", read_only=True)
    buyer = serializers.EmailField(source="buyer.email", read_only=True)
    refunded = serializers.SerializerMethodField()

    class Meta(OrderSerializer.Meta):
        fields = [*OrderSerializer.Meta.fields, "title", "seller", "buyer", "refunded"]
        read_only_fields = fields

    def get_refunded(self, order) -> str:
        payment = order.payments.filter(disposition=Payment.Disposition.APPLIED).first()
        return money.to_text(payment.refunded() if payment else 0, order.currency)


class PurchaseAnswerSerializer(serializers.Serializer):
    order = OrderSerializer()
    next_action = NextActionSerializer(allow_null=True)
    gateway = serializers.CharField()
