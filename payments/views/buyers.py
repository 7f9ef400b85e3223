from django.conf import settings
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.permissions import AllowAny
from rest_framework.response import Response

from config import money
from config.api.views import APIView, GenericAPIView, GenericViewSet
from config.errors import NotVisible
from payments import gateways
from payments.entitlements import Access, can_watch, can_watch_each
from payments.errors import GatewayUnavailable
from payments.filters import OrderFilter
from payments.idempotent import idempotent
from payments.models import Entitlement, Order, Plan
from payments.serializers import (
    AccessSerializer,
    EntitlementSerializer,
    GatewayConfigSerializer,
    OfferListSerializer,
    OfferSerializer,
    OrderSerializer,
    PlanSerializer,
    PurchaseAnswerSerializer,
    PurchaseSerializer,
    ReceiptSerializer,
    VideoIdsSerializer,
)
from payments.services import checkout, news, orders, refunds
from payments.views.common import absolute, read, return_url
from videos.models import Video


class ConfigView(APIView):
    permission_classes = [AllowAny]

    @extend_schema(summary="How payments are set up", responses=GatewayConfigSerializer)
    def get(self, request):
        gateway = gateways.current()
        return Response(
            {
                "gateway": gateway.name,
                "sandbox": gateway.name == "sandbox",
                "publishable_key": gateway.public["publishable_key"],
                "currencies": sorted(money.EXPONENTS),
                "default_currency": settings.DEFAULT_CURRENCY,
            }
        )


class PlansView(ListModelMixin, GenericAPIView):
    permission_classes = [AllowAny]
    queryset = Plan.objects.filter(is_active=True)
    serializer_class = PlanSerializer
    ordering = "created_at"

    @extend_schema(summary="What can be subscribed to")
    def get(self, request):
        return self.list(request)


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


class PurchaseView(APIView):
    @extend_schema(
        summary="Buy or rent a video",
        description=(
            "One order for each buyer and video: repeating the call goes on with the open one (200)."
            " Send an `Idempotency-Key`. In the sandbox `pm_card_visa` is captured at once,"
            " `pm_card_chargeDeclined` is declined (402) and `pm_card_authenticationRequired` sends"
            " the buyer to their bank first (202)."
        ),
        request=PurchaseSerializer,
        responses={
            200: PurchaseAnswerSerializer,
            201: PurchaseAnswerSerializer,
            202: PurchaseAnswerSerializer,
        },
    )
    @idempotent
    def post(self, request, video_id):
        data = read(PurchaseSerializer, request)
        method, back = data.pop("payment_method", ""), return_url(request, data)
        order, created = checkout.purchase(
            buyer=request.user,
            video_id=video_id,
            wish=checkout.Wish(**data),
            payment_method=method,
            return_url=back,
        )
        action = checkout.next_action(order, return_url=back)
        answer = {
            "order": OrderSerializer(order).data,
            "next_action": absolute(request, action),
            "gateway": order.gateway,
        }
        if action and action["type"] == "authenticate":
            code = status.HTTP_202_ACCEPTED
        else:
            code = status.HTTP_201_CREATED if created else status.HTTP_200_OK
        return Response(answer, status=code)


class OrderViewSet(ListModelMixin, RetrieveModelMixin, GenericViewSet):
    """The caller's own orders."""

    queryset = Order.objects.none()
    serializer_class = OrderSerializer
    filterset_class = OrderFilter
    ordering = "-created_at"

    def get_queryset(self):
        return Order.objects.filter(buyer=self.request.user)

    @extend_schema(summary="My orders")
    def list(self, request, *args, **kwargs):
        return super().list(request, *args, **kwargs)

    @extend_schema(summary="One of my orders")
    def retrieve(self, request, *args, **kwargs):
        return super().retrieve(request, *args, **kwargs)

    @extend_schema(summary="Give up an open order", request=None, responses=OrderSerializer)
    @idempotent
    def cancel(self, request, pk):
        order = orders.cancel_order(order=self.get_object(), actor=request.user)
        return Response(OrderSerializer(order).data)

    @extend_schema(
        summary="Ask the gateway what became of an order (for the return page)",
        request=None,
        responses=OrderSerializer,
    )
    @idempotent
    def sync(self, request, pk):
        try:
            order = news.sync_order(self.get_object())
        except OSError as error:
            raise GatewayUnavailable() from error
        return Response(OrderSerializer(order).data)

    @extend_schema(
        summary="Give a video back that I bought",
        description=(
            "Within `REFUND_WINDOW_DAYS`, and only while no more than `REFUND_WATCHED_PERCENT` of"
            " it was watched (409 `refund_window_closed`, `watched_too_much`)."
        ),
        request=None,
        responses=OrderSerializer,
    )
    @idempotent
    def refund(self, request, pk):
        return Response(OrderSerializer(refunds.refund_own(order=self.get_object())).data)

    @extend_schema(summary="The receipt of a paid order", responses=ReceiptSerializer)
    def receipt(self, request, pk):
        order = self.get_object()
        if order.paid_at is None:
            raise NotVisible()
        return Response(ReceiptSerializer(order).data)


class EntitlementsView(ListModelMixin, GenericAPIView):
    queryset = Entitlement.objects.none()
    serializer_class = EntitlementSerializer
    ordering = "-starts_at"

    def get_queryset(self):
        return Entitlement.objects.live().filter(user=self.request.user)

    @extend_schema(summary="What I may watch")
    def get(self, request):
        return self.list(request)


class EntitlementView(APIView):
    @extend_schema(summary="May I watch this video?", responses=AccessSerializer)
    def get(self, request, video_id):
        video = Video.objects.visible_to(request.user).filter(pk=video_id).first()
        if video is None:
            raise NotVisible()
        access = can_watch(request.user, video)
        return Response(
            {
                "video_id": video.pk,
                "allowed": access is not None,
                "access": access.kind if access else None,
                "ends_at": access.ends_at if access else None,
            }
        )
