"""The hourly work of the worker's scheduler on payments."""

from datetime import timedelta

from django.utils import timezone

from payments.books import verification
from payments.models import LedgerCheck
from payments.services.gateway_news import reconciliation
from payments.services.payouts import waiting

CHECK_EVERY = timedelta(hours=24)


def hourly() -> None:
    """Reconcile with the gateways since the last time, and cancel payouts that nobody approves.

    Every 24 hours, verify the ledger too.
    """
    waiting.cancel_forgotten()
    reconciliation.reconcile()
    latest = LedgerCheck.objects.order_by("-started_at").first()
    if latest is None or latest.started_at <= timezone.now() - CHECK_EVERY:
        verification.verify_ledger()
