"""Customers, prices, invoices and their payments."""

import time

from payments.tests.stripe_stand_in.objects import Refused
from payments.tests.stripe_stand_in.payments import Payments


class Invoices(Payments):
    """Bills of subscriptions, and who pays them for which price."""

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
