"""Checkout sessions: the hosted pages on which an order or a subscription is paid."""

import time

from payments.tests.stripe_stand_in.objects import DAY, Refused
from payments.tests.stripe_stand_in.subscriptions import Subscriptions


class Checkouts(Subscriptions):
    """Hosted pages, and what their buyers do there."""

    def create_session(self, **params) -> dict:
        ahead = int(params["expires_at"]) - time.time()
        if not 30 * 60 <= ahead <= DAY:
            raise Refused(400, "expires_at must be 30 minutes to 24 hours away", param="expires_at")
        if not params.get("success_url"):
            raise Refused(400, "Missing required param: success_url.", param="success_url")
        if params.get("customer"):
            self.find("customer", params["customer"], "customer")
        if params["mode"] == "subscription":
            self.usable_price(params["line_items"][0]["price"], "line_items[0][price]")
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
            customer = params.get("customer") or self.create_customer()["id"]
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
            else:
                self.tell("payment_intent.processing", intent)
        session.update(status="complete", url=None)
        self.tell("checkout.session.completed", session)

    def end_bank_debit(self, session_id: str, *, succeeds: bool) -> None:
        """End a bank debit that was pending, days later."""
        session = self.find("checkout.session", session_id)
        intent = self.objects[session["payment_intent"]]
        if succeeds:
            self.capture(intent)
            session["payment_status"] = "paid"
            self.tell("checkout.session.async_payment_succeeded", session)
            return
        error = Refused(402, "The debit bounced.", code="payment_intent_payment_attempt_failed")
        intent.update(
            status="requires_payment_method", last_payment_error=error.body["error"]
        )  # fmt: skip
        self.tell("payment_intent.payment_failed", intent)
        self.tell("checkout.session.async_payment_failed", session)

    def expire_session(self, session_id: str) -> dict:
        session = self.find("checkout.session", session_id)
        if session["status"] != "open":
            raise Refused(400, "Only Checkout Sessions that are open can be expired.")
        session.update(status="expired", url=None)
        self.tell("checkout.session.expired", session)
        return session
