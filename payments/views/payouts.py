"""Creators' balances, statements and payouts."""

from collections.abc import Callable
from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    extend_schema_view,
)
from drf_standardized_errors.openapi_validation_errors import extend_validation_errors
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.response import Response

from config import money
from config.api.refusals import refuses, sends_headers
from config.api.views import APIView, GenericViewSet
from config.errors import NotVisible
from payments import examples, modes
from payments.errors import (
    NothingToPayOut,
    PartialReturn,
    PaymentsClosed,
    PayoutNotOpen,
    PayoutsOnHold,
    SamePerson,
)
from payments.filters import PayoutFilter
from payments.http import MONTH_IN_PATH, refund_amount, validated_body
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
    ReturnedSerializer,
    StatementSerializer,
)
from payments.services.payouts import payouts, statements


class BalanceView(APIView):
    permission_classes = [MaySeeEarnings]

    @extend_schema(
        summary="Show my balance in each currency",
        description="Earnings can be paid out when their hold is over.",
        responses=OpenApiResponse(BalancesSerializer, "One balance for each currency."),
    )
    def get(self, request):
        balances = payouts.available(request.user.pk)
        return Response(
            {
                "balances": [
                    {
                        "currency": currency,
                        "balance": money.to_text(balance["balance"], currency),
                        "pending": money.to_text(balance["pending"], currency),
                        "available": money.to_text(balance["available"], currency),
                        "in_transit": money.to_text(balance["in_transit"], currency),
                        "negative": money.to_text(balance["negative"], currency),
                    }
                    for currency, balance in balances.items()
                ]
            }
        )


@extend_schema_view(
    list=extend_schema(
        summary="List my monthly statements",
        description="The latest month comes first. A month has one statement in each currency.",
    )
)
@extend_validation_errors(["invalid"], "format", actions=["retrieve"])
class StatementViewSet(ListModelMixin, GenericViewSet):
    permission_classes = [MaySeeEarnings]
    queryset = Statement.objects.none()
    serializer_class = StatementSerializer
    ordering = "-period"
    lookup_url_kwarg = "period"

    def get_queryset(self):
        return Statement.objects.filter(
            modes.of_present("created_at"), creator=self.request.user.pk
        )

    @extend_schema(
        summary="Show my statement of a month, in all currencies",
        description="`{period}.csv` returns CSV, too. A statement never changes; its hash proves it.",
        parameters=[
            MONTH_IN_PATH,
            OpenApiParameter("format", str, enum=["csv"], description="Leave it out for JSON."),
        ],
        responses={
            (200, "application/json"): OpenApiResponse(
                MonthSerializer, "The statements of the month, as JSON or as one CSV table."
            ),
            (200, "text/csv"): OpenApiResponse(
                OpenApiTypes.STR, examples=[examples.answered("CSV", examples.STATEMENT_AS_CSV)]
            ),
        },
    )
    @sends_headers("Content-Disposition")
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
        mine = self.get_queryset().filter(period=str(month))
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


@extend_schema_view(
    list=extend_schema(summary="List my payouts", description="The newest come first.")
)
class PayoutViewSet(ListModelMixin, GenericViewSet):
    queryset = Payout.objects.none()
    serializer_class = PayoutSerializer
    ordering = "-created_at"

    def get_permissions(self):
        return [MayRequestPayout() if self.action == "create" else MaySeeEarnings()]

    def get_queryset(self):
        return Payout.objects.filter(modes.of_present("created_at"), creator=self.request.user.pk)

    @extend_schema(
        summary="Request a payout of my available balance",
        description=(
            "Creates one payout for each currency in which the available balance reaches"
            " `PAYOUT_MINIMUM` and no payout is under way (409 `nothing_to_pay_out` if there is none)."
            " An administrator other than the creator must approve it."
        ),
        request=None,
        responses={201: OpenApiResponse(RequestedPayoutsSerializer, "The new payouts.")},
    )
    @refuses(NothingToPayOut, PayoutsOnHold, PaymentsClosed)
    @idempotent
    def create(self, request):
        made = payouts.request(request.user)
        return Response(
            {"payouts": PayoutSerializer(made, many=True).data}, status.HTTP_201_CREATED
        )


@extend_schema_view(
    list=extend_schema(summary="List all payouts", description="The newest come first."),
    retrieve=extend_schema(
        summary="Show one payout", description="With the people who asked for it and approved it."
    ),
)
class AdminPayoutViewSet(ListModelMixin, RetrieveModelMixin, GenericViewSet):
    """All payouts. Its requester and its creator may not approve a payout (403 `same_person`)."""

    permission_classes = [MayManagePayouts]
    queryset = Payout.objects.all()
    serializer_class = AdminPayoutSerializer
    filterset_class = PayoutFilter
    ordering = "-created_at"
    lookup_value_converter = "id"

    @extend_schema(
        summary="Create a payout for each creator with enough available balance",
        description="Skips creators with a payout under way. The new payouts wait for approval.",
        request=None,
        responses=OpenApiResponse(PayoutRunSerializer, "The new payouts; an empty list for none."),
    )
    @action(detail=False, methods=["post"])
    @refuses(PaymentsClosed)
    @idempotent
    def run(self, request):
        made = payouts.run(actor=request.user)
        return Response({"payouts": AdminPayoutSerializer(made, many=True).data})

    @extend_schema(
        summary="Approve a payout",
        description="Its requester and its creator may not approve it (403 `same_person`).",
        request=None,
        responses=OpenApiResponse(AdminPayoutSerializer, "The approved payout."),
    )
    @action(detail=True, methods=["post"])
    @refuses(SamePerson, PayoutNotOpen, PayoutsOnHold, PaymentsClosed)
    @idempotent
    def approve(self, request, pk):
        return self._move(payouts.approve, actor=request.user)

    @extend_schema(
        summary="Mark a payout as sent to the bank",
        description="Only an approved payout can be sent. From then on it cannot be canceled.",
        request=None,
        responses=OpenApiResponse(AdminPayoutSerializer, "The payout that is at the bank."),
    )
    @action(detail=True, methods=["post"])
    @refuses(PayoutNotOpen, PaymentsClosed)
    @idempotent
    def processing(self, request, pk):
        return self._move(payouts.mark_processing, actor=request.user)

    @extend_schema(
        summary="Mark a payout as paid by the bank",
        description="Books the money as paid, under the bank's reference.",
        request=PaidSerializer,
        responses=OpenApiResponse(AdminPayoutSerializer, "The paid payout."),
    )
    @action(detail=True, methods=["post"], url_path="mark-paid")
    @refuses(PayoutNotOpen, PaymentsClosed)
    @idempotent
    def mark_paid(self, request, pk):
        data = validated_body(PaidSerializer, request)
        return self._move(payouts.mark_paid, actor=request.user, **data)

    @extend_schema(
        summary="Mark a payout as failed: the money returns to the creator's balance",
        description="The creator can ask for the money again.",
        request=FailedSerializer,
        responses=OpenApiResponse(AdminPayoutSerializer, "The failed payout."),
    )
    @action(detail=True, methods=["post"], url_path="mark-failed")
    @refuses(PayoutNotOpen, PaymentsClosed)
    @idempotent
    def mark_failed(self, request, pk):
        data = validated_body(FailedSerializer, request)
        return self._move(payouts.mark_failed, actor=request.user, reason=data["failure"])

    @extend_schema(
        summary="Mark a paid payout as returned by the creator's bank",
        description=(
            "The money is in the creator's balance again, and can be paid out at once. It is booked "
            "now: closed months and their statements stay as they are. Safe to repeat with the same "
            "`external_ref`. A bank returns a payout as a whole (422 `partial_return`)."
        ),
        request=ReturnedSerializer,
        responses=OpenApiResponse(AdminPayoutSerializer, "The returned payout."),
    )
    @action(detail=True, methods=["post"], url_path="mark-returned")
    @refuses(PayoutNotOpen, PartialReturn, PaymentsClosed)
    @idempotent
    def mark_returned(self, request, pk):
        data = validated_body(ReturnedSerializer, request)
        return self._move(
            payouts.mark_returned,
            actor=request.user,
            external_ref=data["external_ref"],
            reason=data["failure"],
            amount=refund_amount(data, of=Payout.objects.filter(pk=pk)),
        )

    @extend_schema(
        summary="Cancel a payout that was not sent to the bank",
        description="The money returns to the creator's balance.",
        request=None,
        responses=OpenApiResponse(AdminPayoutSerializer, "The canceled payout."),
    )
    @action(detail=True, methods=["post"])
    @refuses(PayoutNotOpen)
    @idempotent
    def cancel(self, request, pk):
        return self._move(payouts.cancel, actor=request.user)

    def _move(self, move: Callable[..., Payout], **arguments: Any) -> Response:
        """Call the service for the payout of the address, and return the changed payout."""
        payout = move(payout_id=self.get_object().pk, **arguments)
        return Response(AdminPayoutSerializer(payout).data)
