from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.mixins import ListModelMixin
from rest_framework.response import Response

from config.api.views import APIView, GenericAPIView
from payments.errors import CouponInvalid
from payments.http import absolute, minor, read, return_url
from payments.idempotency import idempotent
from payments.models import Invoice
from payments.permissions import MayRefund
from payments.serializers.settling import RefundSerializer
from payments.serializers.subscribing import (
    CancelSerializer,
    ChangePlanSerializer,
    InvoiceSerializer,
    PaymentMethodSerializer,
    SubscribeAnswerSerializer,
    SubscribeSerializer,
    SubscriptionSerializer,
)
from payments.services.settling import refunds
from payments.services.subscribing import subscriptions


class SubscribeView(APIView):
    @extend_schema(
        summary="Subscribe to every video",
        description="A plan with free days begins without a card, once for each user.",
        request=SubscribeSerializer,
        responses={
            200: SubscribeAnswerSerializer,
            201: SubscribeAnswerSerializer,
            202: SubscribeAnswerSerializer,
        },
    )
    @idempotent
    def post(self, request):
        data = read(SubscribeSerializer, request)
        if data.get("coupon"):
            raise CouponInvalid("Coupons are for single videos; a plan has one price.")
        back = return_url(request, data)
        subscription, created = subscriptions.subscribe(
            user=request.user,
            plan_code=data["plan"],
            payment_method=data.get("payment_method", ""),
        )
        action = subscriptions.next_action(subscription, return_url=back)
        answer = {
            "subscription": SubscriptionSerializer(subscription).data,
            "next_action": absolute(request, action),
            "gateway": subscription.gateway,
        }
        if action and action["type"] == "authenticate":
            code = status.HTTP_202_ACCEPTED
        else:
            code = status.HTTP_201_CREATED if created else status.HTTP_200_OK
        return Response(answer, status=code)


class SubscriptionView(APIView):
    @extend_schema(summary="My subscription", responses=SubscriptionSerializer)
    def get(self, request):
        return Response(SubscriptionSerializer(subscriptions.current(request.user)).data)


class CancelSubscriptionView(APIView):
    @extend_schema(
        summary="Cancel my subscription, now or with the paid period",
        request=CancelSerializer,
        responses=SubscriptionSerializer,
    )
    @idempotent
    def post(self, request):
        data = read(CancelSerializer, request)
        subscription = subscriptions.cancel(user=request.user, **data)
        return Response(SubscriptionSerializer(subscription).data)


class ResumeSubscriptionView(APIView):
    @extend_schema(
        summary="Keep my subscription after all", request=None, responses=SubscriptionSerializer
    )
    @idempotent
    def post(self, request):
        return Response(SubscriptionSerializer(subscriptions.resume(user=request.user)).data)


class ChangeSubscriptionView(APIView):
    @extend_schema(
        summary="Change my plan",
        description=(
            "A dearer plan begins at once, and what is left of the paid period is taken off its"
            " price; a cheaper one begins with the next period."
        ),
        request=ChangePlanSerializer,
        responses=SubscriptionSerializer,
    )
    @idempotent
    def post(self, request):
        data = read(ChangePlanSerializer, request)
        subscription = subscriptions.change(user=request.user, plan_code=data["plan"])
        return Response(SubscriptionSerializer(subscription).data)


class PaymentMethodView(APIView):
    @extend_schema(
        summary="Pay my subscription with another card",
        request=PaymentMethodSerializer,
        responses=SubscriptionSerializer,
    )
    @idempotent
    def post(self, request):
        data = read(PaymentMethodSerializer, request)
        subscription = subscriptions.set_payment_method(user=request.user, **data)
        return Response(SubscriptionSerializer(subscription).data)


class InvoicesView(ListModelMixin, GenericAPIView):
    queryset = Invoice.objects.none()
    serializer_class = InvoiceSerializer
    ordering = "-period_start"

    def get_queryset(self):
        return Invoice.objects.filter(subscription__user=self.request.user)

    @extend_schema(summary="The periods of my subscriptions")
    def get(self, request):
        return self.list(request)


class InvoiceRefundView(APIView):
    permission_classes = [MayRefund]

    @extend_schema(
        summary="Refund a period of a subscription, in full or in part",
        description="The current period refunded in full ends the right to watch at once.",
        request=RefundSerializer,
        responses=InvoiceSerializer,
    )
    @idempotent
    def post(self, request, pk):
        data = read(RefundSerializer, request)
        invoice = refunds.refund_invoice(
            invoice_id=pk,
            amount=minor(data.get("amount"), Invoice, pk),
            reason=data["reason"],
            actor=request.user,
        )
        return Response(InvoiceSerializer(invoice).data)
