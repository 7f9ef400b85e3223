from drf_spectacular.utils import inline_serializer
from rest_framework import serializers

from videos.moderation.models import TEXT_MAX, Appeal, ModerationCase, Reason, Report

AppealStateSerializer = inline_serializer(
    "AppealState",
    {
        "status": serializers.ChoiceField(choices=Appeal.Status.choices),
        "detail": serializers.CharField(),
        "answer": serializers.CharField(
            allow_null=True, help_text="The moderator's words, once it is decided."
        ),
        "created_at": serializers.DateTimeField(),
        "decided_at": serializers.DateTimeField(allow_null=True),
    },
    allow_null=True,
)
ModerationSerializer = inline_serializer(
    "Moderation",
    {
        "status": serializers.ChoiceField(choices=[ModerationCase.Status.TAKEN_DOWN.value]),
        "reason": serializers.ChoiceField(choices=Reason.choices),
        "note": serializers.CharField(help_text="The moderator's words to the owner."),
        "taken_down_at": serializers.DateTimeField(),
        "appeal": AppealStateSerializer,
        "appeals_left": serializers.IntegerField(
            help_text="How many appeals the owner may still file against this decision."
        ),
    },
    allow_null=True,
)


class ReportSerializer(serializers.ModelSerializer):
    """A report of a video. ``detail`` says in words what is wrong, and where."""

    class Meta:
        model = Report
        fields = ["id", "reason", "detail", "created_at"]
        read_only_fields = ["created_at"]
        extra_kwargs = {"detail": {"max_length": TEXT_MAX}}


class AppealSerializer(serializers.ModelSerializer):
    """An appeal against a take-down. ``detail`` says why the video should be restored."""

    class Meta:
        model = Appeal
        fields = ["id", "status", "detail", "created_at"]
        read_only_fields = ["status", "created_at"]
        extra_kwargs = {"detail": {"max_length": TEXT_MAX}}
