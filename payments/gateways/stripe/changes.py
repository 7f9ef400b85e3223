"""The objects at Stripe that have changed since a moment, from its lists and events."""

from collections.abc import Iterator

import stripe

from payments.gateways.base import Change
from payments.gateways.json_fields import nested, required_text
from payments.gateways.stripe import mapping
from payments.gateways.stripe.client import Row, all_rows


def since(client: stripe.StripeClient, moment: int) -> Iterator[Change]:
    """Yield each object that was created since a moment in Unix seconds, then each event's object.

    An object that changed several times comes several times.
    """
    v1 = client.v1
    # An object of a list is treated like the object that an event of the given type reports.
    yield from _listed(
        "checkout.session.", v1.checkout.sessions.list({"created": {"gte": moment}, "limit": 100})
    )
    yield from _listed(
        "payment_intent.", v1.payment_intents.list({"created": {"gte": moment}, "limit": 100})
    )
    yield from _listed("refund.", v1.refunds.list({"created": {"gte": moment}, "limit": 100}))
    yield from _listed(
        "charge.dispute.", v1.disputes.list({"created": {"gte": moment}, "limit": 100})
    )
    yield from _listed(
        "customer.subscription.",
        v1.subscriptions.list({"created": {"gte": moment}, "limit": 100, "status": "all"}),
    )
    for event in all_rows(v1.events.list({"created": {"gte": moment}, "limit": 100})):
        if change := mapping.change(required_text(event, "type"), nested(event, "data", "object")):
            yield change


def _listed(event_type: str, page: stripe.ListObject[Row]) -> Iterator[Change]:
    for row in all_rows(page):
        if change := mapping.change(event_type, row):
            yield change
