"""Subscriptions and invoices in the API."""

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from config import money
from config.api.fields import AmountTextField, MoneyField
from payments import examples
from payments.models import Invoice, Subscription
from payments.serializers.settling import NextActionSerializer

_SUBSCRIBED = {"subscription": examples.SUBSCRIPTION, "next_action": None, "gateway": "sandbox"}


@extend_schema_serializer(
    examples=[
        examples.sent("Pay at once", {"plan": "monthly", "payment_method": "pm_card_visa"}),
        examples.sent("Pay on the hosted page", {"return_url": "https://vod.example.com/thanks"}),
    ]
)
class SubscribeSerializer(serializers.Serializer):
    """The plan and the way to pay for it. Every field may be left out."""

    plan = serializers.CharField(max_length=40, default="monthly", help_text="A plan's code.")
    payment_method = serializers.CharField(
        max_length=60, required=False, help_text="Leave it out to pay on the gateway's hosted page."
    )
    coupon = serializers.CharField(
        max_length=40,
        required=False,
        allow_blank=True,
        help_text="Leave it out: a subscription takes no coupon (422 `coupon_invalid`).",
    )
    return_url = serializers.CharField(
        max_length=2000,
        required=False,
        help_text="The address to which the gateway's hosted page sends the subscriber back.",
    )


@extend_schema_serializer(examples=[examples.answered("Active", examples.SUBSCRIPTION)])
class SubscriptionSerializer(serializers.ModelSerializer):
    """A subscription. Its amount is the price of ``plan`` for each period."""

    plan = serializers.CharField(source="plan.code", read_only=True)
    amount = serializers.SerializerMethodField()
    currency = serializers.CharField(source="plan.currency", read_only=True)
    current_period_end = serializers.DateTimeField(
        source="period_end", read_only=True, allow_null=True, help_text="Null before the first one."
    )
    next_plan = serializers.CharField(
        source="next_plan.code",
        default=None,
        read_only=True,
        allow_null=True,
        help_text="The plan from the next period on; null if it stays.",
    )
    hosted_invoice_url = serializers.CharField(
        read_only=True,
        allow_null=True,
        help_text="The gateway's page on which a payment that is missing is made, or confirmed at the"
        " bank; null if none is missing.",
    )

    class Meta:
        model = Subscription
        fields = [
            "id", "plan", "next_plan", "status", "amount", "currency", "current_period_end",
            "cancel_at_period_end", "grace_until", "hosted_invoice_url", "created_at", "ended_at",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(AmountTextField)
    def get_amount(self, subscription) -> str:
        return money.to_text(subscription.plan.amount, subscription.plan.currency)


@extend_schema_serializer(
    examples=[
        examples.answered(
            "Continued",
            {**_SUBSCRIBED, "subscription": examples.INCOMPLETE, "next_action": examples.REDIRECT},
            200,
        ),
        examples.answered("Paid at once", _SUBSCRIBED, 201),
        examples.answered(
            "Pay on the hosted page",
            {**_SUBSCRIBED, "subscription": examples.INCOMPLETE, "next_action": examples.REDIRECT},
            201,
        ),
        examples.answered(
            "Confirm at the bank",
            {
                **_SUBSCRIBED,
                "subscription": examples.INCOMPLETE,
                "next_action": examples.AUTHENTICATE,
            },
            202,
        ),
    ]
)
class SubscribeAnswerSerializer(serializers.Serializer):
    """The subscription, and the subscriber's next step: null when there is none."""

    subscription = SubscriptionSerializer()
    next_action = NextActionSerializer(allow_null=True)
    gateway = serializers.CharField()


@extend_schema_serializer(
    examples=[examples.sent("At the end of the period", {"at_period_end": True})]
)
class CancelSerializer(serializers.Serializer):
    """When the subscription ends."""

    at_period_end = serializers.BooleanField(
        default=True, help_text="false ends it, and the access, at once."
    )


@extend_schema_serializer(examples=[examples.sent("To the yearly plan", {"plan": "yearly"})])
class ChangePlanSerializer(serializers.Serializer):
    """The new plan."""

    plan = serializers.CharField(max_length=40, help_text="A plan's code.")


@extend_schema_serializer(
    examples=[examples.sent("Another card", {"payment_method": "pm_card_mastercard"})]
)
class PaymentMethodSerializer(serializers.Serializer):
    """The new card."""

    payment_method = serializers.CharField(
        max_length=60, help_text="The card's id at the gateway, such as `pm_card_visa`."
    )


@extend_schema_serializer(examples=[examples.answered("Paid", examples.INVOICE)])
class InvoiceSerializer(serializers.ModelSerializer):
    """One period of a subscription that the gateway has billed."""

    amount = MoneyField(read_only=True)
    subscription_id = serializers.UUIDField(read_only=True)
    hosted_invoice_url = serializers.CharField(
        read_only=True,
        allow_null=True,
        help_text="The gateway's page on which the open invoice is paid, or its payment is confirmed"
        " at the bank; null otherwise.",
    )

    class Meta:
        model = Invoice
        fields = [
            "id", "subscription_id", "period_start", "period_end", "amount", "currency", "status",
            "hosted_invoice_url", "paid_at",
        ]  # fmt: skip
        read_only_fields = fields
