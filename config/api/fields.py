"""Serializer fields that several apps use."""

from decimal import Decimal
from typing import Any, Protocol
from urllib.parse import SplitResult, urlsplit

from django.core.exceptions import ValidationError
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from config import domains, money


class HasCurrency(Protocol):
    """An object whose amounts are in one currency."""

    currency: str


# The value type is Any because input and output differ: a Decimal comes in, a pair goes out.
@extend_schema_field({"type": "string", "format": "decimal", "example": "19.99"})
class MoneyField(serializers.Field[Any, object, str, HasCurrency]):
    """An amount: minor units in the object, a decimal string in the API. Input may be a JSON number.

    For output, the currency is that of the object (``instance.currency``). Input becomes a Decimal: only
    the serializer knows the currency, so the serializer has to call ``money.to_minor``.
    """

    default_error_messages = {"invalid": "A valid amount is required."}

    def get_attribute(self, instance: HasCurrency) -> tuple[int, str] | None:
        """Return the amount with its currency, or None if the object has no amount."""
        try:
            value = getattr(instance, self.source or "")
        except AttributeError:  # a dictionary, or an attribute of an attribute
            value = super().get_attribute(instance)
        return None if value is None else (value, instance.currency)

    def to_representation(self, value: tuple[int, str]) -> str:
        minor, currency = value
        return money.to_text(minor, currency)

    def to_internal_value(self, data: object) -> Decimal:
        if isinstance(data, bool) or not isinstance(data, (str, int, float, Decimal)):
            self.fail("invalid")
        try:
            return money.to_decimal(data)
        except money.NotMoney:
            self.fail("invalid")


class BoundedListField(serializers.ListField):
    """A list whose length is checked before its items, so that a long one costs nothing."""

    def to_internal_value(self, data: Any) -> list[Any]:
        if isinstance(data, list):
            if self.max_length is not None and len(data) > self.max_length:
                message = self.error_messages["max_length"].format(max_length=self.max_length)
                raise serializers.ValidationError(message, code="max_length")
            if self.min_length is not None and len(data) < self.min_length:
                message = self.error_messages["min_length"].format(min_length=self.min_length)
                raise serializers.ValidationError(message, code="min_length")
        return super().to_internal_value(data)


def called_address(value: str) -> SplitResult:
    """Return the parts of a valid URL that the service itself will call.

    Raises ValidationError if it holds a user or a password, or a port that no connection can have:
    Django's URL check counts the digits of a port alone.
    """
    parts = urlsplit(value)
    if parts.username is not None:
        raise serializers.ValidationError("Leave the user and the password out of the address.")
    try:
        is_port = parts.port != 0
    except ValueError:  # beyond 65535
        is_port = False
    if not is_port:
        raise serializers.ValidationError(
            "The port of this address is not between 1 and 65535. Correct it, or leave it out."
        )
    return parts


class EmbedDomainsField(BoundedListField):
    """Domains whose pages may show a player in a frame, in the normal form of `config.domains`."""

    child = serializers.CharField(max_length=255)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=domains.DOMAINS_MAX, **kwargs)

    def to_internal_value(self, data: Any) -> list[str]:
        sent = super().to_internal_value(data)
        try:
            return domains.normal_all(sent)
        except ValidationError as error:
            raise serializers.ValidationError(error.messages) from None


class AmountTextField(serializers.CharField):
    """An amount that is already written as a decimal string, such as "19.99". Output only."""

    def __init__(self, *, help_text: str | None = None) -> None:
        super().__init__(help_text=help_text, max_length=40, read_only=True)
