"""Cards, payment intents and the movements on the account's balance."""

import re

from payments.tests.stripe_stand_in.objects import Objects, Refused, declined

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


class Payments(Objects):
    """Charges of cards, with the answers of their banks."""

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
        if params.get("customer"):
            self.find("customer", params["customer"], "customer")
        self.card(params["payment_method"])
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
        if not self.settles_later:
            self.settle(charge)
        intent.update(
            status="succeeded", amount_received=intent["amount"], next_action=None,
            last_payment_error=None,
        )  # fmt: skip
        self.tell("payment_intent.succeeded", intent)
        return intent

    def settle(self, charge: dict) -> None:
        """Put a charge on the balance, less the fee. Stripe may do that after the charge."""
        fee = charge["amount"] * 29 // 1000 + 30
        moved = self.movement(charge["amount"], charge["currency"], fee)
        charge["balance_transaction"] = moved["id"]
        self.tell("charge.updated", charge)

    def movement(self, amount: int, currency: str, fee: int = 0) -> dict:
        """Move money on the balance, in the currency that the account settles in."""
        rate = self.rate if self.settles_in not in {"", currency} else None
        if rate:
            amount, fee, currency = round(amount * rate), round(fee * rate), self.settles_in
        return self.make(
            "txn", "balance_transaction", amount=amount, currency=currency, fee=fee,
            net=amount - fee, exchange_rate=rate,
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
