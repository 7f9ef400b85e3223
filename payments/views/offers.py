"""Plans, coupons and prices of videos."""

from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import status
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.permissions import AllowAny
from rest_framework.response import Response

from config import money
from config.api.views import APIView, GenericViewSet
from config.errors import NotVisible
from payments.entitlements import Access, can_watch, can_watch_each
from payments.filters import CouponFilter
from payments.http import validated_body
from payments.idempotency import idempotent
from payments.models import Coupon, Plan
from payments.permissions import MayChangeCoupons, MayChangePlans, MaySetPrices
from payments.serializers.offers import (
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
from videos.models import Video
from videos.services import catalogue


@extend_schema_view(
    list=extend_schema(summary="All coupons"),
    retrieve=extend_schema(summary="One coupon"),
)
class CouponViewSet(ListModelMixin, RetrieveModelMixin, GenericViewSet):
    """Coupons are ended, never deleted: orders name them."""

    permission_classes = [MayChangeCoupons]
    queryset = Coupon.objects.all()
    serializer_class = CouponSerializer
    filterset_class = CouponFilter
    ordering = "-created_at"
    lookup_value_converter = "uuid"

    @extend_schema(summary="Make a coupon", responses={201: CouponSerializer})
    @idempotent
    def create(self, request):
        coupon = coupons.create_coupon(
            actor=request.user, **validated_body(CouponSerializer, request)
        )
        return Response(CouponSerializer(coupon).data, status=status.HTTP_201_CREATED)

    @extend_schema(
        summary="Change or end a coupon",
        description="One that was used keeps its code and its worth (409 `coupon_used`).",
    )
    def partial_update(self, request, pk):
        serializer = CouponSerializer(self.get_object(), data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        coupon = coupons.change_coupon(
            coupon_id=pk, actor=request.user, **serializer.validated_data
        )
        return Response(CouponSerializer(coupon).data)


@extend_schema_view(list=extend_schema(summary="All plans, also those no longer offered"))
class AdminPlanViewSet(ListModelMixin, GenericViewSet):
    """A price never changes: whoever has subscribed keeps it, and a new price is a new plan."""

    permission_classes = [MayChangePlans]
    queryset = Plan.objects.all()
    serializer_class = PlanCreateSerializer
    ordering = "-created_at"
    lookup_value_converter = "uuid"

    @extend_schema(summary="Make a plan", responses={201: PlanCreateSerializer})
    @idempotent
    def create(self, request):
        plan = plans.create_plan(
            actor=request.user, **validated_body(PlanCreateSerializer, request)
        )
        return Response(PlanCreateSerializer(plan).data, status=status.HTTP_201_CREATED)

    @extend_schema(
        summary="Rename a plan, or stop offering it",
        request=PlanChangeSerializer,
        responses=PlanCreateSerializer,
    )
    def partial_update(self, request, pk):
        serializer = PlanChangeSerializer(self.get_object(), data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        plan = plans.change_plan(plan_id=pk, actor=request.user, **serializer.validated_data)
        return Response(PlanCreateSerializer(plan).data)


@extend_schema_view(list=extend_schema(summary="What can be subscribed to"))
class PlanViewSet(ListModelMixin, GenericViewSet):
    permission_classes = [AllowAny]
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
        ],
    }


class OffersView(APIView):
    permission_classes = [AllowAny]

    @extend_schema(summary="What a video costs, and whether it is mine", responses=OfferSerializer)
    def get(self, request, video_id):
        video = Video.objects.visible_to(request.user).filter(pk=video_id).first()
        if video is None:
            raise NotVisible()
        return Response(_offer(video, can_watch(request.user, video)))


class OffersListView(APIView):
    permission_classes = [AllowAny]

    @extend_schema(
        operation_id="payments_offers_list",
        summary="The same for a page of videos",
        description="Videos that are not there, or not yours to see, are left out.",
        parameters=[
            OpenApiParameter("video", str, description="Up to 100 ids, separated by commas."),
        ],
        responses=OfferListSerializer,
    )
    def get(self, request):
        serializer = VideoIdsSerializer(data=request.query_params)
        serializer.is_valid(raise_exception=True)
        ids = serializer.validated_data["video"]
        videos = list(Video.objects.visible_to(request.user).filter(pk__in=ids))
        access = can_watch_each(request.user, videos)
        videos.sort(key=lambda video: ids.index(video.pk))
        return Response({"results": [_offer(video, access[video.pk]) for video in videos]})


class PricesView(APIView):
    permission_classes = [MaySetPrices]

    @extend_schema(summary="What my video costs", responses=PricesSerializer)
    def get(self, request, video_id):
        return self.shown(self.video(video_id))

    @extend_schema(
        summary="Set what my video costs",
        description="Orders that are open keep the price that they were made with.",
        request=PricesSerializer,
        responses=PricesSerializer,
    )
    def put(self, request, video_id):
        video = self.video(video_id)
        serializer = PricesSerializer(video, data=request.data, context={"request": request})
        serializer.is_valid(raise_exception=True)
        catalogue.change_video(video=video, actor=request.user, **serializer.validated_data)
        return self.shown(video)

    def video(self, pk) -> Video:
        found = Video.objects.alive().filter(creator=self.request.user, pk=pk).first()
        if found is None:
            raise NotVisible()
        return found

    def shown(self, video: Video) -> Response:
        return Response(PricesSerializer(video, context={"request": self.request}).data)
