"""Subscribing to a plan, the caller's subscription, and refunds of invoices."""

from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin
from rest_framework.response import Response

from config.api.refusals import refuses
from config.api.views import APIView, GenericViewSet
from payments import examples, modes
from payments.errors import AmountInvalid, CouponInvalid, NoSubscription, ReturnUrlRefused
from payments.http import checkout_response, pop_return_url, refund_amount, validated_body
from payments.idempotency import idempotent, key_of
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
        summary="Subscribe to a plan",
        description=(
            "With a `payment_method` the first period is charged at once; without one, `next_action`"
            " leads to the gateway's hosted page. If the plan has free days, a user's first subscription"
            " starts without a card, and ends with these days unless a card is given. Repeating the call"
            " continues with the unpaid subscription (200)."
        ),
        request=SubscribeSerializer,
        responses={
            200: OpenApiResponse(
                SubscribeAnswerSerializer, "The unpaid subscription was continued."
            ),
            201: OpenApiResponse(SubscribeAnswerSerializer, "The subscription was created."),
            202: OpenApiResponse(
                SubscribeAnswerSerializer, "The subscriber must confirm the payment at their bank."
            ),
        },
    )
    @refuses(*subscriptions.REFUSALS_OF_SUBSCRIBE, CouponInvalid, ReturnUrlRefused)
    @idempotent
    def post(self, request):
        body = validated_body(SubscribeSerializer, request)
        if body.get("coupon"):
            raise CouponInvalid(
                "Coupons reduce the price of single videos only. Subscribe without a coupon."
            )
        back = pop_return_url(request, body)
        subscription, created = subscriptions.subscribe(
            user=request.user,
            plan_code=body["plan"],
            payment_method=body.get("payment_method", ""),
        )
        answer = {
            "subscription": SubscriptionSerializer(subscription).data,
            "next_action": subscriptions.next_action(subscription, return_url=back),
            "gateway": subscription.gateway,
        }
        return checkout_response(request, answer, created=created)


class SubscriptionViewSet(GenericViewSet):
    """The caller's own subscription, of which there is at most one at a time."""

    serializer_class = SubscriptionSerializer

    @extend_schema(
        summary="Show my subscription",
        description="The one that runs or waits for its first payment. Without one: 404.",
        responses=OpenApiResponse(SubscriptionSerializer, "The caller's subscription."),
    )
    @refuses(NoSubscription)
    def current(self, request):
        return Response(SubscriptionSerializer(subscriptions.current(request.user)).data)

    @extend_schema(
        summary="Cancel my subscription, at once or at the end of the paid period",
        description="Until the end of a paid period the cancellation can be withdrawn. Safe to repeat.",
        request=CancelSerializer,
        responses=OpenApiResponse(
            SubscriptionSerializer,
            "The canceled subscription.",
            [examples.answered("Ends with its period", examples.ENDING)],
        ),
    )
    @action(detail=False, methods=["post"])
    @refuses(*subscriptions.REFUSALS_OF_CANCEL)
    @idempotent
    def cancel(self, request):
        body = validated_body(CancelSerializer, request)
        subscription = subscriptions.cancel(user=request.user, **body)
        return Response(SubscriptionSerializer(subscription).data)

    @extend_schema(
        summary="Withdraw the cancellation of my subscription",
        description=(
            "Possible until the end of the paid period. It renews again then. 409 `not_resumed` if the"
            " gateway ends it all the same."
        ),
        request=None,
        responses=OpenApiResponse(SubscriptionSerializer, "The subscription that goes on."),
    )
    @action(detail=False, methods=["post"])
    @refuses(*subscriptions.REFUSALS_OF_RESUME)
    @idempotent
    def resume(self, request):
        return Response(SubscriptionSerializer(subscriptions.resume(user=request.user)).data)

    @extend_schema(
        summary="Change my plan",
        description=(
            "A more expensive plan starts at once. The unused part of what was paid for the period, and"
            " neither refunded nor disputed, is deducted from its price. A cheaper plan starts with the"
            " next period. 202 if the bank asks the subscriber to confirm the payment: the new plan"
            " starts when that is done at `hosted_invoice_url`, within 23 hours."
        ),
        request=ChangePlanSerializer,
        responses={
            200: OpenApiResponse(SubscriptionSerializer, "With the new `plan` or `next_plan`."),
            202: OpenApiResponse(
                SubscriptionSerializer, "The subscriber must confirm the payment at their bank."
            ),
        },
    )
    @action(detail=False, methods=["post"])
    @refuses(*subscriptions.REFUSALS_OF_CHANGE)
    @idempotent
    def change(self, request):
        body = validated_body(ChangePlanSerializer, request)
        subscription = subscriptions.change(user=request.user, plan_code=body["plan"])
        has_changed = body["plan"] in {
            subscription.plan.code, getattr(subscription.next_plan, "code", ""),
        }  # fmt: skip
        return Response(
            SubscriptionSerializer(subscription).data,
            status.HTTP_200_OK if has_changed else status.HTTP_202_ACCEPTED,
        )

    @extend_schema(
        summary="Pay my subscription with another card",
        description="From the next renewal on. A renewal that is due is charged at once.",
        request=PaymentMethodSerializer,
        responses=OpenApiResponse(SubscriptionSerializer, "The subscription after the change."),
    )
    @action(detail=False, methods=["post"], url_path="payment-method")
    @refuses(*subscriptions.REFUSALS_OF_PAYMENT_METHOD)
    @idempotent
    def payment_method(self, request):
        body = validated_body(PaymentMethodSerializer, request)
        subscription = subscriptions.set_payment_method(user=request.user, **body)
        return Response(SubscriptionSerializer(subscription).data)


@extend_schema_view(
    list=extend_schema(
        summary="List the invoices of my subscriptions",
        description="The latest period comes first.",
    )
)
class InvoiceViewSet(ListModelMixin, GenericViewSet):
    queryset = Invoice.objects.none()
    serializer_class = InvoiceSerializer
    ordering = "-period_start"

    def get_queryset(self):
        return Invoice.objects.filter(
            modes.of_present("created_at"), subscription__user=self.request.user.pk
        )


class InvoiceRefundView(APIView):
    permission_classes = [MayRefund]

    @extend_schema(
        summary="Refund an invoice of a subscription, in full or in part",
        description=(
            "A full refund of the current period ends the subscription and the access at once, and so"
            " does that of an earlier period whose unused value an upgrade has deducted."
        ),
        request=RefundSerializer,
        responses=OpenApiResponse(InvoiceSerializer, "The invoice after the refund."),
    )
    @refuses(*refunds.REFUSALS, AmountInvalid)
    @idempotent
    def post(self, request, pk):
        body = validated_body(RefundSerializer, request)
        invoice = refunds.refund_invoice(
            invoice_id=pk,
            amount=refund_amount(body, of=Invoice.objects.filter(pk=pk)),
            reason=body["reason"],
            actor=request.user,
            key=key_of(request),
        )
        return Response(InvoiceSerializer(invoice).data)
