"""Offers: plans, coupons, and the prices of videos."""

from django.utils import timezone
from drf_spectacular.utils import (
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    extend_schema_view,
)
from drf_standardized_errors.openapi_validation_errors import extend_validation_errors
from rest_framework import status
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.response import Response

from config import money
from config.api.refusals import refuses
from config.api.views import APIView, GenericViewSet
from config.errors import NotVisible
from payments.entitlements import Access, can_watch, can_watch_each
from payments.errors import CouponUsed
from payments.filters import CouponFilter
from payments.http import validated_body
from payments.idempotency import idempotent
from payments.models import Coupon, Plan
from payments.permissions import MayChangeCoupons, MayChangePlans, MaySetPrices
from payments.serializers.offers import (
    CouponAnswerSerializer,
    CouponSerializer,
    OfferListSerializer,
    OfferSerializer,
    PlanChangeSerializer,
    PlanCreateSerializer,
    PlanSerializer,
    PricesSerializer,
    VideoIdsSerializer,
)
from payments.services.offers import coupons, plans
from videos.availability import policy
from videos.models import Video
from videos.permissions import MayBrowse
from videos.services import catalogue


@extend_schema_view(
    list=extend_schema(
        summary="List all coupons",
        description="The newest come first.",
        responses=CouponAnswerSerializer(many=True),
    ),
    retrieve=extend_schema(
        summary="Show one coupon",
        description="With the number of its uses: reserved or used.",
        responses=OpenApiResponse(CouponAnswerSerializer, "The coupon."),
    ),
)
@extend_validation_errors(["unique"], "code", methods=["post", "patch"])
class CouponViewSet(ListModelMixin, RetrieveModelMixin, GenericViewSet):
    """All coupons. A coupon is ended and never deleted, because orders refer to it."""

    permission_classes = [MayChangeCoupons]
    queryset = Coupon.objects.all()
    serializer_class = CouponSerializer
    filterset_class = CouponFilter
    ordering = "-created_at"
    lookup_value_converter = "id"

    @extend_schema(
        summary="Create a coupon",
        description=(
            "Give either `percent_bps` or an `amount` with its `currency`. A coupon that a creator funds"
            " names the `creator`."
        ),
        request=CouponSerializer,
        responses={201: OpenApiResponse(CouponAnswerSerializer, "The new coupon.")},
    )
    @idempotent
    def create(self, request):
        coupon = coupons.create_coupon(
            actor=request.user, **validated_body(CouponSerializer, request)
        )
        return Response(CouponAnswerSerializer(coupon).data, status=status.HTTP_201_CREATED)

    @extend_schema(
        summary="Change or end a coupon",
        description="A used coupon keeps its code, discount, funding and creator (409 `coupon_used`).",
        request=CouponSerializer,
        responses=OpenApiResponse(CouponAnswerSerializer, "The changed coupon."),
    )
    @refuses(CouponUsed)
    def partial_update(self, request, pk):
        serializer = CouponSerializer(self.get_object(), data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        coupon = coupons.change_coupon(
            coupon_id=pk, actor=request.user, **serializer.validated_data
        )
        return Response(CouponAnswerSerializer(coupon).data)


@extend_schema_view(
    list=extend_schema(
        summary="List all plans, including plans that are no longer sold",
        description="The newest come first.",
    )
)
@extend_validation_errors(["unique"], "code", actions=["create"])
@extend_validation_errors(["invalid", "min_value"], "amount", actions=["create"])
class AdminPlanViewSet(ListModelMixin, GenericViewSet):
    """All plans. A plan never changes its price, because subscribers agreed to it."""

    permission_classes = [MayChangePlans]
    queryset = Plan.objects.all()
    serializer_class = PlanCreateSerializer
    ordering = "-created_at"
    lookup_value_converter = "id"

    @extend_schema(
        summary="Create a plan",
        description="A plan never changes its price, because subscribers agreed to it.",
        responses={201: OpenApiResponse(PlanCreateSerializer, "The new plan.")},
    )
    @idempotent
    def create(self, request):
        plan = plans.create_plan(
            actor=request.user, **validated_body(PlanCreateSerializer, request)
        )
        return Response(PlanCreateSerializer(plan).data, status=status.HTTP_201_CREATED)

    @extend_schema(
        summary="Rename a plan, stop or resume its sale, or set its streams",
        description="Subscriptions to a plan that is no longer sold continue unchanged. A new"
        " `max_streams` counts from a subscriber's next playback.",
        request=PlanChangeSerializer,
        responses=OpenApiResponse(PlanCreateSerializer, "The changed plan."),
    )
    def partial_update(self, request, pk):
        serializer = PlanChangeSerializer(self.get_object(), data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        plan = plans.change_plan(plan_id=pk, actor=request.user, **serializer.validated_data)
        return Response(PlanCreateSerializer(plan).data)


@extend_schema_view(
    list=extend_schema(summary="List the plans on sale", description="The oldest comes first.")
)
class PlanViewSet(ListModelMixin, GenericViewSet):
    permission_classes = [MayBrowse]
    queryset = Plan.objects.filter(is_active=True)
    serializer_class = PlanSerializer
    ordering = "created_at"


def _offer(video: Video, access: Access | None) -> dict:
    prices = [("buy", video.price, None), ("rent", video.rental_price, video.rental_hours)]
    return {
        "video_id": video.pk,
        "is_paid": video.is_paid,
        "owned": access is not None,
        "access": access.kind if access else None,
        "offers": [
            {
                "kind": kind,
                "amount": money.to_text(price, video.currency),
                "currency": video.currency,
                "rental_hours": hours,
            }
            for kind, price, hours in prices
            if price
            and not video.is_withdrawn
            and policy.is_sold(video, is_purchase=kind == "buy", now=timezone.now())
        ],
    }


class OffersView(APIView):
    permission_classes = [MayBrowse]

    @extend_schema(
        summary="Show the offers for a video, and my access to it",
        description="A free video has no offers.",
        responses=OpenApiResponse(OfferSerializer, "The offers, and the caller's access."),
    )
    def get(self, request, video_id):
        visible = Video.objects.visible_to(request.user).select_related("creator")
        video = visible.filter(pk=video_id).first()
        if video is None:
            raise NotVisible()
        return Response(_offer(video, can_watch(request.user, video)))


@extend_validation_errors(
    ["required", "blank", "invalid", "max_length", "null_characters_not_allowed"], "video"
)
class OffersListView(APIView):
    permission_classes = [MayBrowse]

    @extend_schema(
        operation_id="payments_offers_list",
        summary="Show the offers for up to 100 videos, and my access to them",
        description="Videos that do not exist or that you may not see are left out.",
        parameters=[
            OpenApiParameter(
                "video",
                {"type": "array", "items": {"type": "string", "format": "uuid"}, "maxItems": 100},
                style="form",
                explode=False,
                required=True,
                description="Ids of up to 100 videos, separated by commas.",
            ),
        ],
        responses=OpenApiResponse(OfferListSerializer, "The offers, in the order of the ids."),
    )
    def get(self, request):
        serializer = VideoIdsSerializer(data=request.query_params)
        serializer.is_valid(raise_exception=True)
        ids = serializer.validated_data["video"]
        visible = Video.objects.visible_to(request.user).select_related("creator")
        videos = list(visible.filter(pk__in=ids))
        access = can_watch_each(request.user, videos)
        videos.sort(key=lambda video: ids.index(video.pk))
        return Response({"results": [_offer(video, access[video.pk]) for video in videos]})


class PricesView(APIView):
    permission_classes = [MaySetPrices]

    @extend_schema(
        summary="Show the prices of my video",
        description="Of the caller's own videos only, drafts included.",
        responses=OpenApiResponse(PricesSerializer, "The prices."),
    )
    def get(self, request, video_id):
        return self.answer(self.video(video_id))

    @extend_schema(
        summary="Set the prices of my video",
        description="Open orders keep the price with which they were created.",
        request=PricesSerializer,
        responses=OpenApiResponse(PricesSerializer, "The new prices."),
    )
    def put(self, request, video_id):
        video = self.video(video_id)
        serializer = PricesSerializer(video, data=request.data, context={"request": request})
        serializer.is_valid(raise_exception=True)
        catalogue.change_video(video=video, actor=request.user, **serializer.validated_data)
        return self.answer(video)

    def video(self, pk) -> Video:
        video = Video.objects.alive().filter(creator=self.request.user.pk, pk=pk).first()
        if video is None:
            raise NotVisible()
        return video

    def answer(self, video: Video) -> Response:
        return Response(PricesSerializer(video, context={"request": self.request}).data)
