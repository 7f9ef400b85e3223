import django_filters as filters  # type: ignore[import-untyped]  # ships no types
from django.db.models import Q, QuerySet

from accounts.models import User
from accounts.roles import Role
from config import emails
from config.api.filters import TrueFalseFilter
from config.lookups import holds


class UserFilter(filters.FilterSet):
    role = filters.ChoiceFilter(field_name="role__name", choices=Role.choices)
    is_moderator = TrueFalseFilter(method="by_moderation")
    is_active = TrueFalseFilter(method="by_status")
    search = filters.CharFilter(
        method="by_text",
        max_length=200,
        help_text="A part of the e-mail address or of the display name.",
    )

    class Meta:
        model = User
        fields: list[str] = []

    # `value` has no type, because drf-spectacular would then document a string instead of a boolean.
    def by_status(self, queryset: QuerySet[User], name: str, value) -> QuerySet[User]:
        return queryset.filter(is_active=value == "true")

    def by_moderation(self, queryset: QuerySet[User], name: str, value) -> QuerySet[User]:
        return queryset.filter(is_moderator=value == "true")

    def by_text(self, queryset: QuerySet[User], name: str, value: str) -> QuerySet[User]:
        in_email = Q(email__icontains=value.strip()) | Q(email__icontains=emails.in_ascii(value))
        return queryset.filter(in_email | holds("display_name", value))
