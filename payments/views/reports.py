from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.response import Response

from config import money
from config.api.views import APIView
from payments import reports
from payments.errors import AmountInvalid
from payments.idempotent import idempotent
from payments.ledger import balances
from payments.models import Order
from payments.permissions import MayRefund, MaySeeEarnings, MaySeeRevenue
from payments.serializers import (
    EarningsSerializer,
    OrderSerializer,
    PeriodSerializer,
    RefundSerializer,
    TrialBalanceSerializer,
)
from payments.serializers_back_office import RevenueReportSerializer
from payments.services import refunds

PERIOD = [
    OpenApiParameter("from", str, description="ISO 8601; from then on."),
    OpenApiParameter("to", str, description="ISO 8601; before then."),
    OpenApiParameter("currency", str),
]
AMOUNTS = frozenset(
    {
        "gross", "refunds", "net", "earnings", "disputes", "creator_share", "platform_share",
        "fees", "losses", "deferred", "pool", "owed_back", "promotions", "suspense", "mrr",
        "debit", "credit", "balance",
    }
)  # fmt: skip


def shown(row: dict) -> dict:
    """A report's row with its amounts as the API shows them."""
    currency = row["currency"]
    return {
        name: money.to_text(value, currency) if name in AMOUNTS else value
        for name, value in row.items()
    }


def in_text(amounts: dict[str, int], currency: str) -> dict[str, str]:
    return {name: money.to_text(value, currency) for name, value in amounts.items()}


def _read(request) -> tuple[reports.Period, dict]:
    serializer = PeriodSerializer(data=request.query_params)
    serializer.is_valid(raise_exception=True)
    data = serializer.validated_data
    return reports.Period(data.get("from"), data.get("to")), data


def _of_currency(rows: list[dict], currency: str | None) -> list[dict]:
    return [shown(row) for row in rows if currency in (None, row["currency"])]


class EarningsView(APIView):
    permission_classes = [MaySeeEarnings]

    @extend_schema(
        summary="What a creator earned",
        parameters=[
            *PERIOD,
            OpenApiParameter("group_by", str, enum=["day", "video", "source"]),
            OpenApiParameter("creator", str, description="Another creator's id (ADMIN)."),
        ],
        responses=EarningsSerializer,
    )
    def get(self, request):
        period, data = _read(request)
        creator_id = data.get("creator", request.user.pk)
        if creator_id != request.user.pk and not request.user.has_perm("payments.view_revenue"):
            raise PermissionDenied("Only administrators may see another creator's earnings.")
        currency, group_by = data.get("currency"), data.get("group_by")
        series = reports.creator_series(creator_id, period, group_by) if group_by else []
        return Response(
            {
                "creator_id": creator_id,
                "totals": _of_currency(reports.creator_totals(creator_id, period), currency),
                "group_by": group_by,
                "series": _of_currency(series, currency),
            }
        )


class RevenueView(APIView):
    permission_classes = [MaySeeRevenue]

    @extend_schema(
        summary="What the platform earned",
        description=(
            "`gross - refunds - disputes = creator_share + platform_share - losses - promotions +"
            " deferred + pool + owed_back + suspense`, for every time and currency."
        ),
        parameters=[*PERIOD, OpenApiParameter("group_by", str, enum=["day"])],
        responses=RevenueReportSerializer,
    )
    def get(self, request):
        period, data = _read(request)
        currency, group_by = data.get("currency"), data.get("group_by")
        if group_by not in {None, "day"}:
            raise ValidationError({"group_by": "The platform's revenue is grouped by day only."})
        series = reports.series(period) if group_by else []
        return Response(
            {
                "totals": _of_currency(reports.platform_totals(period), currency),
                "series": _of_currency(series, currency),
            }
        )


class TrialBalanceView(APIView):
    permission_classes = [MaySeeRevenue]

    @extend_schema(
        summary="The books: every account, and that they balance",
        responses=TrialBalanceSerializer,
    )
    def get(self, request):
        accounts = balances.trial_balance()
        totals = [
            {
                "currency": currency,
                **{
                    side: sum(row[side] for row in accounts if row["currency"] == currency)
                    for side in ("debit", "credit", "balance")
                },
            }
            for currency in sorted({row["currency"] for row in accounts})
        ]
        return Response(
            {"accounts": [shown(r) for r in accounts], "totals": [shown(r) for r in totals]}
        )


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


def minor(amount, model, pk) -> int | None:
    """What is to be refunded, in the currency of what was paid. Raises AmountInvalid."""
    if amount is None:
        return None
    currency = model.objects.filter(pk=pk).values_list("currency", flat=True).first()
    try:
        found = money.to_minor(amount, currency) if currency else 1
    except money.NotMoney as error:
        raise AmountInvalid(str(error)) from None
    if found <= 0:
        raise AmountInvalid("The amount must be above zero.")
    return found
