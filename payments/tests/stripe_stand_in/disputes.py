"""Refunds and disputes."""

import time

from payments.tests.stripe_stand_in.objects import DAY, Refused
from payments.tests.stripe_stand_in.payments import Payments


class Disputes(Payments):
    """Money that goes back to the payers, on the merchant's wish or on their bank's."""

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
