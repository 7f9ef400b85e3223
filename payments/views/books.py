"""The API of reports, the journal and the review queue."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.mixins import ListModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.views import APIView, GenericAPIView
from payments.books import reports, review, trial_balance
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

    @extend_schema(
        summary="The journal: every entry with its transfers",
        description="The latest facts come first. Entries are only ever added.",
    )
    def get(self, request):
        return self.list(request)


class ReviewView(APIView):
    permission_classes = [MaySeeRevenue]

    @extend_schema(
        summary="The review queue: rows that need an administrator's decision",
        description=(
            "Payments that pay nothing known, duplicate payments whose refund failed, payments of"
            " superseded orders and of subscriptions that ended before their money came back, debts of"
            " creators, webhook events that could not be processed, and the"
            f" latest ledger check if it found discrepancies. At most {review.AT_MOST} of each kind."
        ),
        responses=OpenApiResponse(ReviewSerializer, "The rows of each kind; empty lists for none."),
    )
    def get(self, request):
        return Response(ReviewSerializer(review.queue()).data)


def _read_query(request: Request) -> tuple[reports.Period, dict[str, Any]]:
    """Return a report's period and all its query parameters. Raises ValidationError."""
    serializer = PeriodSerializer(data=request.query_params)
    serializer.is_valid(raise_exception=True)
    query = serializer.validated_data
    return reports.Period(query.get("from"), query.get("to")), query


class EarningsView(APIView):
    permission_classes = [MaySeeEarnings]

    @extend_schema(
        summary="A creator's earnings",
        description=(
            "Sales, refunds and earnings in each currency, from the first sale on or in a period. With"
            " `group_by` also a series. An administrator may name another `creator` (else 403)."
        ),
        parameters=[PeriodSerializer],
        responses=OpenApiResponse(EarningsSerializer, "One row of totals for each currency."),
    )
    def get(self, request):
        period, query = _read_query(request)
        creator_id = query.get("creator", request.user.pk)
        if creator_id != request.user.pk and not request.user.has_perm("payments.view_revenue"):
            raise PermissionDenied("Only administrators may see another creator's earnings.")
        currency, group_by = query.get("currency"), query.get("group_by")
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
        summary="The platform's revenue",
        description=f"`{reports.IDENTITY}`, for every period and currency.",
        parameters=[
            PeriodSerializer,
            OpenApiParameter("group_by", str, enum=["day"]),
            OpenApiParameter("creator", exclude=True),
        ],
        responses=OpenApiResponse(RevenueReportSerializer, "One row of totals for each currency."),
    )
    def get(self, request):
        period, query = _read_query(request)
        currency, group_by = query.get("currency"), query.get("group_by")
        if group_by not in {None, "day"}:
            raise ValidationError(
                {"group_by": "The platform's revenue can only be grouped by `day`."}
            )
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
        summary="The trial balance: every ledger account with its sums",
        description="Read from the books as they are now. In each currency the balances sum up to zero.",
        responses=OpenApiResponse(TrialBalanceSerializer, "All ledger accounts, and their sums."),
    )
    def get(self, request):
        accounts = trial_balance.accounts()
        totals = trial_balance.totals(accounts)
        return Response(
            {
                "accounts": [as_text(row) for row in accounts],
                "totals": [as_text(row) for row in totals],
            }
        )
