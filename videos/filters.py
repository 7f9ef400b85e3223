from datetime import UTC, datetime

import django_filters as filters
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db.models import Q
from rest_framework.exceptions import PermissionDenied

from videos.models import Video

# Times near the ends of the calendar overflow when they are turned into UTC.
SANE_TIME = [
    MinValueValidator(datetime(1900, 1, 1, tzinfo=UTC)),
    MaxValueValidator(datetime(3000, 1, 1, tzinfo=UTC)),
]
TRUE_FALSE = [("true", "true"), ("false", "false")]


class VideoFilter(filters.FilterSet):
    # The first of them: it begins anew, with videos that are not in the catalogue.
    deleted = filters.ChoiceFilter(
        choices=TRUE_FALSE, method="only_deleted", help_text="What can be restored (ADMIN)."
    )
    creator = filters.UUIDFilter(field_name="creator_id", help_text="The id of a user.")
    category = filters.CharFilter(max_length=60)
    tag = filters.CharFilter(method="tagged", max_length=40)
    is_paid = filters.ChoiceFilter(choices=TRUE_FALSE, method="paid")
    status = filters.ChoiceFilter(choices=Video.Status.choices)
    min_duration = filters.NumberFilter(
        field_name="duration_seconds", lookup_expr="gte", min_value=0, max_value=10**9
    )
    max_duration = filters.NumberFilter(
        field_name="duration_seconds", lookup_expr="lte", min_value=0, max_value=10**9
    )
    created_after = filters.IsoDateTimeFilter(
        field_name="created_at", lookup_expr="gte", validators=SANE_TIME
    )
    created_before = filters.IsoDateTimeFilter(
        field_name="created_at", lookup_expr="lt", validators=SANE_TIME
    )
    search = filters.CharFilter(
        method="matching", max_length=200, help_text="In title and description."
    )

    class Meta:
        model = Video
        fields = []

    def tagged(self, queryset, name, value):
        return queryset.filter(tags__name=value.strip().lower())

    def paid(self, queryset, name, value):
        return queryset.filter(is_paid=value == "true")

    def matching(self, queryset, name, value):
        for word in value.split()[:10]:
            queryset = queryset.filter(Q(title__icontains=word) | Q(description__icontains=word))
        return queryset

    def only_deleted(self, queryset, name, value):
        if value != "true":
            return queryset
        if not self.request.user.has_perm("videos.restore_video"):
            raise PermissionDenied("Only administrators may see deleted videos.")
        return Video.objects.deleted().for_output()
