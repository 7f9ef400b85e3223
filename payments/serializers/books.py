"""Reports, the ledger and the review queue."""

from datetime import datetime

from rest_framework import serializers

from config import money
from config.api.fields import AmountTextField, MoneyField
from payments.books import reports
from payments.books.columns import Column, Row, columns
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


def row_serializer(
    row: type[Row], name: str, *, omit: tuple[str, ...] = ()
) -> type[serializers.Serializer]:
    """Return the serializer of a report's row, for the API document.

    It has a field for each column of the row but those in ``omit``. Its schema is called ``name``.
    """
    fields = {column.name: _field(column) for column in columns(row) if column.name not in omit}
    return type(f"{name}Serializer", (serializers.Serializer,), {"__doc__": row.__doc__, **fields})


def _field(column: Column) -> serializers.Field:
    help_text = column.help_text or None
    if column.is_amount:
        return AmountTextField(help_text=help_text)
    if column.type is int:
        return serializers.IntegerField(help_text=help_text)
    if column.type is datetime:
        return serializers.DateTimeField(help_text=help_text)
    return serializers.CharField(allow_null=isinstance(None, column.type), help_text=help_text)


# The answer also has a creator's disputes, which the API document does not name.
CreatorTotalSerializer = row_serializer(reports.CreatorRow, "CreatorTotal", omit=("disputes",))
EarningsRowSerializer = row_serializer(reports.EarningsRow, "EarningsRow")
RevenueRowSerializer = row_serializer(reports.RevenueRow, "RevenueRow")
RevenueDaySerializer = row_serializer(reports.RevenueDay, "RevenueDay")
TrialBalanceRowSerializer = row_serializer(reports.TrialBalanceRow, "TrialBalanceRow")
TrialBalanceTotalSerializer = row_serializer(reports.TrialBalanceTotal, "TrialBalanceTotal")


class EarningsSerializer(serializers.Serializer):
    creator_id = serializers.UUIDField()
    totals = CreatorTotalSerializer(many=True)
    group_by = serializers.CharField(allow_null=True)
    series = EarningsRowSerializer(many=True)


class RevenueReportSerializer(serializers.Serializer):
    totals = RevenueRowSerializer(many=True)
    series = RevenueDaySerializer(
        many=True, help_text="With `group_by=day`: the days on which something was booked."
    )


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
