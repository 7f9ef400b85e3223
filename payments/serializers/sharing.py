"""Pools and their shares in the API."""

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from config.api.fields import AmountTextField, MoneyField
from payments import examples
from payments.models import Pool


@extend_schema_serializer(examples=[examples.answered("September", examples.POOL)])
class PoolSerializer(serializers.ModelSerializer):
    """The pool of a closed month. ``amount`` is the part of ``balance`` that creators received."""

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
    """The part of a pool that one creator gets, by the seconds that their videos were watched."""

    creator_id = serializers.UUIDField()
    seconds = serializers.IntegerField()
    amount = AmountTextField()


class ClosingSerializer(serializers.Serializer):
    """The pool of a month in one currency, with its shares."""

    currency = serializers.CharField()
    balance = AmountTextField(help_text="The money in the pool.")
    amount = AmountTextField(help_text="The part that is shared; the remainder stays in the pool.")
    total_seconds = serializers.IntegerField()
    algorithm = serializers.ChoiceField(choices=Pool.Algorithm.choices)
    input_sha256 = serializers.CharField()
    shares = ShareSerializer(many=True)


@extend_schema_serializer(examples=[examples.answered("September", examples.CLOSINGS)])
class ClosingsSerializer(serializers.Serializer):
    """The closing of a month: one pool for each currency. A dry run writes nothing."""

    period = serializers.CharField()
    dry_run = serializers.BooleanField()
    pools = ClosingSerializer(many=True)
