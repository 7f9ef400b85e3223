import django_filters as filters
from django import forms

from audit.actions import AuditAction
from audit.models import AuditEntry
from config.api.filters import TimeFilter


class AddressFilter(filters.CharFilter):
    field_class = forms.GenericIPAddressField


class AuditFilter(filters.FilterSet):
    actor = filters.UUIDFilter(field_name="actor_id", help_text="The id of a user.")
    action = filters.ChoiceFilter(choices=AuditAction.choices)
    target_type = filters.CharFilter(max_length=40, help_text="`video`, `order`, `user`, …")
    target_id = filters.CharFilter(max_length=64)
    method = filters.ChoiceFilter(
        choices=[(m, m) for m in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")]
    )
    status = filters.NumberFilter(min_value=100, max_value=599, help_text="HTTP status.")
    ip = AddressFilter(help_text="An exact address.")
    from_ = TimeFilter(field_name="at", lookup_expr="gte")
    to = TimeFilter(field_name="at", lookup_expr="lt")
    format = filters.ChoiceFilter(choices=[("csv", "csv")], method="as_it_is")

    class Meta:
        model = AuditEntry
        fields = []

    def as_it_is(self, queryset, name, value):
        return queryset  # the view writes the format; here it is only checked

    @classmethod
    def get_filters(cls):
        found = super().get_filters()
        found["from"] = found.pop("from_")  # "from" is a keyword of Python
        return found
