"""Next actions of payers, refunds and disputes in the API."""

from rest_framework import serializers

from config.api.fields import MoneyField
from payments.models import Dispute


class NextActionSerializer(serializers.Serializer):
    type = serializers.CharField(help_text="`redirect` or `authenticate`: send the buyer to `url`.")
    url = serializers.CharField()
    client_secret = serializers.CharField(allow_null=True)


class RefundSerializer(serializers.Serializer):
    amount = MoneyField(
        required=False, help_text="Leave it out to refund the whole remaining amount."
    )
    reason = serializers.CharField(max_length=200, required=False, allow_blank=True, default="")


class GatewayConfigSerializer(serializers.Serializer):
    gateway = serializers.CharField()
    sandbox = serializers.BooleanField()
    publishable_key = serializers.CharField(allow_null=True)
    currencies = serializers.ListField(child=serializers.CharField())
    default_currency = serializers.CharField()


class PaymentMoneyField(MoneyField):
    """An amount in the currency of the payment that the row belongs to."""

    def get_attribute(self, instance):
        return getattr(instance, self.source_attrs[-1]), instance.payment.currency


class DisputeSerializer(serializers.ModelSerializer):
    """A dispute. The bank holds ``withdrawn`` minus ``reinstated`` now."""

    status = serializers.CharField(read_only=True)
    gateway = serializers.CharField(source="payment.gateway", read_only=True)
    order_id = serializers.UUIDField(source="payment.order_id", read_only=True, allow_null=True)
    currency = serializers.CharField(source="payment.currency", read_only=True)
    amount = PaymentMoneyField(read_only=True)
    withdrawn = PaymentMoneyField(read_only=True)
    reinstated = PaymentMoneyField(read_only=True)
    fee = PaymentMoneyField(read_only=True)

    class Meta:
        model = Dispute
        fields = [
            "id", "payment_id", "order_id", "gateway", "external_id", "status", "reason", "amount",
            "withdrawn", "reinstated", "fee", "currency", "evidence_due", "created_at",
        ]  # fmt: skip
        read_only_fields = fields
