"""The hourly work of the worker's scheduler on payments."""

from datetime import timedelta

from django.utils import timezone

from payments.books import verification
from payments.models import LedgerCheck
from payments.services.gateway_news import reconciliation
from payments.services.payouts import waiting
from payments.services.sharing import pools

CHECK_EVERY = timedelta(hours=24)


def hourly() -> None:
    """Reconcile with the gateways since the last time, and end what has waited for too long.

    Cancel payouts that nobody approves, and finish closes of months that were left. Every 24 hours,
    verify the ledger too.
    """
    waiting.cancel_forgotten()
    reconciliation.reconcile()
    latest = LedgerCheck.objects.order_by("-started_at").first()
    if latest is None or latest.started_at <= timezone.now() - CHECK_EVERY:
        verification.verify_ledger()
    pools.finish_closes()
