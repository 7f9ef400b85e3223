"""Subscriptions and invoices in the API."""

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from config import money
from config.api.fields import MoneyField
from payments.models import Invoice, Subscription
from payments.serializers.settling import NextActionSerializer


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Monthly, paid at once",
            value={"plan": "monthly", "payment_method": "pm_card_visa"},
            request_only=True,
        )
    ]
)
class SubscribeSerializer(serializers.Serializer):
    plan = serializers.CharField(max_length=40, default="monthly")
    payment_method = serializers.CharField(max_length=60, required=False)
    coupon = serializers.CharField(max_length=40, required=False, allow_blank=True)
    return_url = serializers.CharField(max_length=2000, required=False)


class SubscriptionSerializer(serializers.ModelSerializer):
    plan = serializers.CharField(source="plan.code", read_only=True)
    amount = serializers.SerializerMethodField()
    currency = serializers.CharField(source="plan.currency", read_only=True)
    current_period_end = serializers.DateTimeField(source="period_end", read_only=True)
    next_plan = serializers.CharField(source="next_plan.code", default=None, read_only=True)

    class Meta:
        model = Subscription
        fields = [
            "id", "plan", "next_plan", "status", "amount", "currency", "current_period_end",
            "cancel_at_period_end", "grace_until", "created_at", "ended_at",
        ]  # fmt: skip
        read_only_fields = fields

    def get_amount(self, subscription) -> str:
        return money.to_text(subscription.plan.amount, subscription.plan.currency)


class SubscribeAnswerSerializer(serializers.Serializer):
    subscription = SubscriptionSerializer()
    next_action = NextActionSerializer(allow_null=True)
    gateway = serializers.CharField()


class CancelSerializer(serializers.Serializer):
    at_period_end = serializers.BooleanField(default=True)


class ChangePlanSerializer(serializers.Serializer):
    plan = serializers.CharField(max_length=40)


class PaymentMethodSerializer(serializers.Serializer):
    payment_method = serializers.CharField(max_length=60)


class InvoiceSerializer(serializers.ModelSerializer):
    amount = MoneyField(read_only=True)
    subscription_id = serializers.UUIDField(read_only=True)

    class Meta:
        model = Invoice
        fields = [
            "id", "subscription_id", "period_start", "period_end", "amount", "currency", "status",
            "paid_at",
        ]  # fmt: skip
        read_only_fields = fields
