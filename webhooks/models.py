"""Endpoints, the events that they are told of, and deliveries."""

from typing import Self

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from accounts.models import User
from config.ids import uuid7
from webhooks.catalogue import FOR_CREATORS

SEES_ALL = "webhooks.receive_any_event"
MAY_RECEIVE = "webhooks.receive_own_events"


class EndpointQuerySet(models.QuerySet["Endpoint"]):
    """Endpoints, filtered by who may see them."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Return the user's own endpoints, and every endpoint for administrators."""
        if isinstance(user, AnonymousUser):
            return self.none()
        rows = self.filter(deleted_at=None)
        return rows if user.has_perm(SEES_ALL) else rows.filter(owner=user.pk)


class Endpoint(models.Model):
    """An address of another system, which is told of events by POST requests.

    ``event_types`` names the events; an empty list stands for all that the owner may receive. Requests
    are signed with ``secret``, and after a rotation with ``previous_secret`` too, until
    ``previous_until``. A disabled endpoint (``disabled_at``) gets no new events. ``failures`` counts the
    failed attempts in a row since ``failing_since``; until ``not_before`` none is made.

    The row of a deleted endpoint (``deleted_at``) goes an hour later: a transaction that has just read
    it may write a delivery for it, and must not fail because of that.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="webhook_endpoints"
    )
    url = models.CharField("address", max_length=2000)
    description = models.CharField(max_length=200, blank=True)
    event_types = models.JSONField("types of events", default=list, blank=True)
    secret = models.CharField(max_length=100)
    previous_secret = models.CharField(max_length=100, blank=True)
    previous_until = models.DateTimeField("previous secret signs until (UTC)", null=True)
    created_at = models.DateTimeField("created (UTC)", default=timezone.now, editable=False)
    disabled_at = models.DateTimeField("disabled (UTC)", null=True)
    disabled_reason = models.CharField("why it is disabled", max_length=200, blank=True)
    deleted_at = models.DateTimeField("deleted (UTC)", null=True)
    failures = models.PositiveIntegerField("failed attempts in a row", default=0)
    failing_since = models.DateTimeField("failing since (UTC)", null=True)
    not_before = models.DateTimeField("next attempt not before (UTC)", db_default=Now())

    objects = EndpointQuerySet.as_manager()

    class Meta:
        permissions = [
            ("receive_own_events", "Can have webhooks for their own videos and payouts"),
            ("receive_any_event", "Can have webhooks for all events, and see all endpoints"),
        ]
        indexes = [models.Index(fields=["owner", "-created_at"], name="endpoint_of_owner")]

    def __str__(self) -> str:
        return f"endpoint {self.pk}"

    @property
    def is_active(self) -> bool:
        """Whether the endpoint is told of new events."""
        return self.disabled_at is None

    def wants(self, event_type: str) -> bool:
        """Return whether the endpoint asks for events of this type."""
        return not self.event_types or event_type in self.event_types

    def may_receive(self, event_type: str, subject_id: object) -> bool:
        """Return whether the owner may know of an event about ``subject_id``'s video or payout."""
        if not self.owner.is_active:
            return False
        if self.owner.has_perm(SEES_ALL):
            return True
        is_own = event_type in FOR_CREATORS and subject_id == self.owner_id
        return is_own and self.owner.has_perm(MAY_RECEIVE)


class Event(models.Model):
    """Something that has happened, as it is told to the endpoints. Never changed.

    ``key`` is one value for each happening, so that none is told twice. Events with one ``about`` are
    delivered in the order of their numbers. ``subject`` is the creator whose video or payout it is.
    """

    number = models.BigAutoField(primary_key=True)
    key = models.CharField(max_length=150, unique=True)
    type = models.CharField(max_length=40)
    about = models.CharField(max_length=80)
    subject = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="+"
    )
    body = models.TextField("body of the requests, as JSON")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        # webhooks.sweeping
        indexes = [models.Index(fields=["created_at"], name="event_by_age")]

    def __str__(self) -> str:
        return self.key


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    """Deliveries, filtered by the user who may see them, and by being due."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Return the deliveries to the user's own endpoints, and every delivery for administrators."""
        if isinstance(user, AnonymousUser):
            return self.none()
        rows = self.filter(endpoint__deleted_at=None)
        return rows if user.has_perm(SEES_ALL) else rows.filter(endpoint__owner=user.pk)

    def waiting(self) -> Self:
        """Return the deliveries that are not made and not given up."""
        return self.filter(status=Delivery.Status.WAITING)


class Delivery(models.Model):
    """One event for one endpoint, with the result of sending it: the outbox and the log of deliveries.

    Written in the transaction of the event, and sent after it. ``due_since`` is the beginning, or that
    of a replay: three days later it is given up. ``not_before`` is the next attempt, and the lease of
    the one that is under way. The answer is that of the latest attempt.
    """

    class Status(models.TextChoices):
        WAITING = "waiting", "waiting"
        DELIVERED = "delivered", "delivered"
        FAILED = "failed", "given up"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="deliveries")
    event = models.ForeignKey(Event, on_delete=models.CASCADE, related_name="deliveries")
    about = models.CharField(max_length=80)  # as the event's, so that one index gives the order
    status = models.CharField(max_length=10, choices=Status, default=Status.WAITING)
    attempts = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField("created (UTC)", default=timezone.now, editable=False)
    due_since = models.DateTimeField("due since (UTC)", default=timezone.now)
    not_before = models.DateTimeField("next attempt not before (UTC)", db_default=Now())
    attempted_at = models.DateTimeField("latest attempt (UTC)", null=True)
    finished_at = models.DateTimeField("delivered or given up (UTC)", null=True)
    answer_status = models.PositiveSmallIntegerField("status of the answer", null=True)
    answer_excerpt = models.CharField("beginning of the answer", max_length=500, blank=True)
    duration_ms = models.PositiveIntegerField("milliseconds to the answer", null=True)
    failure = models.CharField("why the latest attempt failed", max_length=200, blank=True)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "deliveries"
        permissions = [("replay_delivery", "Can send the webhooks of every endpoint again")]
        constraints = [
            models.UniqueConstraint(fields=["endpoint", "event"], name="delivery_once"),
            models.CheckConstraint(
                name="delivery_finished_has_time",
                condition=Q(status="waiting", finished_at__isnull=True)
                | (~Q(status="waiting") & Q(finished_at__isnull=False)),
            ),
        ]
        indexes = [
            # webhooks.sending: which endpoints have deliveries that are due, and which these are.
            models.Index(
                fields=["endpoint", "not_before"],
                name="delivery_waiting",
                condition=Q(status="waiting"),
            ),
            # webhooks.sending: whether an earlier delivery about the same object waits.
            models.Index(
                fields=["endpoint", "about", "event"],
                name="delivery_order",
                condition=Q(status="waiting"),
            ),
            # webhooks.sweeping
            models.Index(fields=["finished_at"], name="delivery_finished"),
            models.Index(fields=["endpoint", "-created_at"], name="delivery_of_endpoint"),
        ]

    def __str__(self) -> str:
        return f"delivery {self.pk} ({self.status})"
