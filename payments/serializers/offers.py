"""Offers in the API: plans, coupons, and the prices of videos."""

import uuid
from decimal import Decimal
from typing import Any

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from accounts.models import User
from config import ids, money
from config.api.fields import AmountTextField, MoneyField
from config.api.serializers import CompleteErrors
from payments import examples
from payments.entitlements import KINDS
from payments.models import Coupon, Order, Plan
from videos.serializers import VideoSerializer


class OfferRowSerializer(serializers.Serializer):
    """One way to pay for a video."""

    kind = serializers.ChoiceField(choices=Order.Kind.choices)
    amount = AmountTextField()
    currency = serializers.CharField()
    rental_hours = serializers.IntegerField(
        allow_null=True, help_text="How long a rental lasts from the first playback; null to buy."
    )


@extend_schema_serializer(examples=[examples.answered("For sale and for rent", examples.OFFER)])
class OfferSerializer(serializers.Serializer):
    """The offers for a video, and the caller's access to it."""

    video_id = serializers.UUIDField()
    is_paid = serializers.BooleanField()
    owned = serializers.BooleanField(help_text="Whether the caller has access to the video now.")
    access = serializers.ChoiceField(
        choices=KINDS, allow_null=True, help_text="The reason of the access; null without access."
    )
    offers = OfferRowSerializer(many=True)


@extend_schema_serializer(examples=[examples.answered("One video", {"results": [examples.OFFER]})])
class OfferListSerializer(serializers.Serializer):
    results = OfferSerializer(many=True)


class VideoIdsSerializer(serializers.Serializer):
    """The query parameter ``video=<id>,<id>,…``, as a list of ids."""

    video = serializers.CharField(max_length=100 * 37)

    def validate_video(self, value) -> list[uuid.UUID]:
        try:
            found = [ids.parse(text) for text in value.split(",") if text]
        except ValueError:
            raise serializers.ValidationError(
                "This is not a list of video ids. Separate the ids by commas."
            ) from None
        if not 0 < len(found) <= 100:
            raise serializers.ValidationError("Send 1 to 100 video ids.")
        return found


STREAMS = {"min_value": 0, "max_value": 1000}  # of Plan.max_streams


@extend_schema_serializer(examples=[examples.answered("Monthly", examples.PLAN)])
class PlanSerializer(serializers.ModelSerializer):
    """A subscription that can be bought."""

    amount = MoneyField(read_only=True)

    class Meta:
        model = Plan
        fields = ["code", "name", "amount", "currency", "interval", "trial_days", "max_streams"]
        read_only_fields = fields


@extend_schema_serializer(
    examples=[
        examples.sent("A quarter off", examples.NEW_COUPON),
        examples.sent(
            "Five euros off, paid by a creator",
            {
                "code": "THANKS",
                "amount": "5.00",
                "currency": "EUR",
                "funded_by": "creator",
                "creator": examples.CREATOR,
            },
        ),
    ]
)
class CouponSerializer(CompleteErrors, serializers.ModelSerializer):
    """A coupon. It has either ``percent_bps`` or an ``amount`` with its ``currency``."""

    funded_by = serializers.ChoiceField(choices=Coupon.Funding.choices, default="platform")
    amount = MoneyField(required=False, allow_null=True)
    currency = serializers.ChoiceField(choices=sorted(money.EXPONENTS), required=False)
    creator = serializers.PrimaryKeyRelatedField(
        queryset=User.objects.all(), required=False, allow_null=True
    )

    class Meta:
        model = Coupon
        fields = [
            "id", "code", "percent_bps", "amount", "currency", "funded_by", "creator",
            "max_redemptions", "per_user", "redeemed", "starts_at", "ends_at", "is_active",
            "created_at",
        ]  # fmt: skip
        read_only_fields = ["redeemed", "created_at"]
        # Their other rules are checked by the service, for the API and the admin site alike.
        extra_kwargs = {"per_user": {"min_value": 1}, "percent_bps": {"min_value": 1}}

    def validate(self, attrs):
        if attrs.get("amount") is None:
            return attrs
        if "currency" in self.failed:
            return attrs
        old_currency = self.instance.currency if self.instance else ""
        return with_minor_amount(attrs, attrs.get("currency", old_currency))


def above_zero(amount: Decimal) -> None:
    """Refuse a price of zero or less in any currency."""
    if amount <= 0:
        raise serializers.ValidationError("The price must be above zero.")


@extend_schema_serializer(
    component_name="Coupon", examples=[examples.answered("A quarter off", examples.COUPON)]
)
class CouponAnswerSerializer(CouponSerializer):
    """A coupon. ``currency`` is empty for a coupon with ``percent_bps``."""

    currency = serializers.ChoiceField(choices=sorted(money.EXPONENTS), allow_blank=True)


@extend_schema_serializer(
    examples=[
        examples.sent("Monthly", {**examples.PLAN, "trial_days": 7}),
        examples.answered("Monthly", examples.ADMIN_PLAN),
    ]
)
class PlanCreateSerializer(CompleteErrors, serializers.ModelSerializer):
    """A plan. Its name, ``is_active`` (whether it is on sale) and ``max_streams`` can change later."""

    code = serializers.SlugField(max_length=40)
    amount = MoneyField(validators=[above_zero])
    currency = serializers.ChoiceField(choices=sorted(money.EXPONENTS))
    trial_days = serializers.IntegerField(min_value=0, max_value=365, default=0)

    class Meta:
        model = Plan
        fields = [
            "id", "code", "name", "amount", "currency", "interval", "trial_days", "max_streams",
            "is_active", "created_at",
        ]  # fmt: skip
        read_only_fields = ["created_at"]
        extra_kwargs = {"max_streams": STREAMS}

    def validate_code(self, code):
        if Plan.objects.filter(code=code).exists():
            raise serializers.ValidationError(
                "A plan with this code exists already. Choose another code.", code="unique"
            )
        return code

    def validate(self, attrs):
        if self.failed & {"amount", "currency"}:
            return attrs
        return with_minor_amount(attrs, attrs["currency"])


@extend_schema_serializer(examples=[examples.sent("Stop the sale", {"is_active": False})])
class PlanChangeSerializer(serializers.ModelSerializer):
    """What can change of a plan."""

    class Meta:
        model = Plan
        fields = ["name", "is_active", "max_streams"]
        extra_kwargs = {"max_streams": STREAMS}


def with_minor_amount(attrs: dict[str, Any], currency: str) -> dict[str, Any]:
    """Return the attributes with ``amount`` in minor units. Raises ValidationError for the field."""
    try:
        return {**attrs, "amount": money.to_minor(attrs["amount"], currency)}
    except money.NotMoney as error:
        raise serializers.ValidationError({"amount": str(error)}, code="invalid") from None


@extend_schema_serializer(
    examples=[
        examples.sent("For sale and for rent", examples.PRICES),
        examples.answered(
            "For sale and for rent", {"id": examples.VIDEO, "is_paid": True, **examples.PRICES}
        ),
    ]
)
class PricesSerializer(VideoSerializer):
    """All prices of a video, under the same rules as in the video's own endpoint.

    A price of 0 makes the video free. Without a rental price the video is not for rent.
    """

    price = MoneyField()

    class Meta(VideoSerializer.Meta):
        fields = ["id", "is_paid", "price", "currency", "rental_price", "rental_hours"]
        read_only_fields = ["is_paid"]

    def validate(self, attrs):
        no_rental = {"rental_price": None, "rental_hours": None}
        # A price that is not an amount is told by its field: the other fields are checked without it.
        is_paid = attrs.get("price") != 0
        return super().validate({**no_rental, **attrs, "is_paid": is_paid})
