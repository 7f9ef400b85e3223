"""Reactions of payments to news of its own and of other apps. Each receiver calls one service.

Receivers of one signal run in the order of this file. `signals.py` names them, for the signals of
payments.
"""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from django.dispatch import receiver

from accounts.models import MailedLink, ProviderIdentity, User
from accounts.signals import (
    account_attacked,
    address_in_use,
    attacked_account_opened,
    email_changed,
    identity_linked,
    identity_unlinked,
    link_requested,
    password_reset,
    second_factor_changed,
    seeding,
    user_deactivated,
    user_erasing,
)
from config.health import Part
from config.signals import health_checked
from payments import entitlements, gateways, idempotency, scheduled
from payments.books import owing, review
from payments.gateways.sandbox import events as sandbox_events
from payments.gateways.sandbox import subscriptions as sandbox_subscriptions
from payments.models import Order, Payment, Payout, Subscription
from payments.services import access
from payments.services.buying import orders as buying
from payments.services.buying import preorders
from payments.services.gateway_news import followups, reconciliation, webhooks
from payments.services.notices import account, moderation, sending, writing
from payments.services.offers import plans
from payments.services.settling import split
from payments.services.subscribing import deactivation, follow_gateway, lapsing
from payments.signals import (
    order_paid,
    order_refunded,
    payment_facts_changed,
    payout_changed,
    subscription_changed,
)
from videos.models import Video
from videos.signals import (
    availability_changed,
    creator_suspended,
    moderation_decided,
    moderation_waits,
    video_removed,
    video_taken_down,
    videos_kept,
    worker_tick,
)


@receiver(payment_facts_changed, dispatch_uid="payments.split_revenue")
def split_revenue(
    sender, payment: Payment, kind: str, at: datetime, back: int | None = None, **kwargs
):
    """Bring the books to the payment's facts."""
    split.book_payment(payment, kind=kind, at=at, back=back)


@receiver(payment_facts_changed, dispatch_uid="payments.order_follows_payment")
def order_follows_payment(
    sender,
    payment: Payment,
    kind: str,
    at: datetime | None = None,
    orders: Mapping[UUID, Order] | None = None,
    **kwargs,
):
    """Bring the payment's order, and the entitlement that it gives, to the payment's facts."""
    buying.update_from_payment(payment, orders, kind=kind, at=at)


@receiver(payment_facts_changed, dispatch_uid="payments.subscription_follows_payment")
def subscription_follows_payment(sender, payment: Payment, **kwargs):
    """Bring the payment's invoice and subscription, and their entitlement, to the payment's facts."""
    follow_gateway.update_from_payment(payment)


@receiver(video_removed, dispatch_uid="payments.close_orders")
def close_orders(sender, video: Video, **kwargs):
    """Expire the open orders of the video."""
    buying.expire_orders_of(video)


@receiver(video_taken_down, dispatch_uid="payments.close_orders_of_taken_down_video")
def close_orders_of_taken_down_video(sender, video: Video, **kwargs):
    """Expire the open orders of the video."""
    buying.expire_orders_of(video)


@receiver(availability_changed, dispatch_uid="payments.close_orders_of_moved_video")
def close_orders_of_moved_video(sender, video: Video, **kwargs):
    """Expire the open orders of the video: they promise its former dates and countries."""
    buying.expire_orders_of(video)


@receiver(creator_suspended, dispatch_uid="payments.close_orders_of_suspended_creator")
def close_orders_of_suspended_creator(sender, creator: User, **kwargs):
    """Expire the open orders of the creator's videos. The creator's own purchases go on."""
    buying.expire_orders_of_creator(creator)


@receiver(moderation_decided, dispatch_uid="payments.tell_of_moderation")
def tell_of_moderation(
    sender,
    kind: str,
    creator_id: UUID,
    video_id: UUID | None,
    title: str,
    reason: str,
    note: str,
    key: str,
    **kwargs,
):
    """Write the mail that tells a creator of a moderator's decision."""
    moderation.write_decision(
        creator_id,
        kind=kind,
        video_id=video_id,
        title=title,
        reason=reason,
        note=note,
        key=key,
    )


@receiver(moderation_waits, dispatch_uid="payments.remind_moderators")
def remind_moderators(sender, cases: int, appeals: int, **kwargs):
    """Write to the moderators that reports or appeals have waited for too long."""
    moderation.write_reminder(cases=cases, appeals=appeals)


@receiver(user_erasing, dispatch_uid="payments.refuse_erasure_while_money_moves")
def refuse_erasure_while_money_moves(sender, user: User, **kwargs):
    """Refuse to erase a user while money of theirs moves or is owed."""
    owing.refuse_erasure(user)


@receiver(user_deactivated, dispatch_uid="payments.stop_money_of_deactivated_user")
def stop_money_of_deactivated_user(sender, user: User, actor: User | None, **kwargs):
    """Expire the open orders of the user and of the user's videos, and stop the user's renewals."""
    buying.expire_orders_of_user(user)
    deactivation.stop_renewals(user, by=actor)


@receiver(videos_kept, dispatch_uid="payments.keep_bought_videos")
def keep_bought_videos(sender, user_id: UUID, now: datetime, **kwargs):
    """Let buyers keep the videos that have left the catalogue with their creator."""
    return entitlements.bought_by(user_id, now)


@receiver(order_paid, dispatch_uid="payments.send_receipt")
def send_receipt(sender, order: Order, **kwargs):
    """Write the buyer's receipt."""
    writing.write_receipt(order)


@receiver(order_refunded, dispatch_uid="payments.tell_of_refund")
def tell_of_refund(sender, order: Order, **kwargs):
    """Write to the buyer that the money is on its way back."""
    writing.write_refund(order)


@receiver(subscription_changed, dispatch_uid="payments.tell_subscriber")
def tell_subscriber(sender, subscription: Subscription, before: str, **kwargs):
    """Write to the subscriber about a change that they did not make themselves."""
    writing.write_subscription_change(subscription, before)


@receiver(payout_changed, dispatch_uid="payments.tell_creator")
def tell_creator(sender, payout: Payout, **kwargs):
    """Write to the creator when a payout was paid, has failed, came back or was canceled."""
    writing.write_payout_change(payout)


@receiver(account_attacked, dispatch_uid="payments.tell_of_attack")
def tell_of_attack(sender, user: User, failures: int, networks: int, since: datetime, **kwargs):
    """Write to the owner of an account whose password strangers try to guess."""
    writing.write_attack(user, failures=failures, networks=networks, since=since)


@receiver(attacked_account_opened, dispatch_uid="payments.tell_of_strange_sign_in")
def tell_of_strange_sign_in(sender, user: User, network: str, at: datetime, **kwargs):
    """Write to the owner that one of those who guess may have found the password."""
    writing.write_strange_sign_in(user, network=network, at=at)


@receiver(link_requested, dispatch_uid="payments.mail_link")
def mail_link(sender, user: User, link: MailedLink, **kwargs):
    """Write the mail with a link, and tell the present address of a change to another."""
    account.write_link(user, link)


@receiver(address_in_use, dispatch_uid="payments.tell_of_used_address")
def tell_of_used_address(sender, user: User, link: MailedLink, **kwargs):
    """Write to the owner of an address that another account asked to change to."""
    account.write_address_in_use(user, link)


@receiver(email_changed, dispatch_uid="payments.tell_former_address")
def tell_former_address(sender, user: User, before: str, link: MailedLink, **kwargs):
    """Write to the address that a user had until now."""
    account.write_address_changed(user, before, link)


@receiver(password_reset, dispatch_uid="payments.tell_of_new_password")
def tell_of_new_password(sender, user: User, link: MailedLink, **kwargs):
    """Write to the owner that a mailed link has set a new password."""
    account.write_password_reset(user, link)


@receiver(second_factor_changed, dispatch_uid="payments.tell_of_second_factor")
def tell_of_second_factor(sender, user: User, what: str, key: str, **kwargs):
    """Write to the owner of a second factor what happened to it."""
    account.write_second_factor(user, what, key)


@receiver(identity_linked, dispatch_uid="payments.tell_of_linked_identity")
def tell_of_linked_identity(sender, user: User, identity: ProviderIdentity, **kwargs):
    """Write to a user that an account at another provider opens theirs."""
    account.write_linked_identity(user, identity)


@receiver(identity_unlinked, dispatch_uid="payments.tell_of_unlinked_identity")
def tell_of_unlinked_identity(sender, user: User, identity_id: UUID, **kwargs):
    """Write to a user that an account at another provider opens theirs no longer."""
    account.write_unlinked_identity(user, identity_id)


@receiver(sandbox_events.message_sent, dispatch_uid="payments.sandbox_webhook")
def sandbox_webhook(sender, body: bytes, headers: Mapping[str, str], **kwargs):
    """Receive the sandbox's message as a webhook event."""
    webhooks.receive(gateway="sandbox", body=body, headers=headers)


@receiver(worker_tick, dispatch_uid="payments.run_periodic_work")
def run_periodic_work(sender, every: str, **kwargs):
    """Make the calls, send the mails and end the orders and subscriptions that have become due.

    Nothing of it while payments are closed: a copy of a live database writes to nobody.
    """
    if not gateways.are_open():
        return
    if every == "second":
        sandbox_events.deliver_due()
        followups.run_unless_silent()
        sending.send_due()
    elif every == "minute":
        webhooks.process_waiting()
        reconciliation.reopen_lost_charges()
        buying.expire_orders()
        preorders.settle()
        access.record_expired()
        sandbox_subscriptions.run_due()
        lapsing.end_lapsed()
        deactivation.note_deactivated()
        followups.run_unless_silent(followups.cancel_abandoned)
        followups.run_unless_silent(followups.delete_erased_customers)
        idempotency.forget_old_keys()
    elif every == "hour":
        scheduled.hourly()


@receiver(seeding, dispatch_uid="payments.seed_first_plan")
def seed_first_plan(sender, **kwargs):
    """Create the first plan if it is missing; return a line for the operator."""
    return plans.seed_first_plan()


@receiver(health_checked, dispatch_uid="payments.state_of_the_mode")
def state_of_the_mode(sender, **kwargs):
    """Return that payments are closed, if they are."""
    if gateways.are_open():
        return []
    reason = "The gateway and the database have money of different modes."
    return [Part("payments", "closed: another mode than the database's", reason)]


@receiver(health_checked, dispatch_uid="payments.state_of_the_books")
def state_of_the_books(sender, **kwargs):
    """Return the state of the ledger by its latest check, if there is one."""
    check = review.latest_check()
    if check is None:
        return []
    if not check.discrepancies:
        return [Part("ledger")]
    reason = "The latest check of the books found discrepancies: `manage.py verify_ledger`."
    return [Part("ledger", "check failed", reason)]
