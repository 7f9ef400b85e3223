"""Webhooks, webhook events and reconciliation.

A webhook has no user and no cookie: its signature is the authority.
"""

import logging
from datetime import timedelta

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.request import RawPostDataException, UnreadablePostError
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from drf_spectacular.utils import extend_schema
from rest_framework.mixins import ListModelMixin
from rest_framework.response import Response

from config.api.views import APIView, GenericViewSet
from payments.filters import WebhookEventFilter
from payments.gateways.base import WebhookRefused
from payments.http import read
from payments.idempotency import idempotent
from payments.models import WebhookEvent
from payments.permissions import MayTakeInNews
from payments.serializers.gateway_news import (
    FindingsSerializer,
    HoursSerializer,
    WebhookEventSerializer,
)
from payments.services.gateway_news import reconciliation, webhooks

logger = logging.getLogger(__name__)


@csrf_exempt
@require_POST
def webhook(request: HttpRequest, gateway: str) -> HttpResponse:
    """200 for what was taken in or is nobody's business, 400 for what no gateway of ours said, 404
    where no secret is configured, 500 for what the gateway shall send again."""
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
        logger.warning("A %s webhook was refused: %s", gateway, refused)
        return _answer(400, "refused")
    except Exception:  # noqa: BLE001 - logged where it happened; the gateway shall send it again
        return _answer(500, "failed")
    return _answer(200, event.status)


def _answer(status: int, word: str) -> HttpResponse:
    if status == 200:
        return JsonResponse({"status": word})
    error = {"code": word, "detail": "The message was not taken in.", "attr": None}
    kind = "client_error" if status < 500 else "server_error"
    return JsonResponse({"type": kind, "errors": [error]}, status=status)


class WebhookEventViewSet(ListModelMixin, GenericViewSet):
    permission_classes = [MayTakeInNews]
    queryset = WebhookEvent.objects.all()
    serializer_class = WebhookEventSerializer
    filterset_class = WebhookEventFilter
    ordering = "-received_at"

    @extend_schema(summary="What the gateways have told")
    def list(self, request, *args, **kwargs):
        return super().list(request, *args, **kwargs)

    @extend_schema(
        summary="Take an event in again",
        description="Safe to repeat: the gateway is asked, and the difference is booked.",
        request=None,
        responses=WebhookEventSerializer,
    )
    @idempotent
    def replay(self, request, pk):
        event = webhooks.replay_event(self.get_object(), actor=request.user)
        return Response(WebhookEventSerializer(event).data)


class ReconcileView(APIView):
    permission_classes = [MayTakeInNews]

    @extend_schema(
        summary="Ask the gateways for everything that may have changed",
        description="What lost webhooks missed is booked. A second run finds nothing to change.",
        request=HoursSerializer,
        responses=FindingsSerializer,
    )
    @idempotent
    def post(self, request):
        hours = read(HoursSerializer, request)["hours"]
        found = reconciliation.reconcile(timezone.now() - timedelta(hours=hours))
        return Response(FindingsSerializer(found).data)
