"""A gateway without a bank: deterministic, in tables of its own, behind the same interface."""

from django.db import IntegrityError, transaction
from django.db.models import Sum

from config.ids import uuid7
from payments.gateways.base import (
    Declined,
    MethodUnknown,
    PaymentSnapshot,
    RefundRefused,
    RefundSnapshot,
)
from payments.models import Payment, Refund, SandboxPayment, SandboxRefund

# Stripe's names for its test cards, so that a client's tests need no second set.
METHODS = {
    "pm_card_visa": "",
    "pm_card_mastercard": "",
    "pm_card_amex": "",
    "pm_card_chargeDeclined": "generic_decline",
    "pm_card_chargeDeclinedInsufficientFunds": "insufficient_funds",
    "pm_card_chargeDeclinedExpiredCard": "expired_card",
}


class SandboxGateway:
    name = "sandbox"

    def charge(
        self, *, amount: int, currency: str, payment_method: str, key: str
    ) -> PaymentSnapshot:
        if payment_method not in METHODS:
            raise MethodUnknown(payment_method)
        decline_code = METHODS[payment_method]
        payment = self._once(
            SandboxPayment,
            key,
            id=f"sbx_{uuid7().hex}",
            amount=amount,
            currency=currency,
            payment_method=payment_method,
            decline_code=decline_code,
            captured=0 if decline_code else amount,
        )
        if payment.decline_code:
            raise Declined(payment.decline_code)
        return self._snapshot(payment)

    def fetch_payment(self, external_id: str) -> PaymentSnapshot:
        return self._snapshot(SandboxPayment.objects.get(pk=external_id))

    def refund(self, *, external_id: str, amount: int, key: str) -> RefundSnapshot:
        with transaction.atomic():
            payment = SandboxPayment.objects.select_for_update().get(pk=external_id)
            refund = SandboxRefund.objects.filter(idempotency_key=key).first()
            if refund is None:
                given = payment.refunds.aggregate(total=Sum("amount"))["total"] or 0
                if given + amount > payment.captured:
                    raise RefundRefused(f"only {payment.captured - given} are left")
                refund = SandboxRefund.objects.create(
                    id=f"sbr_{uuid7().hex}", idempotency_key=key, payment=payment, amount=amount
                )
        return self._refund_snapshot(refund)

    @staticmethod
    def _once(model, key: str, **fields):
        try:
            with transaction.atomic():
                return model.objects.create(idempotency_key=key, **fields)
        except IntegrityError:
            return model.objects.get(idempotency_key=key)

    def _snapshot(self, payment: SandboxPayment) -> PaymentSnapshot:
        return PaymentSnapshot(
            external_id=payment.pk,
            amount=payment.amount,
            currency=payment.currency,
            captured=payment.captured,
            status=Payment.Status.FAILED if payment.decline_code else Payment.Status.CAPTURED,
            refunds=tuple(self._refund_snapshot(refund) for refund in payment.refunds.all()),
        )

    @staticmethod
    def _refund_snapshot(refund: SandboxRefund) -> RefundSnapshot:
        return RefundSnapshot(
            refund.pk, refund.amount, Refund.Status.SUCCEEDED, refund.idempotency_key
        )
