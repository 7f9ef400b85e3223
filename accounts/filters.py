import django_filters as filters

from accounts.models import User
from accounts.roles import Role


class UserFilter(filters.FilterSet):
    role = filters.ChoiceFilter(field_name="role__name", choices=Role.choices)
    is_active = filters.ChoiceFilter(
        choices=[("true", "true"), ("false", "false")], method="active"
    )
    search = filters.CharFilter(method="matching", max_length=200, help_text="In e-mail and name.")

    class Meta:
        model = User
        fields = []

    def active(self, queryset, name, value):
        return queryset.filter(is_active=value == "true")

    def matching(self, queryset, name, value):
        return queryset.filter(email__icontains=value) | queryset.filter(
            display_name__icontains=value
        )
