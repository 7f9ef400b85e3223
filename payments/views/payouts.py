"""Creators' balances, statements and payouts."""

from collections.abc import Callable
from typing import Any

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

    @extend_schema(summary="Show my balance in each currency", responses=BalancesSerializer)
    def get(self, request):
        balances = payouts.available(request.user.pk)
        return Response(
            {
                "balances": [
                    {"currency": currency, **amounts_as_text(amounts, currency)}
                    for currency, amounts in balances.items()
                ]
            }
        )


@extend_schema_view(list=extend_schema(summary="List my monthly statements"))
class StatementViewSet(ListModelMixin, GenericViewSet):
    permission_classes = [MaySeeEarnings]
    queryset = Statement.objects.none()
    serializer_class = StatementSerializer
    ordering = "-period"
    lookup_url_kwarg = "period"

    def get_queryset(self):
        return Statement.objects.filter(creator=self.request.user.pk)

    @extend_schema(
        summary="Show my statement of a month, in all currencies",
        description="`{period}.csv` returns CSV, too. A statement never changes; its hash proves it.",
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
            raise ValidationError({"format": "The format is csv. Leave it out for JSON."})
        return self.answer(period, as_csv=kind == "csv")

    @extend_schema(exclude=True)  # documented as ?format=csv
    def csv(self, request, period):
        return self.answer(period, as_csv=True)

    def answer(self, period: str, *, as_csv: bool) -> HttpResponse:
        """Return the caller's statements of a month. Raises NotVisible if there are none."""
        try:
            month = Month.named(period)
        except ValueError:
            raise NotVisible() from None
        mine = Statement.objects.filter(creator=self.request.user.pk, period=str(month))
        month_statements = list(mine.order_by("currency"))
        if not month_statements:
            raise NotVisible("You have no statement for this month.")
        if not as_csv:
            return Response(
                MonthSerializer({"period": period, "statements": month_statements}).data
            )
        return HttpResponse(
            _csv(month_statements),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="statement-{period}.csv"'},
        )


def _csv(month_statements: list[Statement]) -> str:
    """Return the statements as one CSV table with the currency in the first column."""
    lines: list[str] = []
    for statement in month_statements:
        head, *rows = statements.as_csv(statement).splitlines()
        lines += [] if lines else [f"currency,{head}"]
        lines += [f"{statement.currency},{row}" for row in rows]
    return "".join(f"{line}\r\n" for line in lines)


@extend_schema_view(list=extend_schema(summary="List my payouts"))
class PayoutViewSet(ListModelMixin, GenericViewSet):
    queryset = Payout.objects.none()
    serializer_class = PayoutSerializer
    ordering = "-created_at"

    def get_permissions(self):
        return [MayRequestPayout() if self.action == "create" else MaySeeEarnings()]

    def get_queryset(self):
        return Payout.objects.filter(creator=self.request.user.pk)

    @extend_schema(
        summary="Request a payout of my available balance",
        description=(
            "Creates one payout for each currency in which the available balance reaches"
            " `PAYOUT_MINIMUM` and no payout is under way (409 `nothing_to_pay_out` if there is none)."
            " An administrator other than the creator must approve it."
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
    list=extend_schema(summary="List all payouts"),
    retrieve=extend_schema(summary="Show one payout"),
)
class AdminPayoutViewSet(ListModelMixin, RetrieveModelMixin, GenericViewSet):
    """All payouts. Its requester and its creator may not approve a payout (403 `same_person`)."""

    permission_classes = [MayManagePayouts]
    queryset = Payout.objects.all()
    serializer_class = AdminPayoutSerializer
    filterset_class = PayoutFilter
    ordering = "-created_at"
    lookup_value_converter = "uuid"

    @extend_schema(
        summary="Create a payout for each creator with enough available balance",
        description="Skips creators with a payout under way. The new payouts wait for approval.",
        request=None,
        responses=PayoutRunSerializer,
    )
    @action(detail=False, methods=["post"])
    @idempotent
    def run(self, request):
        made = payouts.run(actor=request.user)
        return Response({"payouts": AdminPayoutSerializer(made, many=True).data})

    @extend_schema(summary="Approve a payout", request=None)
    @action(detail=True, methods=["post"])
    @idempotent
    def approve(self, request, pk):
        return self._move(payouts.approve, actor=request.user)

    @extend_schema(summary="Mark a payout as sent to the bank", request=None)
    @action(detail=True, methods=["post"])
    @idempotent
    def processing(self, request, pk):
        return self._move(payouts.mark_processing, actor=request.user)

    @extend_schema(summary="Mark a payout as paid by the bank", request=PaidSerializer)
    @action(detail=True, methods=["post"], url_path="mark-paid")
    @idempotent
    def mark_paid(self, request, pk):
        data = validated_body(PaidSerializer, request)
        return self._move(payouts.mark_paid, actor=request.user, **data)

    @extend_schema(
        summary="Mark a payout as failed: the money returns to the creator's balance",
        request=FailedSerializer,
    )
    @action(detail=True, methods=["post"], url_path="mark-failed")
    @idempotent
    def mark_failed(self, request, pk):
        data = validated_body(FailedSerializer, request)
        return self._move(payouts.mark_failed, actor=request.user, reason=data["failure"])

    @extend_schema(summary="Cancel a payout that was not sent to the bank", request=None)
    @action(detail=True, methods=["post"])
    @idempotent
    def cancel(self, request, pk):
        return self._move(payouts.cancel, actor=request.user)

    def _move(self, move: Callable[..., Payout], **arguments: Any) -> Response:
        """Call the service for the payout of the address, and return the changed payout."""
        payout = move(payout_id=self.get_object().pk, **arguments)
        return Response(AdminPayoutSerializer(payout).data)
