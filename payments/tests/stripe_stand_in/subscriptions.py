"""Subscriptions, their renewals, and their schedules."""

import time
from copy import deepcopy

from payments.tests import stripe_endings
from payments.tests.stripe_stand_in.invoices import Invoices
from payments.tests.stripe_stand_in.objects import DAY, Refused, asking

PENDING = {
    "payment_behavior", "proration_behavior", "proration_date", "billing_cycle_anchor", "items",
    "trial_end", "trial_from_plan", "add_invoice_items",
}  # fmt: skip
LENGTH = {"month": 30 * DAY, "year": 365 * DAY}


class Subscriptions(Invoices):
    """Agreements that bill a price for each period."""

    def create_subscription(
        self, *, customer: str, items: list, default_payment_method: str = "",
        payment_behavior: str = "allow_incomplete", trial_period_days: str = "0",
        metadata: dict | None = None, payment_settings: dict | None = None,
        trial_settings: dict | None = None,
    ) -> dict:  # fmt: skip
        self.find("customer", customer, "customer")
        price = self.usable_price(items[0]["price"], "items[0][price]")
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

    def update_subscription(self, name: str, **params) -> dict:
        subscription = self.find("subscription", name)
        if subscription["status"] == "canceled":
            raise Refused(400, "A canceled subscription can only update its metadata.")
        managed = {"items", "cancel_at_period_end", "cancel_at"}
        if subscription["schedule"] and set(params) & managed:
            raise Refused(400, "The subscription is managed by a subscription schedule.")
        if params.get("payment_behavior") == "pending_if_incomplete":
            return self.update_when_paid(subscription, params)
        before = deepcopy(self.objects)
        subscription["metadata"] |= params.get("metadata", {})
        if {"cancel_at", "cancel_at_period_end"} <= set(params):
            raise Refused(400, "You may only specify one of: cancel_at_period_end, cancel_at.")
        if "default_payment_method" in params:
            self.card(params["default_payment_method"])
            subscription["default_payment_method"] = params["default_payment_method"]
        try:
            if "items" in params:
                self.change_price(subscription, params)
        except Refused:
            self.objects = before  # error_if_incomplete promises that nothing changes
            raise
        stripe_endings.plan_end(subscription, params)
        self.tell("customer.subscription.updated", subscription)
        return subscription

    def change_price(self, subscription: dict, params: dict, *, pending: bool = False) -> None:
        item = subscription["items"]["data"][0]
        assert params["items"][0]["id"] == item["id"]
        price = self.usable_price(params["items"][0]["price"], "items[0][price]")
        item["price"] = price
        assert params["proration_behavior"] == "none", "other prorations are not played"
        if "billing_cycle_anchor" not in params:
            return
        assert params["billing_cycle_anchor"] == {"type": "now"}
        now, end = int(time.time()), item["current_period_end"]
        until = now + LENGTH[price["recurring"]["interval"]]
        item.update(current_period_start=now, current_period_end=until)
        lines = [self.line(price["unit_amount"], now, until)]
        for added in params.get("add_invoice_items", []):
            self.find("product", added["price_data"]["product"], "add_invoice_items")
            assert added["price_data"]["currency"] == subscription["currency"]
            lines.append(self.line(int(added["price_data"]["unit_amount"]), now, end))
        if self.bill(subscription, lines, asks=False)["status"] == "open" and not pending:
            raise asking()

    def update_when_paid(self, subscription: dict, params: dict) -> dict:
        """Change a subscription when the invoice is paid; until then it stays as it is.

        https://docs.stripe.com/billing/subscriptions/pending-updates-reference
        """
        if unknown := set(params) - PENDING:
            raise Refused(400, f"Pending updates do not support {sorted(unknown)}.")
        (item,) = subscription["items"]["data"]
        now_item = dict(item)
        self.change_price(subscription, params, pending=True)
        new_item = dict(item)
        invoice = self.listing("invoice", _subscription=subscription["id"])["data"][0]
        if invoice["status"] != "paid":
            item.clear()
            item.update(now_item)
            invoice["_update"] = new_item
            price = {"id": item["id"], "price": new_item["price"]}
            subscription["pending_update"] = {
                "expires_at": int(time.time()) + 23 * 3600, "subscription_items": [price],
            }  # fmt: skip
        self.tell("customer.subscription.updated", subscription)
        return subscription

    def activate(self, invoice: dict) -> None:
        subscription = self.objects[invoice["_subscription"]]
        if invoice["status"] == "paid" and (update := invoice.pop("_update", None)):
            subscription["items"]["data"][0].update(update)
            subscription["pending_update"] = None
            stripe_endings.plan_end(subscription, {})
            self.tell("customer.subscription.updated", subscription)
        super().activate(invoice)

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
            lines = [self.line(price["unit_amount"], start, end)]
            invoice = self.bill(subscription, lines, asks=False)
            subscription["status"] = "active" if invoice["status"] == "paid" else "past_due"
        except Refused:
            subscription["status"] = "past_due"
        self.tell("customer.subscription.updated", subscription)

    def begin_renewal(self, name: str) -> dict:
        """Begin the next period of a subscription, and return its invoice: a draft for about an hour."""
        subscription = self.find("subscription", name)
        item = subscription["items"]["data"][0]
        start = item["current_period_end"]
        end = start + LENGTH[item["price"]["recurring"]["interval"]]
        item.update(current_period_start=start, current_period_end=end)
        line = self.line(item["price"]["unit_amount"], start, end)
        invoice = self.bill(subscription, [line], is_draft=True)
        self.tell("customer.subscription.updated", subscription)
        return invoice

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
        for number, phase in enumerate(phases[1:], 1):  # the running phase keeps its price
            param = f"phases[{number}][items][0][price]"
            self.usable_price(phase["items"][0]["price"], param)
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
        if schedule.get("end_behavior") == "cancel":
            self.objects[schedule["subscription"]]["cancel_at"] = None
        self.objects[schedule["subscription"]]["schedule"] = None
        return schedule
