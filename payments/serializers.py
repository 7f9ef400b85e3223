from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from config import money
from config.api.fields import MoneyField
from payments.models import Entitlement, Order, Plan, Subscription


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
    kind = serializers.ChoiceField(choices=["buy", "rent"], default="buy")
    currency = serializers.ChoiceField(choices=sorted(money.EXPONENTS), required=False)
    expected_amount = MoneyField(
        required=False, help_text="The price the buyer was shown; another one is a 409."
    )
    payment_method = serializers.CharField(
        max_length=60, required=False, help_text="Without one, pay on the gateway's own page."
    )
    force = serializers.BooleanField(
        default=False, help_text="Buy although a subscription covers the film."
    )


class OrderSerializer(serializers.ModelSerializer):
    """An order; amounts are decimal strings in ``currency``."""

    video_id = serializers.UUIDField(read_only=True)
    kind = serializers.CharField(default="buy", read_only=True)
    amount = MoneyField(read_only=True)
    list_amount = MoneyField(read_only=True)
    discount = MoneyField(read_only=True)

    class Meta:
        model = Order
        fields = [
            "id", "video_id", "kind", "status", "amount", "list_amount", "discount", "currency",
            "created_at", "expires_at", "paid_at",
        ]  # fmt: skip
        read_only_fields = fields

    def to_representation(self, order):
        return {**super().to_representation(order), "kind": "buy"}


class NextActionSerializer(serializers.Serializer):
    type = serializers.CharField(help_text="`redirect`: send the buyer to `url`.")
    url = serializers.CharField()
    client_secret = serializers.CharField(allow_null=True)


class PurchaseAnswerSerializer(serializers.Serializer):
    order = OrderSerializer()
    next_action = NextActionSerializer(allow_null=True)
    gateway = serializers.CharField()


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


class PlanSerializer(serializers.ModelSerializer):
    amount = MoneyField(read_only=True)

    class Meta:
        model = Plan
        fields = ["code", "name", "amount", "currency", "interval"]
        read_only_fields = fields


class SubscriptionSerializer(serializers.ModelSerializer):
    plan = serializers.CharField(source="plan.code", read_only=True)
    amount = serializers.SerializerMethodField()
    currency = serializers.CharField(source="plan.currency", read_only=True)
    current_period_end = serializers.DateTimeField(source="period_end", read_only=True)

    class Meta:
        model = Subscription
        fields = [
            "id", "plan", "status", "amount", "currency", "current_period_end",
            "cancel_at_period_end", "created_at", "ended_at",
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


class RefundSerializer(serializers.Serializer):
    amount = MoneyField(required=False, help_text="All that is left, when it is not given.")
    reason = serializers.CharField(max_length=200, required=False, allow_blank=True, default="")


class EntitlementSerializer(serializers.ModelSerializer):
    class Meta:
        model = Entitlement
        fields = ["id", "video_id", "source_type", "starts_at", "ends_at"]
        read_only_fields = fields


class PeriodSerializer(serializers.Serializer):
    """``from`` and ``to`` of a report."""

    to = serializers.DateTimeField(required=False)
    currency = serializers.ChoiceField(choices=sorted(money.EXPONENTS), required=False)
    group_by = serializers.ChoiceField(choices=["day", "video", "source"], required=False)
    creator = serializers.UUIDField(required=False)

    def get_fields(self):
        fields = super().get_fields()
        return {"from": serializers.DateTimeField(required=False), **fields}

    def validate(self, attrs):
        if attrs.get("from") and attrs.get("to") and attrs["from"] >= attrs["to"]:
            raise serializers.ValidationError({"to": "The end must be after the beginning."})
        return attrs


MONEY = {"max_length": 40, "read_only": True}


class CreatorTotalSerializer(serializers.Serializer):
    currency = serializers.CharField()
    sales = serializers.IntegerField()
    gross = serializers.CharField(**MONEY)
    refunds = serializers.CharField(**MONEY)
    net = serializers.CharField(**MONEY)
    earnings = serializers.CharField(**MONEY)


class EarningsRowSerializer(serializers.Serializer):
    bucket = serializers.CharField(allow_null=True)
    currency = serializers.CharField()
    earnings = serializers.CharField(**MONEY)


class EarningsSerializer(serializers.Serializer):
    creator_id = serializers.UUIDField()
    totals = CreatorTotalSerializer(many=True)
    group_by = serializers.CharField(allow_null=True)
    series = EarningsRowSerializer(many=True)


class RevenueRowSerializer(CreatorTotalSerializer):
    earnings = None
    disputes = serializers.CharField(**MONEY)
    creator_share = serializers.CharField(**MONEY)
    platform_share = serializers.CharField(**MONEY)
    fees = serializers.CharField(**MONEY)
    losses = serializers.CharField(**MONEY)
    deferred = serializers.CharField(help_text="Subscriptions paid, not yet earned.", **MONEY)
    suspense = serializers.CharField(**MONEY)
    mrr = serializers.CharField(help_text="Monthly recurring revenue.", **MONEY)
    active_subscriptions = serializers.IntegerField()


class RevenueSerializer(serializers.Serializer):
    totals = RevenueRowSerializer(many=True)


class TrialBalanceRowSerializer(serializers.Serializer):
    code = serializers.CharField()
    kind = serializers.CharField()
    currency = serializers.CharField()
    debit = serializers.CharField(**MONEY)
    credit = serializers.CharField(**MONEY)
    balance = serializers.CharField(help_text="Debits minus credits.", **MONEY)


class TrialBalanceTotalSerializer(serializers.Serializer):
    currency = serializers.CharField()
    debit = serializers.CharField(**MONEY)
    credit = serializers.CharField(**MONEY)
    balance = serializers.CharField(help_text="Zero, always.", **MONEY)


class TrialBalanceSerializer(serializers.Serializer):
    accounts = TrialBalanceRowSerializer(many=True)
    totals = TrialBalanceTotalSerializer(many=True)


class GatewayConfigSerializer(serializers.Serializer):
    gateway = serializers.CharField()
    sandbox = serializers.BooleanField()
    publishable_key = serializers.CharField(allow_null=True)
    currencies = serializers.ListField(child=serializers.CharField())
    default_currency = serializers.CharField()
