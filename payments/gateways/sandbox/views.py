"""The sandbox's checkout page for buyers, and the endpoints that play the bank and move the clock.

The two pages stand outside of the API document: a browser opens them, by the `url` of a next action.
"""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from functools import wraps
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

import audit.services as audit
from audit.actions import AuditAction
from config import money
from config.api.refusals import refuses
from config.api.views import APIView
from config.errors import NotVisible
from config.pages import html_page
from payments import gateways
from payments.errors import AmountInvalid, SandboxClosed
from payments.gateways.base import Declined, NotThere
from payments.gateways.sandbox import charging, checkouts, events, rows, subscriptions
from payments.gateways.sandbox.gateway import SandboxGateway
from payments.gateways.sandbox.serializers import (
    SandboxClockSerializer,
    SandboxDisputeAnswerSerializer,
    SandboxDisputeSerializer,
    SandboxRefundAnswerSerializer,
    SandboxReinstateSerializer,
)
from payments.http import validated_body
from payments.models import Dispute, Payment, Refund, SandboxPayment
from payments.permissions import MayOperateSandbox

# The card that each button of a checkout pays with.
CARD_OF_BUTTON = {
    "pay": "pm_card_visa",
    "decline": "pm_card_chargeDeclined",
    "authenticate": "pm_card_authenticationRequired",
}
# The texts of a page on which nothing can be paid any more, by the checkout's or the payment's status.
CHECKOUT_RESULTS = {"complete": "Paid.", "expired": "This page has expired. Nothing was charged."}
PAYMENT_RESULTS = {
    "captured": "Paid.",
    "failed": "Your bank did not recognise you, and nothing was charged.",
    "canceled": "This page has expired. Nothing was charged.",
}
NOT_RECOGNISED = "Your bank did not recognise you, and nothing was charged. Try another card."


def is_in_use() -> bool:
    """Return whether new orders are paid at the sandbox, and the database holds its money."""
    return SandboxGateway.name == settings.PAYMENT_GATEWAY and gateways.are_open()


def only_in_use(page: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Return a decorated page that answers 410 while the sandbox is not in use."""

    @wraps(page)
    def answer(request: HttpRequest, **arguments: str) -> HttpResponse:
        if is_in_use():
            return page(request, **arguments)
        return HttpResponse(
            "This page belongs to the sandbox, which this service does not use any more. Nothing was"
            " charged. Start again from the shop.",
            content_type="text/plain",
            status=410,
        )

    return answer


@csrf_exempt  # the unguessable id in the address is the authority, and no cookie is read
@never_cache
@require_http_methods(["GET", "POST"])
@only_in_use
def checkout_page(request: HttpRequest, token: str) -> HttpResponse:
    """Show a checkout, and on POST press one of its buttons. 404 for an unknown id.

    Webhook events are delivered before the answer, as a real gateway would send them.
    """
    try:
        checkout = checkouts.find(token)
    except NotThere:
        return _not_found()
    message = ""
    if request.method == "POST":
        button = request.POST.get("button", "")
        try:
            if button == "abandon":
                checkouts.expire(token)
            elif button in {"confirm", "refuse"} and checkout.payment is not None:
                checkouts.authenticate(checkout.payment.pk, succeeds=button == "confirm")
                message = "" if button == "confirm" else NOT_RECOGNISED
            elif button in CARD_OF_BUTTON:
                checkouts.pay(token, CARD_OF_BUTTON[button])
        except Declined as declined:
            message = f"The card was declined ({declined.decline_code}). Try another one."
        events.deliver_due()
        checkout = checkouts.find(token)
    return _page(
        title=checkout.title,
        amount=checkout.amount,
        currency=checkout.currency,
        message=message,
        result=CHECKOUT_RESULTS.get(checkout.status, ""),
        is_authenticating=checkout.status == "open" and checkout.payment is not None,
        return_url=checkout.return_url,
        trial_days=(checkout.plan or {}).get("trial_days", 0),
    )


@csrf_exempt  # for the same reason
@never_cache
@require_http_methods(["GET", "POST"])
@only_in_use
def authenticate_page(request: HttpRequest, payment_id: str) -> HttpResponse:
    """Show the page on which the buyer's bank asks for authentication. 404 for an unknown payment.

    On POST the buttons "confirm" and "refuse" are the buyer's answer.
    """
    try:
        payment = rows.get(SandboxPayment.objects.all(), payment_id)
    except NotThere:
        return _not_found()
    if request.method == "POST":
        button = request.POST.get("button", "")
        if button in {"confirm", "refuse"}:
            payment = checkouts.authenticate(payment_id, succeeds=button == "confirm")
            events.deliver_due()
    return _page(
        title="Your bank asks: is this you?",
        amount=payment.amount,
        currency=payment.currency,
        result=PAYMENT_RESULTS.get(payment.status, ""),
        is_authenticating=payment.status == "requires_action",
    )


def _not_found() -> HttpResponse:
    return HttpResponseNotFound(
        "There is no payment at this address. Start again from the shop.", content_type="text/plain"
    )


def _page(*, amount: int, currency: str, **context: object) -> HttpResponse:
    context["price"] = f"{money.to_text(amount, currency)} {currency}"
    return html_page("payments/sandbox_checkout.html", context)


class _SandboxView(APIView):
    """The base of the sandbox's endpoints. Each answers 410 while the sandbox is not in use."""

    permission_classes = [MayOperateSandbox]

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        super().initial(request, *args, **kwargs)
        if not is_in_use():
            raise SandboxClosed()


class SandboxClockView(_SandboxView):
    @extend_schema(
        summary="Move the sandbox's clock forward",
        description=(
            "Renewals, retries and ends of subscriptions that fall due by the new time happen before "
            "the answer."
        ),
        request=SandboxClockSerializer,
        responses=OpenApiResponse(SandboxClockSerializer, "The time that was reached."),
    )
    @refuses(SandboxClosed)
    def post(self, request: Request) -> Response:
        data = validated_body(SandboxClockSerializer, request)
        with transaction.atomic():
            now = events.move_clock(timedelta(days=data["days"], hours=data["hours"]))
            audit.record(actor=request.user, action=AuditAction.SANDBOX_MOVED, **data)
        subscriptions.run_due()
        events.deliver_due()
        return Response({**data, "now": now})


class _BankView(_SandboxView):
    """The base of the endpoints that act as the buyer's bank on one payment."""

    def payment(self, pk: UUID) -> Payment:
        """Return the sandbox's payment with this id, or the last one of the order with this id.

        Raises NotVisible.
        """
        payment = Payment.objects.filter(Q(pk=pk) | Q(order_id=pk), gateway="sandbox").last()
        if payment is None:
            raise NotVisible()
        return payment

    def record(self, request: Request, payment: Payment, what: str) -> None:
        """Write the audit entry and deliver the webhook events."""
        audit.record(
            actor=request.user, action=AuditAction.SANDBOX_MOVED, target=payment, what=what
        )
        events.deliver_due()


class SandboxDisputeView(_BankView):
    @extend_schema(
        summary="Open a dispute as the buyer's bank",
        description="The id is that of a payment or of an order. An inquiry withdraws no money.",
        request=SandboxDisputeSerializer,
        responses=OpenApiResponse(SandboxDisputeAnswerSerializer, "The new dispute."),
    )
    @refuses(SandboxClosed)
    def post(self, request: Request, pk: UUID) -> Response:
        data, payment = validated_body(SandboxDisputeSerializer, request), self.payment(pk)
        amount = _minor(data.get("amount"), payment)
        dispute = charging.open_dispute(payment.external_id, amount=amount, inquiry=data["inquiry"])
        self.record(request, payment, "dispute")
        return Response({"dispute": dispute.pk, "status": dispute.status})


class SandboxReinstateView(_BankView):
    @extend_schema(
        summary="Close a dispute as the buyer's bank",
        description=(
            "The amount goes back to the platform. The dispute is won if that is all that was "
            "withdrawn, and lost otherwise. A dispute that was decided can be decided anew."
        ),
        request=SandboxReinstateSerializer,
        responses=OpenApiResponse(SandboxDisputeAnswerSerializer, "The closed dispute."),
    )
    @refuses(SandboxClosed)
    def post(self, request: Request, pk: UUID) -> Response:
        data, payment = validated_body(SandboxReinstateSerializer, request), self.payment(pk)
        disputes = payment.disputes.order_by("-created_at")
        if wanted := data.get("dispute"):
            dispute = disputes.filter(external_id=wanted).first()
        else:
            dispute = disputes.filter(status__in=Dispute.OPEN).first() or disputes.first()
        if dispute is None:
            raise NotVisible()
        amount = _minor(data.get("amount"), payment)
        closed = charging.close_dispute(
            dispute.external_id, reinstated=dispute.withdrawn if amount is None else amount
        )
        self.record(request, payment, "reinstate")
        return Response({"dispute": closed.pk, "status": closed.status})


class SandboxRefundFailView(_BankView):
    @extend_schema(
        summary="Let the last refund fail",
        description="The refund may be pending or have succeeded: a bank can still reject it then.",
        request=None,
        responses=OpenApiResponse(SandboxRefundAnswerSerializer, "The failed refund."),
    )
    @refuses(SandboxClosed)
    def post(self, request: Request, pk: UUID) -> Response:
        payment = self.payment(pk)
        refund = (
            payment.refunds.filter(status__in=Refund.COUNTS, external_id__isnull=False)
            .order_by("-created_at")
            .first()
        )
        if refund is None or refund.external_id is None:
            raise NotVisible()
        charging.resolve_refund(refund.external_id, succeeds=False)
        self.record(request, payment, "refund-fail")
        return Response({"refund": str(refund.pk), "status": "failed"})


def _minor(amount: Decimal | None, payment: Payment) -> int | None:
    """Convert an amount of the request to minor units of the payment's currency; None stays None.

    Raises AmountInvalid, also for more than was captured.
    """
    if amount is None:
        return None
    try:
        minor = money.to_minor(amount, payment.currency)
    except money.NotMoney as error:
        raise AmountInvalid(str(error)) from None
    if not 0 <= minor <= payment.captured:
        raise AmountInvalid("The amount must be between zero and the captured amount.")
    return minor
