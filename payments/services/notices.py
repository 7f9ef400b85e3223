"""Mails about money: written with what they tell, sent later, once each."""

import logging

from django.conf import settings
from django.core.mail import send_mail
from django.db.models import F
from django.utils import timezone

from config import money
from payments.models import Notice, Order, Payout, Subscription

logger = logging.getLogger(__name__)

BATCH = 100
MAX_ATTEMPTS = 10


def write(user, subject: str, body: str, *, dedupe_key: str) -> None:
    """Put a mail into the outbox, in the transaction of what it tells. The same key is one mail."""
    Notice.objects.bulk_create(
        [Notice(user=user, subject=subject[:200], body=body, dedupe_key=dedupe_key)],
        ignore_conflicts=True,
    )


def write_receipt(order: Order) -> None:
    price = f"{money.to_text(order.amount, order.currency)} {order.currency}"
    title = " ".join(order.video.title.split())
    verb = "rented" if order.kind == Order.Kind.RENT else "bought"
    write(
        order.buyer,
        f"Your receipt for {title}",
        f"You have {verb} “{title}” for {price}.\nOrder {order.pk}\n",
        dedupe_key=f"receipt:{order.pk}",
    )


def write_refund(order: Order) -> None:
    title = " ".join(order.video.title.split())
    write(
        order.buyer,
        f"Your refund for {title}",
        f"The money for “{title}” is on its way back to you.\nOrder {order.pk}\n",
        dedupe_key=f"refund:{order.pk}",
    )


def write_subscription_change(row: Subscription, before: str) -> None:
    """Only what the subscriber did not just do themselves."""
    when = f"{row.period_end:%d %B %Y}" if row.period_end else ""
    if row.status == row.Status.PAST_DUE:
        text = (
            f"The renewal of your subscription ({row.plan.name}) could not be paid. We try again. "
            f"You can watch until {row.grace_until:%d %B %Y}; please check your card.\n"
        )
        subject = "Your card was declined"
    elif row.status == row.Status.ACTIVE and before in {row.Status.INCOMPLETE, row.Status.TRIALING}:
        subject = "Your subscription has begun"
        text = f"{row.plan.name}: paid until {when}.\n"
    elif row.status == row.Status.EXPIRED:
        subject, text = "Your subscription has ended", f"{row.plan.name} could not be renewed.\n"
    else:
        return
    write(row.user, subject, text, dedupe_key=f"{row.pk}:{row.status}:{when}")


def write_payout_change(paid: Payout) -> None:
    amount = f"{money.to_text(paid.amount, paid.currency)} {paid.currency}"
    texts = {
        Payout.Status.PAID: ("Your payout", f"{amount} is on its way to your bank.\n"),
        Payout.Status.FAILED: (
            "Your payout failed",
            f"{amount} could not be paid out and is back in your balance.\n",
        ),
    }
    if paid.status in texts:
        subject, text = texts[paid.status]
        write(paid.creator, subject, text, dedupe_key=f"payout:{paid.pk}:{paid.status}")


def send_due() -> int:
    """Send what waits; returns how many went out. A mail that fails is tried again."""
    sent = 0
    waiting = Notice.objects.filter(sent_at=None, attempts__lt=MAX_ATTEMPTS).select_related("user")
    for notice in waiting.order_by("pk")[:BATCH]:
        # Whoever raises the number of attempts sends: two workers do not send one mail twice.
        mine = Notice.objects.filter(pk=notice.pk, attempts=notice.attempts, sent_at=None)
        if not mine.update(attempts=F("attempts") + 1):
            continue
        try:
            send_mail(notice.subject, notice.body, settings.DEFAULT_FROM_EMAIL, [notice.user.email])
        except OSError as error:  # smtplib's errors are OSErrors
            logger.warning("Mail %s could not be sent: %s", notice.pk, error)
            continue
        Notice.objects.filter(pk=notice.pk).update(sent_at=timezone.now())
        sent += 1
    return sent
