"""Pools: closing months and listing the closed ones."""

from django.db.models import Count
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.mixins import ListModelMixin
from rest_framework.response import Response

from config import money
from config.api.views import GenericViewSet
from config.errors import NotVisible
from payments.filters import PoolFilter
from payments.idempotency import idempotent
from payments.models import Pool
from payments.periods import Month
from payments.permissions import MayClosePools
from payments.serializers.sharing import ClosingsSerializer, PoolSerializer
from payments.services.sharing import pools


@extend_schema_view(
    list=extend_schema(
        summary="The months that were closed",
        description="Closing one again returns its shares.",
    )
)
class PoolViewSet(ListModelMixin, GenericViewSet):
    permission_classes = [MayClosePools]
    queryset = Pool.objects.annotate(creators=Count("shares"))
    serializer_class = PoolSerializer
    filterset_class = PoolFilter
    ordering = "-closed_at"
    lookup_url_kwarg = "period"

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
    @action(detail=True, methods=["post"])
    @idempotent
    def close(self, request, period):
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
