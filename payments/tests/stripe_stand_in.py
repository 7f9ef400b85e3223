"""A small Stripe on 127.0.0.1 with the features that localstripe lacks.

It is a state machine with Stripe's JSON shapes. It knows idempotency keys, checkouts, 3-D Secure,
refunds that fail, disputes, schedules and events, and refuses every parameter that the official SDK
does not name for the API version in use.
"""

import hashlib
import hmac
import json
import re
import threading
import time
from collections.abc import Iterable
from copy import deepcopy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from urllib.parse import parse_qsl, urlsplit

from stripe import params as sdk
from stripe.params import checkout as sdk_checkout

from payments.tests import stripe_endings

API_VERSION = "2026-10-28.endive"
KEY, SECRET = "sk_test_of_the_stand_in", "whsec_of_the_stand_in"
DAY = 86_400
LENGTH = {"month": 30 * DAY, "year": 365 * DAY}
CARDS: dict[str, dict] = {
    "pm_card_visa": {},
    "pm_card_mastercard": {},
    "pm_card_chargeDeclined": {"attach": "generic_decline", "charge": "generic_decline"},
    "pm_card_chargeDeclinedInsufficientFunds": {
        "attach": "insufficient_funds", "charge": "insufficient_funds",
    },
    "pm_card_chargeCustomerFail": {"charge": "generic_decline"},
    "pm_card_authenticationRequired": {"authenticates": True},
    "pm_card_pendingRefund": {"refund": "pending"},
}  # fmt: skip


class Refused(Exception):
    """An error answer of the stand-in: HTTP status and Stripe's error body."""

    invoice: dict  # set only if the payment of this invoice failed; the invoice stays open

    def __init__(self, status: int, message: str, **error):
        super().__init__(message)
        self.status = status
        kinds = {402: "card_error", 429: "rate_limit_error", 500: "api_error"}
        self.body = {
            "error": {"type": kinds.get(status, "invalid_request_error"), "message": message}
            | error
        }


class StripeStandIn:
    """An HTTP server that answers as Stripe does while its ``with`` block runs, at ``url``.

    ``trouble`` disturbs the next requests, one entry for each: None leaves the request alone, a
    status is answered before any work is done, ``"silence"`` does the work and closes the connection
    without an answer, and ``"500 after"`` does the work and answers 500.
    """

    def __init__(self) -> None:
        self.objects: dict[str, dict] = {}
        self.keys: dict[str, tuple[str, int, dict]] = {}
        self.trouble: list[int | str | None] = []
        self.requests: list[tuple[str, str, dict]] = []
        self.versions: set[str] = set()
        self.asks_always = False  # banks also ask for authentication at renewals and upgrades
        self._ids, self._lock = count(1), threading.RLock()

    def __enter__(self) -> "StripeStandIn":
        handler = type("Handler", (_Handler,), {"stripe": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # --- requests ---

    def answer(self, method: str, url: str, params: dict, headers) -> tuple[int, dict]:
        """Return status and body of an answer; raise ConnectionAbortedError to give no answer."""
        with self._lock:
            path = urlsplit(url).path.removeprefix("/v1/")
            self.requests.append((method, path, params))
            self.versions.add(headers.get("Stripe-Version", ""))
            trouble = self.trouble.pop(0) if self.trouble else None
            if isinstance(trouble, int):
                return trouble, Refused(trouble, "on demand").body
            if headers.get("Authorization") != f"Bearer {KEY}":
                return 401, Refused(401, f"Invalid API Key provided: {KEY[:8]}****").body
            status, body = self._once(method, path, params, headers.get("Idempotency-Key", ""))
            if trouble == "silence":
                raise ConnectionAbortedError
            return (500, Refused(500, "on demand").body) if trouble else (status, body)

    def _once(self, method: str, path: str, params: dict, key: str) -> tuple[int, dict]:
        """Do the work of a POST once for each idempotency key and repeat its stored answer afterwards.

        As at Stripe, refusals are stored too, except for a request with unknown parameters.
        """
        print_ = json.dumps([method, path, params], sort_keys=True)
        if method == "POST" and not key:
            raise AssertionError(f"{path} without an idempotency key")
        if method == "POST" and key in self.keys:
            known, status, body = self.keys[key]
            if known == print_:
                return status, body
            error = Refused(400, "Keys can only be used with the same parameters.")
            error.body["error"]["type"] = "idempotency_error"
            return 400, error.body
        before = deepcopy(self.objects)
        try:
            status, body = 200, self._route(method, path, params)
        except Refused as refused:
            if refused.status != 402:
                self.objects = before
            status, body = refused.status, refused.body
        if method == "POST" and "unknown parameter" not in str(body):
            self.keys[key] = (print_, status, deepcopy(body))
        return status, body

    def _route(self, method: str, path: str, params: dict) -> dict:
        expand = params.pop("expand", [])
        for verb, pattern, allowed, action in ROUTES:
            matched = re.fullmatch(pattern, path)
            if verb != method or matched is None:
                continue
            if unknown := set(params) - set(allowed):
                raise Refused(400, f"Received unknown parameter: {sorted(unknown)}")
            answer = self.export(action(self, *matched.groups(), **params), expand)
            return answer | {"url": f"/v1/{path}"} if answer["object"] == "list" else answer
        raise Refused(404, f"Unrecognized request URL ({method}: /v1/{path}).")

    def export(self, thing: dict, expand: list[str]) -> dict:
        """Return an object as an answer shows it: without private fields, and expanded at paths."""
        shown = {name: value for name, value in thing.items() if not name.startswith("_")}
        if thing.get("object") == "list":
            inner = [path.removeprefix("data.") for path in expand]
            return shown | {"data": [self.export(row, inner) for row in thing["data"]]}
        for path in expand:
            name, _, rest = path.partition(".")
            value = self.objects.get(thing.get(name, "")) or self._includable(thing, name)
            if value is not None:
                shown[name] = self.export(value, [rest] if rest else [])
        return shown

    def _includable(self, thing: dict, name: str) -> dict | None:
        if thing["object"] == "invoice" and name == "payments":
            return self.listing("invoice_payment", invoice=thing["id"])
        return None

    def listing(self, kind: str, *, limit=10, starting_after="", created=None, **wanted) -> dict:
        """Return a page of objects, newest first, with the ``wanted`` fields (``status=all``: any)."""
        if wanted.get("status") == "all":
            del wanted["status"]
        since = int((created or {}).get("gte", 0))
        rows = [
            row
            for row in reversed(self.objects.values())
            if row["object"] == kind
            and row["created"] >= since
            and all(row.get(name) == value for name, value in wanted.items())
        ]
        if starting_after:
            rows = rows[[row["id"] for row in rows].index(starting_after) + 1 :]
        page = rows[: int(limit)]
        return {"object": "list", "data": page, "has_more": len(rows) > len(page)}

    # --- objects ---

    def make(self, prefix: str, kind: str, **fields) -> dict:
        """Store a new object, with an id that starts with ``prefix``, and return it."""
        name = f"{prefix}_{next(self._ids):06}"
        self.objects[name] = {
            "id": name, "object": kind, "created": int(time.time()), "livemode": False,
            "metadata": {},
        } | fields  # fmt: skip
        return self.objects[name]

    def find(self, kind: str, name: str, param: str = "id") -> dict:
        """Return the object of this kind and id; raise Refused (404), which names ``param``."""
        thing = self.objects.get(name)
        if thing is None or thing["object"] != kind:
            raise Refused(404, f"No such {kind}: '{name}'", code="resource_missing", param=param)
        return thing

    def tell(self, event_type: str, about: dict) -> dict:
        """Store and return a new event with the object's current state. Nothing is delivered."""
        return self.make(
            "evt", "event", type=event_type, api_version=API_VERSION,
            data={"object": self.export(about, [])},
        )  # fmt: skip

    # --- cards and payments ---

    def card(self, name: str) -> dict:
        """Return the behaviour of a card from CARDS, by its name there or by a payment method's id."""
        if name in CARDS:
            return CARDS[name]
        return CARDS[self.find("payment_method", name, "payment_method")["_card"]]

    def find_card(self, name: str) -> dict:
        self.card(name)
        return self.objects.get(name) or {"id": name, "object": "payment_method"}

    def attach(self, name: str, customer: str) -> dict:
        """Return the customer's own payment method for a card; raise Refused (402) if it is declined."""
        self.find("customer", customer, "customer")
        card = self.card(name)
        if "attach" in card:
            raise declined(card["attach"])
        own = self.objects.get(name)
        if own is None:
            return self.make("pm", "payment_method", customer=customer, _card=name)
        if own["customer"] != customer:
            raise Refused(400, "The payment method is already attached to another customer.")
        return own

    def create_intent(self, **params) -> dict:
        for name in ("amount", "currency"):
            if name not in params:
                raise Refused(400, f"Missing required param: {name}.", param=name)
        self.card(params["payment_method"])
        if params.get("customer"):
            self.find("customer", params["customer"], "customer")
        intent = self.intent(int(params["amount"]), params["currency"], params.get("metadata", {}))
        intent["_return_url"] = params.get("return_url")
        return self.confirm(intent, params["payment_method"])

    def intent(self, amount: int, currency: str, metadata: dict) -> dict:
        return self.make(
            "pi", "payment_intent", amount=amount, amount_received=0, currency=currency,
            metadata=dict(metadata), status="requires_payment_method", latest_charge=None,
            last_payment_error=None, next_action=None, payment_method=None,
        )  # fmt: skip

    def confirm(self, intent: dict, card_name: str, *, asks: bool = True) -> dict:
        """Charge the card, or ask for authentication; raise Refused (402) if the card is declined.

        After a decline the intent waits for another card.
        """
        card = self.card(card_name)
        intent["payment_method"] = card_name
        if card.get("charge"):
            error = declined(card["charge"])
            self.charge_of(intent, "failed")
            return self.fail(intent, error)
        if card.get("authenticates") and (asks or self.asks_always):
            intent["status"] = "requires_action"
            intent["next_action"] = {"type": "use_stripe_sdk", "use_stripe_sdk": {}}
            if intent.get("_return_url"):
                page = {"url": f"https://hooks.stripe.test/{intent['id']}"}
                intent["next_action"] = {"type": "redirect_to_url", "redirect_to_url": page}
            self.tell("payment_intent.requires_action", intent)
            return intent
        return self.capture(intent)

    def cancel_intent(self, intent_id: str) -> dict:
        intent = self.find("payment_intent", intent_id)
        if intent["status"] not in {"requires_action", "requires_payment_method"}:
            raise Refused(400, f"You cannot cancel a PaymentIntent that is {intent['status']}.")
        intent.update(status="canceled", next_action=None)
        self.tell("payment_intent.canceled", intent)
        return intent

    def fail(self, intent: dict, error: Refused) -> dict:
        intent.update(status="requires_payment_method", last_payment_error=error.body["error"])
        self.tell("payment_intent.payment_failed", intent)
        error.body["error"] = error.body["error"] | {"payment_intent": self.export(intent, [])}
        raise error

    def charge_of(self, intent: dict, status: str) -> dict:
        charge = self.make(
            "ch", "charge", amount=intent["amount"], currency=intent["currency"], status=status,
            payment_intent=intent["id"], balance_transaction=None, refunded=False,
        )  # fmt: skip
        intent["latest_charge"] = charge["id"]
        return charge

    def capture(self, intent: dict) -> dict:
        charge = self.charge_of(intent, "succeeded")
        fee = intent["amount"] * 29 // 1000 + 30
        charge["balance_transaction"] = self.movement(intent["amount"], intent["currency"], fee)[
            "id"
        ]
        intent.update(
            status="succeeded", amount_received=intent["amount"], next_action=None,
            last_payment_error=None,
        )  # fmt: skip
        self.tell("payment_intent.succeeded", intent)
        return intent

    def movement(self, amount: int, currency: str, fee: int = 0) -> dict:
        return self.make(
            "txn", "balance_transaction", amount=amount, currency=currency, fee=fee,
            net=amount - fee,
        )  # fmt: skip

    def authenticate(self, intent_id: str, *, succeeds: bool = True) -> None:
        """Answer the bank as the buyer: capture the intent, or make it wait for another card."""
        intent = self.find("payment_intent", intent_id)
        if succeeds:
            self.capture(intent)
        else:
            error = Refused(402, "no", code="payment_intent_authentication_failure").body["error"]
            intent.update(
                status="requires_payment_method", last_payment_error=error, next_action=None
            )

    # --- refunds and disputes ---

    def create_refund(self, payment_intent: str, amount: str, metadata: dict) -> dict:
        intent = self.find("payment_intent", payment_intent, "payment_intent")
        given = sum(
            row["amount"]
            for row in self.objects.values()
            if row["object"] == "refund"
            and row["payment_intent"] == payment_intent
            and row["status"] in {"pending", "succeeded"}
        )
        if given + int(amount) > intent["amount_received"]:
            raise Refused(
                400, "Refund amount is greater than unrefunded amount on charge.", param="amount"
            )
        refund = self.make(
            "re", "refund", amount=int(amount), currency=intent["currency"], metadata=metadata,
            payment_intent=payment_intent, charge=intent["latest_charge"],
            status=self.card(intent["payment_method"]).get("refund", "succeeded"),
        )  # fmt: skip
        self.tell("refund.created", refund)
        return refund

    def fail_refund(self, refund_id: str) -> None:
        """Make a refund fail after it had succeeded, as a bank may do days later."""
        refund = self.find("refund", refund_id)
        refund.update(status="failed", failure_reason="lost_or_stolen_card")
        self.tell("refund.failed", refund)

    def open_dispute(self, payment_id: str, amount: int, *, inquiry: bool = False) -> str:
        intent = self.find("payment_intent", payment_id)
        taken = [] if inquiry else [self.movement(-amount, intent["currency"], 1500)]
        dispute = self.make(
            "dp", "dispute", amount=amount, currency=intent["currency"], reason="fraudulent",
            payment_intent=payment_id, charge=intent["latest_charge"], balance_transactions=taken,
            status="warning_needs_response" if inquiry else "needs_response",
            evidence_details={"due_by": int(time.time()) + 14 * DAY},
        )  # fmt: skip
        self.tell("charge.dispute.created", dispute)
        return dispute["id"]

    def reinstate(self, dispute_id: str, amount: int) -> None:
        """Close a dispute and return ``amount``. Only the whole amount makes it "won", as at Stripe."""
        dispute = self.find("dispute", dispute_id)
        if amount:
            dispute["balance_transactions"].append(self.movement(amount, dispute["currency"]))
        dispute["status"] = "won" if amount == dispute["amount"] else "lost"
        self.tell("charge.dispute.closed", dispute)

    # --- checkouts ---

    def create_session(self, **params) -> dict:
        ahead = int(params["expires_at"]) - time.time()
        if not 30 * 60 <= ahead <= DAY:
            raise Refused(400, "expires_at must be 30 minutes to 24 hours away", param="expires_at")
        if not params.get("success_url"):
            raise Refused(400, "Missing required param: success_url.", param="success_url")
        name = f"cs_test_{next(self._ids):06}"
        self.objects[name] = {
            "id": name, "object": "checkout.session", "created": int(time.time()),
            "livemode": False, "mode": params["mode"], "status": "open",
            "payment_status": "unpaid", "url": f"https://checkout.stripe.test/{name}",
            "client_reference_id": params.get("client_reference_id"),
            "metadata": params.get("metadata", {}), "expires_at": int(params["expires_at"]),
            "payment_intent": None, "subscription": None, "_params": params,
        }  # fmt: skip
        return self.objects[name]

    def complete_checkout(
        self, session_id: str, card: str = "pm_card_visa", *, paid: bool = True
    ) -> None:
        """Pay on a checkout as the buyer; ``paid=False`` pays by a bank debit that is still pending."""
        session = self.find("checkout.session", session_id)
        params = session["_params"]
        if session["mode"] == "subscription":
            data = params["subscription_data"]
            customer = params.get("customer") or self.make("cus", "customer")["id"]
            own = self.attach(card, customer)["id"]
            price = params["line_items"][0]["price"]
            subscription = self.create_subscription(
                customer=customer, items=[{"price": price}], default_payment_method=own, **data
            )
            session["subscription"] = subscription["id"]
            free = "trial_period_days" in data
            session["payment_status"] = "no_payment_required" if free else "paid"
        else:
            price = params["line_items"][0]["price_data"]
            data = params["payment_intent_data"]
            intent = self.intent(int(price["unit_amount"]), price["currency"], data["metadata"])
            session["payment_intent"] = intent["id"]
            intent["status"] = "processing"
            if paid:
                self.confirm(intent, card, asks=False)
                session["payment_status"] = "paid"
        session.update(status="complete", url=None)
        self.tell("checkout.session.completed", session)

    def expire_session(self, session_id: str) -> dict:
        session = self.find("checkout.session", session_id)
        if session["status"] != "open":
            raise Refused(400, "Only Checkout Sessions that are open can be expired.")
        session.update(status="expired", url=None)
        self.tell("checkout.session.expired", session)
        return session

    # --- plans and customers ---

    def create_customer(self, **params) -> dict:
        return self.make("cus", "customer", invoice_settings={}, **params)

    def update_customer(self, name: str, **params) -> dict:
        customer = self.find("customer", name, "customer")
        customer.update(params)
        return customer

    def create_price(self, *, unit_amount: str, product_data: dict, **params) -> dict:
        if self.listing("price", lookup_key=params["lookup_key"], active=True)["data"]:
            raise Refused(400, "A price already uses this lookup key.", param="lookup_key")
        product = self.make("prod", "product", **product_data)
        return self.make(
            "price", "price", unit_amount=int(unit_amount), product=product["id"], active=True,
            **params,
        )  # fmt: skip

    def list_prices(self, lookup_keys: list[str], active: str, **page) -> dict:
        return self.listing(
            "price", lookup_key=lookup_keys[0], active=active == "true", limit=page.get("limit", 10)
        )

    # --- subscriptions ---

    def create_subscription(
        self, *, customer: str, items: list, default_payment_method: str = "",
        payment_behavior: str = "allow_incomplete", trial_period_days: str = "0",
        metadata: dict | None = None, payment_settings: dict | None = None,
        trial_settings: dict | None = None,
    ) -> dict:  # fmt: skip
        self.find("customer", customer, "customer")
        price = self.find("price", items[0]["price"], "items[0][price]")
        days, now = int(trial_period_days), int(time.time())
        end = now + (days * DAY if days else LENGTH[price["recurring"]["interval"]])
        before = deepcopy(self.objects)
        subscription = self.make(
            "sub", "subscription", customer=customer, metadata=metadata or {},
            currency=price["currency"], status="trialing" if days else "active",
            cancel_at_period_end=False, cancel_at=None, ended_at=None, schedule=None,
            default_payment_method=default_payment_method or None,
            cancellation_details={"reason": None}, trial_settings=trial_settings,
        )  # fmt: skip
        item: dict = {
            "id": f"si_{next(self._ids):06}", "object": "subscription_item", "price": price,
        }  # fmt: skip
        subscription["items"] = {"object": "list", "data": [item]}
        item.update(current_period_start=now, current_period_end=end)
        line = self.line(0 if days else price["unit_amount"], now, end)
        try:
            invoice = self.bill(subscription, [line])
        except Refused as refused:
            if payment_behavior == "error_if_incomplete":
                self.objects = before
                raise
            invoice = refused.invoice
        if invoice["status"] == "open":
            if payment_behavior == "error_if_incomplete":
                self.objects = before
                raise asking()
            subscription["status"] = "incomplete"
        self.tell("customer.subscription.created", subscription)
        return subscription

    def line(self, amount: int, start: int, end: int) -> dict:
        return {
            "id": f"il_{next(self._ids):06}", "object": "line_item", "amount": amount,
            "period": {"start": start, "end": end},
            "parent": {"type": "subscription_item_details"},
        }  # fmt: skip

    def bill(self, subscription: dict, lines: list[dict], *, asks: bool = True) -> dict:
        """Make an invoice and collect it; raise Refused (402), with the open invoice as ``invoice``."""
        total = sum(line["amount"] for line in lines)
        now = int(time.time())
        invoice = self.make(
            "in", "invoice", status="open", total=total, amount_due=max(0, total),
            currency=subscription["currency"], customer=subscription["customer"],
            # As with Stripe, the invoice's own period is not the one that it pays for.
            period_start=now, period_end=now, lines={"object": "list", "data": lines},
            hosted_invoice_url="", _subscription=subscription["id"],
            parent={
                "type": "subscription_details",
                "subscription_details": {"subscription": subscription["id"]},
            },
        )  # fmt: skip
        invoice["hosted_invoice_url"] = f"https://invoice.stripe.test/{invoice['id']}"
        if total > 0:
            intent = self.intent(total, subscription["currency"], {})
            self.make(
                "inpay", "invoice_payment", invoice=invoice["id"], status="open",
                payment={"type": "payment_intent", "payment_intent": intent["id"]},
            )  # fmt: skip
        else:
            invoice["status"] = "paid"
            return invoice
        return self.collect(invoice, subscription["default_payment_method"], asks=asks)

    def collect(self, invoice: dict, card: str | None, *, asks: bool = True) -> dict:
        row = self.listing("invoice_payment", invoice=invoice["id"])["data"][0]
        intent = self.objects[row["payment"]["payment_intent"]]
        try:
            if not card:
                raise Refused(400, "This customer has no attached payment source.")
            self.confirm(intent, card, asks=asks)
        except Refused as refused:
            refused.invoice = invoice
            self.tell("invoice.payment_failed", invoice)
            raise
        if intent["status"] == "succeeded":
            invoice["status"] = row["status"] = "paid"
            self.tell("invoice.paid", invoice)
        return invoice

    def update_subscription(self, name: str, **params) -> dict:
        subscription = self.find("subscription", name)
        if subscription["status"] == "canceled":
            raise Refused(400, "A canceled subscription can only update its metadata.")
        if subscription["schedule"] and set(params) & {"items", "cancel_at_period_end"}:
            raise Refused(400, "The subscription is managed by a subscription schedule.")
        before = deepcopy(self.objects)
        subscription["metadata"] |= params.get("metadata", {})
        if "cancel_at_period_end" in params:
            subscription["cancel_at_period_end"] = params["cancel_at_period_end"] == "true"
        if "cancel_at" in params:
            subscription["cancel_at"] = int(params["cancel_at"]) if params["cancel_at"] else None
        if "default_payment_method" in params:
            self.card(params["default_payment_method"])
            subscription["default_payment_method"] = params["default_payment_method"]
        try:
            if "items" in params:
                self.change_price(subscription, params)
        except Refused:
            self.objects = before  # error_if_incomplete promises that nothing changes
            raise
        self.tell("customer.subscription.updated", subscription)
        return subscription

    def change_price(self, subscription: dict, params: dict) -> None:
        item = subscription["items"]["data"][0]
        assert params["items"][0]["id"] == item["id"]
        price = self.find("price", params["items"][0]["price"])
        item["price"] = price
        assert params["proration_behavior"] == "none", "other prorations are not played"
        if "billing_cycle_anchor" not in params:
            return
        assert params["billing_cycle_anchor"] == {"type": "now"}
        assert params["payment_behavior"] == "error_if_incomplete"
        now, end = int(time.time()), item["current_period_end"]
        until = now + LENGTH[price["recurring"]["interval"]]
        item.update(current_period_start=now, current_period_end=until)
        lines = [self.line(price["unit_amount"], now, until)]
        for added in params.get("add_invoice_items", []):
            self.find("product", added["price_data"]["product"], "add_invoice_items")
            assert added["price_data"]["currency"] == subscription["currency"]
            lines.append(self.line(int(added["price_data"]["unit_amount"]), now, end))
        if self.bill(subscription, lines, asks=False)["status"] == "open":
            raise asking()

    def renew(self, name: str) -> None:
        """End the period of a subscription: bill the next one, or cancel it if that was asked for."""
        subscription = self.find("subscription", name)
        item = subscription["items"]["data"][0]
        if stripe_endings.ends_now(subscription):
            self.cancel_subscription(name)
            return
        if subscription["schedule"]:
            schedule = self.objects[subscription["schedule"]]
            phase = schedule["phases"][-1]
            item["price"] = self.objects[phase["items"][0]["price"]]
            subscription["metadata"] |= phase.get("metadata", {})
            schedule["current_phase"] = {"start_date": phase["start_date"]}
        price, start = item["price"], item["current_period_end"]
        end = start + LENGTH[price["recurring"]["interval"]]
        item.update(current_period_start=start, current_period_end=end)
        try:
            self.bill(subscription, [self.line(price["unit_amount"], start, end)], asks=False)
            subscription["status"] = "active"
        except Refused:
            subscription["status"] = "past_due"
        self.tell("customer.subscription.updated", subscription)

    def cancel_subscription(self, name: str, **params) -> dict:
        subscription = self.find("subscription", name)
        subscription.update(
            status="canceled", ended_at=int(time.time()), cancel_at_period_end=False, cancel_at=None
        )
        subscription["cancellation_details"] = {"reason": "cancellation_requested"}
        self.tell("customer.subscription.deleted", subscription)
        return subscription

    def create_schedule(self, from_subscription: str) -> dict:
        subscription = self.find("subscription", from_subscription)
        if subscription["schedule"]:
            raise Refused(400, "The subscription already has a schedule.")
        item = subscription["items"]["data"][0]
        phase = {
            "items": [{"price": item["price"]["id"]}], "metadata": {},
            "start_date": item["current_period_start"], "end_date": item["current_period_end"],
        }  # fmt: skip
        schedule = self.make(
            "sub_sched", "subscription_schedule", subscription=subscription["id"], status="active",
            phases=[phase], current_phase={"start_date": phase["start_date"]},
        )  # fmt: skip
        subscription["schedule"] = schedule["id"]
        return schedule

    def update_schedule(self, name: str, phases: list, metadata: dict, end_behavior: str) -> dict:
        schedule = self.find("subscription_schedule", name)
        at = int(phases[0]["start_date"])
        if at != schedule["phases"][0]["start_date"]:
            raise Refused(400, "You can not modify the start date of the current phase.")
        for phase in phases:
            length = LENGTH[phase["duration"]["interval"]] if "duration" in phase else 0
            phase.update(start_date=at, end_date=int(phase.get("end_date", at + length)))
            at = phase["end_date"]
        schedule.update(phases=phases, metadata=metadata, end_behavior=end_behavior)
        self.tell(
            "customer.subscription.updated", self.find("subscription", schedule["subscription"])
        )
        return schedule

    def release_schedule(self, name: str) -> dict:
        schedule = self.find("subscription_schedule", name)
        schedule["status"] = "released"
        self.objects[schedule["subscription"]]["schedule"] = None
        return schedule

    # --- invoices ---

    def list_invoices(self, subscription: str, **page) -> dict:
        return self.listing("invoice", _subscription=subscription, **page)

    def pay_invoice(self, name: str, payment_method: str) -> dict:
        invoice = self.collect(self.find("invoice", name), payment_method)
        subscription = self.objects[invoice["_subscription"]]
        if invoice["status"] == "paid" and subscription["status"] in {"incomplete", "past_due"}:
            subscription["status"] = "active"
        return invoice

    def void_invoice(self, name: str) -> dict:
        invoice = self.find("invoice", name)
        if invoice["status"] != "open":
            raise Refused(400, "You can only void open invoices.")
        invoice["status"] = "void"
        return invoice

    def list_invoice_payments(self, payment: dict, limit: str = "10") -> dict:
        return self.listing("invoice_payment", payment=payment, limit=limit)

    def search_intents(self, query: str, limit: str) -> dict:
        matched = re.fullmatch(r"metadata\['(\w+)'\]:'([^']*)'", query)
        assert matched, f"The stand-in cannot search for {query}"
        name, value = matched.groups()
        rows = [
            row
            for row in reversed(self.objects.values())
            if row["object"] == "payment_intent" and row["metadata"].get(name) == value
        ]
        return {"object": "search_result", "url": "/", "has_more": False, "data": rows[:1]}

    # --- webhooks ---

    def signed(self, event_type: str, object_id: str, **over) -> tuple[bytes, dict[str, str]]:
        """Return body and headers of a signed message about an object in its current state."""
        event = self.tell(event_type, self.objects[object_id])
        return sign(json.dumps(event | over).encode())


def sign(body: bytes, *, secret: str = SECRET, at: float | None = None) -> tuple[bytes, dict]:
    """Return the body and its Stripe-Signature header, signed at a moment (default: now)."""
    moment = int(time.time() if at is None else at)
    digest = hmac.new(secret.encode(), b"%d." % moment + body, hashlib.sha256).hexdigest()
    return body, {"Stripe-Signature": f"t={moment},v1={digest}"}


def declined(code: str) -> Refused:
    return Refused(402, "Your card was declined.", code="card_declined", decline_code=code)


def asking() -> Refused:
    code = "subscription_payment_intent_requires_action"
    return Refused(402, "The subscription needs its client at the bank.", code=code)


def _get(kind: str):
    return lambda stripe, name: stripe.find(kind, name)


def _list(kind: str):
    return lambda stripe, **page: stripe.listing(kind, **page)


def _of(name: str) -> set[str]:
    """Return the names of the parameters that the SDK knows for a call."""
    module = sdk_checkout if name.startswith("Session") else sdk
    return set(getattr(module, f"{name}Params").__annotations__)


S, ID = StripeStandIn, r"(\w+)"
ROUTES = [
    ("GET", "balance", (), lambda stripe: {"object": "balance", "livemode": False}),
    ("POST", f"payment_methods/{ID}/attach", _of("PaymentMethodAttach"), S.attach),
    ("GET", f"payment_methods/{ID}", (), S.find_card),
    ("POST", "payment_intents", _of("PaymentIntentCreate"), S.create_intent),
    ("GET", "payment_intents/search", _of("PaymentIntentSearch"), S.search_intents),
    ("GET", "payment_intents", _of("PaymentIntentList"), _list("payment_intent")),
    ("GET", f"payment_intents/{ID}", (), _get("payment_intent")),
    ("POST", f"payment_intents/{ID}/cancel", (), S.cancel_intent),
    ("POST", "refunds", _of("RefundCreate"), S.create_refund),
    ("GET", "refunds", _of("RefundList"), _list("refund")),
    ("GET", "disputes", _of("DisputeList"), _list("dispute")),
    ("POST", "checkout/sessions", _of("SessionCreate"), S.create_session),
    ("GET", "checkout/sessions", _of("SessionList"), _list("checkout.session")),
    ("GET", f"checkout/sessions/{ID}", (), _get("checkout.session")),
    ("POST", f"checkout/sessions/{ID}/expire", (), S.expire_session),
    ("POST", "customers", _of("CustomerCreate"), S.create_customer),
    ("POST", f"customers/{ID}", _of("CustomerUpdate"), S.update_customer),
    ("POST", "prices", _of("PriceCreate"), S.create_price),
    ("GET", "prices", _of("PriceList"), S.list_prices),
    ("GET", f"prices/{ID}", (), _get("price")),
    ("POST", "subscriptions", _of("SubscriptionCreate"), S.create_subscription),
    ("GET", "subscriptions", _of("SubscriptionList"), _list("subscription")),
    ("GET", f"subscriptions/{ID}", (), _get("subscription")),
    ("POST", f"subscriptions/{ID}", _of("SubscriptionUpdate"), S.update_subscription),
    ("DELETE", f"subscriptions/{ID}", _of("SubscriptionCancel"), S.cancel_subscription),
    ("POST", "subscription_schedules", _of("SubscriptionScheduleCreate"), S.create_schedule),
    ("GET", f"subscription_schedules/{ID}", (), _get("subscription_schedule")),
    ("POST", f"subscription_schedules/{ID}", _of("SubscriptionScheduleUpdate"), S.update_schedule),
    ("POST", f"subscription_schedules/{ID}/release", (), S.release_schedule),
    ("GET", "invoices", _of("InvoiceList"), S.list_invoices),
    ("GET", f"invoices/{ID}", (), _get("invoice")),
    ("POST", f"invoices/{ID}/pay", _of("InvoicePay"), S.pay_invoice),
    ("POST", f"invoices/{ID}/void", (), S.void_invoice),
    ("GET", "invoice_payments", _of("InvoicePaymentList"), S.list_invoice_payments),
    ("GET", "events", _of("EventList"), _list("event")),
]  # fmt: skip


def nested(pairs: Iterable[tuple[str, str]]) -> dict:
    """Return form fields as a nested object: ``a[b][0]=c`` becomes ``{"a": {"b": ["c"]}}``."""
    whole: dict = {}
    for name, value in pairs:
        *path, last = re.findall(r"[^\[\]]+", name)
        inner = whole
        for step in path:
            inner = inner.setdefault(step, {})
        inner[last] = value
    return _with_lists(whole)


def _with_lists(value):
    if not isinstance(value, dict):
        return value
    if value and all(name.isdigit() for name in value):
        return [_with_lists(value[name]) for name in sorted(value, key=int)]
    return {name: _with_lists(inner) for name, inner in value.items()}


class _Handler(BaseHTTPRequestHandler):
    stripe: StripeStandIn
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet: apart, each answer waits 40 ms for the other's ACK

    def _answer(self) -> None:
        text = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        query = urlsplit(self.path).query
        params = nested(parse_qsl(text or query, keep_blank_values=True))
        try:
            status, body = self.stripe.answer(self.command, self.path, params, self.headers)
        except ConnectionAbortedError:
            self.close_connection = True
            return
        payload = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.send_header("Request-Id", "req_of_the_stand_in")
        self.send_header("Stripe-Version", API_VERSION)
        self.end_headers()
        self.wfile.write(payload)

    do_GET = do_POST = do_DELETE = _answer

    def log_message(self, *_) -> None:
        """Write no log."""
