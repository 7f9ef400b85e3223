from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.permissions import AllowAny
from rest_framework.response import Response

from config import money
from config.api.views import APIView, GenericAPIView, GenericViewSet
from payments import gateways
from payments.idempotent import idempotent
from payments.models import Entitlement, Order, Plan, Subscription
from payments.serializers import (
    CancelSerializer,
    EntitlementSerializer,
    GatewayConfigSerializer,
    OrderSerializer,
    PlanSerializer,
    PurchaseAnswerSerializer,
    PurchaseSerializer,
    SubscribeAnswerSerializer,
    SubscribeSerializer,
    SubscriptionSerializer,
)
from payments.services import checkout, orders, subscriptions
from payments.views.sandbox import hosted_page


def _read(serializer_class, request):
    serializer = serializer_class(data=request.data)
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data


class ConfigView(APIView):
    permission_classes = [AllowAny]

    @extend_schema(summary="How payments are set up", responses=GatewayConfigSerializer)
    def get(self, request):
        gateway = gateways.current()
        return Response(
            {
                "gateway": gateway.name,
                "sandbox": gateway.name == "sandbox",
                "publishable_key": None,
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


class PurchaseView(APIView):
    @extend_schema(
        summary="Buy a film",
        description=(
            "One order for each buyer and film: repeating the call goes on with the open one (200)."
            " Send an `Idempotency-Key`. In the sandbox `pm_card_visa` is captured at once and"
            " `pm_card_chargeDeclined` is declined (402)."
        ),
        request=PurchaseSerializer,
        responses={200: PurchaseAnswerSerializer, 201: PurchaseAnswerSerializer},
    )
    @idempotent
    def post(self, request, video_id):
        data = _read(PurchaseSerializer, request)
        method = data.pop("payment_method", "")
        order, created = checkout.purchase(
            buyer=request.user,
            video_id=video_id,
            wish=checkout.Wish(**data),
            payment_method=method,
        )
        open_ = order.status in Order.OPEN
        answer = {
            "order": OrderSerializer(order).data,
            "next_action": hosted_page(request, "order", order.pk) if open_ else None,
            "gateway": order.gateway,
        }
        code = status.HTTP_201_CREATED if created else status.HTTP_200_OK
        return Response(answer, status=code)


class OrderViewSet(ListModelMixin, RetrieveModelMixin, GenericViewSet):
    """The caller's own orders."""

    queryset = Order.objects.none()
    serializer_class = OrderSerializer
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


class EntitlementsView(ListModelMixin, GenericAPIView):
    queryset = Entitlement.objects.none()
    serializer_class = EntitlementSerializer
    ordering = "-starts_at"

    def get_queryset(self):
        return Entitlement.objects.live().filter(user=self.request.user)

    @extend_schema(summary="What I may watch")
    def get(self, request):
        return self.list(request)


class SubscribeView(APIView):
    @extend_schema(
        summary="Subscribe to every film",
        request=SubscribeSerializer,
        responses={200: SubscribeAnswerSerializer, 201: SubscribeAnswerSerializer},
    )
    @idempotent
    def post(self, request):
        data = _read(SubscribeSerializer, request)
        subscription, created = subscriptions.subscribe(
            user=request.user,
            plan_code=data["plan"],
            payment_method=data.get("payment_method", ""),
        )
        open_ = subscription.status == Subscription.Status.INCOMPLETE
        answer = {
            "subscription": SubscriptionSerializer(subscription).data,
            "next_action": hosted_page(request, "subscription", subscription.pk) if open_ else None,
            "gateway": subscription.gateway,
        }
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
        data = _read(CancelSerializer, request)
        subscription = subscriptions.cancel(user=request.user, **data)
        return Response(SubscriptionSerializer(subscription).data)
