"""Purchases, orders and receipts in the API."""

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from config import money
from config.api.fields import MoneyField
from config.api.representation import Compiled
from payments import examples
from payments.models import Order, Payment
from payments.serializers.settling import NextActionSerializer

_BOUGHT = {"order": examples.ORDER, "next_action": None, "gateway": "sandbox"}


@extend_schema_serializer(
    examples=[
        examples.sent(
            "Pay at once", {"payment_method": "pm_card_visa", "expected_amount": "20.00"}
        ),
        examples.sent(
            "Rent on the hosted page",
            {"kind": "rent", "return_url": "https://vod.example.com/thanks"},
        ),
    ]
)
class PurchaseSerializer(serializers.Serializer):
    """How the buyer wants the video. Every field may be left out."""

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
    coupon = serializers.CharField(
        max_length=40, required=False, allow_blank=True, default="", help_text="A coupon's code."
    )
    return_url = serializers.CharField(
        max_length=2000,
        required=False,
        help_text="The address to which the gateway's hosted page sends the buyer back.",
    )


@extend_schema_serializer(examples=[examples.answered("Paid", examples.ORDER)])
class OrderSerializer(Compiled, serializers.ModelSerializer):
    """An order. Amounts are decimal strings in ``currency``."""

    video_id = serializers.UUIDField(read_only=True)
    amount = MoneyField(read_only=True)
    list_amount = MoneyField(read_only=True)
    discount = MoneyField(read_only=True)

    class Meta:
        model = Order
        fields = [
            "id", "video_id", "kind", "rental_hours", "status", "amount", "list_amount",
            "discount", "currency", "created_at", "expires_at", "paid_at", "available_from",
        ]  # fmt: skip
        read_only_fields = fields


@extend_schema_serializer(examples=[examples.answered("Receipt", examples.RECEIPT)])
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


@extend_schema_serializer(
    examples=[
        examples.answered(
            "Continued",
            {**_BOUGHT, "order": examples.UNPAID, "next_action": examples.REDIRECT},
            200,
        ),
        examples.answered("Paid at once", _BOUGHT, 201),
        examples.answered(
            "Pay on the hosted page",
            {**_BOUGHT, "order": examples.UNPAID, "next_action": examples.REDIRECT},
            201,
        ),
        examples.answered(
            "Confirm at the bank",
            {
                **_BOUGHT,
                "order": {**examples.UNPAID, "status": "processing"},
                "next_action": examples.AUTHENTICATE,
            },
            202,
        ),
    ]
)
class PurchaseAnswerSerializer(serializers.Serializer):
    """The order, and the buyer's next step: null when there is none."""

    order = OrderSerializer()
    next_action = NextActionSerializer(allow_null=True)
    gateway = serializers.CharField()
