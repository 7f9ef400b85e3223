"""Balances, statements and payouts."""

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.response import Response

from config.api.views import APIView, GenericViewSet
from config.errors import NotVisible
from payments.filters import PayoutFilter
from payments.http import amounts_as_text, validated_body
from payments.idempotency import idempotent
from payments.models import Payout, Statement
from payments.periods import Month
from payments.permissions import MayManagePayouts, MayRequestPayout, MaySeeEarnings
from payments.serializers.payouts import (
    AdminPayoutSerializer,
    BalancesSerializer,
    FailedSerializer,
    MonthSerializer,
    PaidSerializer,
    PayoutRunSerializer,
    PayoutSerializer,
    RequestedPayoutsSerializer,
    StatementSerializer,
)
from payments.services.payouts import payouts, statements


class BalanceView(APIView):
    permission_classes = [MaySeeEarnings]

    @extend_schema(summary="What I am owed, by currency", responses=BalancesSerializer)
    def get(self, request):
        found = payouts.available(request.user.pk)
        return Response(
            {
                "balances": [
                    {"currency": currency, **amounts_as_text(amounts, currency)}
                    for currency, amounts in found.items()
                ]
            }
        )


@extend_schema_view(list=extend_schema(summary="My monthly statements"))
class StatementViewSet(ListModelMixin, GenericViewSet):
    permission_classes = [MaySeeEarnings]
    queryset = Statement.objects.none()
    serializer_class = StatementSerializer
    ordering = "-period"
    lookup_url_kwarg = "period"

    def get_queryset(self):
        return Statement.objects.filter(creator=self.request.user.pk)

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
    def retrieve(self, request, period):
        kind = request.query_params.get("format")
        if kind not in {None, "csv"}:
            raise ValidationError({"format": "csv, or nothing."})
        return self.answer(period, as_csv=kind == "csv")

    @extend_schema(exclude=True)  # the same as ?format=csv
    def csv(self, request, period):
        return self.answer(period, as_csv=True)

    def answer(self, period: str, *, as_csv: bool):
        try:
            month = Month.named(period)
        except ValueError:
            raise NotVisible() from None
        mine = Statement.objects.filter(creator=self.request.user.pk, period=str(month))
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


def _csv(found: list[Statement]) -> str:
    """The currencies one after another, each line led by its own."""
    lines: list[str] = []
    for statement in found:
        head, *rows = statements.as_csv(statement).splitlines()
        lines += [] if lines else [f"currency,{head}"]
        lines += [f"{statement.currency},{row}" for row in rows]
    return "".join(f"{line}\r\n" for line in lines)


@extend_schema_view(list=extend_schema(summary="My payouts"))
class PayoutViewSet(ListModelMixin, GenericViewSet):
    queryset = Payout.objects.none()
    serializer_class = PayoutSerializer
    ordering = "-created_at"

    def get_permissions(self):
        return [MayRequestPayout() if self.action == "create" else MaySeeEarnings()]

    def get_queryset(self):
        return Payout.objects.filter(creator=self.request.user.pk)

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
    def create(self, request):
        made = payouts.request(request.user)
        return Response(
            {"payouts": PayoutSerializer(made, many=True).data}, status.HTTP_201_CREATED
        )


@extend_schema_view(
    list=extend_schema(summary="All payouts"),
    retrieve=extend_schema(summary="One payout"),
)
class AdminPayoutViewSet(ListModelMixin, RetrieveModelMixin, GenericViewSet):
    """Whoever asked for a payout, or gets it, does not approve it (403 `same_person`)."""

    permission_classes = [MayManagePayouts]
    queryset = Payout.objects.all()
    serializer_class = AdminPayoutSerializer
    filterset_class = PayoutFilter
    ordering = "-created_at"
    lookup_value_converter = "uuid"

    @extend_schema(
        summary="Make a payout for every creator at or above the minimum",
        description="None beside one that is under way. They wait for approval.",
        request=None,
        responses=PayoutRunSerializer,
    )
    @action(detail=False, methods=["post"])
    @idempotent
    def run(self, request):
        made = payouts.run(actor=request.user)
        return Response({"payouts": AdminPayoutSerializer(made, many=True).data})

    @extend_schema(
        summary="Let a payout go to the bank", request=None, responses=AdminPayoutSerializer
    )
    @action(detail=True, methods=["post"])
    @idempotent
    def approve(self, request, pk):
        return self._moved(payouts.approve, actor=request.user)

    @extend_schema(summary="The bank has been told", request=None, responses=AdminPayoutSerializer)
    @action(detail=True, methods=["post"])
    @idempotent
    def processing(self, request, pk):
        return self._moved(payouts.mark_processing, actor=request.user)

    @extend_schema(
        summary="The money has arrived", request=PaidSerializer, responses=AdminPayoutSerializer
    )
    @action(detail=True, methods=["post"], url_path="mark-paid")
    @idempotent
    def mark_paid(self, request, pk):
        data = validated_body(PaidSerializer, request)
        return self._moved(payouts.mark_paid, actor=request.user, **data)

    @extend_schema(
        summary="The bank did not take it: the money is back in the balance",
        request=FailedSerializer,
        responses=AdminPayoutSerializer,
    )
    @action(detail=True, methods=["post"], url_path="mark-failed")
    @idempotent
    def mark_failed(self, request, pk):
        data = validated_body(FailedSerializer, request)
        return self._moved(payouts.mark_failed, actor=request.user, reason=data["failure"])

    @extend_schema(
        summary="Take a payout back that is not on its way",
        request=None,
        responses=AdminPayoutSerializer,
    )
    @action(detail=True, methods=["post"])
    @idempotent
    def cancel(self, request, pk):
        return self._moved(payouts.cancel, actor=request.user)

    def _moved(self, move, **arguments) -> Response:
        payout = move(payout_id=self.get_object().pk, **arguments)
        return Response(AdminPayoutSerializer(payout).data)
