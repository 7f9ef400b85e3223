import django_filters as filters  # type: ignore[import-untyped]  # ships no types

from webhooks.catalogue import EventType
from webhooks.models import Delivery


class DeliveryFilter(filters.FilterSet):
    event_type = filters.ChoiceFilter(field_name="event__type", choices=EventType.choices)

    class Meta:
        model = Delivery
        fields = ["endpoint", "status", "event_type"]
