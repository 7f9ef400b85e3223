"""Orders as buyers send and see them."""

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from config import money
from config.api.fields import MoneyField
from payments.models import Order
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
        required=False, help_text="The price the buyer was shown; another one is a 409."
    )
    payment_method = serializers.CharField(
        max_length=60, required=False, help_text="Without one, pay on the gateway's own page."
    )
    force = serializers.BooleanField(
        source="even_if_covered",
        default=False,
        help_text="Buy although a subscription covers the video.",
    )
    coupon = serializers.CharField(max_length=40, required=False, allow_blank=True, default="")
    return_url = serializers.CharField(
        max_length=2000, required=False, help_text="Where the gateway's page sends the buyer back."
    )


class OrderSerializer(serializers.ModelSerializer):
    """An order; amounts are decimal strings in ``currency``."""

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
    """What was bought, by whom, from whom, and what of it went back."""

    title = serializers.CharField(source="video.title", read_only=True)
    seller = serializers.CharField(source="creator.display_name", read_only=True)
    buyer = serializers.EmailField(source="buyer.email", read_only=True)
    refunded = serializers.SerializerMethodField()

    class Meta(OrderSerializer.Meta):
        fields = [*OrderSerializer.Meta.fields, "title", "seller", "buyer", "refunded"]
        read_only_fields = fields

    def get_refunded(self, order) -> str:
        applied = order.payments.filter(disposition="applied").first()
        return money.to_text(applied.refunded() if applied else 0, order.currency)


class PurchaseAnswerSerializer(serializers.Serializer):
    order = OrderSerializer()
    next_action = NextActionSerializer(allow_null=True)
    gateway = serializers.CharField()
