"""What administrators see and send about money."""

from rest_framework import serializers

from accounts.models import User
from config import money
from config.api.fields import MoneyField
from payments.models import (
    Coupon,
    Dispute,
    JournalEntry,
    LedgerCheck,
    Payout,
    Plan,
    Pool,
    Transfer,
    WebhookEvent,
)
from payments.serializers import MONEY, RevenueSerializer

HOURS_MAX = 31 * 24


class OfPayment(MoneyField):
    """An amount in the currency of the row's payment."""

    def get_attribute(self, instance):
        return getattr(instance, self.source_attrs[-1]), instance.payment.currency


class TransferSerializer(serializers.ModelSerializer):
    debit = serializers.CharField(source="debit.code", read_only=True)
    credit = serializers.CharField(source="credit.code", read_only=True)
    amount = MoneyField(read_only=True)

    class Meta:
        model = Transfer
        fields = ["debit", "credit", "amount", "currency", "available_on"]
        read_only_fields = fields


class EntrySerializer(serializers.ModelSerializer):
    transfers = TransferSerializer(many=True, read_only=True)

    class Meta:
        model = JournalEntry
        fields = [
            "id", "key", "kind", "effective_at", "payment_id", "pool_id", "payout_id", "order_id",
            "transfers",
        ]  # fmt: skip
        read_only_fields = fields


class DisputeSerializer(serializers.ModelSerializer):
    """``withdrawn`` less ``reinstated`` is what the bank holds now."""

    status = serializers.CharField(read_only=True)
    gateway = serializers.CharField(source="payment.gateway", read_only=True)
    order_id = serializers.UUIDField(source="payment.order_id", read_only=True, allow_null=True)
    currency = serializers.CharField(source="payment.currency", read_only=True)
    amount = OfPayment(read_only=True)
    withdrawn = OfPayment(read_only=True)
    reinstated = OfPayment(read_only=True)
    fee = OfPayment(read_only=True)

    class Meta:
        model = Dispute
        fields = [
            "id", "payment_id", "order_id", "gateway", "external_id", "status", "reason", "amount",
            "withdrawn", "reinstated", "fee", "currency", "evidence_due", "created_at",
        ]  # fmt: skip
        read_only_fields = fields


class PoolSerializer(serializers.ModelSerializer):
    """A closed month: ``balance`` was there, ``amount`` of it was shared."""

    algorithm = serializers.CharField(read_only=True)
    balance = MoneyField(read_only=True)
    amount = MoneyField(read_only=True)
    creators = serializers.IntegerField(read_only=True, help_text="With how many it was shared.")

    class Meta:
        model = Pool
        fields = [
            "id", "period", "currency", "balance", "amount", "total_seconds", "algorithm",
            "input_sha256", "closed_at", "closed_by_id", "creators",
        ]  # fmt: skip
        read_only_fields = fields


class AdminPayoutSerializer(serializers.ModelSerializer):
    status = serializers.CharField(read_only=True)
    amount = MoneyField(read_only=True)

    class Meta:
        model = Payout
        fields = [
            "id", "creator_id", "amount", "currency", "status", "cutoff", "requested_by_id",
            "approved_by_id", "external_ref", "failure", "created_at", "approved_at", "settled_at",
        ]  # fmt: skip
        read_only_fields = fields


class PaidSerializer(serializers.Serializer):
    external_ref = serializers.CharField(max_length=120, help_text="The bank's reference.")


class FailedSerializer(serializers.Serializer):
    failure = serializers.CharField(max_length=200, help_text="What the bank says.")


class CouponSerializer(serializers.ModelSerializer):
    """Give ``percent_bps`` or an ``amount`` with its ``currency``."""

    funded_by = serializers.ChoiceField(choices=["creator", "platform"], default="platform")
    amount = MoneyField(required=False, allow_null=True)
    currency = serializers.ChoiceField(choices=sorted(money.EXPONENTS), required=False)
    creator = serializers.PrimaryKeyRelatedField(
        queryset=User.objects.all(), required=False, allow_null=True
    )

    class Meta:
        model = Coupon
        fields = [
            "id", "code", "percent_bps", "amount", "currency", "funded_by", "creator",
            "max_redemptions", "per_user", "redeemed", "starts_at", "ends_at", "is_active",
            "created_at",
        ]  # fmt: skip
        read_only_fields = ["redeemed", "created_at"]
        # The service says it for both the API and the admin site, in any letter case.
        extra_kwargs = {"per_user": {"min_value": 1}, "percent_bps": {"min_value": 1}}

    def validate(self, attrs):
        if attrs.get("amount") is None:
            return attrs
        before = self.instance.currency if self.instance else ""
        return {**attrs, "amount": in_minor("amount", attrs, attrs.get("currency", before))}


class PlanCreateSerializer(serializers.ModelSerializer):
    """A plan is made once; later only its name changes, and whether it is offered."""

    code = serializers.SlugField(max_length=40)
    amount = MoneyField()
    currency = serializers.ChoiceField(choices=sorted(money.EXPONENTS))
    trial_days = serializers.IntegerField(min_value=0, max_value=365, default=0)

    class Meta:
        model = Plan
        fields = [
            "id", "code", "name", "amount", "currency", "interval", "trial_days", "is_active",
            "created_at",
        ]  # fmt: skip
        read_only_fields = ["created_at"]

    def validate_code(self, code):
        if Plan.objects.filter(code=code).exists():
            raise serializers.ValidationError("There is such a plan.", code="unique")
        return code

    def validate(self, attrs):
        return {**attrs, "amount": in_minor("amount", attrs, attrs["currency"])}


class PlanChangeSerializer(serializers.ModelSerializer):
    class Meta:
        model = Plan
        fields = ["name", "is_active"]


def in_minor(name: str, attrs: dict, currency: str) -> int:
    try:
        return money.to_minor(attrs[name], currency)
    except money.NotMoney as error:
        raise serializers.ValidationError({name: str(error)}, code="invalid") from None


class WebhookEventSerializer(serializers.ModelSerializer):
    status = serializers.CharField(read_only=True)

    class Meta:
        model = WebhookEvent
        fields = [
            "id", "gateway", "external_id", "type", "kind", "object_id", "api_version", "status",
            "attempts", "error", "received_at", "processed_at",
        ]  # fmt: skip
        read_only_fields = fields


class HoursSerializer(serializers.Serializer):
    hours = serializers.IntegerField(
        min_value=1, max_value=HOURS_MAX, default=3, help_text="How far to look back."
    )


class FindingsSerializer(serializers.Serializer):
    looked_at = serializers.IntegerField()
    changed = serializers.ListField(child=serializers.CharField())
    failed = serializers.ListField(child=serializers.CharField())


class KeptPaymentSerializer(serializers.Serializer):
    """A payment that somebody must decide about; ``kept`` of it is still here."""

    payment_id = serializers.UUIDField(source="pk")
    order_id = serializers.UUIDField(allow_null=True)
    gateway = serializers.CharField()
    external_id = serializers.CharField()
    captured = MoneyField(read_only=True)
    kept = MoneyField(read_only=True)
    currency = serializers.CharField()
    captured_at = serializers.DateTimeField()


class DebtSerializer(serializers.Serializer):
    creator_id = serializers.UUIDField(source="owner_id")
    currency = serializers.CharField()
    balance = MoneyField(read_only=True)


class LedgerCheckSerializer(serializers.ModelSerializer):
    class Meta:
        model = LedgerCheck
        fields = ["started_at", "seconds", "payments", "discrepancies", "first"]
        read_only_fields = fields


class ReviewSerializer(serializers.Serializer):
    suspense = KeptPaymentSerializer(many=True)
    failed_refunds = KeptPaymentSerializer(many=True)
    superseded = KeptPaymentSerializer(many=True)
    negative_creators = DebtSerializer(many=True)
    failed_events = WebhookEventSerializer(many=True)
    ledger_checks = LedgerCheckSerializer(
        many=True, help_text="The latest one, when it found something."
    )


class RevenueDaySerializer(serializers.Serializer):
    day = serializers.DateTimeField()
    currency = serializers.CharField()
    gross = serializers.CharField(**MONEY)
    refunds = serializers.CharField(**MONEY)
    disputes = serializers.CharField(**MONEY)
    creator_share = serializers.CharField(**MONEY)
    platform_share = serializers.CharField(**MONEY)


class RevenueReportSerializer(RevenueSerializer):
    series = RevenueDaySerializer(
        many=True, help_text="With `group_by=day`: the days on which something was booked."
    )


class ShareSerializer(serializers.Serializer):
    creator_id = serializers.UUIDField()
    seconds = serializers.IntegerField()
    amount = serializers.CharField(**MONEY)


class ClosingSerializer(serializers.Serializer):
    currency = serializers.CharField()
    balance = serializers.CharField(help_text="What is in the pool.", **MONEY)
    amount = serializers.CharField(help_text="What of it is shared; the rest stays.", **MONEY)
    total_seconds = serializers.IntegerField()
    algorithm = serializers.CharField()
    input_sha256 = serializers.CharField()
    shares = ShareSerializer(many=True)


class ClosingsSerializer(serializers.Serializer):
    period = serializers.CharField()
    dry_run = serializers.BooleanField()
    pools = ClosingSerializer(many=True)


class PayoutRunSerializer(serializers.Serializer):
    payouts = AdminPayoutSerializer(many=True)
