"""Balances, statements and payouts."""

import json

from rest_framework import serializers

from config.api.fields import MONEY, MoneyField
from payments.models import (
    Payout,
    Statement,
)


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


class PayoutRunSerializer(serializers.Serializer):
    payouts = AdminPayoutSerializer(many=True)


class BalanceSerializer(serializers.Serializer):
    currency = serializers.CharField()
    balance = serializers.CharField(help_text="Owed, without what is on its way.", **MONEY)
    pending = serializers.CharField(help_text="Of the balance, still held.", **MONEY)
    available = serializers.CharField(help_text="May be paid out now.", **MONEY)
    in_transit = serializers.CharField(help_text="On its way to the bank.", **MONEY)
    negative = serializers.CharField(help_text="Owed by the creator.", **MONEY)


class BalancesSerializer(serializers.Serializer):
    balances = BalanceSerializer(many=True)


class StatementSerializer(serializers.ModelSerializer):
    class Meta:
        model = Statement
        fields = ["id", "period", "currency", "sha256", "created_at"]
        read_only_fields = fields


class StatementSaleSerializer(serializers.Serializer):
    video = serializers.CharField()
    count = serializers.IntegerField()
    gross = serializers.CharField(**MONEY)
    returned = serializers.CharField(**MONEY)
    share = serializers.CharField(**MONEY)


class StatementPoolSerializer(serializers.Serializer):
    amount = serializers.CharField(**MONEY)
    total_seconds = serializers.IntegerField()
    own_seconds = serializers.IntegerField()
    share = serializers.CharField(**MONEY)
    algorithm = serializers.CharField()
    input_sha256 = serializers.CharField()


class StatementAdjustmentSerializer(serializers.Serializer):
    kind = serializers.CharField()
    amount = serializers.CharField(**MONEY)


class StatementPayoutSerializer(serializers.Serializer):
    payout = serializers.CharField()
    amount = serializers.CharField(**MONEY)


class StatementBodySerializer(serializers.Serializer):
    """``closing`` is ``opening`` and all lines."""

    creator = serializers.CharField()
    currency = serializers.CharField()
    period = serializers.CharField()
    opening = serializers.CharField(**MONEY)
    sales = StatementSaleSerializer(many=True)
    pool = StatementPoolSerializer(allow_null=True)
    adjustments = StatementAdjustmentSerializer(many=True)
    payouts = StatementPayoutSerializer(many=True)
    closing = serializers.CharField(**MONEY)


class FullStatementSerializer(StatementSerializer):
    """``sha256`` is of ``canonical``, to the byte; ``body`` is the same for those who read."""

    canonical = serializers.CharField(source="body", read_only=True)
    body = serializers.SerializerMethodField()

    class Meta(StatementSerializer.Meta):
        fields = [*StatementSerializer.Meta.fields, "canonical", "body"]
        read_only_fields = fields

    def get_body(self, statement) -> StatementBodySerializer:
        return json.loads(statement.body)


class MonthSerializer(serializers.Serializer):
    period = serializers.CharField()
    statements = FullStatementSerializer(many=True)


class PayoutSerializer(serializers.ModelSerializer):
    status = serializers.CharField(read_only=True)
    amount = MoneyField(read_only=True)

    class Meta:
        model = Payout
        fields = [
            "id", "amount", "currency", "status", "cutoff", "external_ref", "failure",
            "created_at", "settled_at",
        ]  # fmt: skip
        read_only_fields = fields


class RequestedPayoutsSerializer(serializers.Serializer):
    payouts = PayoutSerializer(many=True)
