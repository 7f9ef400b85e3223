"""``Idempotency-Key``: the same request twice is one request (draft-ietf-httpapi-idempotency-key-07)."""

import functools
import hashlib
import json
import uuid
from dataclasses import dataclass
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.http import Http404
from django.utils import timezone
from rest_framework.exceptions import APIException, ParseError
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from config.ids import uuid7
from payments.errors import KeyInProgress, KeyReused
from payments.models import IdempotencyRecord

KEY_MAX = 255


def idempotent(method):
    """Carry out a keyed request once; answer its repeats from the store, marked as such.

    Final answers are kept, a decline among them: a new try needs a new key. 400 for a key that is
    empty or too long; 409 while the first request runs; 422 for a key used for another request.
    """

    @functools.wraps(method)
    def wrapper(view, request, *args, **kwargs):
        key = request.headers.get("Idempotency-Key")
        if key is None:
            return method(view, request, *args, **kwargs)
        if not key.strip() or len(key) > KEY_MAX or not (key.isascii() and key.isprintable()):
            raise ParseError(f"Idempotency-Key must have 1 to {KEY_MAX} printable characters.")
        claim = begin(
            user=request.user,
            key=key,
            request_fingerprint=fingerprint(
                request.method, request.get_full_path_info(), request.data
            ),
        )
        if claim.answered:
            status, body = claim.answered
            return Response(
                json.loads(body), status=status, headers={"Idempotent-Replayed": "true"}
            )
        try:
            response = method(view, request, *args, **kwargs)
        except (APIException, Http404) as refusal:
            response = view.handle_exception(refusal)
        except BaseException:
            forget(claim)
            raise
        if response.status_code >= 500 or response.has_header("Retry-After"):
            forget(claim)
        else:
            body = JSONRenderer().render(response.data).decode()
            keep(claim, response.status_code, body)
        return response

    return wrapper


KEY_LIFETIME = timedelta(hours=24)


# A process that died in the middle never answers; after this its key may be taken over.
ABANDONED_AFTER = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to carry out a keyed request, or the answer it had."""

    record_id: int
    claim: uuid.UUID
    answered: tuple[int, str] | None = None


def fingerprint(method: str, path: str, body) -> str:
    text = json.dumps([method, path, body], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def begin(*, user, key: str, request_fingerprint: str) -> Claim:
    """Take the key, or get its stored answer. Raises KeyReused and KeyInProgress."""
    mine, now = uuid7(), timezone.now()
    try:
        with transaction.atomic():
            record = IdempotencyRecord.objects.create(
                user=user, key=key, fingerprint=request_fingerprint, claim=mine
            )
        return Claim(record.pk, mine)
    except IntegrityError:
        record = IdempotencyRecord.objects.filter(user=user, key=key).first()
    if record is None:  # forgotten just now, because a repeat may do better
        raise KeyInProgress()
    expired = IdempotencyRecord.objects.filter(
        pk=record.pk, claim=record.claim, started_at__lt=now - KEY_LIFETIME
    ).update(
        claim=mine,
        fingerprint=request_fingerprint,
        started_at=now,
        response_status=None,
        response_body="",
    )
    if expired:
        return Claim(record.pk, mine)
    if record.fingerprint != request_fingerprint:
        raise KeyReused()
    if record.response_status is not None:
        return Claim(record.pk, record.claim, (record.response_status, record.response_body))
    taken_over = IdempotencyRecord.objects.filter(
        pk=record.pk,
        claim=record.claim,
        response_status=None,
        started_at__lt=now - ABANDONED_AFTER,
    ).update(claim=mine, started_at=now)
    if taken_over:
        return Claim(record.pk, mine)
    raise KeyInProgress()


def keep(claim: Claim, status: int, body: str) -> None:
    """Store a final answer."""
    _mine(claim).update(response_status=status, response_body=body)


def forget(claim: Claim) -> None:
    """Give the key back after an answer that a repeat may better (in progress, 429, 5xx)."""
    _mine(claim).delete()


def _mine(claim: Claim):
    # Whoever took an abandoned key over has a claim of their own.
    return IdempotencyRecord.objects.filter(pk=claim.record_id, claim=claim.claim)


def forget_old_keys() -> int:
    old = timezone.now() - KEY_LIFETIME
    return IdempotencyRecord.objects.filter(started_at__lt=old).delete()[0]
