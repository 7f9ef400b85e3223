"""Bodies and queries of the analytics API."""

import dataclasses
import functools
import zoneinfo
from datetime import UTC, datetime, timedelta, tzinfo
from types import NoneType
from typing import ClassVar, cast, get_args, get_origin, get_type_hints
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from analytics import rows
from analytics.models import Reaction
from analytics.scope import Scope
from analytics.steps import TRUNC, before
from config.api.serializers import CompleteErrors

DEFAULT_DAYS = 30
INTERVALS = [(name, name) for name in TRUNC]
BUCKETS_MAX = {"hour": timedelta(days=62), "day": timedelta(days=1500)}
# The longest period of another time zone than UTC: its changes of the clock are looked up.
ZONED_MAX = timedelta(days=15 * 366)


# The serializer field of each type that a field of a row may have.
ROW_FIELDS: dict[type, type[serializers.Field]] = {
    int: serializers.IntegerField,
    float: serializers.FloatField,
    str: serializers.CharField,
    datetime: serializers.DateTimeField,
    UUID: serializers.UUIDField,
}


class ReactionSerializer(serializers.Serializer):
    """A reaction to set."""

    value = serializers.ChoiceField(choices=Reaction.Value.choices)


class ReactionAnswerSerializer(serializers.Serializer):
    """The caller's reaction (null: none) and the video's numbers of reactions."""

    value = serializers.ChoiceField(choices=Reaction.Value.choices, allow_null=True)
    likes = serializers.IntegerField()
    dislikes = serializers.IntegerField()


@functools.cache
def time_zones() -> frozenset[str]:
    """Return the names of the time zones of the IANA database that this installation has."""
    return frozenset(zoneinfo.available_timezones())


class ZonedField(serializers.DateTimeField):
    """A moment. One without an offset, such as a date alone, is meant on the clock of `?tz=`."""

    def enforce_timezone(self, value: datetime) -> datetime:
        if value.tzinfo is None:
            # REST framework would refuse a midnight that the clock skips.
            value = value.replace(tzinfo=cast(ScopeSerializer, self.parent).zone)
        try:
            return value.astimezone(UTC)
        except OverflowError:
            self.fail("overflow")


class ScopeSerializer(CompleteErrors):
    """The query of a report: the period, the interval of its series, the time zone, and the videos.

    Without ``from`` the period begins DEFAULT_DAYS before its end; without ``to`` it ends now.
    ``context["parameters"]`` names the parameters that the report has; any other is refused.
    """

    to = ZonedField(required=False)
    interval = serializers.ChoiceField(choices=INTERVALS, default="day")
    tz = serializers.CharField(default="UTC")
    compare = serializers.ChoiceField(choices=["previous"], required=False)
    video = serializers.UUIDField(required=False)
    creator = serializers.UUIDField(required=False)
    format = serializers.ChoiceField(choices=["csv"], required=False)

    def get_fields(self):
        # `from` is a keyword of Python, so that field cannot be a class attribute.
        return {"from": ZonedField(required=False), **super().get_fields()}

    @property
    def zone(self) -> tzinfo:
        """The time zone that the query names; UTC where there is none of this name."""
        name = str(self.initial_data.get("tz", "UTC"))
        return zoneinfo.ZoneInfo(name) if name in time_zones() else UTC

    def validate_tz(self, name: str) -> str:
        if name not in time_zones():
            raise serializers.ValidationError(
                "There is no time zone of this name. Send a name of the IANA database, such as"
                " Europe/Berlin."
            )
        return name

    def validate(self, attrs):
        unknown = set(self.initial_data) - set(self.context["parameters"])
        if unknown:
            known = ", ".join(sorted(self.context["parameters"]))
            raise serializers.ValidationError(
                dict.fromkeys(unknown, f"This report has no such parameter. It has: {known}.")
            )
        if self.failed & {"from", "to", "tz"}:
            return attrs
        # One second more, because the end is not included: a view of this moment counts.
        end = attrs.get("to") or timezone.now() + timedelta(seconds=1)
        try:
            start = attrs.get("from") or end - timedelta(days=DEFAULT_DAYS)
            too_long = end - start > BUCKETS_MAX.get(attrs.get("interval"), timedelta.max)
            for moment in (start, end):
                moment.astimezone(self.zone)
            if attrs.get("compare"):
                before(start, end, self.zone)
        except OverflowError:
            raise serializers.ValidationError(
                {
                    "from": "The period, or the one before, begins before the year 1 or ends after"
                    " 9999. Send a later `from` or an earlier `to`."
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
        if self.zone is not UTC and attrs.get("tz") != "UTC" and end - start > ZONED_MAX:
            raise serializers.ValidationError(
                {"tz": "The period is longer than fifteen years. Send a shorter one, or no `tz`."}
            )
        return {**attrs, "from": start, "to": end}

    def scope(self, **fixed) -> Scope:
        """Return the validated query as a Scope, with ``fixed`` fields in place of the query's.

        Call ``is_valid`` first.
        """
        data = self.validated_data
        zone = UTC if data["tz"] == "UTC" else self.zone
        chosen = {"creator_id": data.get("creator"), "video_id": data.get("video"), **fixed}
        return Scope(
            start=data["from"], end=data["to"], interval=data["interval"], zone=zone, **chosen
        )


class RowSerializer(serializers.Serializer):
    """A serializer with the fields of the dataclass ``row``, in their order.

    A field that is another dataclass, or a list of one, takes the RowSerializer of that class, which
    must be defined before it. ``metadata`` of a dataclass field holds further arguments.
    """

    row: ClassVar[type]
    by_row: ClassVar[dict[type, type["RowSerializer"]]] = {}

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        RowSerializer.by_row[cls.row] = cls

    def get_fields(self):
        hints = get_type_hints(self.row)
        return {
            field.name: self._field(hints[field.name], **field.metadata)
            for field in dataclasses.fields(self.row)
        }

    @classmethod
    def _field(cls, hint, **options) -> serializers.Field:
        """Return the serializer field for a type of a row's field."""
        if get_origin(hint) is list:
            return cls.by_row[get_args(hint)[0]](many=True, **options)
        if NoneType in get_args(hint):
            (hint,) = set(get_args(hint)) - {NoneType}
            options["allow_null"] = True
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            return cls.by_row[hint](**options)
        return ROW_FIELDS[hint](**options)


class AmountSerializer(RowSerializer):
    row = rows.Amount


class TotalsSerializer(RowSerializer):
    row = rows.Totals


class BucketSerializer(RowSerializer):
    row = rows.Bucket


class AmountChangeSerializer(RowSerializer):
    row = rows.AmountChange


class ChangeSerializer(RowSerializer):
    row = rows.Change


class ComparisonSerializer(RowSerializer):
    row = rows.Comparison


class PlaybackSourceSerializer(RowSerializer):
    row = rows.PlaybackSource


class EarningSerializer(RowSerializer):
    row = rows.Earning


class RevenueLineSerializer(RowSerializer):
    row = rows.RevenueLine


# The component keeps its old name: clients that were generated from the API document know it.
@extend_schema_serializer(component_name="FilmRow")
class VideoRowSerializer(RowSerializer):
    row = rows.VideoRow


class TopCreatorSerializer(RowSerializer):
    row = rows.TopCreator


class QueueSerializer(RowSerializer):
    row = rows.Queue


class RetentionSerializer(RowSerializer):
    row = rows.Retention


class QualitySerializer(RowSerializer):
    row = rows.Quality


class QualityBucketSerializer(RowSerializer):
    row = rows.QualityBucket


class ReportSerializer(RowSerializer):
    """A report, after the period and the interval that it covers."""

    row: ClassVar[type] = rows.Report

    def get_fields(self):
        return {
            "from": serializers.DateTimeField(),
            "to": serializers.DateTimeField(),
            "interval": serializers.ChoiceField(choices=INTERVALS),
            "tz": serializers.CharField(),
            **super().get_fields(),
        }


class CreatorReportSerializer(ReportSerializer):
    row = rows.CreatorReport


class PlatformReportSerializer(ReportSerializer):
    row = rows.PlatformReport


class VideoReportSerializer(ReportSerializer):
    row = rows.VideoReport
