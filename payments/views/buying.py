"""Buying and renting videos."""

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.response import Response

from config.api.views import APIView, GenericViewSet
from config.errors import NotVisible
from payments.filters import OrderFilter
from payments.http import absolute, minor, read, return_url
from payments.idempotency import idempotent
from payments.models import Order
from payments.permissions import MayRefund
from payments.serializers.buying import (
    OrderSerializer,
    PurchaseAnswerSerializer,
    PurchaseSerializer,
    ReceiptSerializer,
)
from payments.serializers.settling import RefundSerializer
from payments.services.buying import checkout, orders
from payments.services.gateway_news import changes
from payments.services.settling import refunds


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
            options=checkout.PurchaseOptions(**data),
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
        order = changes.sync_order(self.get_object())
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
        return Response(OrderSerializer(orders.refund_own(order=self.get_object())).data)

    @extend_schema(summary="The receipt of a paid order", responses=ReceiptSerializer)
    def receipt(self, request, pk):
        order = self.get_object()
        if order.paid_at is None:
            raise NotVisible()
        return Response(ReceiptSerializer(order).data)


class RefundView(APIView):
    permission_classes = [MayRefund]

    @extend_schema(
        summary="Refund an order, in full or in part",
        description="A full refund ends the right to watch, and playback with it, at once.",
        request=RefundSerializer,
        responses=OrderSerializer,
    )
    @idempotent
    def post(self, request, pk):
        serializer = RefundSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        data = serializer.validated_data
        order = refunds.refund_order(
            order_id=pk,
            amount=minor(data.get("amount"), Order, pk),
            reason=data["reason"],
            actor=request.user,
        )
        return Response(OrderSerializer(order).data)
