"""Buying and renting videos."""

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.response import Response

from config.api.views import APIView, GenericViewSet
from config.errors import NotVisible
from payments.filters import OrderFilter
from payments.http import checkout_response, pop_return_url, refund_amount, validated_body
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
        options = validated_body(PurchaseSerializer, request)
        method, back = options.pop("payment_method", ""), pop_return_url(request, options)
        order, created = checkout.purchase(
            buyer=request.user,
            video_id=video_id,
            options=checkout.PurchaseOptions(**options),
            payment_method=method,
            return_url=back,
        )
        answer = {
            "order": OrderSerializer(order).data,
            "next_action": checkout.next_action(order, return_url=back),
            "gateway": order.gateway,
        }
        return checkout_response(request, answer, created=created)


@extend_schema_view(
    list=extend_schema(summary="My orders"),
    retrieve=extend_schema(summary="One of my orders"),
)
class OrderViewSet(ListModelMixin, RetrieveModelMixin, GenericViewSet):
    """The caller's own orders."""

    queryset = Order.objects.none()
    serializer_class = OrderSerializer
    filterset_class = OrderFilter
    ordering = "-created_at"
    lookup_value_converter = "uuid"

    def get_queryset(self):
        return Order.objects.filter(buyer=self.request.user.pk)

    @extend_schema(summary="Give up an open order", request=None, responses=OrderSerializer)
    @action(detail=True, methods=["post"])
    @idempotent
    def cancel(self, request, pk):
        order = orders.cancel_order(order=self.get_object(), actor=request.user)
        return Response(OrderSerializer(order).data)

    @extend_schema(
        summary="Ask the gateway what became of an order (for the return page)",
        request=None,
        responses=OrderSerializer,
    )
    @action(detail=True, methods=["post"])
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
    @action(detail=True, methods=["post"])
    @idempotent
    def refund(self, request, pk):
        return Response(OrderSerializer(orders.refund_own(order=self.get_object())).data)

    @extend_schema(summary="The receipt of a paid order", responses=ReceiptSerializer)
    @action(detail=True)
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
        body = validated_body(RefundSerializer, request)
        order = refunds.refund_order(
            order_id=pk,
            amount=refund_amount(body, of=Order.objects.filter(pk=pk)),
            reason=body["reason"],
            actor=request.user,
        )
        return Response(OrderSerializer(order).data)
