"""Reports, the ledger and the review queue."""

from rest_framework import serializers

from config import money
from config.api.fields import AmountTextField, MoneyField
from payments.models import (
    JournalEntry,
    LedgerCheck,
    Transfer,
)
from payments.serializers.gateway_news import WebhookEventSerializer


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


class CreatorTotalSerializer(serializers.Serializer):
    currency = serializers.CharField()
    sales = serializers.IntegerField()
    gross = AmountTextField()
    refunds = AmountTextField()
    net = AmountTextField()
    earnings = AmountTextField()


class EarningsRowSerializer(serializers.Serializer):
    bucket = serializers.CharField(allow_null=True)
    currency = serializers.CharField()
    earnings = AmountTextField()


class EarningsSerializer(serializers.Serializer):
    creator_id = serializers.UUIDField()
    totals = CreatorTotalSerializer(many=True)
    group_by = serializers.CharField(allow_null=True)
    series = EarningsRowSerializer(many=True)


class RevenueRowSerializer(CreatorTotalSerializer):
    earnings = None
    disputes = AmountTextField()
    creator_share = AmountTextField()
    platform_share = AmountTextField()
    fees = AmountTextField()
    losses = AmountTextField()
    deferred = AmountTextField(help_text="Subscriptions paid, not yet earned.")
    pool = AmountTextField(help_text="Earned by subscriptions, not yet shared.")
    owed_back = AmountTextField(help_text="Paid twice, on its way back.")
    promotions = AmountTextField(help_text="Discounts that the platform paid.")
    suspense = AmountTextField()
    mrr = AmountTextField(help_text="Monthly recurring revenue.")
    active_subscriptions = serializers.IntegerField()
    churned_subscriptions = serializers.IntegerField(help_text="Ended within the time asked for.")


class RevenueSerializer(serializers.Serializer):
    totals = RevenueRowSerializer(many=True)


class TrialBalanceRowSerializer(serializers.Serializer):
    code = serializers.CharField()
    kind = serializers.CharField()
    currency = serializers.CharField()
    debit = AmountTextField()
    credit = AmountTextField()
    balance = AmountTextField(help_text="Debits minus credits.")


class TrialBalanceTotalSerializer(serializers.Serializer):
    currency = serializers.CharField()
    debit = AmountTextField()
    credit = AmountTextField()
    balance = AmountTextField(help_text="Zero, always.")


class TrialBalanceSerializer(serializers.Serializer):
    accounts = TrialBalanceRowSerializer(many=True)
    totals = TrialBalanceTotalSerializer(many=True)


class TransferSerializer(serializers.ModelSerializer):
    debit = serializers.CharField(source="debit.code", read_only=True)
    credit = serializers.CharField(source="credit.code", read_only=True)
    amount = MoneyField(read_only=True)

    class Meta:
        model = Transfer
        fields = ["debit", "credit", "amount", "currency", "available_on"]
        read_only_fields = fields


class EntrySerializer(serializers.ModelSerializer):
    kind = serializers.CharField(read_only=True)
    transfers = TransferSerializer(many=True, read_only=True)

    class Meta:
        model = JournalEntry
        fields = [
            "id", "key", "kind", "effective_at", "payment_id", "pool_id", "payout_id", "order_id",
            "transfers",
        ]  # fmt: skip
        read_only_fields = fields


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
    gross = AmountTextField()
    refunds = AmountTextField()
    disputes = AmountTextField()
    creator_share = AmountTextField()
    platform_share = AmountTextField()


class RevenueReportSerializer(RevenueSerializer):
    series = RevenueDaySerializer(
        many=True, help_text="With `group_by=day`: the days on which something was booked."
    )
