"""The states of payments, refunds and disputes at a gateway, also to be had from `gateways.base`."""

from dataclasses import dataclass
from datetime import datetime

from payments.models import Dispute, Payment, Refund


@dataclass(frozen=True, slots=True)
class RefundSnapshot:
    """The state of one refund at the gateway."""

    external_id: str
    amount: int
    status: Refund.Status
    key: str = (
        ""  # the idempotency key of our request; empty for a refund made by hand at the gateway
    )


@dataclass(frozen=True, slots=True)
class DisputeSnapshot:
    """The state of one dispute at the gateway.

    ``withdrawn`` and ``reinstated`` are the sums that really left and came back; an inquiry moves none.
    All amounts are in the payment's currency; ``fee`` is 0 if the gateway took it in another one.
    """

    external_id: str
    amount: int
    withdrawn: int
    reinstated: int
    status: Dispute.Status
    fee: int = 0
    reason: str = ""
    evidence_due: datetime | None = None
    submissions: int = 0  # of evidence


@dataclass(frozen=True, slots=True)
class ConversionSnapshot:
    """One movement of a payment's money on the gateway's balance, which is in another currency.

    ``amount`` and ``fee`` are in ``currency``, ``presented`` in the payment's own. Money that comes in
    is positive, and money that goes out negative; the fee is a cost if it is positive.
    """

    external_id: str
    currency: str
    amount: int
    fee: int
    presented: int


@dataclass(frozen=True, slots=True)
class PaymentSnapshot:
    """The state of one payment at the gateway, with all its refunds and disputes."""

    external_id: str
    amount: int
    currency: str
    captured: int
    status: Payment.Status
    refunds: tuple[RefundSnapshot, ...] = ()
    disputes: tuple[DisputeSnapshot, ...] = ()
    conversions: tuple[ConversionSnapshot, ...] = ()
    # The gateway's fee in the payment's currency; 0 also while the gateway has not reported one.
    fee: int = 0
    order_id: str = ""  # the id of our order, for a payment of an order
    invoice_id: str = ""  # the gateway's id of the invoice, for a payment of a subscription
    subscription_id: str = ""  # the gateway's id of the subscription of that invoice
    action_url: str = ""  # the page where the buyer authenticates, with the status requires_action
    decline_code: str = ""  # the bank's reason, with the status failed
