"""Bodies and queries of the analytics API."""

from datetime import timedelta

from django.utils import timezone
from rest_framework import serializers

from analytics.models import Reaction
from analytics.reports import TRUNC, Scope

DEFAULT_DAYS = 30
INTERVALS = [(name, name) for name in TRUNC]
BUCKETS_MAX = {"hour": timedelta(days=62), "day": timedelta(days=1500)}


class ReactionSerializer(serializers.Serializer):
    value = serializers.ChoiceField(choices=Reaction.Value.choices)


class ReactionAnswerSerializer(serializers.Serializer):
    value = serializers.ChoiceField(choices=Reaction.Value.choices, allow_null=True)
    likes = serializers.IntegerField()
    dislikes = serializers.IntegerField()


class ScopeSerializer(serializers.Serializer):
    """The query of a report: the period, the interval of its series, and the videos.

    Without ``from`` the period begins DEFAULT_DAYS before its end; without ``to`` it ends now.
    """

    to = serializers.DateTimeField(required=False)
    interval = serializers.ChoiceField(choices=INTERVALS, default="day")
    video = serializers.UUIDField(required=False)
    creator = serializers.UUIDField(required=False)
    format = serializers.ChoiceField(choices=["csv"], required=False)

    def get_fields(self):
        # `from` is a keyword of Python, so that field cannot be a class attribute.
        return {"from": serializers.DateTimeField(required=False), **super().get_fields()}

    def validate(self, attrs):
        # One second more, because the end is not included: a view of this moment counts.
        end = attrs.get("to") or timezone.now() + timedelta(seconds=1)
        try:
            start = attrs.get("from") or end - timedelta(days=DEFAULT_DAYS)
            too_long = end - start > BUCKETS_MAX.get(attrs["interval"], timedelta.max)
        except OverflowError:
            raise serializers.ValidationError(
                {
                    "from": f"{DEFAULT_DAYS} days before `to` is before the year 1. Send a later `to`."
                }
            ) from None
        if start >= end:
            raise serializers.ValidationError(
                {
                    "to": "The end must be after the beginning. Send a later `to` or an earlier `from`."
                }
            )
        if too_long:
            raise serializers.ValidationError(
                {"interval": "Too many intervals. Send a shorter period or a longer interval."}
            )
        return {**attrs, "from": start, "to": end}

    def scope(self, **fixed) -> Scope:
        """Return the validated query as a Scope, with ``fixed`` fields in place of the query's.

        Call ``is_valid`` first.
        """
        data = self.validated_data
        chosen = {"creator_id": data.get("creator"), "video_id": data.get("video"), **fixed}
        return Scope(start=data["from"], end=data["to"], interval=data["interval"], **chosen)


class AmountSerializer(serializers.Serializer):
    currency = serializers.CharField()
    amount = serializers.CharField()


class TotalsSerializer(serializers.Serializer):
    views = serializers.IntegerField()
    unique_viewers = serializers.IntegerField()
    watch_seconds = serializers.FloatField()
    likes = serializers.IntegerField()
    dislikes = serializers.IntegerField()
    purchases = serializers.IntegerField()
    gross = AmountSerializer(many=True)
    earnings = AmountSerializer(many=True)


class BucketSerializer(serializers.Serializer):
    bucket = serializers.DateTimeField()
    views = serializers.IntegerField()
    unique_viewers = serializers.IntegerField()
    sessions = serializers.IntegerField()
    watch_seconds = serializers.FloatField()


class FilmRowSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    title = serializers.CharField()
    views = serializers.IntegerField()
    unique_viewers = serializers.IntegerField()
    watch_seconds = serializers.FloatField()
    likes = serializers.IntegerField()
    dislikes = serializers.IntegerField()
    purchases = serializers.IntegerField()


class ReportSerializer(serializers.Serializer):
    to = serializers.DateTimeField()
    interval = serializers.ChoiceField(choices=INTERVALS)
    totals = TotalsSerializer()
    series = BucketSerializer(many=True)

    def get_fields(self):
        return {"from": serializers.DateTimeField(), **super().get_fields()}


class CreatorReportSerializer(ReportSerializer):
    videos = FilmRowSerializer(many=True)


class RevenueLineSerializer(serializers.Serializer):
    currency = serializers.CharField()
    gross = serializers.CharField()
    refunds = serializers.CharField()
    creator_share = serializers.CharField()
    platform_share = serializers.CharField()


class TopCreatorSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    display_name = serializers.CharField()
    views = serializers.IntegerField()
    unique_viewers = serializers.IntegerField()


class QueueSerializer(serializers.Serializer):
    queued = serializers.IntegerField()
    running = serializers.IntegerField()
    failed_films = serializers.IntegerField()


class PlatformReportSerializer(CreatorReportSerializer):
    revenue = RevenueLineSerializer(many=True)
    active_subscriptions = serializers.IntegerField()
    top_creators = TopCreatorSerializer(many=True)
    processing_queue = QueueSerializer()


class RetentionSerializer(serializers.Serializer):
    second = serializers.FloatField()
    viewers = serializers.IntegerField()


class QualitySerializer(serializers.Serializer):
    sessions = serializers.IntegerField()
    startup_ms = serializers.IntegerField(allow_null=True)
    rebuffer_ms = serializers.IntegerField()
    rebuffer_ratio = serializers.FloatField(help_text="Stalled time for each watched time.")


class VideoReportSerializer(ReportSerializer):
    retention = RetentionSerializer(many=True)
    quality = QualitySerializer()
