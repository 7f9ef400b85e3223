"""Filters of the lists of money."""

from django_filters import rest_framework as filters

from payments.models import Order


class OrderFilter(filters.FilterSet):
    class Meta:
        model = Order
        fields = ["status", "kind", "video"]
