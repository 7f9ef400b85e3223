"""The input of the sandbox's endpoints."""

from typing import Any

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from config.api.fields import MoneyField
from config.api.serializers import CompleteErrors
from payments import examples
from payments.models import Dispute, Refund


@extend_schema_serializer(
    examples=[
        examples.sent("To the next renewal", {"days": 31}),
        examples.answered("Moved", {"days": 31, "hours": 0, "now": "2026-10-15T09:40:00Z"}),
    ]
)
class SandboxClockSerializer(CompleteErrors):
    """How far the clock moves. The answer also has the new time."""

    days = serializers.IntegerField(min_value=0, max_value=400, default=0)
    hours = serializers.IntegerField(min_value=0, max_value=24, default=0)
    now = serializers.DateTimeField(read_only=True)

    def validate(self, attrs: dict[str, int]) -> dict[str, int]:
        if not self.failed and not attrs["days"] and not attrs["hours"]:
            raise serializers.ValidationError(
                {"days": "The clock only moves forward: give days or hours above zero."}
            )
        return attrs


@extend_schema_serializer(examples=[examples.sent("Of the whole amount", {"inquiry": False})])
class SandboxDisputeSerializer(serializers.Serializer[Any]):
    """What the bank disputes."""

    amount = MoneyField(
        required=False, help_text="The disputed amount; the whole captured amount without it."
    )
    inquiry = serializers.BooleanField(
        default=False, help_text="Whether the bank only asks and withdraws no money."
    )


@extend_schema_serializer(examples=[examples.sent("Lost", {"amount": "0.00"})])
class SandboxReinstateSerializer(serializers.Serializer[Any]):
    """What the bank gives back."""

    dispute = serializers.CharField(
        required=False,
        max_length=120,
        help_text=(
            "The dispute to close, by its id at the sandbox. Without it: the latest one that is still"
            " open, or the latest of all."
        ),
    )
    amount = MoneyField(
        required=False,
        help_text="The amount that goes back; the whole withdrawn amount without it. 0: lost.",
    )


@extend_schema_serializer(
    examples=[
        examples.answered(
            "A dispute", {"dispute": "sbd_01995a4032007d13", "status": "needs_response"}
        )
    ]
)
class SandboxDisputeAnswerSerializer(serializers.Serializer[Any]):
    """The dispute, by its id at the sandbox."""

    dispute = serializers.CharField()
    status = serializers.ChoiceField(choices=Dispute.Status.choices)


@extend_schema_serializer(
    examples=[
        examples.answered(
            "A refund", {"refund": "0199541a-3300-7d13-8f64-1a2b3c4d5e6f", "status": "failed"}
        )
    ]
)
class SandboxRefundAnswerSerializer(serializers.Serializer[Any]):
    """The refund that failed."""

    refund = serializers.UUIDField()
    status = serializers.ChoiceField(choices=Refund.Status.choices)
