"""Input of the sandbox's switches."""

from rest_framework import serializers

from config.api.fields import MoneyField


class SandboxClockSerializer(serializers.Serializer):
    days = serializers.IntegerField(min_value=0, max_value=3660, default=0)
    hours = serializers.IntegerField(min_value=0, max_value=24, default=0)
    now = serializers.DateTimeField(read_only=True)

    def validate(self, attrs):
        if not attrs["days"] and not attrs["hours"]:
            raise serializers.ValidationError({"days": "The clock only moves forward."})
        return attrs


class SandboxDisputeSerializer(serializers.Serializer):
    amount = MoneyField(required=False, help_text="All of it, when it is not given.")
    inquiry = serializers.BooleanField(default=False, help_text="Only a question: no money moves.")


class SandboxReinstateSerializer(serializers.Serializer):
    amount = MoneyField(required=False, help_text="All of it, when it is not given; 0: lost.")
