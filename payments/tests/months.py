"""Tools of the tests about sharing: set the clock, record watch time, give money back, close a month."""

from datetime import UTC, date, datetime

import time_machine

from payments.models import Invoice, SandboxRefund
from payments.periods import Month
from payments.services.settling.facts import sync_payment
from payments.services.sharing import pools, watchtime

AUGUST, SEPTEMBER, OCTOBER = (Month(2026, number) for number in (8, 9, 10))


def at(text: str):
    """Stop the clock at a moment in UTC, ``"2026-08-01 12:00"``, while the block runs."""
    return time_machine.travel(datetime.fromisoformat(text).replace(tzinfo=UTC), tick=False)


def watch(user, video, day: str, seconds: int) -> None:
    """Record seconds of watch time for a day, all of them under a subscription."""
    watchtime.record(
        user_id=user.pk,
        video=video,
        day=date.fromisoformat(day),
        seconds=seconds,
        plan_seconds=seconds,
    )


def give_back(invoice: Invoice, amount: int, moment: str) -> SandboxRefund:
    """Refund a part of an invoice at the gateway, at a moment, and sync its payment."""
    payment = invoice.payments.get()
    with at(moment):
        refund = SandboxRefund.objects.create(
            id=f"sbr_{SandboxRefund.objects.count()}",
            idempotency_key=f"outside:{SandboxRefund.objects.count()}",
            payment_id=payment.external_id,
            amount=amount,
        )
        sync_payment(gateway="sandbox", external_id=payment.external_id)
    return refund


def bounce(refund: SandboxRefund, moment: str) -> None:
    """Make a refund fail at the gateway after it had succeeded, and sync its payment."""
    SandboxRefund.objects.filter(pk=refund.pk).update(status="failed")
    with at(moment):
        sync_payment(gateway="sandbox", external_id=refund.payment_id)


def close(month: Month, **options) -> list[pools.Closing]:
    """Close a month at the earliest possible moment: two days after its end."""
    following = month.next()
    with at(f"{following}-03 00:00"):
        return pools.close_month(month, **options)


def shares(closing: pools.Closing) -> dict[str, int]:
    """Return each creator's share of a closed pool, in minor units."""
    return {creator: share.amount for creator, share in closing.shares.items()}
