"""Mails to users. Each is written in the transaction of its change; `sending` sends it.

The texts stand in `payments/templates/payments/mails`, one file a mail.
"""

import uuid
from datetime import datetime
from typing import Any

from django.utils import timezone

from accounts.models import User
from config import mails, money, rows
from config.prepared import new
from payments.models import Invoice, Notice, Order, Payment, Payout, Plan, Subscription

MAILS = "payments/mails"


def write_mail(
    to: User | uuid.UUID,
    template: str,
    *,
    dedupe_key: str,
    address: str = "",
    link_id: uuid.UUID | None = None,
    **facts: Any,
) -> None:
    """Store the mail of a template to a user, or to a user's id, to be sent later.

    It goes to ``address``, or to the one that the user has then. With a ``link_id`` the link's address
    takes the place of `config.templatetags.mails.LINK` when the mail is sent, so that no row holds a
    token. A second mail with the same ``dedupe_key`` is dropped.
    """
    mail = mails.render(template, **facts)
    notice = new(
        Notice,
        user_id=to.pk if isinstance(to, User) else to,
        subject=mail.subject,
        body=mail.text,
        html=mail.html,
        dedupe_key=dedupe_key,
        address=address,
        link_id=link_id,
    )
    rows.insert(notice, ignore_conflicts=True)


def write_receipt(order: Order) -> None:
    """Write the buyer's receipt for a paid order."""
    write_mail(
        order.buyer_id,
        f"{MAILS}/receipt.html",
        dedupe_key=f"receipt:{order.pk}",
        price=f"{money.to_text(order.amount, order.currency)} {order.currency}",
        is_rental=order.kind == Order.Kind.RENT,
        available_from=_moment(order) if _is_coming(order) else "",
        **_of_order(order),
    )


def _is_coming(order: Order) -> bool:
    """Whether the order is a pre-order whose day is still to come."""
    return order.available_from is not None and order.available_from > timezone.now()


def _moment(order: Order) -> str:
    """Return the moment from which a pre-order can be watched, for people."""
    return f"{order.available_from:%-d %B %Y, %H:%M} UTC"


def write_refund(order: Order) -> None:
    """Write the mail that tells the buyer of a refund of all money, or that a free order was taken back.

    One mail for each order.
    """
    write_mail(
        order.buyer_id,
        f"{MAILS}/refund.html",
        dedupe_key=f"refund:{order.pk}",
        is_free=not order.amount,
        is_whole=order.status == Order.Status.REFUNDED,
        available_from=_moment(order) if _is_broken(order) else "",
        **_of_order(order),
    )


def _is_broken(order: Order) -> bool:
    """Whether the order is a pre-order that is given back because its day cannot be kept."""
    return order.available_from is not None and order.returning_at is not None


def _of_order(order: Order) -> dict[str, Any]:
    return {
        "order": order.pk,
        "title": " ".join(order.video.title.split()),
        "watch_page": mails.watch_page(order.video_id),
    }


def write_subscription_change(subscription: Subscription, before: str) -> None:
    """Write the mail about a new status, unless the subscriber has just caused it themselves.

    ``before`` is the former status. Mails tell of a first payment, an end for want of payment, and the
    end of free days without a card. `write_unpaid_renewal` and `write_end_after_return` write others.
    """
    until = f"{subscription.period_end:%d %B %Y}" if subscription.period_end else ""
    Status = subscription.Status
    if subscription.status == Status.ACTIVE and before in {Status.INCOMPLETE, Status.TRIALING}:
        template = "subscription_begun"
    elif subscription.status == Status.EXPIRED:
        template = "subscription_unpaid"
    elif subscription.status == Status.CANCELED and _trial_is_over(subscription, before):
        template = "trial_over"
    else:
        return
    write_mail(
        subscription.user_id,
        f"{MAILS}/{template}.html",
        dedupe_key=f"{subscription.pk}:{subscription.status}:{until}",
        plan=subscription.plan.name,
        until=until,
    )


def _trial_is_over(subscription: Subscription, before: str) -> bool:
    """Return whether free days went by, and their subscriber has not canceled."""
    ended, until = subscription.ended_at, subscription.period_end
    return (
        before == Subscription.Status.TRIALING
        and not subscription.cancel_at_period_end
        and ended is not None
        and until is not None
        and ended >= until
    )


def write_end_after_return(subscription: Subscription, payment: Payment) -> None:
    """Write the mail about a subscription that has ended because money of a payment went back.

    It was refunded in full, or the payer's bank has decided a dispute and kept it.
    """
    write_mail(
        subscription.user,
        f"{MAILS}/subscription_returned.html",
        dedupe_key=f"{subscription.pk}:returned",
        plan=subscription.plan.name,
        amount=f"{money.to_text(payment.captured, payment.currency)} {payment.currency}",
        is_by_bank=payment.has_lost_dispute(),
    )


def write_upgrade_to_confirm(subscription: Subscription, plan: Plan) -> None:
    """Write the mail about a change of plan whose payment the bank asks the subscriber to confirm."""
    page = subscription.hosted_invoice_url
    write_mail(
        subscription.user,
        f"{MAILS}/confirm_upgrade.html",
        dedupe_key=f"{subscription.pk}:change:{page}"[:120],
        plan=plan.name,
        present=subscription.plan.name,
        page=page,
    )


def write_unpaid_renewal(subscription: Subscription) -> None:
    """Write the mail about a renewal that is past due, with the page on which it is paid.

    Safe to repeat: one mail for each period, and one more if the bank then asks the subscriber to
    confirm the payment.
    """
    page = subscription.hosted_invoice_url
    period = f"{subscription.period_end:%d %B %Y}" if subscription.period_end else ""
    key = f"{subscription.pk}:{subscription.status}:{period}"
    facts: dict[str, Any] = {
        "plan": subscription.plan.name,
        "until": f"{subscription.grace_until:%d %B %Y}",
        "page": page,
    }
    asked = Payment.objects.filter(
        invoice__subscription=subscription,
        invoice__status=Invoice.Status.OPEN,
        status=Payment.Status.REQUIRES_ACTION,
    )
    if page and asked.exists():
        template, key = "confirm_renewal", f"{key}:confirm"
    else:
        template = "renewal_unpaid"
        paid = subscription.invoices.filter(status=Invoice.Status.PAID)
        facts["is_first"] = not paid.exists()
    write_mail(subscription.user_id, f"{MAILS}/{template}.html", dedupe_key=key, **facts)


def write_payout_change(payout: Payout) -> None:
    """Write the creator's mail about a payout that was paid, has failed, came back or was canceled."""
    told = {
        Payout.Status.PAID,
        Payout.Status.FAILED,
        Payout.Status.RETURNED,
        Payout.Status.CANCELED,
    }
    if payout.status not in told:
        return
    write_mail(
        payout.creator_id,
        f"{MAILS}/payout_{payout.status}.html",
        dedupe_key=f"payout:{payout.pk}:{payout.status}",
        amount=f"{money.to_text(payout.amount, payout.currency)} {payout.currency}",
        failure=payout.failure,
    )


def write_attack(user: User, *, failures: int, networks: int, since: datetime) -> None:
    """Write the mail that tells a user of many wrong passwords from networks that are not theirs."""
    write_mail(
        user,
        f"{MAILS}/wrong_passwords.html",
        dedupe_key=f"attack:{user.pk}:{since:%Y-%m-%dT%H:%M}",
        since=f"{since:%d %B %Y, %H:%M}",
        failures=failures,
        networks=networks,
        email=user.readable_email,
    )


def write_strange_sign_in(user: User, *, network: str, at: datetime) -> None:
    """Write the mail about a sign-in from a new network, while the password was being guessed."""
    write_mail(
        user,
        f"{MAILS}/strange_sign_in.html",
        dedupe_key=f"opened:{user.pk}:{at:%Y-%m-%d}",
        at=f"{at:%d %B %Y, %H:%M}",
        network=network,
        email=user.readable_email,
    )
