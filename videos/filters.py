from datetime import UTC, datetime
from typing import ClassVar

import django_filters as filters  # type: ignore[import-untyped]  # it ships no types
from django.core.validators import EMPTY_VALUES, MaxValueValidator, MinValueValidator
from django.db.models import Q
from rest_framework.exceptions import PermissionDenied

from config.api.filters import AskedFilterSet, TrueFalseFilter
from videos import orders
from videos.models import Video
from videos.presentation import words
from videos.querysets import Sight, VideoQuerySet
from videos.reading import rows_of

# Times near the ends of the calendar overflow when they are converted to UTC.
SANE_TIME = [
    MinValueValidator(datetime(1900, 1, 1, tzinfo=UTC)),
    MaxValueValidator(datetime(3000, 1, 1, tzinfo=UTC)),
]
SEARCH_WORDS_MAX = 10


class VideoFilter(AskedFilterSet):
    """Query parameters of the list of videos."""

    # Must stay first: filters run in this order, and only_deleted replaces the queryset.
    deleted = TrueFalseFilter(
        method="only_deleted",
        help_text="`true`: deleted videos, which can be restored (administrators only).",
    )
    creator = filters.UUIDFilter(
        field_name="creator_id", help_text="Id of a user: videos of this creator."
    )
    category = filters.CharFilter(max_length=60)
    tag = filters.CharFilter(method="with_tag", max_length=40)
    is_paid = TrueFalseFilter(method="paid")
    status = filters.ChoiceFilter(choices=Video.Status.choices)
    min_duration = filters.NumberFilter(
        field_name="duration_seconds",
        lookup_expr="gte",
        min_value=0,
        max_value=10**9,
        help_text="Shortest duration in seconds.",
    )
    max_duration = filters.NumberFilter(
        field_name="duration_seconds",
        lookup_expr="lte",
        min_value=0,
        max_value=10**9,
        help_text="Longest duration in seconds.",
    )
    created_after = filters.IsoDateTimeFilter(
        field_name="created_at",
        lookup_expr="gte",
        validators=SANE_TIME,
        help_text="Created at this time or later.",
    )
    created_before = filters.IsoDateTimeFilter(
        field_name="created_at",
        lookup_expr="lt",
        validators=SANE_TIME,
        help_text="Created before this time.",
    )
    search = filters.CharFilter(
        method="matching",
        max_length=200,
        help_text="Words that must all occur in the title, the description or, as whole words, the "
        "captions. "
        f"Words after the first {SEARCH_WORDS_MAX} are ignored.",
    )

    class Meta:
        model = Video
        fields: ClassVar[list[str]] = []

    def filter_queryset(self, queryset: VideoQuerySet) -> VideoQuerySet:
        order = self.data.get("ordering") or "-created_at"
        for name, value in self.form.cleaned_data.items():
            along = None
            if name in orders.FILTERS and value not in EMPTY_VALUES:
                given = _tag(value) if name == "tag" else value
                along = orders.walked(queryset, name, given, order)
            queryset = self.filters[name].filter(queryset, value) if along is None else along
        return queryset

    def with_tag(self, queryset: VideoQuerySet, name: str, value: str) -> VideoQuerySet:
        return queryset.filter(tags__name=_tag(value))

    # ``value`` has no type here: drf-spectacular would document that type instead of the model's.
    def paid(self, queryset: VideoQuerySet, name: str, value) -> VideoQuerySet:
        return queryset.filter(is_paid=value == "true")

    def matching(self, queryset: VideoQuerySet, name: str, value: str) -> VideoQuerySet:
        for word in value.split()[:SEARCH_WORDS_MAX]:
            found = Q(title__icontains=word) | Q(description__icontains=word)
            if parts := words.of_text(word):
                found |= Q(*(Q(pk__in=words.videos_with(part)) for part in parts))
            queryset = queryset.filter(found)
        return queryset

    def only_deleted(self, queryset: VideoQuerySet, name: str, value: str) -> VideoQuerySet:
        """Replace the queryset by all deleted videos. Raises PermissionDenied for other roles."""
        if value != "true":
            return queryset
        if not self.request.user.has_perm("videos.restore_video"):
            raise PermissionDenied("Only administrators may see deleted videos.")
        return rows_of(Video.objects.deleted(), Sight.ALL)


def _tag(given: str) -> str:
    return given.strip().lower()
