"""Creators' balances, statements and payouts in the API."""

import json

from rest_framework import serializers

from config.api.fields import AmountTextField, MoneyField
from payments.models import Payout, Statement


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
    failure = serializers.CharField(max_length=200, help_text="The bank's reason.")


class PayoutRunSerializer(serializers.Serializer):
    payouts = AdminPayoutSerializer(many=True)


class BalanceSerializer(serializers.Serializer):
    currency = serializers.CharField()
    balance = AmountTextField(help_text="Owed to the creator, without payouts under way.")
    pending = AmountTextField(help_text="The part of the balance that is still on hold.")
    available = AmountTextField(help_text="The amount that can be paid out now.")
    in_transit = AmountTextField(help_text="The amount of payouts under way.")
    negative = AmountTextField(
        help_text="The creator's debt, after refunds of money that was paid out."
    )


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
    gross = AmountTextField()
    returned = AmountTextField()
    share = AmountTextField()


class StatementPoolSerializer(serializers.Serializer):
    amount = AmountTextField()
    total_seconds = serializers.IntegerField()
    own_seconds = serializers.IntegerField()
    share = AmountTextField()
    algorithm = serializers.CharField()
    input_sha256 = serializers.CharField()


class StatementAdjustmentSerializer(serializers.Serializer):
    kind = serializers.CharField()
    amount = AmountTextField()


class StatementPayoutSerializer(serializers.Serializer):
    payout = serializers.CharField()
    amount = AmountTextField()


class StatementBodySerializer(serializers.Serializer):
    """The lines of a statement. ``closing`` is ``opening`` plus all lines."""

    creator = serializers.CharField()
    currency = serializers.CharField()
    period = serializers.CharField()
    opening = AmountTextField()
    sales = StatementSaleSerializer(many=True)
    pool = StatementPoolSerializer(allow_null=True)
    adjustments = StatementAdjustmentSerializer(many=True)
    payouts = StatementPayoutSerializer(many=True)
    closing = AmountTextField()


class FullStatementSerializer(StatementSerializer):
    """A statement with its lines. ``sha256`` is the hash of ``canonical``, the JSON text of ``body``."""

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
