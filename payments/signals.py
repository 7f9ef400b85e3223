"""News of money. All are sent inside the transaction that makes them true, with send(): a receiver
that fails undoes it."""

from django.dispatch import Signal

# A fact about a payment has changed, and its row is locked. Receivers compute what should hold and
# write the difference; so any number of repeats is safe.
# Arguments: payment (Payment), kind (str: the fact), at (datetime: the moment of the books).
payment_facts_changed = Signal()

# A subscription's state has changed, and its row is locked. Arguments: subscription (Subscription),
# before (str: the status until now).
subscription_changed = Signal()

# A right to watch has begun, or begun again. Arguments: entitlement (Entitlement).
entitlement_granted = Signal()

# A right to watch is over. Arguments: entitlement (Entitlement).
entitlement_revoked = Signal()

# An order was paid, on the real transition only. Arguments: order (Order).
order_paid = Signal()

# An order's money went back in full, on the real transition only. Arguments: order (Order).
order_refunded = Signal()

# A payout changed its status. Arguments: payout (Payout), before (str).
payout_changed = Signal()
