"""Webhooks, webhook events and reconciliation.

A webhook request is authenticated by its signature alone; it has no user and no cookie.
"""

import logging
import time
from datetime import timedelta

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.request import RawPostDataException, UnreadablePostError
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin
from rest_framework.response import Response

from config import addresses
from config.api import ratelimit
from config.api.refusals import refuses
from config.api.views import APIView, GenericViewSet
from config.page_limit import without_page_limit
from payments.errors import PaymentsClosed
from payments.filters import WebhookEventFilter
from payments.gateways.base import WebhookRefused
from payments.http import validated_body
from payments.idempotency import idempotent
from payments.models import WebhookEvent
from payments.permissions import MayReplayEvents
from payments.serializers.gateway_news import (
    FindingsSerializer,
    HoursSerializer,
    WebhookEventSerializer,
)
from payments.services.gateway_news import reconciliation, webhooks

logger = logging.getLogger(__name__)
WARN_SECONDS = 60.0  # between two lines about refused events: strangers must not fill the log
_warned_at = float("-inf")


@without_page_limit
@csrf_exempt
@require_POST
def webhook(request: HttpRequest, gateway: str) -> HttpResponse:
    """Receive one webhook event of a gateway.

    The status is 200 if the event was processed or concerns no object of ours, 400 if the body is
    unreadable, too large or not validly signed, 404 if the gateway has no webhook secret or is closed,
    429 if the network has sent too many such bodies, and 500 if processing failed, so that the gateway
    sends the event again.

    It stands outside of the API document: only gateways call it, each with a body and a signature of
    its own that its maker describes.
    """
    if _sends_nonsense(request, increment=False):
        return _answer(429, "throttled")
    answer = _receive(request, gateway)
    if answer.status_code in {400, 404}:
        _sends_nonsense(request, increment=True)
    return answer


def _sends_nonsense(request: HttpRequest, *, increment: bool) -> bool:
    """Count a refused body, if wished; return whether its network has sent too many in this minute."""
    key = f"refused-webhooks:{addresses.network(request.META.get('REMOTE_ADDR', ''))}"
    usage = ratelimit.usage_of(request, group="default", key=key, increment=increment)
    return usage is not None and usage.remaining == 0


def _warn(text: str) -> None:
    global _warned_at
    if time.monotonic() - _warned_at >= WARN_SECONDS:
        _warned_at = time.monotonic()
        logger.warning(text)


def _receive(request: HttpRequest, gateway: str) -> HttpResponse:
    if not webhooks.is_configured(gateway):
        return _answer(404, "not_found")
    try:
        body = request.read(webhooks.BODY_MAX + 1)
    except (UnreadablePostError, RawPostDataException):
        return _answer(400, "unreadable")
    if len(body) > webhooks.BODY_MAX:
        return _answer(400, "too_large")
    try:
        event = webhooks.receive(gateway=gateway, body=body, headers=request.headers)
    except WebhookRefused as refused:
        _warn(f"A {gateway} webhook was refused, and perhaps others in this minute: {refused}")
        return _answer(400, "refused")
    except Exception:  # noqa: BLE001 - it is logged already; a 500 makes the gateway repeat
        return _answer(500, "failed")
    return _answer(200, event.status)


def _answer(status: int, code: str) -> HttpResponse:
    if status == 200:
        return JsonResponse({"status": code})
    error = {"code": code, "detail": "The webhook event was not processed.", "attr": None}
    kind = "client_error" if status < 500 else "server_error"
    return JsonResponse({"type": kind, "errors": [error]}, status=status)


@extend_schema_view(
    list=extend_schema(
        summary="List the webhook events",
        description="The newest come first. An event with the status `failed` can be replayed.",
    )
)
class WebhookEventViewSet(ListModelMixin, GenericViewSet):
    permission_classes = [MayReplayEvents]
    queryset = WebhookEvent.objects.all()
    serializer_class = WebhookEventSerializer
    filterset_class = WebhookEventFilter
    ordering = "-received_at"
    lookup_value_converter = "id"

    @extend_schema(
        summary="Process a webhook event again",
        description="Safe to repeat: asks the gateway for the object and books the difference only.",
        request=None,
        responses=OpenApiResponse(WebhookEventSerializer, "The event with its new status."),
    )
    @action(detail=True, methods=["post"])
    @refuses(*webhooks.REFUSALS)
    @idempotent
    def replay(self, request, pk):
        event = webhooks.replay_event(self.get_object(), actor=request.user)
        return Response(WebhookEventSerializer(event).data)


class ReconcileView(APIView):
    permission_classes = [MayReplayEvents]

    @extend_schema(
        summary="Ask the gateways for all recent changes",
        description="Books the changes whose webhook events were lost. A second run changes nothing.",
        request=HoursSerializer,
        responses=OpenApiResponse(
            FindingsSerializer,
            "What was compared. A gateway that does not answer counts as failed.",
        ),
    )
    @refuses(PaymentsClosed)
    @idempotent
    def post(self, request):
        hours = validated_body(HoursSerializer, request)["hours"]
        findings = reconciliation.reconcile(timezone.now() - timedelta(hours=hours))
        return Response(FindingsSerializer(findings).data)
