"""The API's form of reports, the journal and the review queue."""

from datetime import datetime
from types import NoneType
from typing import get_args

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from config import money
from config.api.fields import AmountTextField, MoneyField
from config.api.serializers import CompleteErrors
from payments import examples
from payments.books import reports, trial_balance
from payments.books.columns import Column, Row, columns
from payments.models import (
    JournalEntry,
    LedgerCheck,
    Transfer,
)
from payments.serializers.gateway_news import WebhookEventSerializer
from payments.serializers.payouts import AdminPayoutSerializer

GROUPINGS = ("day", "video", "source")


class PeriodSerializer(CompleteErrors):
    """The query parameters of a report: its period, one currency, and its grouping."""

    to = serializers.DateTimeField(required=False, help_text="Its end, which is not included.")
    currency = serializers.ChoiceField(
        choices=sorted(money.EXPONENTS), required=False, help_text="Leave out all others."
    )
    group_by = serializers.ChoiceField(
        choices=GROUPINGS, required=False, help_text="Add a series with a row for each of these."
    )
    creator = serializers.UUIDField(required=False, help_text="Another creator's id (ADMIN).")

    def get_fields(self):
        # "from" is a keyword of Python, so that it cannot be declared as the other fields are.
        beginning = serializers.DateTimeField(
            required=False, help_text="The beginning of the period, in ISO 8601."
        )
        return {"from": beginning, **super().get_fields()}

    def validate(self, attrs):
        if attrs.get("from") and attrs.get("to") and attrs["from"] >= attrs["to"]:
            raise serializers.ValidationError(
                {
                    "to": "The end must be after the beginning. Send a later `to` or an earlier `from`."
                }
            )
        return attrs


def row_serializer(row: type[Row], name: str) -> type[serializers.Serializer]:
    """Return a serializer for the API document, with a field for each column of a report's row.

    ``name`` is the name of the schema in the document.
    """
    fields = {column.name: _field(column) for column in columns(row)}
    return type(f"{name}Serializer", (serializers.Serializer,), {"__doc__": row.__doc__, **fields})


def _field(column: Column) -> serializers.Field:
    help_text = column.help_text or None
    if column.is_amount:
        return AmountTextField(help_text=help_text)
    if column.type is int:
        return serializers.IntegerField(help_text=help_text)
    if column.type is datetime:
        return serializers.DateTimeField(help_text=help_text)
    is_optional = NoneType in get_args(column.type)
    return serializers.CharField(allow_null=is_optional, help_text=help_text)


CreatorTotalSerializer = row_serializer(reports.CreatorRow, "CreatorTotal")
EarningsRowSerializer = row_serializer(reports.EarningsRow, "EarningsRow")
RevenueRowSerializer = row_serializer(reports.RevenueRow, "RevenueRow")
RevenueDaySerializer = row_serializer(reports.RevenueDay, "RevenueDay")
TrialBalanceRowSerializer = row_serializer(trial_balance.TrialBalanceRow, "TrialBalanceRow")
TrialBalanceTotalSerializer = row_serializer(trial_balance.TrialBalanceTotal, "TrialBalanceTotal")


@extend_schema_serializer(examples=[examples.answered("By day", examples.EARNINGS)])
class EarningsSerializer(serializers.Serializer):
    """One creator's sales and earnings, with a series if the request groups them."""

    creator_id = serializers.UUIDField()
    totals = CreatorTotalSerializer(many=True)
    group_by = serializers.ChoiceField(choices=GROUPINGS, allow_null=True)
    series = EarningsRowSerializer(many=True)


@extend_schema_serializer(examples=[examples.answered("By day", examples.REVENUE)])
class RevenueReportSerializer(serializers.Serializer):
    """The platform's revenue, with a series if the request groups it."""

    totals = RevenueRowSerializer(many=True)
    series = RevenueDaySerializer(
        many=True, help_text="With `group_by=day`: one row for each day (UTC) with entries."
    )


@extend_schema_serializer(examples=[examples.answered("One account", examples.TRIAL_BALANCE)])
class TrialBalanceSerializer(serializers.Serializer):
    """All ledger accounts with their sums, and the sums of all accounts by currency."""

    accounts = TrialBalanceRowSerializer(many=True)
    totals = TrialBalanceTotalSerializer(many=True)


class TransferSerializer(serializers.ModelSerializer):
    """One amount, debited from one ledger account and credited to another; both by their codes."""

    debit = serializers.CharField(source="debit.code", read_only=True)
    credit = serializers.CharField(source="credit.code", read_only=True)
    amount = MoneyField(read_only=True)

    class Meta:
        model = Transfer
        fields = ["debit", "credit", "amount", "currency", "available_on"]
        read_only_fields = fields


@extend_schema_serializer(examples=[examples.answered("A captured payment", examples.ENTRY)])
class EntrySerializer(serializers.ModelSerializer):
    """One journal entry with its transfers."""

    transfers = TransferSerializer(many=True, read_only=True)

    class Meta:
        model = JournalEntry
        fields = [
            "id", "key", "kind", "effective_at", "payment_id", "pool_id", "payout_id", "order_id",
            "transfers",
        ]  # fmt: skip
        read_only_fields = fields


class KeptPaymentSerializer(serializers.Serializer):
    """A payment that an administrator must decide about.

    ``kept`` is the captured amount without refunds and disputed money.
    """

    payment_id = serializers.UUIDField(source="pk")
    order_id = serializers.UUIDField(allow_null=True)
    gateway = serializers.CharField()
    external_id = serializers.CharField()
    captured = MoneyField(read_only=True)
    kept = MoneyField(read_only=True)
    currency = serializers.CharField()
    captured_at = serializers.DateTimeField()


class DebtSerializer(serializers.Serializer):
    """A creator's debt: a negative balance, after refunds of money that was paid out."""

    creator_id = serializers.UUIDField(source="owner_id")
    currency = serializers.CharField()
    balance = MoneyField(read_only=True)


class LedgerCheckSerializer(serializers.ModelSerializer):
    """The result of one ledger check."""

    class Meta:
        model = LedgerCheck
        fields = ["started_at", "seconds", "payments", "discrepancies", "first"]
        read_only_fields = fields


@extend_schema_serializer(examples=[examples.answered("Two rows", examples.REVIEW)])
class ReviewSerializer(serializers.Serializer):
    """The review queue: the rows that an administrator must decide about, by kind."""

    suspense = KeptPaymentSerializer(many=True)
    failed_refunds = KeptPaymentSerializer(many=True)
    superseded = KeptPaymentSerializer(many=True)
    ended_subscriptions = KeptPaymentSerializer(many=True)
    negative_creators = DebtSerializer(many=True)
    payouts = AdminPayoutSerializer(
        many=True, help_text="Payouts that have waited for more than a week."
    )
    failed_events = WebhookEventSerializer(many=True)
    ledger_checks = LedgerCheckSerializer(
        many=True, help_text="The latest ledger check, if it found discrepancies."
    )
