"""The end of everything that the sandbox still has open, when the database leaves the sandbox."""

from django.utils import timezone

from payments.models import (
    SandboxCheckout,
    SandboxEvent,
    SandboxInvoice,
    SandboxPayment,
    SandboxSubscription,
)


def close_everything() -> None:
    """Expire the open checkouts, end the subscriptions and send no event any more. Safe to repeat.

    Nothing is charged, and no event reports it. Nothing is deleted.
    """
    SandboxCheckout.objects.filter(status="open").update(status="expired")
    SandboxPayment.objects.filter(status="requires_action").update(status="canceled")
    SandboxInvoice.objects.filter(status="open").update(status="void", next_attempt_at=None)
    SandboxSubscription.objects.filter(ended_at=None).update(
        status="canceled", ended_at=timezone.now(), next_plan=None
    )
    SandboxEvent.objects.filter(next_attempt_at__isnull=False).update(next_attempt_at=None)
