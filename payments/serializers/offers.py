"""Plans, coupons and prices of videos."""

import uuid

from rest_framework import serializers

from accounts.models import User
from config import money
from config.api.fields import MoneyField
from payments.models import (
    Coupon,
    Order,
    Plan,
)
from videos.serializers import VideoSerializer


class OfferRowSerializer(serializers.Serializer):
    kind = serializers.ChoiceField(choices=Order.Kind.choices)
    amount = serializers.CharField()
    currency = serializers.CharField()
    rental_hours = serializers.IntegerField(allow_null=True)


class OfferSerializer(serializers.Serializer):
    video_id = serializers.UUIDField()
    is_paid = serializers.BooleanField()
    owned = serializers.BooleanField(help_text="The caller may watch it as things stand.")
    access = serializers.CharField(allow_null=True)
    offers = OfferRowSerializer(many=True)


class OfferListSerializer(serializers.Serializer):
    results = OfferSerializer(many=True)


class VideoIdsSerializer(serializers.Serializer):
    """``video=<id>,<id>,…``"""

    video = serializers.CharField(max_length=100 * 37)

    def validate_video(self, value) -> list[uuid.UUID]:
        try:
            ids = [uuid.UUID(text) for text in value.split(",") if text]
        except ValueError:
            raise serializers.ValidationError("Ids of videos, separated by commas.") from None
        if not 0 < len(ids) <= 100:
            raise serializers.ValidationError("From 1 to 100 ids.")
        return ids


class PlanSerializer(serializers.ModelSerializer):
    amount = MoneyField(read_only=True)

    class Meta:
        model = Plan
        fields = ["code", "name", "amount", "currency", "interval", "trial_days"]
        read_only_fields = fields


class CouponSerializer(serializers.ModelSerializer):
    """Give ``percent_bps`` or an ``amount`` with its ``currency``."""

    funded_by = serializers.ChoiceField(choices=["creator", "platform"], default="platform")
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
        # The service says it for both the API and the admin site, in any letter case.
        extra_kwargs = {"per_user": {"min_value": 1}, "percent_bps": {"min_value": 1}}

    def validate(self, attrs):
        if attrs.get("amount") is None:
            return attrs
        before = self.instance.currency if self.instance else ""
        return {**attrs, "amount": in_minor("amount", attrs, attrs.get("currency", before))}


class PlanCreateSerializer(serializers.ModelSerializer):
    """A plan is made once; later only its name changes, and whether it is offered."""

    code = serializers.SlugField(max_length=40)
    amount = MoneyField()
    currency = serializers.ChoiceField(choices=sorted(money.EXPONENTS))
    trial_days = serializers.IntegerField(min_value=0, max_value=365, default=0)

    class Meta:
        model = Plan
        fields = [
            "id", "code", "name", "amount", "currency", "interval", "trial_days", "is_active",
            "created_at",
        ]  # fmt: skip
        read_only_fields = ["created_at"]

    def validate_code(self, code):
        if Plan.objects.filter(code=code).exists():
            raise serializers.ValidationError("There is such a plan.", code="unique")
        return code

    def validate(self, attrs):
        return {**attrs, "amount": in_minor("amount", attrs, attrs["currency"])}


class PlanChangeSerializer(serializers.ModelSerializer):
    class Meta:
        model = Plan
        fields = ["name", "is_active"]


def in_minor(name: str, attrs: dict, currency: str) -> int:
    try:
        return money.to_minor(attrs[name], currency)
    except money.NotMoney as error:
        raise serializers.ValidationError({name: str(error)}, code="invalid") from None


class PricesSerializer(VideoSerializer):
    """What a video costs, all of it: what is not sent is not for sale. A price of 0 makes it free.

    The rules are those of the video itself.
    """

    price = MoneyField()

    class Meta(VideoSerializer.Meta):
        fields = ["id", "is_paid", "price", "currency", "rental_price", "rental_hours"]
        read_only_fields = ["is_paid"]

    PRIVATE = ()

    def validate(self, attrs):
        nothing_else = {"rental_price": None, "rental_hours": None}
        return super().validate({**nothing_else, **attrs, "is_paid": attrs["price"] != 0})
