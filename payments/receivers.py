"""What payments does on news, its own and others'. Each receiver calls one service."""

from django.dispatch import receiver

from accounts.signals import seeding
from payments.services import idempotency, orders, plans, revenue, subscriptions
from payments.signals import payment_facts_changed
from videos.signals import worker_tick


@receiver(payment_facts_changed, dispatch_uid="payments.split_revenue")
def split_revenue(sender, payment, at, **kwargs):
    revenue.book_payment(payment, at=at)


@receiver(payment_facts_changed, dispatch_uid="payments.order_follows_payment")
def order_follows_payment(sender, payment, **kwargs):
    orders.follow_payment(payment)


@receiver(payment_facts_changed, dispatch_uid="payments.subscription_follows_payment")
def subscription_follows_payment(sender, payment, **kwargs):
    subscriptions.follow_payment(payment)


@receiver(worker_tick, dispatch_uid="payments.put_right_what_time_changed")
def put_right_what_time_changed(sender, every, **kwargs):
    if every == "minute":
        orders.expire_orders()
        subscriptions.end_lapsed()
        idempotency.forget_old_keys()


@receiver(seeding, dispatch_uid="payments.seed_first_plan")
def seed_first_plan(sender, **kwargs):
    return plans.seed_first_plan()
