"""The sandbox passes the tests of payments/tests/contract.py."""

import pytest

pytest.register_assert_rewrite("payments.tests.contract")

from payments.gateways.sandbox import SandboxGateway, charging, checkouts, events  # noqa: E402
from payments.models import SandboxEvent  # noqa: E402
from payments.tests.contract import GatewayContract  # noqa: E402


class SandboxBench:
    currency = "USD"
    methods = {
        "good": "pm_card_visa",
        "declined": "pm_card_chargeDeclined",
        "needs_action": "pm_card_authenticationRequired",
        "pending_refund": "pm_card_pendingRefund",
        "fails_later": "pm_card_chargeCustomerFail",
    }

    def __init__(self):
        self.gateway = SandboxGateway()

    def complete_checkout(self, checkout_id: str) -> None:
        checkouts.pay(checkout_id, "pm_card_visa")

    def open_dispute(self, payment_id: str, amount: int) -> str:
        return charging.open_dispute(payment_id, amount=amount).pk

    def reinstate(self, dispute_id: str, amount: int) -> None:
        charging.close_dispute(dispute_id, reinstated=amount)

    def fail_refund(self, refund_id: str) -> None:
        charging.resolve_refund(refund_id, succeeds=False)

    def signed(self, kind: str, object_id: str) -> tuple[bytes, dict[str, str]]:
        event = SandboxEvent(id=f"sbe_{object_id}", type="x", kind=kind, object_id=object_id)
        return events.message(event)


@pytest.mark.django_db
class TestSandbox(GatewayContract):
    @pytest.fixture
    def bench(self, db):
        return SandboxBench()
