"""Serializer fields that several apps share."""

from decimal import Decimal

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from config import money


@extend_schema_field({"type": "string", "format": "decimal", "example": "19.99"})
class MoneyField(serializers.Field):
    """Minor units inside; a decimal string outside. Input may also be a JSON number.

    The currency is read from ``instance.currency`` on the way out. On the way in the value stays a
    Decimal: only the serializer, which knows the currency, can turn it into minor units.
    """

    default_error_messages = {"invalid": "A valid amount is required."}

    def get_attribute(self, instance):
        value = super().get_attribute(instance)
        return None if value is None else (value, instance.currency)

    def to_representation(self, value) -> str:
        minor, currency = value
        return money.to_text(minor, currency)

    def to_internal_value(self, data) -> Decimal:
        if isinstance(data, bool) or not isinstance(data, (str, int, float, Decimal)):
            self.fail("invalid")
        try:
            return money.to_decimal(data)
        except money.NotMoney:
            self.fail("invalid")


class AmountTextField(serializers.CharField):
    """An amount that is already written as a decimal string, such as "19.99". Output only."""

    def __init__(self, *, help_text: str | None = None) -> None:
        super().__init__(help_text=help_text, max_length=40, read_only=True)
