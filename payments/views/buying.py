"""Buying and renting videos, the buyer's orders, and refunds of orders."""

from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.response import Response

from config.api.refusals import refuses
from config.api.serializers import validated
from config.api.views import APIView, GenericViewSet
from config.errors import NotVisible
from payments import examples
from payments.errors import (
    AmountInvalid,
    OrderNotOpen,
    ReturnUrlRefused,
)
from payments.filters import OrderFilter
from payments.http import checkout_response, pop_return_url, refund_amount, validated_body
from payments.idempotency import idempotent, key_of
from payments.models import Order
from payments.permissions import MayRefund
from payments.serializers.buying import (
    OrderSerializer,
    PurchaseAnswerSerializer,
    PurchaseSerializer,
    ReceiptSerializer,
)
from payments.serializers.settling import RefundSerializer
from payments.services.buying import checkout, orders, returning
from payments.services.gateway_news import changes
from payments.services.settling import refunds


class PurchaseView(APIView):
    @extend_schema(
        summary="Buy or rent a video",
        description=(
            "With a `payment_method` the card is charged at once; without one, `next_action` leads to"
            " the gateway's hosted page. A buyer has at most one open order for a video: repeating the"
            " call continues it (200). Send an `Idempotency-Key`. In the sandbox, `pm_card_visa` is"
            " captured at once, `pm_card_chargeDeclined` is declined (402), and"
            " `pm_card_authenticationRequired` sends the buyer to their bank first (202). A video that"
            " cannot be watched is not sold: `not_yet_available` (unless it can be pre-ordered),"
            " `no_longer_available`, `not_in_your_country`."
        ),
        request=PurchaseSerializer,
        responses={
            200: OpenApiResponse(PurchaseAnswerSerializer, "The open order was continued."),
            201: OpenApiResponse(PurchaseAnswerSerializer, "The order was created."),
            202: OpenApiResponse(
                PurchaseAnswerSerializer, "The buyer must confirm the payment at their bank."
            ),
        },
    )
    @refuses(*checkout.REFUSALS, ReturnUrlRefused)
    @idempotent
    def post(self, request, video_id):
        options = validated(PurchaseSerializer, request.data)
        method, back = options.pop("payment_method", ""), pop_return_url(request, options)
        order, created = checkout.purchase(
            buyer=request.user,
            video_id=video_id,
            options=checkout.PurchaseOptions(
                **options, address=request.META.get("REMOTE_ADDR", "")
            ),
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
    list=extend_schema(summary="List my orders", description="The newest come first."),
    retrieve=extend_schema(
        summary="Show one of my orders",
        description="As it is stored here. `POST …/sync` asks the gateway first.",
    ),
)
class OrderViewSet(ListModelMixin, RetrieveModelMixin, GenericViewSet):
    """The caller's own orders."""

    queryset = Order.objects.none()
    serializer_class = OrderSerializer
    filterset_class = OrderFilter
    ordering = "-created_at"
    lookup_value_converter = "id"

    def get_queryset(self):
        return Order.objects.filter(buyer=self.request.user.pk)

    @extend_schema(
        summary="Cancel an open order of mine",
        description="Its coupon can be used again. An order that is being paid cannot be canceled.",
        request=None,
        responses=OpenApiResponse(
            OrderSerializer,
            "The canceled order.",
            [examples.answered("Canceled", examples.CANCELED)],
        ),
    )
    @action(detail=True, methods=["post"])
    @refuses(OrderNotOpen)
    @idempotent
    def cancel(self, request, pk):
        order = orders.cancel_order(order=self.get_object(), actor=request.user)
        return Response(OrderSerializer(order).data)

    @extend_schema(
        summary="Bring an order of mine up to date with the gateway (for the return page)",
        description="Asks the gateway for the order's payments. Safe to repeat, for example in a loop.",
        request=None,
        responses=OpenApiResponse(OrderSerializer, "The order with its new status."),
    )
    @action(detail=True, methods=["post"])
    @refuses(*changes.REFUSALS)
    @idempotent
    def sync(self, request, pk):
        order = changes.sync_order(self.get_object())
        return Response(OrderSerializer(order).data)

    @extend_schema(
        summary="Give a bought or rented video back for a refund",
        description=(
            "Possible within `REFUND_WINDOW_DAYS` of the payment (else 409 `refund_window_closed`) if"
            " at most `REFUND_WATCHED_PERCENT` of the video was watched or delivered (else 409"
            " `watched_too_much`): every segment of which a byte was sent counts once, and one segment"
            " alone not, unless it is more than half of the video. Playback of the"
            " video stops first, so the answer may take three seconds, and a buyer can return one video"
            " at a time (else 409 `return_in_progress`). A video can be returned"
            " `REFUNDS_PER_VIDEO` times, and `REFUNDS_PER_30_DAYS` videos in that time (else 409"
            " `refund_limit_reached`)."
        ),
        request=None,
        responses=OpenApiResponse(
            OrderSerializer,
            "The refunded order.",
            [examples.answered("Refunded", examples.REFUNDED)],
        ),
    )
    @action(detail=True, methods=["post"])
    @refuses(*returning.REFUSALS)
    @idempotent
    def refund(self, request, pk):
        order = returning.refund_own(order=self.get_object(), key=key_of(request))
        return Response(OrderSerializer(order).data)

    @extend_schema(
        summary="Show the receipt of a paid order",
        description="An order that was never paid has none (404).",
        responses=OpenApiResponse(
            ReceiptSerializer, "The order with both parties and the refunds."
        ),
    )
    @action(detail=True)
    def receipt(self, request, pk):
        order = self.get_object()
        if order.paid_at is None:
            raise NotVisible()
        return Response(ReceiptSerializer(order).data)


class RefundView(APIView):
    permission_classes = [MayRefund]

    @extend_schema(
        summary="Refund an order, in full or in part, or take a free order back",
        description=(
            "A full refund ends the buyer's access and running playback at once. An order that cost"
            " nothing is taken back without an `amount`; the use of its coupon stays used."
        ),
        request=RefundSerializer,
        responses=OpenApiResponse(OrderSerializer, "The order after the refund."),
    )
    @refuses(*refunds.REFUSALS, AmountInvalid)
    @idempotent
    def post(self, request, pk):
        body = validated_body(RefundSerializer, request)
        order = orders.give_back(
            order_id=pk,
            amount=refund_amount(body, of=Order.objects.filter(pk=pk)),
            reason=body["reason"],
            actor=request.user,
            key=key_of(request),
        )
        return Response(OrderSerializer(order).data)
