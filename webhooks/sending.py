"""Sending deliveries: each by one process at a time, and the deliveries of one object in order.

The worker calls `send_due` each second. It claims some deliveries, posts them in threads that use no
database, stores the outcomes, and returns after a few seconds: the worker has other work too.
"""

import logging
import threading
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

import audit.services as audit
from audit.actions import AuditAction
from config import ordered
from payments.services.notices import writing
from webhooks import posting
from webhooks.models import Delivery, Endpoint

logger = logging.getLogger(__name__)

AT_ONCE = 16  # deliveries of one round
PER_ENDPOINT = 4
# The worker may be killed while it sends: then others send the delivery after this time.
LEASE = timedelta(minutes=1)
PATIENCE = timedelta(days=3)
# After the first failure of a delivery, doubled after each other one.
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=5), timedelta(hours=6)
# The same for all deliveries to an endpoint: shorter, so that one that is back is found soon.
LONGEST_PAUSE = timedelta(minutes=5)
GAVE_UP = "It was given up after 3 days."
NOT_ALLOWED = "The owner of the endpoint may not receive this event any more."


@dataclass
class _Task:
    """A claimed delivery on its way."""

    delivery: Delivery
    message: posting.Message
    answer: posting.Answer | None = None
    thread: threading.Thread | None = field(default=None, repr=False)

    def start(self) -> None:
        self.thread = threading.Thread(target=self._run, daemon=True, name="webhook")
        self.thread.start()

    def _run(self) -> None:
        self.answer = posting.post(self.message)

    def result(self) -> posting.Answer:
        """Return the result of the request. Does not wait for a DNS resolver that hangs."""
        if self.thread is not None:
            self.thread.join(posting.WHOLE_SECONDS + 1)
        return self.answer or posting.Answer(failure="The address's name was not resolved in time.")


def send_due() -> int:
    """Send deliveries that are due, up to AT_ONCE, and return how many were delivered.

    One that fails is tried again after longer and longer waits. Safe to call in any number of processes
    at the same time.
    """
    tasks = [task for delivery in _chosen() if (task := _claimed(delivery)) is not None]
    for task in tasks:
        task.start()
    return sum(_store(task.delivery, task.result()) for task in tasks)


def give_up_old() -> int:
    """End the deliveries that have waited for PATIENCE, and return how many these were."""
    now = timezone.now()
    old = Delivery.objects.waiting().filter(due_since__lte=now - PATIENCE)
    return ordered.update(old, status=Delivery.Status.FAILED, finished_at=now, failure=GAVE_UP)


def _chosen() -> list[Delivery]:
    """Return due deliveries: of each object the first alone, and of a failing endpoint only one.

    The endpoints come in an order of chance, so that one with much to be sent holds up no other.
    """
    due = (
        Delivery.objects.waiting()
        .filter(not_before__lte=Now(), due_since__gt=timezone.now() - PATIENCE)
        .order_by("event")
    )
    endpoints = Endpoint.objects.filter(
        Exists(due.filter(endpoint=OuterRef("pk"))), disabled_at=None, not_before__lte=Now()
    )
    earlier = Delivery.objects.waiting().filter(
        endpoint=OuterRef("endpoint"), about=OuterRef("about"), event__lt=OuterRef("event")
    )
    chosen: list[Delivery] = []
    for endpoint in endpoints.order_by("?")[:AT_ONCE]:
        most = min(1 if endpoint.failures else PER_ENDPOINT, AT_ONCE - len(chosen))
        rows = due.filter(~Exists(earlier), endpoint=endpoint)
        chosen += rows.select_related("endpoint__owner", "event")[:most]
    return chosen


def _claimed(delivery: Delivery) -> _Task | None:
    """Count an attempt at a delivery. Return None if another process was first, or if it is given up."""
    now, endpoint, event = timezone.now(), delivery.endpoint, delivery.event
    mine = Delivery.objects.waiting().filter(
        pk=delivery.pk, attempts=delivery.attempts, not_before__lte=Now()
    )
    delivery.attempts, delivery.attempted_at = delivery.attempts + 1, now
    if not mine.update(attempts=F("attempts") + 1, not_before=Now() + LEASE, attempted_at=now):
        return None
    if not endpoint.may_receive(event.type, event.subject_id):
        _finish(delivery, Delivery.Status.FAILED, failure=NOT_ALLOWED)
        return None
    keys = [endpoint.secret]
    if endpoint.previous_until is not None and endpoint.previous_until > now:
        keys.append(endpoint.previous_secret)
    message = posting.Message(message_id(delivery), endpoint.url, event.body.encode(), tuple(keys))
    return _Task(delivery, message)


def message_id(delivery: Delivery) -> str:
    """Return the ``webhook-id``: the same for each attempt and replay, so that receivers can compare."""
    return f"msg_{delivery.pk.hex}"


def _store(delivery: Delivery, answer: posting.Answer) -> bool:
    """Store the outcome of an attempt. Return whether the receiver has taken the message."""
    told = {
        "answer_status": answer.status,
        "answer_excerpt": answer.excerpt,
        "duration_ms": answer.duration_ms,
        "failure": answer.failure,
    }
    if not answer.failure:
        if _finish(delivery, Delivery.Status.DELIVERED, **told):
            Endpoint.objects.filter(pk=delivery.endpoint_id, failures__gt=0).update(
                failures=0, failing_since=None, not_before=Now()
            )
        return True
    logger.warning("Webhook %s was not delivered: %s", delivery.pk, answer.failure)
    wait = _wait(delivery.attempts, LONGEST_WAIT)
    if _own(delivery).update(not_before=Now() + wait, **told):
        _note_failure(delivery.endpoint_id, is_gone=answer.status == posting.GONE)
    return False


def _own(delivery: Delivery) -> QuerySet[Delivery]:
    """Return the row if this attempt is still the latest: a later one's outcome must stay."""
    return Delivery.objects.waiting().filter(pk=delivery.pk, attempted_at=delivery.attempted_at)


def _finish(delivery: Delivery, status: str, **fields: object) -> bool:
    return bool(_own(delivery).update(status=status, finished_at=timezone.now(), **fields))


def _wait(failures: int, longest: timedelta) -> timedelta:
    return min(FIRST_WAIT * 2 ** min(failures - 1, 20), longest)


@transaction.atomic
def _note_failure(endpoint_id: uuid.UUID, *, is_gone: bool) -> None:
    """Let an endpoint pause after a failure. Disable it when it is dead.

    That is after PATIENCE without a success, or when it answers that it is gone (410).
    """
    endpoint = Endpoint.objects.select_for_update(no_key=True).filter(pk=endpoint_id).first()
    if endpoint is None:
        return
    now = timezone.now()
    endpoint.failures += 1
    endpoint.failing_since = endpoint.failing_since or now
    endpoint.save(update_fields=["failures", "failing_since"])
    pause = _wait(endpoint.failures, LONGEST_PAUSE)
    Endpoint.objects.filter(pk=endpoint.pk).update(not_before=Now() + pause)
    if endpoint.disabled_at is not None:
        return
    if is_gone:
        _disable(endpoint, now, "It answered 410 (gone).")
    elif endpoint.failing_since <= now - PATIENCE:
        _disable(endpoint, now, "It has taken no event for 3 days.")


def _disable(endpoint: Endpoint, now: datetime, reason: str) -> None:
    """Disable a dead endpoint whose row is locked, fail its waiting deliveries, and mail its owner."""
    endpoint.disabled_at, endpoint.disabled_reason = now, reason
    endpoint.save(update_fields=["disabled_at", "disabled_reason"])
    given_up = Delivery.objects.waiting().filter(endpoint=endpoint)
    number = ordered.update(
        given_up,
        status=Delivery.Status.FAILED,
        finished_at=now,
        failure="The endpoint was disabled.",
    )
    audit.record(
        actor=None, action=AuditAction.WEBHOOK_ENDPOINT_DISABLED, target=endpoint, given_up=number
    )
    name = " ".join(endpoint.description.split()) or f"with the id {endpoint.pk}"
    writing.write_mail(
        endpoint.owner_id,
        "webhooks/mails/endpoint_disabled.html",
        dedupe_key=f"webhook:{endpoint.pk}:{now:%Y-%m-%dT%H:%M:%S}",
        name=name,
        reason=reason,
        given_up=number,
        endpoint=endpoint.pk,
    )
