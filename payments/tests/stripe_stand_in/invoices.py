"""Customers, prices, invoices and their payments."""

import time

from payments.tests.stripe_stand_in.objects import Refused
from payments.tests.stripe_stand_in.payments import Payments


class Invoices(Payments):
    """Bills of subscriptions, and who pays them for which price."""

    def create_customer(self, **params) -> dict:
        return self.make("cus", "customer", invoice_settings={}, balance=0, **params)

    def update_customer(self, name: str, **params) -> dict:
        customer = self.find("customer", name, "customer")
        customer.update(params)
        return customer

    def delete_customer(self, name: str) -> dict:
        """Delete a customer, which cancels all of the customer's subscriptions."""
        customer = self.find("customer", name, "customer")
        customer["deleted"] = True
        for thing in list(self.objects.values()):
            is_live = thing["object"] == "subscription" and thing["status"] != "canceled"
            if is_live and thing["customer"] == name:
                self.cancel_subscription(thing["id"])
        self.tell("customer.deleted", customer)
        return customer

    def cancel_subscription(self, name: str) -> dict:
        raise NotImplementedError

    def create_price(
        self, *, unit_amount: str, product_data: dict, transfer_lookup_key="false", **params
    ) -> dict:
        for known in self.listing("price", lookup_key=params["lookup_key"])["data"]:
            if transfer_lookup_key != "true":
                raise Refused(400, "A price already uses this lookup key.", param="lookup_key")
            known["lookup_key"] = None
        product = self.make("prod", "product", **product_data)
        return self.make(
            "price", "price", unit_amount=int(unit_amount), product=product["id"], active=True,
            **params,
        )  # fmt: skip

    def list_prices(self, lookup_keys: list[str], active: str, **page) -> dict:
        return self.listing(
            "price", lookup_key=lookup_keys[0], active=active == "true", limit=page.get("limit", 10)
        )

    def usable_price(self, name: str, param: str) -> dict:
        """Return a price that can be billed; raise Refused, which names ``param``."""
        price = self.find("price", name, param)
        if not price["active"]:
            raise Refused(400, "The price specified is inactive.", param=param)
        return price

    def line(self, amount: int, start: int, end: int) -> dict:
        return {
            "id": f"il_{next(self._ids):06}", "object": "line_item", "amount": amount,
            "period": {"start": start, "end": end},
            "parent": {"type": "subscription_item_details"},
        }  # fmt: skip

    def bill(
        self, subscription: dict, lines: list[dict], *, asks: bool = True, is_draft: bool = False
    ) -> dict:
        """Make an invoice and collect it; raise Refused (402), with the open invoice as ``invoice``.

        A draft is collected later, see `finalize_invoice` and `advance_invoice`.
        """
        total = sum(line["amount"] for line in lines)
        now = int(time.time())
        customer = self.objects[subscription["customer"]]
        # A balance below zero is the customer's credit, and above zero their debt.
        balance = customer["balance"]
        due = max(0, total + balance)
        customer["balance"] = min(0, total + balance)
        invoice = self.make(
            "in", "invoice", status="open", total=total, amount_due=due, amount_paid=0,
            amount_remaining=due, amount_overpaid=0, starting_balance=balance,
            ending_balance=customer["balance"], pre_payment_credit_notes_amount=0,
            post_payment_credit_notes_amount=0, currency=subscription["currency"],
            customer=subscription["customer"],
            # As with Stripe, the invoice's own period is not the one that it pays for.
            period_start=now, period_end=now, lines={"object": "list", "data": lines},
            hosted_invoice_url="", _subscription=subscription["id"],
            parent={
                "type": "subscription_details",
                "subscription_details": {"subscription": subscription["id"]},
            },
        )  # fmt: skip
        invoice["hosted_invoice_url"] = f"https://invoice.stripe.test/{invoice['id']}"
        if is_draft:
            invoice.update(status="draft", auto_advance=True, hosted_invoice_url=None)
            return invoice
        return self.charge(subscription, invoice, asks=asks)

    def charge(self, subscription: dict, invoice: dict, *, asks: bool, collects=True) -> dict:
        """Give an invoice its payment, and collect it unless that was not asked for."""
        due = invoice["amount_due"]
        if not due:
            invoice["status"] = "paid"
            return invoice
        intent = self.intent(due, subscription["currency"], {})
        self.add_payment(invoice, intent, is_default=True)
        if not collects:
            return invoice
        return self.collect(invoice, subscription["default_payment_method"], asks=asks)

    def finalize_invoice(self, name: str, auto_advance: str = "true") -> dict:
        """Open a draft. It is collected by itself if it advances automatically."""
        invoice = self.find("invoice", name)
        if invoice["status"] != "draft":
            raise Refused(400, "This invoice is already finalized, you can't re-finalize it.")
        subscription = self.objects[invoice["_subscription"]]
        url = f"https://invoice.stripe.test/{name}"
        invoice.update(status="open", auto_advance=auto_advance == "true", hosted_invoice_url=url)
        return self.charge(subscription, invoice, asks=False, collects=invoice["auto_advance"])

    def advance_invoice(self, name: str) -> dict:
        """Let the hour of a draft pass: it is finalised and collected, unless that was stopped."""
        invoice = self.find("invoice", name)
        if invoice["status"] == "draft" and invoice["auto_advance"]:
            self.finalize_invoice(name)
        return invoice

    def add_payment(self, invoice: dict, intent: dict, *, is_default: bool = False) -> dict:
        return self.make(
            "inpay", "invoice_payment", invoice=invoice["id"], status="open", amount_paid=None,
            amount_requested=intent["amount"], is_default=is_default,
            payment={"type": "payment_intent", "payment_intent": intent["id"]},
        )  # fmt: skip

    def default_payment(self, invoice: dict) -> dict:
        return self.listing("invoice_payment", invoice=invoice["id"], is_default=True)["data"][0]

    def take_in(self, invoice: dict, row: dict, amount: int) -> None:
        """Count a payment of an invoice, which is paid when its payments sum up to what is due."""
        row.update(status="paid", amount_paid=amount)
        self.tell("invoice_payment.paid", row)
        over = max(0, amount - invoice["amount_remaining"])
        invoice["amount_paid"] += amount - over
        invoice["amount_overpaid"] += over
        self.objects[invoice["customer"]]["balance"] -= over
        self.adjust(invoice)

    def adjust(self, invoice: dict) -> None:
        """Bring an invoice and its default payment to what is left to pay."""
        left = invoice["amount_due"] - invoice["amount_paid"]
        invoice["amount_remaining"] = left
        row = self.default_payment(invoice)
        intent = self.objects[row["payment"]["payment_intent"]]
        if left and row["status"] == "open":
            intent["amount"] = row["amount_requested"] = left
        if left or invoice["status"] == "paid":
            self.tell("invoice.updated", invoice)
            return
        if row["status"] == "open":
            row["status"], intent["status"] = "canceled", "canceled"
        invoice["status"] = "paid"
        self.tell("invoice.paid", invoice)

    def pay_part(self, name: str, amount: int, card: str = "pm_card_visa") -> dict:
        """Pay a part of an invoice with a payment of its own, as the merchant can do by hand."""
        invoice = self.find("invoice", name)
        intent = self.intent(amount, invoice["currency"], {})
        row = self.add_payment(invoice, intent)
        self.confirm(intent, card, asks=False)
        self.take_in(invoice, row, amount)
        self.activate(invoice)
        return intent

    def pay_elsewhere(self, name: str) -> None:
        """Mark an invoice as paid out of band."""
        invoice = self.find("invoice", name)
        left = invoice["amount_remaining"]
        self.make(
            "inpay", "invoice_payment", invoice=name, status="paid", amount_paid=left,
            amount_requested=left, is_default=False,
            payment={"type": "payment_record", "payment_record": "pr_1"},
        )  # fmt: skip
        invoice["amount_paid"] = invoice["amount_due"]
        self.adjust(invoice)
        self.activate(invoice)

    def credit(self, name: str, amount: int) -> None:
        """Issue a credit note. On a paid invoice it becomes the customer's credit."""
        invoice = self.find("invoice", name)
        before = min(amount, invoice["amount_remaining"])
        invoice["pre_payment_credit_notes_amount"] += before
        invoice["post_payment_credit_notes_amount"] += amount - before
        self.objects[invoice["customer"]]["balance"] -= amount - before
        invoice["amount_due"] -= before
        self.adjust(invoice)
        self.activate(invoice)

    def activate(self, invoice: dict) -> None:
        subscription = self.objects[invoice["_subscription"]]
        if invoice["status"] == "paid" and subscription["status"] in {"incomplete", "past_due"}:
            subscription["status"] = "active"
            self.tell("customer.subscription.updated", subscription)

    def collect(self, invoice: dict, card: str | None, *, asks: bool = True) -> dict:
        row = self.default_payment(invoice)
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
            self.take_in(invoice, row, intent["amount"])
        else:
            self.tell("invoice.payment_action_required", invoice)
        return invoice

    def list_invoices(self, subscription: str, **page) -> dict:
        return self.listing("invoice", _subscription=subscription, **page)

    def pay_invoice(self, name: str, payment_method: str) -> dict:
        invoice = self.collect(self.find("invoice", name), payment_method)
        self.activate(invoice)
        return invoice

    def authenticate(self, intent_id: str, *, succeeds: bool = True) -> None:
        super().authenticate(intent_id, succeeds=succeeds)
        paid = {"type": "payment_intent", "payment_intent": intent_id}
        for row in self.listing("invoice_payment", payment=paid)["data"] if succeeds else ():
            invoice = self.objects[row["invoice"]]
            self.take_in(invoice, row, self.objects[intent_id]["amount"])
            self.activate(invoice)

    def give_up_invoice(self, name: str) -> None:
        """Mark an invoice as uncollectible."""
        invoice = self.find("invoice", name)
        invoice["status"] = "uncollectible"
        self.tell("invoice.marked_uncollectible", invoice)

    def void_invoice(self, name: str) -> dict:
        invoice = self.find("invoice", name)
        if invoice["status"] not in {"open", "uncollectible"}:
            raise Refused(400, "You can only void open and uncollectible invoices.")
        invoice["status"] = "void"
        self.tell("invoice.voided", invoice)
        return invoice

    def list_invoice_payments(self, payment: dict, limit: str = "10") -> dict:
        return self.listing("invoice_payment", payment=payment, limit=limit)
