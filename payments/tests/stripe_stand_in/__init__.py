"""A small Stripe on 127.0.0.1 with the features that localstripe lacks.

It is a state machine with Stripe's JSON shapes. It knows idempotency keys, checkouts, 3-D Secure,
refunds that fail, disputes, schedules and events, and refuses every parameter that the official SDK
does not name for the API version in use.
"""

from payments.tests.stripe_stand_in.objects import API_VERSION
from payments.tests.stripe_stand_in.server import KEY, SECRET, StripeStandIn, sign

__all__ = ["API_VERSION", "KEY", "SECRET", "StripeStandIn", "sign"]
