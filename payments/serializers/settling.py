"""Next actions of payers, refunds and disputes in the API."""

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from config.api.fields import MoneyField
from payments import examples
from payments.models import Dispute, DisputeEvidence
from payments.services.settling import evidence

NEXT_ACTIONS = (
    ("redirect", "pay on the gateway's hosted page"),
    ("authenticate", "confirm the payment at the bank"),
)


class NextActionSerializer(serializers.Serializer):
    """The payer's next step: send their browser to ``url``."""

    type = serializers.ChoiceField(choices=NEXT_ACTIONS)
    url = serializers.CharField()
    client_secret = serializers.CharField(
        allow_null=True, help_text="Always null: the page at `url` needs no library in the browser."
    )


@extend_schema_serializer(
    examples=[
        examples.sent("In part", {"amount": "5.00", "reason": "The sound was broken."}),
        examples.sent("In full", {}),
    ]
)
class RefundSerializer(serializers.Serializer):
    """How much is given back, and why."""

    amount = MoneyField(
        required=False, help_text="Leave it out to refund the whole remaining amount."
    )
    reason = serializers.CharField(
        max_length=200, required=False, allow_blank=True, default="", help_text="For the records."
    )


@extend_schema_serializer(examples=[examples.answered("Sandbox", examples.CONFIG)])
class GatewayConfigSerializer(serializers.Serializer):
    """The settings that a checkout page needs."""

    gateway = serializers.CharField()
    sandbox = serializers.BooleanField(help_text="Whether no real money moves.")
    publishable_key = serializers.CharField(
        allow_null=True, help_text="The gateway's key for browsers; null for the sandbox."
    )
    currencies = serializers.ListField(child=serializers.CharField())
    default_currency = serializers.CharField()


class PaymentMoneyField(MoneyField):
    """An amount in the currency of the payment that the row belongs to."""

    def get_attribute(self, instance):
        return getattr(instance, self.source_attrs[-1]), instance.payment.currency


@extend_schema_serializer(examples=[examples.answered("Open", examples.DISPUTE)])
class DisputeSerializer(serializers.ModelSerializer):
    """A dispute. The bank holds ``withdrawn`` minus ``reinstated`` now."""

    gateway = serializers.CharField(source="payment.gateway", read_only=True)
    order_id = serializers.UUIDField(source="payment.order_id", read_only=True, allow_null=True)
    currency = serializers.CharField(source="payment.currency", read_only=True)
    amount = PaymentMoneyField(read_only=True)
    withdrawn = PaymentMoneyField(read_only=True)
    reinstated = PaymentMoneyField(read_only=True)
    fee = PaymentMoneyField(
        read_only=True, help_text="0 if the gateway took it in another currency: see the books."
    )
    evidence_status = serializers.ChoiceField(
        choices=DisputeEvidence.Status.choices,
        source="evidence.status",
        default=None,
        read_only=True,
        allow_null=True,
        help_text="Null without evidence of this service.",
    )

    class Meta:
        model = Dispute
        fields = [
            "id", "payment_id", "order_id", "gateway", "external_id", "status", "reason", "amount",
            "withdrawn", "reinstated", "fee", "currency", "evidence_due", "evidence_status",
            "created_at",
        ]  # fmt: skip
        read_only_fields = fields


class EvidenceFileSerializer(serializers.Serializer):
    """A file of the evidence. Its bytes lie at the gateway."""

    field = serializers.ChoiceField(choices=evidence.FILES)
    name = serializers.CharField()
    size = serializers.IntegerField(help_text="Bytes.")


@extend_schema_serializer(examples=[examples.answered("Draft", examples.EVIDENCE)])
class EvidenceSerializer(serializers.Serializer):
    """What is answered to a dispute."""

    dispute_id = serializers.UUIDField()
    status = serializers.ChoiceField(choices=DisputeEvidence.Status.choices)
    is_open = serializers.SerializerMethodField(help_text="Whether it can still be changed.")
    evidence_due = serializers.DateTimeField(source="dispute.evidence_due", allow_null=True)
    submitted_at = serializers.DateTimeField(allow_null=True)
    texts = serializers.DictField(child=serializers.CharField())
    files = serializers.SerializerMethodField()

    def get_is_open(self, row) -> bool:
        return evidence.refusal(row.dispute, row) is None

    @extend_schema_field(EvidenceFileSerializer(many=True))
    def get_files(self, row) -> list[dict]:
        return [
            {"field": field, "name": file["name"], "size": file["size"]}
            for field, file in sorted(row.files.items())
        ]


class EvidenceTextsSerializer(serializers.Serializer):
    """Texts of the draft, by Stripe's names. A text that is left out stays; an empty one is removed."""

    def get_fields(self):
        return {
            name: serializers.CharField(
                max_length=evidence.TEXT_MAX, required=False, allow_blank=True
            )
            for name in evidence.TEXTS
        }


class EvidenceUploadSerializer(serializers.Serializer):
    """A file of the evidence."""

    file = serializers.FileField(
        help_text="A PDF, PNG or JPEG of at most 5 MB; all files together have at most 4.5 MB."
    )
