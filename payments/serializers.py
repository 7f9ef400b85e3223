import uuid

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from config import money
from config.api.fields import MoneyField
from payments.models import Entitlement, Invoice, Order, Plan, Subscription
from payments.services.revenue import refunded


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
        default=False, help_text="Buy although a subscription covers the video."
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
        return money.to_text(refunded(applied) if applied else 0, order.currency)


class OfferRowSerializer(serializers.Serializer):
    kind = serializers.ChoiceField(choices=Order.Kind.choices)
    amount = serializers.CharField()
    currency = serializers.CharField()
    rental_hours = serializers.IntegerField(allow_null=True)


class OfferSerializer(serializers.Serializer):
    video_id = serializers.UUIDField()
    is_paid = serializers.BooleanField()
    owned = serializers.BooleanField(help_text="The caller may watch it as things stand.")
    access = serializers.CharField(allow_null=True)
    offers = OfferRowSerializer(many=True)


class OfferListSerializer(serializers.Serializer):
    results = OfferSerializer(many=True)


class VideoIdsSerializer(serializers.Serializer):
    """``video=<id>,<id>,…``"""

    video = serializers.CharField(max_length=100 * 37)

    def validate_video(self, value) -> list[uuid.UUID]:
        try:
            ids = [uuid.UUID(text) for text in value.split(",") if text]
        except ValueError:
            raise serializers.ValidationError("Ids of videos, separated by commas.") from None
        if not 0 < len(ids) <= 100:
            raise serializers.ValidationError("From 1 to 100 ids.")
        return ids


class AccessSerializer(serializers.Serializer):
    video_id = serializers.UUIDField()
    allowed = serializers.BooleanField()
    access = serializers.CharField(
        allow_null=True, help_text="free, owner, admin, order or subscription"
    )
    ends_at = serializers.DateTimeField(allow_null=True)


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
    coupon = serializers.CharField(max_length=40, required=False, allow_blank=True)
    return_url = serializers.CharField(max_length=2000, required=False)


class PlanSerializer(serializers.ModelSerializer):
    amount = MoneyField(read_only=True)

    class Meta:
        model = Plan
        fields = ["code", "name", "amount", "currency", "interval", "trial_days"]
        read_only_fields = fields


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
    pool = serializers.CharField(help_text="Earned by subscriptions, not yet shared.", **MONEY)
    owed_back = serializers.CharField(help_text="Paid twice, on its way back.", **MONEY)
    promotions = serializers.CharField(help_text="Discounts that the platform paid.", **MONEY)
    suspense = serializers.CharField(**MONEY)
    mrr = serializers.CharField(help_text="Monthly recurring revenue.", **MONEY)
    active_subscriptions = serializers.IntegerField()
    churned_subscriptions = serializers.IntegerField(help_text="Ended within the time asked for.")


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


class SandboxClockSerializer(serializers.Serializer):
    days = serializers.IntegerField(min_value=0, max_value=3660, default=0)
    hours = serializers.IntegerField(min_value=0, max_value=24, default=0)
    now = serializers.DateTimeField(read_only=True)

    def validate(self, attrs):
        if not attrs["days"] and not attrs["hours"]:
            raise serializers.ValidationError({"days": "The clock only moves forward."})
        return attrs


class SandboxDisputeSerializer(serializers.Serializer):
    amount = MoneyField(required=False, help_text="All of it, when it is not given.")
    inquiry = serializers.BooleanField(default=False, help_text="Only a question: no money moves.")


class SandboxReinstateSerializer(serializers.Serializer):
    amount = MoneyField(required=False, help_text="All of it, when it is not given; 0: lost.")
