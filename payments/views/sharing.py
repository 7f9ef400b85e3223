"""Pools: closing a month, and listing the closed months."""

from typing import Any

from django.db.models import Count
from drf_spectacular.utils import (
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    extend_schema_view,
)
from drf_standardized_errors.openapi_validation_errors import extend_validation_errors
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.mixins import ListModelMixin
from rest_framework.response import Response

from config import money
from config.api.refusals import refuses
from config.api.views import GenericViewSet
from config.errors import NotVisible
from payments.errors import EarlierPeriodOpen, PeriodNotOver
from payments.filters import PoolFilter
from payments.http import MONTH_IN_PATH
from payments.idempotency import idempotent
from payments.models import Pool
from payments.periods import Month
from payments.permissions import MayClosePools
from payments.serializers.sharing import ClosingsSerializer, PoolSerializer
from payments.services.sharing import pools


@extend_schema_view(
    list=extend_schema(
        summary="List the pools of closed months",
        description="Close a month again to read its shares.",
    )
)
@extend_validation_errors(["invalid"], "dry_run", actions=["close"])
class PoolViewSet(ListModelMixin, GenericViewSet):
    permission_classes = [MayClosePools]
    queryset = Pool.objects.filter(status=Pool.Status.CLOSED).annotate(creators=Count("shares"))
    serializer_class = PoolSerializer
    filterset_class = PoolFilter
    ordering = "-closed_at"
    lookup_url_kwarg = "period"

    @extend_schema(
        summary="Close a month: share its pool and write the statements",
        description=(
            "Closes the month in each currency in which creators' or subscribers' money moved or the"
            " pool holds money. Repeating the call changes nothing and returns the same shares."
            " `?dry_run=1` is possible at any time: it returns the shares that closing now would give,"
            " and writes nothing."
        ),
        parameters=[
            MONTH_IN_PATH,
            OpenApiParameter(
                "dry_run", str, enum=["1", "0"], default="0", description="1 only shows the shares."
            ),
        ],
        request=None,
        responses=OpenApiResponse(ClosingsSerializer, "The pool and its shares in each currency."),
    )
    @action(detail=True, methods=["post"])
    @refuses(PeriodNotOver, EarlierPeriodOpen)
    @idempotent
    def close(self, request, period):
        try:
            month = Month.named(period)
        except ValueError:
            raise NotVisible(
                "There is no such month. Name a month as YYYY-MM, such as 2026-09."
            ) from None
        dry_run = request.query_params.get("dry_run", "0")
        if dry_run not in {"0", "1"}:
            raise ValidationError({"dry_run": "Send 1 for a dry run, or leave it out."})
        closings = pools.close_month(month, actor=request.user, dry_run=dry_run == "1")
        return Response(
            {
                "period": str(month),
                "dry_run": dry_run == "1",
                "pools": [_closing_as_json(closing) for closing in closings],
            }
        )


def _closing_as_json(closing: pools.Closing) -> dict[str, Any]:
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
