"""The data of events: what the API shows of the object, in the same words and forms.

What belongs to one person's screen is left out: addresses of pictures and of pages to pay on.
"""

from typing import Any

from rest_framework import serializers

from accounts.models import User
from accounts.serializers import UserSerializer
from config.api.fields import MoneyField
from payments.models import Order, Payout, Subscription
from payments.serializers.buying import OrderSerializer
from payments.serializers.payouts import PayoutSerializer
from payments.serializers.subscribing import SubscriptionSerializer
from videos.models import Video
from videos.moderation.models import ModerationCase
from videos.serializers import CreatorSerializer, RenditionSerializer


class VideoDataSerializer(serializers.ModelSerializer):
    creator = CreatorSerializer(read_only=True)
    price = MoneyField(read_only=True)
    rental_price = MoneyField(read_only=True)
    playable = serializers.BooleanField(source="is_playable", read_only=True)
    renditions = RenditionSerializer(many=True, read_only=True)
    error = serializers.SerializerMethodField()

    class Meta:
        model = Video
        fields = [
            "id", "title", "creator", "status", "playable", "visibility", "is_paid", "price",
            "currency", "rental_price", "rental_hours", "category", "duration_seconds", "width",
            "height", "renditions", "created_at", "published_at", "deleted_at", "error",
        ]  # fmt: skip

    def get_error(self, video: Video) -> dict[str, str] | None:
        job = video.job
        if job is None or not job.error_code:
            return None
        return {"code": job.error_code, "detail": job.error_detail}


class CaseDataSerializer(serializers.ModelSerializer):
    creator_id = serializers.UUIDField(source="video.creator_id", read_only=True)
    title = serializers.CharField(source="video.title", read_only=True)

    class Meta:
        model = ModerationCase
        fields = [
            "id", "video_id", "title", "creator_id", "status", "opened_at", "decided_at",
            "restored_at",
        ]  # fmt: skip


class OrderDataSerializer(OrderSerializer):
    class Meta(OrderSerializer.Meta):
        fields = [*OrderSerializer.Meta.fields, "buyer_id", "creator_id"]
        read_only_fields = fields


class SubscriptionDataSerializer(SubscriptionSerializer):
    class Meta(SubscriptionSerializer.Meta):
        fields = [
            *(name for name in SubscriptionSerializer.Meta.fields if name != "hosted_invoice_url"),
            "user_id",
        ]
        read_only_fields = fields

    hosted_invoice_url = None  # type: ignore[assignment]  # REST framework's way to drop a field


class PayoutDataSerializer(PayoutSerializer):
    class Meta(PayoutSerializer.Meta):
        fields = [*PayoutSerializer.Meta.fields, "creator_id"]
        read_only_fields = fields


def of_video(video: Video) -> dict[str, Any]:
    return dict(VideoDataSerializer(video).data)


def of_case(case: ModerationCase, *, reason: str, note: str) -> dict[str, Any]:
    """Return what the creator may know of a case: no reporter, no moderator, no internal note."""
    shown = dict(CaseDataSerializer(case).data)
    return {**shown, "reason": reason or None, "note": note}


def of_order(order: Order) -> dict[str, Any]:
    return dict(OrderDataSerializer(order).data)


def of_subscription(subscription: Subscription) -> dict[str, Any]:
    return dict(SubscriptionDataSerializer(subscription).data)


def of_payout(payout: Payout) -> dict[str, Any]:
    return dict(PayoutDataSerializer(payout).data)


def of_user(user: User) -> dict[str, Any]:
    return dict(UserSerializer(user).data)
