"""``Idempotency-Key``: a request that is repeated with its key is carried out once.

Follows draft-ietf-httpapi-idempotency-key-header-07.
"""

import functools
import hashlib
import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Concatenate, ParamSpec, TypeVar

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.http import Http404
from django.utils import timezone
from rest_framework.exceptions import APIException, ParseError, UnsupportedMediaType
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User
from config import batches
from config.api.refusals import reads_header, refuses, sends_headers
from config.errors import DomainError, TooLarge
from config.ids import as_written, uuid7
from payments.errors import KeyInProgress, KeyReused
from payments.models import IdempotencyRecord

KEY_MAX = 255  # characters
KEY_LIFETIME = timedelta(hours=24)
# A process that dies never stores an answer. After this time a repeat may carry the request out.
ABANDONED_AFTER = timedelta(minutes=2)

# The header in the API document.
KEY_SCHEMA = {"type": "string", "minLength": 1, "maxLength": KEY_MAX, "pattern": "^[ -~]+$"}
ABOUT_THE_KEY = (
    f"A text of your choice, such as a new UUID for each wish: 1 to {KEY_MAX} printable ASCII"
    " characters. It is optional and advised. A repeat with the same key within"
    f" {KEY_LIFETIME // timedelta(hours=1)} hours changes nothing more, and gets the first answer."
)

View = TypeVar("View", bound=APIView)
Arguments = ParamSpec("Arguments")
Method = Callable[Concatenate[View, Request, Arguments], Response]


def idempotent(method: Method[View, Arguments]) -> Method[View, Arguments]:
    """Make a view's method carry a request with an ``Idempotency-Key`` out once.

    A repeat gets the stored answer, with the header ``Idempotent-Replayed: true``. Final answers are
    stored, declined cards among them: another try needs another key. An answer that a repeat may better
    (5xx, or with ``Retry-After``) is not stored. Without the header the method is called as it is.

    Answers 400 for a key that is empty, too long or not printable ASCII, 409 while the first request
    is running, and 422 for a key that was used for another request. The API document says all this of
    each such method, by the marks on the wrapper.
    """

    @reads_header("Idempotency-Key", ABOUT_THE_KEY, KEY_SCHEMA)
    @sends_headers("Idempotent-Replayed")
    @refuses(KeyInProgress, KeyReused, TooLarge, UnsupportedMediaType)  # it reads any body
    @functools.wraps(method)
    def wrapper(
        view: View, request: Request, *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Response:
        key = request.headers.get("Idempotency-Key")
        if key is None or not request.user.is_authenticated:  # a key belongs to a user
            return method(view, request, *args, **kwargs)
        if not key.strip() or len(key) > KEY_MAX or not (key.isascii() and key.isprintable()):
            raise ParseError(f"Idempotency-Key must have 1 to {KEY_MAX} printable characters.")
        claim = begin(
            user=request.user,
            key=key,
            request_fingerprint=fingerprint(
                request.method or "", as_written(request.get_full_path_info()), request.data
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


def key_of(request: Request) -> str:
    """Return the request's ``Idempotency-Key``, or "".

    For a service whose effect must not happen twice when a process died before it stored its answer.
    """
    return request.headers.get("Idempotency-Key", "")


@dataclass(frozen=True, slots=True)
class Claim:
    """One call's permission to carry a keyed request out, or the stored answer to an earlier call.

    ``answered`` holds the HTTP status and the body of that answer; None: carry the request out.
    """

    record_id: int
    claim: uuid.UUID
    answered: tuple[int, str] | None = None


def fingerprint(method: str, path: str, body: object) -> str:
    """Return a SHA-256 in hex that is the same for repeats of a request and for no other one."""
    text = json.dumps([method, path, body], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def begin(*, user: User, key: str, request_fingerprint: str) -> Claim:
    """Claim the user's key for this request, or return the answer that is stored for it.

    A key older than 24 hours is free again. A request that has been running for two minutes counts as
    abandoned, and the repeat carries it out. Raises KeyReused for a key of another request, and
    KeyInProgress while the first request is running. Of several calls at once one gets the claim.
    """
    mine, now = uuid7(), timezone.now()
    try:
        with transaction.atomic():
            created = IdempotencyRecord.objects.create(
                user=user, key=key, fingerprint=request_fingerprint, claim=mine
            )
        return Claim(created.pk, mine)
    except IntegrityError:
        record = IdempotencyRecord.objects.filter(user=user, key=key).first()
    if record is None:  # `forget` deleted it a moment ago
        raise KeyInProgress()
    # Each UPDATE names the claim that was read, so that of two callers one changes the row.
    unchanged = IdempotencyRecord.objects.filter(pk=record.pk, claim=record.claim)
    restarted = unchanged.filter(started_at__lt=now - KEY_LIFETIME).update(
        claim=mine,
        fingerprint=request_fingerprint,
        started_at=now,
        response_status=None,
        response_body="",
    )
    if restarted:
        return Claim(record.pk, mine)
    if record.fingerprint != request_fingerprint:
        raise KeyReused()
    if record.response_status is not None:
        return Claim(record.pk, record.claim, (record.response_status, record.response_body))
    taken_over = unchanged.filter(
        response_status=None, started_at__lt=now - ABANDONED_AFTER
    ).update(claim=mine, started_at=now)
    if taken_over:
        return Claim(record.pk, mine)
    raise KeyInProgress()


@contextmanager
def one_at_a_time(user: User, what: str, busy: DomainError) -> Iterator[None]:
    """Let one request of a user do ``what`` at a time; raise ``busy`` for another one.

    ``what`` is a text that no client can send as a key: those of clients are ASCII. The claim of a
    process that has died is free again after two minutes.
    """
    try:
        claim = begin(user=user, key=what, request_fingerprint="")
    except KeyInProgress:
        raise busy from None
    try:
        yield
    finally:
        forget(claim)


def keep(claim: Claim, status: int, body: str) -> None:
    """Store the final answer to a request, unless another call has taken its key over."""
    _claimed(claim).update(response_status=status, response_body=body)


def forget(claim: Claim) -> None:
    """Free the key after an answer that a repeat may better, unless another call has taken it over."""
    _claimed(claim).delete()


def forget_old_keys() -> int:
    """Delete records of keys older than 24 hours; return how many. Safe to repeat.

    A call deletes a bounded number of them, the oldest first.
    """
    old = timezone.now() - KEY_LIFETIME
    return batches.delete(
        IdempotencyRecord.objects.filter(started_at__lt=old).order_by("started_at")
    )


def _claimed(claim: Claim) -> QuerySet[IdempotencyRecord]:
    """Return the record of a claim, or no record: a call that took the key over has its own claim."""
    return IdempotencyRecord.objects.filter(pk=claim.record_id, claim=claim.claim)
