"""The fields of a video that say when and where it may be watched."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from config.api.fields import BoundedListField
from videos.availability import countries

MOST = 300  # countries; there are about 250


@extend_schema_field(
    {
        "type": "array",
        "items": {"type": "string", "minLength": 2, "maxLength": 2, "example": "DE"},
        "maxItems": MOST,
        "example": ["AT", "DE"],
    }
)
class CountriesField(BoundedListField):
    """Codes of countries (ISO 3166-1 alpha-2), without repeats, in alphabetical order."""

    child = serializers.CharField(max_length=2, min_length=2)
    default_error_messages = {
        "unknown": '"{code}" is no code of a country (ISO 3166-1 alpha-2). Send one like "DE".'
    }

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, max_length=MOST, **kwargs)

    def to_internal_value(self, data: Any) -> list[str]:
        found = {code.upper() for code in super().to_internal_value(data)}
        if unknown := sorted(found - countries.codes()):
            self.fail("unknown", code=unknown[0])
        return sorted(found)


class AvailabilityFields(serializers.Serializer[Any]):
    """The dates and countries of a video, which its owner sets."""

    publish_at = serializers.DateTimeField(
        required=False,
        allow_null=True,
        help_text="From when the video can be watched; until then it is in the catalogue as coming."
        " Null: as soon as it can be played.",
    )
    available_until = serializers.DateTimeField(
        required=False,
        allow_null=True,
        help_text="When it leaves the catalogue, and ends for subscribers and for viewers of a free"
        " video. Who has bought or rented it keeps it. Null: never.",
    )
    allowed_countries = CountriesField(
        help_text="The only countries in which it can be watched and bought, as ISO 3166-1 alpha-2"
        " codes; an empty list: all. Send this list or `refused_countries`."
    )
    refused_countries = CountriesField(
        help_text="The countries in which it cannot be watched or bought."
    )
    is_preorder = serializers.BooleanField(
        required=False,
        help_text="Whether it is sold before `publish_at`. Such an order is refunded by itself when"
        " the date moves later, or the video is gone by then.",
    )

    def check_availability(self, attrs: dict[str, Any], before: Any) -> dict[str, ErrorDetail]:
        """Return the errors of the dates and lists, taken together with those that are stored."""

        def value(name: str) -> Any:
            return attrs.get(name, getattr(before, name, None))

        errors: dict[str, ErrorDetail] = {}
        starts, ends = value("publish_at"), value("available_until")
        if {"publish_at", "available_until"} & attrs.keys() and starts and ends and ends <= starts:
            text = "The end must be after publish_at. Send a later one, or null for no end."
            errors["available_until"] = ErrorDetail(text, "invalid")
        lists = "allowed_countries", "refused_countries"
        if {*lists} & attrs.keys() and all(value(name) for name in lists):
            text = "Send the countries that are allowed or those that are refused, and [] for the other."
            errors["refused_countries"] = ErrorDetail(text, "invalid")
        return errors
