"""What creators do with their own money and prices."""

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.exceptions import ValidationError
from rest_framework.mixins import ListModelMixin
from rest_framework.response import Response

from config.api.views import APIView, GenericAPIView
from config.errors import NotVisible
from payments.idempotent import idempotent
from payments.models import Payout, Statement
from payments.periods import Month
from payments.permissions import MaySeeEarnings
from payments.serializers_sharing import (
    BalancesSerializer,
    MonthSerializer,
    PayoutSerializer,
    PricesSerializer,
    RequestedPayoutsSerializer,
    StatementSerializer,
)
from payments.services import payouts, statements
from payments.views.reports import in_text
from videos.models import Video
from videos.services import catalogue


class BalanceView(APIView):
    permission_classes = [MaySeeEarnings]

    @extend_schema(summary="What I am owed, by currency", responses=BalancesSerializer)
    def get(self, request):
        found = payouts.available(request.user.pk)
        return Response(
            {
                "balances": [
                    {"currency": currency, **in_text(amounts, currency)}
                    for currency, amounts in found.items()
                ]
            }
        )


class StatementsView(ListModelMixin, GenericAPIView):
    permission_classes = [MaySeeEarnings]
    queryset = Statement.objects.none()
    serializer_class = StatementSerializer
    ordering = "-period"

    def get_queryset(self):
        return Statement.objects.filter(creator=self.request.user)

    @extend_schema(summary="My monthly statements")
    def get(self, request):
        return self.list(request)


class StatementView(APIView):
    """One month of the caller in all currencies."""

    permission_classes = [MaySeeEarnings]

    @extend_schema(
        summary="My statement of a month, in all currencies",
        description="Also as `{period}.csv`. A statement never changes: its hash proves it.",
        parameters=[
            OpenApiParameter("period", str, OpenApiParameter.PATH, description="YYYY-MM"),
            OpenApiParameter("format", str, enum=["csv"]),
        ],
        responses={
            (200, "application/json"): MonthSerializer,
            (200, "text/csv"): OpenApiTypes.STR,
        },
    )
    def get(self, request, period):
        kind = request.query_params.get("format")
        if kind not in {None, "csv"}:
            raise ValidationError({"format": "csv, or nothing."})
        return self.answer(period, as_csv=kind == "csv")

    def answer(self, period: str, *, as_csv: bool):
        try:
            month = Month.named(period)
        except ValueError:
            raise NotVisible() from None
        mine = Statement.objects.filter(creator=self.request.user, period=str(month))
        found = list(mine.order_by("currency"))
        if not found:
            raise NotVisible("There is no statement of that month.")
        if not as_csv:
            return Response(MonthSerializer({"period": period, "statements": found}).data)
        return HttpResponse(
            _csv(found),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="statement-{period}.csv"'},
        )


class StatementCsvView(StatementView):
    schema = None  # the same as ?format=csv

    def get(self, request, period):
        return self.answer(period, as_csv=True)


def _csv(found: list[Statement]) -> str:
    """The currencies one after another, each line led by its own."""
    lines = []
    for statement in found:
        head, *rows = statements.as_csv(statement).splitlines()
        lines += [] if lines else [f"currency,{head}"]
        lines += [f"{statement.currency},{row}" for row in rows]
    return "".join(f"{line}\r\n" for line in lines)


class PayoutsView(ListModelMixin, GenericAPIView):
    permission_classes = [MaySeeEarnings]
    queryset = Payout.objects.none()
    serializer_class = PayoutSerializer
    ordering = "-created_at"

    def get_queryset(self):
        return Payout.objects.filter(creator=self.request.user)

    @extend_schema(summary="My payouts")
    def get(self, request):
        return self.list(request)

    @extend_schema(
        summary="Ask for what may be paid out",
        description=(
            "One payout for each currency that reaches `PAYOUT_MINIMUM`; none is made beside one"
            " that is under way (409 `nothing_to_pay_out`). Somebody else must approve it."
        ),
        request=None,
        responses={201: RequestedPayoutsSerializer},
    )
    @idempotent
    def post(self, request):
        made = payouts.request(request.user)
        return Response(
            {"payouts": PayoutSerializer(made, many=True).data}, status.HTTP_201_CREATED
        )


class PricesView(APIView):
    permission_classes = [MaySeeEarnings]

    @extend_schema(summary="What my video costs", responses=PricesSerializer)
    def get(self, request, video_id):
        return self.shown(self.video(video_id))

    @extend_schema(
        summary="Set what my video costs",
        description="Orders that are open keep the price that they were made with.",
        request=PricesSerializer,
        responses=PricesSerializer,
    )
    def put(self, request, video_id):
        video = self.video(video_id)
        serializer = PricesSerializer(video, data=request.data, context={"request": request})
        serializer.is_valid(raise_exception=True)
        catalogue.change_video(video=video, actor=request.user, **serializer.validated_data)
        return self.shown(video)

    def video(self, pk) -> Video:
        found = Video.objects.alive().filter(creator=self.request.user, pk=pk).first()
        if found is None:
            raise NotVisible()
        return found

    def shown(self, video: Video) -> Response:
        return Response(PricesSerializer(video, context={"request": self.request}).data)
