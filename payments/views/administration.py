"""The back office: what administrators look at, and what they put right."""

from datetime import timedelta

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.permissions import BasePermission
from rest_framework.response import Response

from config.api.views import APIView, GenericAPIView, GenericViewSet
from payments import review
from payments.filters_back_office import (
    CouponFilter,
    DisputeFilter,
    EntryFilter,
    WebhookEventFilter,
)
from payments.idempotent import idempotent
from payments.models import Coupon, Dispute, Invoice, JournalEntry, Plan, WebhookEvent
from payments.permissions import MayManageOffers, MayRefund, MaySeeRevenue
from payments.serializers import InvoiceSerializer, RefundSerializer
from payments.serializers_back_office import (
    CouponSerializer,
    DisputeSerializer,
    EntrySerializer,
    FindingsSerializer,
    HoursSerializer,
    PlanChangeSerializer,
    PlanCreateSerializer,
    ReviewSerializer,
    WebhookEventSerializer,
)
from payments.services import offers, reconcile, refunds
from payments.services.replay import take_in_again
from payments.views.common import read
from payments.views.reports import minor


class MayTakeInNews(BasePermission):
    message = "Only administrators may ask the gateways for their news again."

    def has_permission(self, request, view):
        return request.user.has_perm("payments.replay_webhookevent")


class LedgerEntriesView(ListModelMixin, GenericAPIView):
    permission_classes = [MaySeeRevenue]
    queryset = JournalEntry.objects.prefetch_related("transfers__debit", "transfers__credit")
    serializer_class = EntrySerializer
    filterset_class = EntryFilter
    ordering = "-effective_at"

    @extend_schema(summary="The journal: every entry with its transfers")
    def get(self, request):
        return self.list(request)


class DisputesView(ListModelMixin, GenericAPIView):
    permission_classes = [MaySeeRevenue]
    queryset = Dispute.objects.select_related("payment")
    serializer_class = DisputeSerializer
    filterset_class = DisputeFilter
    ordering = "-created_at"

    @extend_schema(summary="What buyers' banks have taken back, or ask about")
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


class CouponViewSet(ListModelMixin, RetrieveModelMixin, GenericViewSet):
    """Coupons are ended, never deleted: orders name them."""

    permission_classes = [MayManageOffers]
    queryset = Coupon.objects.all()
    serializer_class = CouponSerializer
    filterset_class = CouponFilter
    ordering = "-created_at"

    @extend_schema(summary="All coupons")
    def list(self, request, *args, **kwargs):
        return super().list(request, *args, **kwargs)

    @extend_schema(summary="One coupon")
    def retrieve(self, request, *args, **kwargs):
        return super().retrieve(request, *args, **kwargs)

    @extend_schema(summary="Make a coupon", responses={201: CouponSerializer})
    @idempotent
    def create(self, request):
        coupon = offers.create_coupon(actor=request.user, **read(CouponSerializer, request))
        return Response(CouponSerializer(coupon).data, status=status.HTTP_201_CREATED)

    @extend_schema(
        summary="Change or end a coupon",
        description="One that was used keeps its code and its worth (409 `coupon_used`).",
    )
    def partial_update(self, request, pk):
        serializer = CouponSerializer(self.get_object(), data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        coupon = offers.change_coupon(coupon_id=pk, actor=request.user, **serializer.validated_data)
        return Response(CouponSerializer(coupon).data)


class AdminPlanViewSet(ListModelMixin, GenericViewSet):
    """A price never changes: whoever has subscribed keeps it, and a new price is a new plan."""

    permission_classes = [MayManageOffers]
    queryset = Plan.objects.all()
    serializer_class = PlanCreateSerializer
    ordering = "-created_at"

    @extend_schema(summary="All plans, also those no longer offered")
    def list(self, request, *args, **kwargs):
        return super().list(request, *args, **kwargs)

    @extend_schema(summary="Make a plan", responses={201: PlanCreateSerializer})
    @idempotent
    def create(self, request):
        plan = offers.create_plan(actor=request.user, **read(PlanCreateSerializer, request))
        return Response(PlanCreateSerializer(plan).data, status=status.HTTP_201_CREATED)

    @extend_schema(
        summary="Rename a plan, or stop offering it",
        request=PlanChangeSerializer,
        responses=PlanCreateSerializer,
    )
    def partial_update(self, request, pk):
        serializer = PlanChangeSerializer(self.get_object(), data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        plan = offers.change_plan(plan_id=pk, actor=request.user, **serializer.validated_data)
        return Response(PlanCreateSerializer(plan).data)


class WebhookEventViewSet(ListModelMixin, GenericViewSet):
    permission_classes = [MayTakeInNews]
    queryset = WebhookEvent.objects.all()
    serializer_class = WebhookEventSerializer
    filterset_class = WebhookEventFilter
    ordering = "-received_at"

    @extend_schema(summary="What the gateways have told")
    def list(self, request, *args, **kwargs):
        return super().list(request, *args, **kwargs)

    @extend_schema(
        summary="Take an event in again",
        description="Safe to repeat: the gateway is asked, and the difference is booked.",
        request=None,
        responses=WebhookEventSerializer,
    )
    @idempotent
    def replay(self, request, pk):
        event = take_in_again(self.get_object(), actor=request.user)
        return Response(WebhookEventSerializer(event).data)


class ReconcileView(APIView):
    permission_classes = [MayTakeInNews]

    @extend_schema(
        summary="Ask the gateways for everything that may have changed",
        description="What lost webhooks missed is booked. A second run finds nothing to change.",
        request=HoursSerializer,
        responses=FindingsSerializer,
    )
    @idempotent
    def post(self, request):
        hours = read(HoursSerializer, request)["hours"]
        found = reconcile.reconcile(timezone.now() - timedelta(hours=hours))
        return Response(FindingsSerializer(found).data)


class ReviewView(APIView):
    permission_classes = [MaySeeRevenue]

    @extend_schema(
        summary="What somebody must look at",
        description=(
            "Money that fits nothing, refunds that failed, debts of creators, events that could not"
            f" be taken in. Of each kind at most {review.AT_MOST}, newest first."
        ),
        responses=ReviewSerializer,
    )
    def get(self, request):
        return Response(ReviewSerializer(review.queue()).data)
