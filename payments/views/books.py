"""Reports, the ledger and the review queue."""

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.mixins import ListModelMixin
from rest_framework.response import Response

from config.api.views import APIView, GenericAPIView
from payments.books import reports, review
from payments.books.columns import as_text, in_currency
from payments.filters import EntryFilter
from payments.models import JournalEntry
from payments.permissions import MaySeeEarnings, MaySeeRevenue
from payments.serializers.books import (
    EarningsSerializer,
    EntrySerializer,
    PeriodSerializer,
    RevenueReportSerializer,
    ReviewSerializer,
    TrialBalanceSerializer,
)


class LedgerEntriesView(ListModelMixin, GenericAPIView):
    permission_classes = [MaySeeRevenue]
    queryset = JournalEntry.objects.prefetch_related("transfers__debit", "transfers__credit")
    serializer_class = EntrySerializer
    filterset_class = EntryFilter
    ordering = "-effective_at"

    @extend_schema(summary="The journal: every entry with its transfers")
    def get(self, request):
        return self.list(request)


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


PERIOD = [
    OpenApiParameter("from", str, description="ISO 8601; from then on."),
    OpenApiParameter("to", str, description="ISO 8601; before then."),
    OpenApiParameter("currency", str),
]


def _read(request) -> tuple[reports.Period, dict]:
    serializer = PeriodSerializer(data=request.query_params)
    serializer.is_valid(raise_exception=True)
    data = serializer.validated_data
    return reports.Period(data.get("from"), data.get("to")), data


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
                "totals": in_currency(reports.creator_totals(creator_id, period), currency),
                "group_by": group_by,
                "series": in_currency(series, currency),
            }
        )


class RevenueView(APIView):
    permission_classes = [MaySeeRevenue]

    @extend_schema(
        summary="What the platform earned",
        description=f"`{reports.IDENTITY}`, for every period and currency.",
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
                "totals": in_currency(reports.platform_totals(period), currency),
                "series": in_currency(series, currency),
            }
        )


class TrialBalanceView(APIView):
    permission_classes = [MaySeeRevenue]

    @extend_schema(
        summary="The books: every account, and that they balance",
        responses=TrialBalanceSerializer,
    )
    def get(self, request):
        accounts = reports.trial_balance()
        totals = reports.trial_balance_totals(accounts)
        return Response(
            {
                "accounts": [as_text(row) for row in accounts],
                "totals": [as_text(row) for row in totals],
            }
        )
