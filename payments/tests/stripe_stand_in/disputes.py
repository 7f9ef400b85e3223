"""Refunds, disputes and the evidence against them."""

import time

from stripe import params as sdk

from payments.tests.stripe_stand_in.objects import DAY, Refused
from payments.tests.stripe_stand_in.payments import Payments

EVIDENCE = set(sdk.DisputeUpdateParamsEvidence.__annotations__)
# The fields of the evidence that hold the id of a file.
FILES = {
    "cancellation_policy", "customer_communication", "customer_signature",
    "duplicate_charge_documentation", "receipt", "refund_policy", "service_documentation",
    "shipping_documentation", "uncategorized_file",
}  # fmt: skip


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
            balance_transaction=None, failure_balance_transaction=None,
        )  # fmt: skip
        refund["balance_transaction"] = self.movement(-int(amount), intent["currency"])["id"]
        self.tell("refund.created", refund)
        return refund

    def fail_refund(self, refund_id: str) -> None:
        """Make a refund fail after it had succeeded, as a bank may do days later."""
        refund = self.find("refund", refund_id)
        back = self.movement(refund["amount"], refund["currency"])
        refund.update(
            status="failed", failure_reason="lost_or_stolen_card",
            failure_balance_transaction=back["id"],
        )  # fmt: skip
        self.tell("refund.failed", refund)

    def open_dispute(self, payment_id: str, amount: int, *, inquiry: bool = False) -> str:
        intent = self.find("payment_intent", payment_id)
        taken = [] if inquiry else [self.movement(-amount, intent["currency"], 1500)]
        dispute = self.make(
            "dp", "dispute", amount=amount, currency=intent["currency"], reason="fraudulent",
            payment_intent=payment_id, charge=intent["latest_charge"], balance_transactions=taken,
            status="warning_needs_response" if inquiry else "needs_response",
            evidence={}, evidence_details={
                "due_by": int(time.time()) + 14 * DAY, "has_evidence": False, "past_due": False,
                "submission_count": 0,
            },
        )  # fmt: skip
        self.tell("charge.dispute.created", dispute)
        if taken:
            self.tell("charge.dispute.funds_withdrawn", dispute)
        return dispute["id"]

    def reinstate(self, dispute_id: str, amount: int) -> None:
        """Close a dispute and return ``amount``. Only the whole amount makes it "won", as at Stripe."""
        dispute = self.find("dispute", dispute_id)
        if amount:
            dispute["balance_transactions"].append(self.movement(amount, dispute["currency"]))
        dispute["status"] = "won" if amount == dispute["amount"] else "lost"
        self.tell("charge.dispute.closed", dispute)
        if amount:
            self.tell("charge.dispute.funds_reinstated", dispute)

    def create_file(self, file: dict, purpose: str) -> dict:
        kinds = {b"%PDF": "pdf", b"\x89PNG": "png", b"\xff\xd8\xff": "jpg"}
        kind = next(
            (kind for start, kind in kinds.items() if file["content"].startswith(start)), ""
        )
        if purpose != "dispute_evidence" or not kind:
            raise Refused(400, "Files of this type cannot be evidence.", param="file")
        return self.make(
            "file", "file", purpose=purpose, type=kind, size=len(file["content"]),
            filename=file["name"],
        )  # fmt: skip

    def update_dispute(self, name: str, evidence: dict | None = None, submit: str = "true") -> dict:
        """Stage evidence, and submit all that is staged unless ``submit`` is "false"."""
        dispute, evidence = self.find("dispute", name), evidence or {}
        details = dispute["evidence_details"]
        if details["due_by"] < time.time() or details["submission_count"]:
            raise Refused(400, "This dispute is already past due or submitted.")
        if not dispute["status"].endswith("needs_response"):
            raise Refused(400, "This dispute is already closed.")
        if unknown := set(evidence) - EVIDENCE:
            raise Refused(400, f"Received unknown parameter: {sorted(unknown)}")
        for field in FILES & set(evidence):
            self.find("file", evidence[field], f"evidence[{field}]")
        dispute["evidence"] |= evidence
        details["has_evidence"] = bool(dispute["evidence"])
        if submit != "false":
            details["submission_count"] += 1
            dispute["status"] = dispute["status"].replace("needs_response", "under_review")
        self.tell("charge.dispute.updated", dispute)
        return dispute
