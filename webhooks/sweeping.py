"""Removing deliveries, events and endpoints that are over, and secrets that were replaced."""

from datetime import timedelta

from django.utils import timezone

from config import batches, ordered
from webhooks.models import Delivery, Endpoint, Event

KEPT = timedelta(days=30)  # the log of deliveries, and the personal data in its events


def sweep() -> int:
    """Delete deliveries that ended KEPT ago, events without them, deleted endpoints, and ended secrets.

    Return how many rows were deleted.
    """
    now = timezone.now()
    replaced = Endpoint.objects.filter(previous_until__lte=now)
    ordered.update(replaced, previous_secret="", previous_until=None)
    deleted = batches.delete(Delivery.objects.filter(finished_at__lte=now - KEPT))
    # An hour, because a transaction may be writing a delivery that names the row.
    before = now - timedelta(hours=1)
    gone = Endpoint.objects.filter(deleted_at__lte=before)
    deleted += batches.delete(Delivery.objects.filter(endpoint__in=gone)) + batches.delete(gone)
    return deleted + batches.delete(Event.objects.filter(created_at__lte=before, deliveries=None))
