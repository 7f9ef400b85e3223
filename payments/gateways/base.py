"""What a payment gateway must be able to do, whoever it is."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class RefundSnapshot:
    external_id: str
    amount: int
    status: str  # a Refund.Status
    key: str = ""  # the idempotency key it was asked for with; a refund of ours knows itself by it


@dataclass(frozen=True, slots=True)
class PaymentSnapshot:
    """What the gateway says of one payment now. Amounts in minor units."""

    external_id: str
    amount: int
    currency: str
    captured: int
    status: str  # a Payment.Status
    refunds: tuple[RefundSnapshot, ...] = ()


class Declined(Exception):
    """The bank said no. Nothing was charged."""

    def __init__(self, decline_code: str):
        super().__init__(decline_code)
        self.decline_code = decline_code


class MethodUnknown(Exception):
    """There is no such payment method."""


class RefundRefused(Exception):
    """The gateway will not give back this amount."""


class Gateway(Protocol):
    """Every call that changes something takes an idempotency key: repeating it changes nothing more.

    Never called inside a transaction. Raises OSError when the gateway does not answer: the outcome
    is then unknown, and the same call with the same key finds it out.
    """

    name: str

    def charge(
        self, *, amount: int, currency: str, payment_method: str, key: str
    ) -> PaymentSnapshot:
        """Capture at once. Raises Declined or MethodUnknown."""

    def fetch_payment(self, external_id: str) -> PaymentSnapshot:
        """The truth about a payment."""

    def refund(self, *, external_id: str, amount: int, key: str) -> RefundSnapshot:
        """Give back part or all of a capture. Raises RefundRefused."""
