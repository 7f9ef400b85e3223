"""Creators' balances, statements and payouts in the API."""

import json

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from config.api.fields import AmountTextField, MoneyField
from payments import examples
from payments.models import Payout, Pool, Statement


@extend_schema_serializer(examples=[examples.answered("Waits for approval", examples.ADMIN_PAYOUT)])
class AdminPayoutSerializer(serializers.ModelSerializer):
    """A payout, with the people who asked for it and approved it."""

    amount = MoneyField(read_only=True)

    class Meta:
        model = Payout
        fields = [
            "id", "creator_id", "amount", "currency", "status", "cutoff", "requested_by_id",
            "approved_by_id", "external_ref", "return_ref", "failure", "created_at", "approved_at",
            "settled_at", "returned_at",
        ]  # fmt: skip
        read_only_fields = fields


@extend_schema_serializer(
    examples=[examples.sent("Paid", {"external_ref": "SEPA-2026-09-30-0001"})]
)
class PaidSerializer(serializers.Serializer):
    external_ref = serializers.CharField(max_length=120, help_text="The bank's reference.")


@extend_schema_serializer(
    examples=[examples.sent("Closed account", {"failure": "The account is closed."})]
)
class FailedSerializer(serializers.Serializer):
    failure = serializers.CharField(max_length=200, help_text="The bank's reason.")


@extend_schema_serializer(
    examples=[
        examples.sent(
            "Closed account",
            {"external_ref": "RETURN-2026-10-02-0007", "failure": "The account is closed."},
        )
    ]
)
class ReturnedSerializer(serializers.Serializer):
    external_ref = serializers.CharField(
        max_length=120, help_text="The bank's reference of the return."
    )
    failure = serializers.CharField(max_length=200, help_text="The bank's reason.")
    amount = MoneyField(
        required=False, help_text="At most a check: it must be the payout's amount."
    )


@extend_schema_serializer(
    examples=[examples.answered("One creator", {"payouts": [examples.ADMIN_PAYOUT]})]
)
class PayoutRunSerializer(serializers.Serializer):
    payouts = AdminPayoutSerializer(many=True)


class BalanceSerializer(serializers.Serializer):
    """A creator's money in one currency."""

    currency = serializers.CharField()
    balance = AmountTextField(help_text="Owed to the creator, without payouts under way.")
    pending = AmountTextField(help_text="The part of the balance that is still on hold.")
    available = AmountTextField(help_text="The amount that can be paid out now.")
    in_transit = AmountTextField(help_text="The amount of payouts under way.")
    negative = AmountTextField(
        help_text="The creator's debt, after refunds of money that was paid out."
    )


@extend_schema_serializer(
    examples=[examples.answered("One currency", {"balances": [examples.BALANCE]})]
)
class BalancesSerializer(serializers.Serializer):
    balances = BalanceSerializer(many=True)


@extend_schema_serializer(examples=[examples.answered("September", examples.STATEMENT)])
class StatementSerializer(serializers.ModelSerializer):
    """What the creator earned in a closed month, in one currency. It never changes."""

    class Meta:
        model = Statement
        fields = ["id", "period", "currency", "sha256", "created_at"]
        read_only_fields = fields


class StatementSaleSerializer(serializers.Serializer):
    """The sales of one video."""

    NOT_ALWAYS_SENT = ("promotions",)

    video = serializers.UUIDField()
    count = serializers.IntegerField(help_text="Orders that were paid in the month, each once.")
    gross = AmountTextField(help_text="Paid by buyers.")
    returned = AmountTextField(help_text="Went back to buyers: refunds and disputes.")
    promotions = AmountTextField(help_text="Discounts paid by the platform; only if there are any.")
    share = AmountTextField(help_text="The creator's part, of the promotions too.")


class StatementPoolSerializer(serializers.Serializer):
    """The creator's share of the month's pool."""

    amount = AmountTextField(help_text="The amount that all creators shared.")
    total_seconds = serializers.IntegerField()
    own_seconds = serializers.IntegerField()
    share = AmountTextField()
    algorithm = serializers.ChoiceField(choices=Pool.Algorithm.choices)
    input_sha256 = serializers.CharField()


class StatementAdjustmentSerializer(serializers.Serializer):
    """A change of the balance that no other line explains."""

    kind = serializers.CharField(help_text="The kind of journal entry, such as `write_off`.")
    amount = AmountTextField()


class StatementPayoutSerializer(serializers.Serializer):
    """A payout: negative when money left the balance, positive when it came back."""

    payout = serializers.UUIDField()
    amount = AmountTextField()


class StatementBodySerializer(serializers.Serializer):
    """The lines of a statement. ``closing`` is ``opening`` plus all lines."""

    creator = serializers.UUIDField()
    currency = serializers.CharField()
    period = serializers.CharField()
    opening = AmountTextField()
    sales = StatementSaleSerializer(many=True)
    pool = StatementPoolSerializer(allow_null=True)
    adjustments = StatementAdjustmentSerializer(many=True)
    payouts = StatementPayoutSerializer(many=True)
    closing = AmountTextField()


@extend_schema_serializer(examples=[])
class FullStatementSerializer(StatementSerializer):
    """A statement with its lines. ``sha256`` is the hash of ``canonical``, the JSON text of ``body``."""

    canonical = serializers.CharField(source="body", read_only=True)
    body = serializers.SerializerMethodField()

    class Meta(StatementSerializer.Meta):
        fields = [*StatementSerializer.Meta.fields, "canonical", "body"]
        read_only_fields = fields

    def get_body(self, statement) -> StatementBodySerializer:
        return json.loads(statement.body)


@extend_schema_serializer(
    examples=[
        examples.answered(
            "September", {"period": "2026-09", "statements": [examples.FULL_STATEMENT]}
        )
    ]
)
class MonthSerializer(serializers.Serializer):
    period = serializers.CharField()
    statements = FullStatementSerializer(many=True)


@extend_schema_serializer(examples=[examples.answered("Waits for approval", examples.PAYOUT)])
class PayoutSerializer(serializers.ModelSerializer):
    """Money on its way from the creator's balance to their bank."""

    amount = MoneyField(read_only=True)

    class Meta:
        model = Payout
        fields = [
            "id", "amount", "currency", "status", "cutoff", "external_ref", "return_ref", "failure",
            "created_at", "settled_at", "returned_at",
        ]  # fmt: skip
        read_only_fields = fields


@extend_schema_serializer(
    examples=[examples.answered("One currency", {"payouts": [examples.PAYOUT]})]
)
class RequestedPayoutsSerializer(serializers.Serializer):
    payouts = PayoutSerializer(many=True)
