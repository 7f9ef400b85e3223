"""The input of the sandbox's endpoints."""

from typing import Any

from rest_framework import serializers

from config.api.fields import MoneyField
from config.api.serializers import CompleteErrors


class SandboxClockSerializer(CompleteErrors):
    days = serializers.IntegerField(min_value=0, max_value=3660, default=0)
    hours = serializers.IntegerField(min_value=0, max_value=24, default=0)
    now = serializers.DateTimeField(read_only=True)

    def validate(self, attrs: dict[str, int]) -> dict[str, int]:
        if not self.failed and not attrs["days"] and not attrs["hours"]:
            raise serializers.ValidationError(
                {"days": "The clock only moves forward: give days or hours above zero."}
            )
        return attrs


class SandboxDisputeSerializer(serializers.Serializer[Any]):
    amount = MoneyField(
        required=False, help_text="The disputed amount; the whole captured amount without it."
    )
    inquiry = serializers.BooleanField(
        default=False, help_text="Whether the bank only asks and withdraws no money."
    )


class SandboxReinstateSerializer(serializers.Serializer[Any]):
    amount = MoneyField(
        required=False,
        help_text="The amount that goes back; the whole withdrawn amount without it. 0: lost.",
    )
