"""Signals about money. All but `order_returning` are sent with send(), inside the transaction that makes
the news true: a receiver that raises an error undoes the transaction.
"""

from django.dispatch import Signal

# Sent by services/settling/facts.py when a payment was fetched from its gateway: once for each new fact,
# or once with the kind "adjustment" if there is none. The payment's row is locked and saved. Receivers
# write the difference between the rows that the facts require and those that exist, so that any number
# of repeats is safe.
# Arguments: payment (Payment), orders (dict: the locked orders of the buyer for the video of the
# payment's order, by id; empty without one), kind (str: the kind of journal entry, "failed" or
# "adjustment"), at (datetime: the moment of the journal entry), back (int: the money that had gone back
# by then).
# Heard by, in this order:
# 1. payments.receivers.split_revenue: brings the books to the facts.
# 2. payments.receivers.order_follows_payment: brings the order and its entitlement to them.
# 3. payments.receivers.subscription_follows_payment: brings invoice and subscription to them.
payment_facts_changed = Signal()

# Sent by services/subscribing/follow_gateway.py when the status of a user's subscription has changed;
# not for a duplicate subscription. The subscription's row is locked and saved.
# Arguments: subscription (Subscription), before (str: its status before the change).
# Heard by, in this order:
# 1. payments.receivers.tell_subscriber: writes a mail about its begin, a failed renewal or its end.
# 2. webhooks.receivers.tell_of_subscription: announces it to webhooks.
subscription_changed = Signal()

# Sent by services/subscribing/follow_gateway.py when a new period of an active subscription has begun
# where the last one ended. A renewal that was past due changes the status, and is no such news.
# The subscription's row is locked and saved.
# Arguments: subscription (Subscription).
# Heard by, in this order:
# 1. webhooks.receivers.tell_of_renewal: announces it to webhooks.
subscription_renewed = Signal()

# Sent by services/access.py when an entitlement has begun, or holds again after it was revoked.
# Arguments: entitlement (Entitlement, saved).
# Heard by, in this order: no receiver yet.
entitlement_granted = Signal()

# Sent by services/access.py when an entitlement was revoked: its order was refunded or disputed, or its
# subscription is not paid any more. Not sent when it ends by the clock.
# Arguments: entitlement (Entitlement, locked and saved).
# Heard by, in this order:
# 1. streaming.receivers.end_sessions_of_revoked_entitlement: ends the playback sessions that rest on it.
entitlement_revoked = Signal()

# Sent by services/buying/orders.py when an order becomes PAID; not when it is PAID again after a refund
# that failed or a dispute that was won. Sent for free orders too.
# Arguments: order (Order, locked and saved).
# Heard by, in this order:
# 1. payments.receivers.send_receipt: writes the receipt to the buyer.
# 2. webhooks.receivers.tell_of_paid_order: announces it to webhooks.
order_paid = Signal()

# Sent by services/buying/orders.py, outside of any transaction, when a buyer asks for an order's money
# back. Receivers stop the playback that rests on the orders, and return the share of the video that was
# delivered to it, from 0 to 1. The orders are this one, and the refunded ones of the buyer and video.
# Arguments: video (Video), order_ids (list of UUID).
# Heard by, in this order:
# 1. streaming.receivers.delivered_of_orders: stops the playback and adds up the delivered segments.
order_returning = Signal()

# Sent by services/buying/orders.py when all of an order's money was refunded, or is on its way back.
# Arguments: order (Order, locked and saved).
# Heard by, in this order:
# 1. payments.receivers.tell_of_refund: writes a mail to the buyer.
# 2. webhooks.receivers.tell_of_refunded_order: announces it to webhooks.
order_refunded = Signal()

# Sent by services/payouts/payouts.py when a payout was drafted or has changed its status.
# Arguments: payout (Payout, saved), before (str: its status before the change; "" for a new one).
# Heard by, in this order:
# 1. payments.receivers.tell_creator: writes a mail when a payout was paid or has failed.
# 2. webhooks.receivers.tell_of_payout: announces one that was paid to webhooks.
payout_changed = Signal()
