"""Pools and their shares in the API."""

from rest_framework import serializers

from config.api.fields import AmountTextField, MoneyField
from payments.models import Pool


class PoolSerializer(serializers.ModelSerializer):
    """The pool of a closed month. ``amount`` is the part of ``balance`` that creators received."""

    algorithm = serializers.CharField(read_only=True)
    balance = MoneyField(read_only=True)
    amount = MoneyField(read_only=True)
    creators = serializers.IntegerField(
        read_only=True, help_text="The number of creators with a share."
    )

    class Meta:
        model = Pool
        fields = [
            "id", "period", "currency", "balance", "amount", "total_seconds", "algorithm",
            "input_sha256", "closed_at", "closed_by_id", "creators",
        ]  # fmt: skip
        read_only_fields = fields


class ShareSerializer(serializers.Serializer):
    creator_id = serializers.UUIDField()
    seconds = serializers.IntegerField()
    amount = AmountTextField()


class ClosingSerializer(serializers.Serializer):
    currency = serializers.CharField()
    balance = AmountTextField(help_text="The money in the pool.")
    amount = AmountTextField(help_text="The part that is shared; the remainder stays in the pool.")
    total_seconds = serializers.IntegerField()
    algorithm = serializers.CharField()
    input_sha256 = serializers.CharField()
    shares = ShareSerializer(many=True)


class ClosingsSerializer(serializers.Serializer):
    period = serializers.CharField()
    dry_run = serializers.BooleanField()
    pools = ClosingSerializer(many=True)
