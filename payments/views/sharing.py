"""Closing months and paying creators."""

from django.db.models import Count
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.response import Response

from config import money
from config.api.views import APIView, GenericAPIView, GenericViewSet
from config.errors import NotVisible
from payments.filters_back_office import PayoutFilter, PoolFilter
from payments.idempotent import idempotent
from payments.models import Payout, Pool
from payments.periods import Month
from payments.permissions import MayClosePools, MayManagePayouts
from payments.serializers_back_office import (
    AdminPayoutSerializer,
    ClosingsSerializer,
    FailedSerializer,
    PaidSerializer,
    PayoutRunSerializer,
    PoolSerializer,
)
from payments.services import payouts, pools
from payments.views.common import read


class PoolsView(ListModelMixin, GenericAPIView):
    permission_classes = [MayClosePools]
    queryset = Pool.objects.annotate(creators=Count("shares"))
    serializer_class = PoolSerializer
    filterset_class = PoolFilter
    ordering = "-closed_at"

    @extend_schema(
        summary="The months that were closed",
        description="Closing one again returns its shares.",
    )
    def get(self, request):
        return self.list(request)


class ClosePoolView(APIView):
    permission_classes = [MayClosePools]

    @extend_schema(
        summary="Close a month: share its pool and write the statements",
        description=(
            "In every currency that has anything of it. Repeating it changes nothing. With"
            " `?dry_run=1`, at any time, it says what closing now would share, and writes nothing."
        ),
        parameters=[
            OpenApiParameter("period", str, OpenApiParameter.PATH, description="YYYY-MM"),
            OpenApiParameter("dry_run", str, enum=["1", "0"]),
        ],
        request=None,
        responses=ClosingsSerializer,
    )
    @idempotent
    def post(self, request, period):
        try:
            month = Month.named(period)
        except ValueError:
            raise NotVisible("A month is named YYYY-MM.") from None
        dry_run = request.query_params.get("dry_run", "0")
        if dry_run not in {"0", "1"}:
            raise ValidationError({"dry_run": "1, or nothing."})
        closed = pools.close_month(month, actor=request.user, dry_run=dry_run == "1")
        return Response(
            {
                "period": str(month),
                "dry_run": dry_run == "1",
                "pools": [_shown(closing) for closing in closed],
            }
        )


def _shown(closing: pools.Closing) -> dict:
    pool = closing.pool
    return {
        "currency": pool.currency,
        "balance": money.to_text(pool.balance, pool.currency),
        "amount": money.to_text(pool.amount, pool.currency),
        "total_seconds": pool.total_seconds,
        "algorithm": pool.algorithm,
        "input_sha256": pool.input_sha256,
        "shares": [
            {
                "creator_id": creator,
                "seconds": share.seconds,
                "amount": money.to_text(share.amount, pool.currency),
            }
            for creator, share in closing.shares.items()
        ],
    }


class AdminPayoutViewSet(ListModelMixin, RetrieveModelMixin, GenericViewSet):
    """Whoever asked for a payout, or gets it, does not approve it (403 `same_person`)."""

    permission_classes = [MayManagePayouts]
    queryset = Payout.objects.all()
    serializer_class = AdminPayoutSerializer
    filterset_class = PayoutFilter
    ordering = "-created_at"

    @extend_schema(summary="All payouts")
    def list(self, request, *args, **kwargs):
        return super().list(request, *args, **kwargs)

    @extend_schema(summary="One payout")
    def retrieve(self, request, *args, **kwargs):
        return super().retrieve(request, *args, **kwargs)

    @extend_schema(
        summary="Make a payout for every creator at or above the minimum",
        description="None beside one that is under way. They wait for approval.",
        request=None,
        responses=PayoutRunSerializer,
    )
    @idempotent
    def run(self, request):
        made = payouts.run(actor=request.user)
        return Response({"payouts": AdminPayoutSerializer(made, many=True).data})

    @extend_schema(
        summary="Let a payout go to the bank", request=None, responses=AdminPayoutSerializer
    )
    @idempotent
    def approve(self, request, pk):
        return self._moved(payouts.approve, actor=request.user)

    @extend_schema(summary="The bank has been told", request=None, responses=AdminPayoutSerializer)
    @idempotent
    def processing(self, request, pk):
        return self._moved(payouts.mark_processing, actor=request.user)

    @extend_schema(
        summary="The money has arrived", request=PaidSerializer, responses=AdminPayoutSerializer
    )
    @idempotent
    def mark_paid(self, request, pk):
        data = read(PaidSerializer, request)
        return self._moved(payouts.mark_paid, actor=request.user, **data)

    @extend_schema(
        summary="The bank did not take it: the money is back in the balance",
        request=FailedSerializer,
        responses=AdminPayoutSerializer,
    )
    @idempotent
    def mark_failed(self, request, pk):
        data = read(FailedSerializer, request)
        return self._moved(payouts.mark_failed, actor=request.user, reason=data["failure"])

    @extend_schema(
        summary="Take a payout back that is not on its way",
        request=None,
        responses=AdminPayoutSerializer,
    )
    @idempotent
    def cancel(self, request, pk):
        return self._moved(payouts.cancel, actor=request.user)

    def _moved(self, move, **arguments) -> Response:
        payout = move(payout_id=self.get_object().pk, **arguments)
        return Response(AdminPayoutSerializer(payout).data)
