import django_filters as filters

from audit.actions import AuditAction
from audit.models import AuditEntry


class AuditFilter(filters.FilterSet):
    actor = filters.UUIDFilter(field_name="actor_id", help_text="The id of a user.")
    action = filters.ChoiceFilter(choices=AuditAction.choices)
    target_type = filters.CharFilter(help_text="`video`, `order`, `user`, …")
    target_id = filters.CharFilter()
    method = filters.ChoiceFilter(
        choices=[(m, m) for m in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")]
    )
    status = filters.NumberFilter(min_value=100, max_value=599, help_text="HTTP status.")
    ip = filters.CharFilter(help_text="An exact address.")
    from_ = filters.IsoDateTimeFilter(field_name="at", lookup_expr="gte")
    to = filters.IsoDateTimeFilter(field_name="at", lookup_expr="lt")

    class Meta:
        model = AuditEntry
        fields = []

    @classmethod
    def get_filters(cls):
        found = super().get_filters()
        found["from"] = found.pop("from_")  # a keyword of Python, but the contract's name
        return found
