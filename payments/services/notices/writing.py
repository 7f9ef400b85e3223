"""Mails to users, as texts. Each is written in the transaction of its change; `sending` sends it."""

import uuid
from datetime import datetime

from django.utils import timezone

from accounts.models import User
from config import money
from payments.models import Invoice, Notice, Order, Payment, Payout, Plan, Subscription

LINK = "{link}"  # where the link of a mail stands that has one


def write(
    to: User | uuid.UUID,
    subject: str,
    body: str,
    *,
    dedupe_key: str,
    address: str = "",
    link_id: uuid.UUID | None = None,
) -> None:
    """Store a mail to a user, or to a user's id, to be sent later.

    It goes to ``address``, or to the one that the user has then. With a ``link_id`` the link's address
    takes the place of LINK when the mail is sent, so that no row holds a token. A second mail with the
    same ``dedupe_key`` is dropped.
    """
    user_id = to.pk if isinstance(to, User) else to
    notice = Notice(
        user_id=user_id,
        subject=subject[:200],
        body=body,
        dedupe_key=dedupe_key,
        address=address,
        link_id=link_id,
    )
    Notice.objects.bulk_create([notice], ignore_conflicts=True)


def write_receipt(order: Order) -> None:
    """Write the buyer's receipt for a paid order."""
    price = f"{money.to_text(order.amount, order.currency)} {order.currency}"
    title = " ".join(order.video.title.split())
    verb = "rented" if order.kind == Order.Kind.RENT else "bought"
    text = f"You have {verb} “{title}” for {price} and can watch it now."
    if order.available_from is not None and order.available_from > timezone.now():
        text = (
            f"You have pre-ordered “{title}” for {price} and can watch it from {_moment(order)} on."
            " If that cannot be kept, you get your money back by itself."
        )
    write(
        order.buyer_id,
        f"Your receipt for {title}",
        f"{text}\nOrder {order.pk}\n",
        dedupe_key=f"receipt:{order.pk}",
    )


def _moment(order: Order) -> str:
    """Return the moment from which a pre-order can be watched, for people."""
    return f"{order.available_from:%-d %B %Y, %H:%M} UTC"


def write_refund(order: Order) -> None:
    """Write the mail that tells the buyer of a refund of all money, or that a free order was taken back.

    One mail for each order.
    """
    title = " ".join(order.video.title.split())
    subject = f"Your refund for {title}"
    text = (
        f"Your order of “{title}” was refunded in full, so it no longer lets you watch the video."
        " The money is on its way back to you."
    )
    if order.status != Order.Status.REFUNDED:
        text = f"The rest of the money for your order of “{title}” is on its way back to you."
    if order.available_from is not None and order.returning_at is not None:
        subject = f"Your pre-order of {title} was given back"
        text = (
            f"You have pre-ordered “{title}”, and it cannot be watched from {_moment(order)} on as we"
            " said. Your order is canceled, and all your money is on its way back to you."
        )
        if not order.amount:
            text = text.replace("and all your money is on its way back to you", "and cost nothing")
    elif not order.amount:
        subject = f"Your order of {title} was taken back"
        text = (
            f"Your order of “{title}” cost you nothing and was taken back, so it no longer lets you"
            " watch the video. You can buy it."
        )
    write(
        order.buyer_id,
        subject,
        f"{text}\nOrder {order.pk}\n",
        dedupe_key=f"refund:{order.pk}",
    )


def write_subscription_change(subscription: Subscription, before: str) -> None:
    """Write the mail about a new status, unless the subscriber has just caused it themselves.

    ``before`` is the former status. Mails tell of a first payment, an end for want of payment, and the
    end of free days without a card. `write_unpaid_renewal` and `write_end_after_return` write others.
    """
    until = f"{subscription.period_end:%d %B %Y}" if subscription.period_end else ""
    plan, Status = subscription.plan.name, Subscription.Status
    if subscription.status == Status.ACTIVE and before in {Status.INCOMPLETE, Status.TRIALING}:
        subject = "Your subscription has begun"
        text = f"Your subscription ({plan}) is paid until {until}. You can watch every video.\n"
    elif subscription.status == Status.EXPIRED:
        subject = "Your subscription has ended"
        text = (
            f"Your subscription ({plan}) has ended, because its renewal could not be paid."
            " Subscribe again to continue watching.\n"
        )
    elif subscription.status == Status.CANCELED and _trial_is_over(subscription, before):
        subject = "Your free days are over"
        text = (
            f"Your free days of {plan} are over, and your subscription has ended: it had no card. You"
            " have paid nothing. Subscribe with a card to continue watching.\n"
        )
    else:
        return
    key = f"{subscription.pk}:{subscription.status}:{until}"
    write(subscription.user_id, subject, text, dedupe_key=key)


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
    amount = f"{money.to_text(payment.captured, payment.currency)} {payment.currency}"
    reason = f"your payment of {amount} was refunded in full. The money is on its way back to you."
    if payment.has_lost_dispute():
        reason = f"your bank has taken back money of your payment of {amount}."
    write(
        subscription.user,
        "Your subscription has ended",
        f"Your subscription ({subscription.plan.name}) has ended, because {reason} Subscribe again to"
        " continue watching.\n",
        dedupe_key=f"{subscription.pk}:returned",
    )


def write_upgrade_to_confirm(subscription: Subscription, plan: Plan) -> None:
    """Write the mail about a change of plan whose payment the bank asks the subscriber to confirm."""
    page = subscription.hosted_invoice_url
    write(
        subscription.user,
        "Please confirm your change of plan",
        f"Your bank asks you to confirm the payment for your change to {plan.name}. Confirm it here"
        f" within 23 hours:\n{page}\n\nUntil then you keep {subscription.plan.name}.\n",
        dedupe_key=f"{subscription.pk}:change:{page}"[:120],
    )


def write_unpaid_renewal(subscription: Subscription) -> None:
    """Write the mail about a renewal that is past due, with the page on which it is paid.

    Safe to repeat: one mail for each period, and one more if the bank then asks the subscriber to
    confirm the payment.
    """
    page, plan = subscription.hosted_invoice_url, subscription.plan.name
    until = f"{subscription.grace_until:%d %B %Y}"
    period = f"{subscription.period_end:%d %B %Y}" if subscription.period_end else ""
    key = f"{subscription.pk}:{subscription.status}:{period}"
    asked = Payment.objects.filter(
        invoice__subscription=subscription,
        invoice__status=Invoice.Status.OPEN,
        status=Payment.Status.REQUIRES_ACTION,
    )
    if page and asked.exists():
        write(
            subscription.user_id,
            "Please confirm your renewal",
            f"Your bank asks you to confirm the payment for the renewal of your subscription ({plan})."
            f" Confirm it here:\n{page}\n\nYou can watch until {until}.\n",
            dedupe_key=f"{key}:confirm",
        )
        return
    text = (
        f"The renewal of your subscription ({plan}) could not be paid, and we will try again."
        f" You can watch until {until}: please check your card before then.\n"
    )
    if not subscription.invoices.filter(status=Invoice.Status.PAID).exists():
        text = (
            f"Your free days of {plan} are over, and the first payment was declined. Give another card"
            f" before {until} to watch again.\n"
        )
    if page:
        text += f"\nYou can also pay it here:\n{page}\n"
    write(subscription.user_id, "Your card was declined", text, dedupe_key=key)


def write_payout_change(payout: Payout) -> None:
    """Write the creator's mail about a payout that was paid, has failed, came back or was canceled."""
    amount = f"{money.to_text(payout.amount, payout.currency)} {payout.currency}"
    if payout.status == Payout.Status.PAID:
        subject, text = "Your payout", f"{amount} was paid to your bank.\n"
    elif payout.status == Payout.Status.FAILED:
        subject = "Your payout failed"
        text = f"{amount} could not be paid to your bank and is back in your balance.\n"
    elif payout.status == Payout.Status.RETURNED:
        subject = "Your payout came back"
        text = (
            f"Your bank has returned {amount}: {payout.failure}\nThe amount is back in your balance."
            " Check your bank details with us, then request the payout again.\n"
        )
    elif payout.status == Payout.Status.CANCELED:
        subject = "Your payout was canceled"
        reason = f" {payout.failure}" if payout.failure else ""
        text = (
            f"The payout of {amount} was canceled.{reason} The amount is back in your balance, and you"
            " can request it again.\n"
        )
    else:
        return
    write(payout.creator_id, subject, text, dedupe_key=f"payout:{payout.pk}:{payout.status}")


def write_attack(user: User, *, failures: int, networks: int, since: datetime) -> None:
    """Write the mail that tells a user of many wrong passwords from networks that are not theirs."""
    places = "one network" if networks == 1 else f"{networks} networks"
    write(
        user,
        "Wrong passwords for your account",
        f"Since {since:%d %B %Y, %H:%M} UTC, {failures} sign-ins to your account ({user.readable_email})"
        f" were refused because of a wrong password. They came from {places} from which you have never"
        " signed in.\n\n"
        "If this was you, there is nothing to do. If not, somebody may be guessing your password. You"
        " can still sign in from where you usually do. If your password is short, or if you use it for"
        " anything else, change it: a new password also ends all sign-ins.\n\n"
        "We write about this once a day at most, and never ask for your password.\n",
        dedupe_key=f"attack:{user.pk}:{since:%Y-%m-%dT%H:%M}",
    )


def write_strange_sign_in(user: User, *, network: str, at: datetime) -> None:
    """Write the mail about a sign-in from a new network, while the password was being guessed."""
    write(
        user,
        "A sign-in to your account from a new network",
        f"At {at:%d %B %Y, %H:%M} UTC, somebody signed in to your account ({user.readable_email}) with"
        f" the right password, from a network that is new to us: {network}. Many wrong passwords for"
        " your account had come in before.\n\n"
        "If this was you, there is nothing to do. If not, change your password now: that ends all"
        " sign-ins, also this one.\n",
        dedupe_key=f"opened:{user.pk}:{at:%Y-%m-%d}",
    )
