"""The sandbox's own face: its hosted page, where a browser pays, and its switches for tests."""

from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

import audit.services as audit
from audit.actions import AuditAction
from config import money
from config.api.views import APIView
from config.errors import NotVisible
from payments.errors import AmountInvalid
from payments.gateways.base import Declined, NotThere
from payments.gateways.sandbox import charging, checkouts, events, subscriptions
from payments.gateways.sandbox.serializers import (
    SandboxClockSerializer,
    SandboxDisputeSerializer,
    SandboxReinstateSerializer,
)
from payments.http import read
from payments.models import Payment, Refund, SandboxPayment
from payments.permissions import MayMoveSandbox

CARDS = {
    "pay": "pm_card_visa",
    "decline": "pm_card_chargeDeclined",
    "authenticate": "pm_card_authenticationRequired",
}
STATES = {"complete": "Paid.", "expired": "This page has expired. Nothing was charged."}


@csrf_exempt  # the id in the address is the authority, and no cookie is looked at
@never_cache
@require_http_methods(["GET", "POST"])
def checkout_page(request: HttpRequest, token: str) -> HttpResponse:
    try:
        checkout = checkouts.find(token)
    except NotThere:
        return _nothing_here()
    message, waits = "", None
    if request.method == "POST":
        button = request.POST.get("button", "")
        try:
            if button == "abandon":
                checkouts.expire(token)
            elif button in {"confirm", "refuse"} and checkout.payment is not None:
                checkouts.authenticate(checkout.payment_id, succeeds=button == "confirm")
                message = "" if button == "confirm" else "Your bank did not recognise you."
            elif button in CARDS:
                checkouts.pay(token, CARDS[button])
        except Declined as declined:
            message = f"The card was declined ({declined.decline_code}). Try another one."
        events.deliver_due()
        checkout = checkouts.find(token)
    if checkout.status == "open" and checkout.payment is not None:
        waits = checkout.payment
    return _page(
        request,
        title=checkout.title,
        amount=checkout.amount,
        currency=checkout.currency,
        message=message,
        state=STATES.get(checkout.status, ""),
        authenticating=waits is not None,
        return_url=checkout.return_url,
        free_days=(checkout.plan or {}).get("trial_days", 0),
    )


@csrf_exempt  # the same
@never_cache
@require_http_methods(["GET", "POST"])
def authenticate_page(request: HttpRequest, payment_id: str) -> HttpResponse:
    """The buyer's bank asks whether it is them."""
    payment = None
    if payment_id.isprintable():  # PostgreSQL cannot even be asked for a NUL
        payment = SandboxPayment.objects.filter(pk=payment_id).first()
    if payment is None:
        return _nothing_here()
    if request.method == "POST":
        button = request.POST.get("button", "")
        if button in {"confirm", "refuse"}:
            payment = checkouts.authenticate(payment_id, succeeds=button == "confirm")
            events.deliver_due()
    states = {
        "captured": "Paid.",
        "failed": "Your bank did not recognise you. Nothing was charged.",
    }
    return _page(
        request,
        title="Your bank asks: is this you?",
        amount=payment.amount,
        currency=payment.currency,
        state=states.get(payment.status, ""),
        authenticating=payment.status == "requires_action",
    )


def _nothing_here() -> HttpResponse:
    return HttpResponseNotFound("There is nothing to pay here.", content_type="text/plain")


def _page(request: HttpRequest, *, amount: int, currency: str, **context) -> HttpResponse:
    context["price"] = f"{money.to_text(amount, currency)} {currency}"
    return render(request, "payments/sandbox_checkout.html", context)


class SandboxClockView(APIView):
    permission_classes = [MayMoveSandbox]

    @extend_schema(
        summary="Move the sandbox's clock forward",
        description="Renewals, retries and ends that fall due happen at once.",
        request=SandboxClockSerializer,
        responses=SandboxClockSerializer,
    )
    def post(self, request):
        data = read(SandboxClockSerializer, request)
        with transaction.atomic():
            now = events.move_clock(timedelta(days=data["days"], hours=data["hours"]))
            audit.record(actor=request.user, action=AuditAction.SANDBOX_MOVED, **data)
        subscriptions.run_due()
        events.deliver_due()
        return Response({**data, "now": now})


class _SwitchView(APIView):
    permission_classes = [MayMoveSandbox]

    def payment(self, pk) -> Payment:
        """By its own id, or by that of the order that it pays."""
        found = Payment.objects.filter(Q(pk=pk) | Q(order_id=pk), gateway="sandbox").last()
        if found is None:
            raise NotVisible()
        return found

    def note(self, request, payment: Payment, what: str) -> None:
        audit.record(
            actor=request.user, action=AuditAction.SANDBOX_MOVED, target=payment, what=what
        )
        events.deliver_due()


class SandboxDisputeView(_SwitchView):
    @extend_schema(
        summary="Let the buyer's bank take money back",
        request=SandboxDisputeSerializer,
        responses=SandboxDisputeSerializer,
    )
    def post(self, request, pk):
        data, payment = read(SandboxDisputeSerializer, request), self.payment(pk)
        amount = _minor(data.get("amount"), payment)
        dispute = charging.open_dispute(payment.external_id, amount=amount, inquiry=data["inquiry"])
        self.note(request, payment, "dispute")
        return Response({"dispute": dispute.pk, "status": dispute.status})


class SandboxReinstateView(_SwitchView):
    @extend_schema(
        summary="Let the bank decide: won, won in part, or (amount 0) lost",
        request=SandboxReinstateSerializer,
        responses=SandboxReinstateSerializer,
    )
    def post(self, request, pk):
        data, payment = read(SandboxReinstateSerializer, request), self.payment(pk)
        dispute = payment.disputes.order_by("-created_at").first()
        if dispute is None:
            raise NotVisible()
        amount = _minor(data.get("amount"), payment)
        dispute = charging.close_dispute(
            dispute.external_id, reinstated=dispute.withdrawn if amount is None else amount
        )
        self.note(request, payment, "reinstate")
        return Response({"dispute": dispute.pk, "status": dispute.status})


class SandboxRefundFailView(_SwitchView):
    @extend_schema(summary="Let the last refund fail after all", request=None, responses=None)
    def post(self, request, pk):
        payment = self.payment(pk)
        refund = (
            payment.refunds.filter(status__in=Refund.COUNTS, external_id__isnull=False)
            .order_by("-created_at")
            .first()
        )
        if refund is None:
            raise NotVisible()
        charging.resolve_refund(refund.external_id, succeeds=False)
        self.note(request, payment, "refund-fail")
        return Response({"refund": str(refund.pk), "status": "failed"})


def _minor(amount, payment: Payment) -> int | None:
    if amount is None:
        return None
    try:
        minor = money.to_minor(amount, payment.currency)
    except money.NotMoney as error:
        raise AmountInvalid(str(error)) from None
    if not 0 <= minor <= payment.captured:
        raise AmountInvalid("The amount must be between zero and what was paid.")
    return minor
