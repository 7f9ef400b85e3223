"""Where gateways tell what has happened. No user, no cookie: the signature is the authority."""

import logging

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.request import RawPostDataException, UnreadablePostError
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from payments.gateways.base import WebhookRefused
from payments.services import webhooks

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
