"""The figures of outgoing webhooks: waiting deliveries, failed deliveries, and failing endpoints."""

from collections.abc import Iterator
from datetime import timedelta

from django.db.models import Count, Min, Q
from django.utils import timezone
from prometheus_client.core import Metric

from config.metrics import figures, gauge
from webhooks.models import Delivery, Endpoint

DAY = timedelta(days=1)


@figures("webhooks")
def waiting() -> Iterator[Metric]:
    """One statement, over the index of the deliveries that wait."""
    found = Delivery.objects.waiting().aggregate(number=Count("pk"), oldest=Min("due_since"))
    age = (timezone.now() - found["oldest"]).total_seconds() if found["oldest"] else 0.0
    text = "Webhook deliveries that wait."
    yield gauge("webhook_deliveries_waiting", text, found["number"])
    yield gauge(
        "webhook_deliveries_waiting_seconds",
        f"{text} Age of the oldest; 0 without one.",
        max(0.0, age),
    )


@figures("webhook_failures", every=60.0)
def failed() -> Iterator[Metric]:
    since = timezone.now() - DAY
    ended = Delivery.objects.filter(status=Delivery.Status.FAILED, finished_at__gte=since)
    text = "Webhook deliveries that were given up within a day."
    yield gauge("webhook_deliveries_failed", text, ended.count())
    found = Endpoint.objects.aggregate(
        failing=Count("pk", filter=Q(disabled_at=None, failures__gt=0)),
        disabled=Count("pk", filter=Q(disabled_at__isnull=False)),
    )
    yield gauge(
        "webhook_endpoints_failing", "Endpoints whose last attempt failed.", found["failing"]
    )
    yield gauge("webhook_endpoints_disabled", "Endpoints that are disabled.", found["disabled"])
