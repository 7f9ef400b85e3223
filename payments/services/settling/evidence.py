"""Evidence against disputes: a draft of texts and files, submitted to the buyer's bank once."""

import uuid
from collections.abc import Mapping
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

import audit.services as audit
from accounts.models import User
from audit.actions import AuditAction
from config.errors import NotVisible
from payments import gateways, locks, modes
from payments.errors import (
    DisputeClosed,
    EvidenceDueOver,
    EvidenceEmpty,
    EvidenceFileRefused,
    EvidenceRefused,
    EvidenceSubmitted,
    EvidenceTooLong,
    GatewayUnavailable,
    OfEarlierMode,
    PaymentsClosed,
)
from payments.gateways.base import EvidenceNotTaken, NotThere
from payments.gateways.translation import translate_errors
from payments.models import Dispute, DisputeEvidence
from payments.services.settling.facts import sync_payment

Status = DisputeEvidence.Status
# Stripe's fields, without those about shipping: a video is never shipped.
# https://docs.stripe.com/api/disputes/evidence_object
TEXTS = (
    "product_description", "access_activity_log", "customer_name", "customer_email_address",
    "customer_purchase_ip", "billing_address", "service_date", "refund_policy_disclosure",
    "refund_refusal_explanation", "cancellation_policy_disclosure", "cancellation_rebuttal",
    "duplicate_charge_explanation", "duplicate_charge_id", "uncategorized_text",
)  # fmt: skip
FILES = (
    "receipt", "customer_communication", "service_documentation", "refund_policy",
    "cancellation_policy", "customer_signature", "duplicate_charge_documentation",
    "uncategorized_file",
)  # fmt: skip
# Stripe's limits: https://docs.stripe.com/disputes/responding and https://docs.stripe.com/file-upload
TEXT_MAX, TEXTS_MAX = 20_000, 150_000  # characters of one text, and of all together
FILE_MAX, FILES_MAX = 5 * 1024**2, 4_500_000  # bytes of one file, and of all together
# The first bytes of the types of files that Stripe takes.
TYPES = {
    b"%PDF-": "application/pdf",
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
}
# A submission without an answer for so long was lost, or its process died: it is made again.
REPEAT_AFTER = timedelta(minutes=1)

# What the functions below can raise beside NotVisible, for the API document.
REFUSALS_OF_CHANGE = (
    DisputeClosed, EvidenceDueOver, EvidenceSubmitted, EvidenceTooLong, OfEarlierMode,
)  # fmt: skip
REFUSALS_OF_FILE = (*REFUSALS_OF_CHANGE, EvidenceFileRefused, GatewayUnavailable, PaymentsClosed)
REFUSALS_OF_SUBMIT = (
    *REFUSALS_OF_CHANGE, EvidenceEmpty, EvidenceRefused, GatewayUnavailable, PaymentsClosed,
)  # fmt: skip


def of(dispute: Dispute) -> DisputeEvidence:
    """Return the evidence of a dispute; an empty draft, which is not stored, if it has none."""
    return DisputeEvidence.objects.filter(dispute=dispute).first() or DisputeEvidence(
        dispute=dispute
    )


def refusal(dispute: Dispute, evidence: DisputeEvidence) -> Exception | None:
    """Return the reason why the evidence of a dispute cannot change any more; None if it can."""
    if modes.is_over(dispute.payment.created_at):
        return OfEarlierMode()
    if evidence.status != Status.DRAFT or dispute.submissions:
        return EvidenceSubmitted()
    if dispute.status in {Dispute.Status.WON, Dispute.Status.LOST}:
        return DisputeClosed()
    if dispute.status == Dispute.Status.UNDER_REVIEW:
        return EvidenceSubmitted()
    if dispute.evidence_due is not None and dispute.evidence_due <= timezone.now():
        return EvidenceDueOver()
    return None


def save_draft(*, dispute_id: uuid.UUID, texts: Mapping[str, str], actor: User) -> DisputeEvidence:
    """Change texts of the draft; an empty one is removed. Raises what REFUSALS_OF_CHANGE names."""
    with transaction.atomic():
        evidence = _locked(dispute_id)
        changed = {
            name: text for name, text in texts.items() if text != evidence.texts.get(name, "")
        }
        if not changed:
            return evidence
        evidence.texts = {k: v for k, v in {**evidence.texts, **changed}.items() if v}
        if sum(map(len, evidence.texts.values())) > TEXTS_MAX:
            raise EvidenceTooLong()
        return _changed(evidence, actor, sorted(changed))


def put_file(
    *, dispute_id: uuid.UUID, name: str, file_name: str, content: bytes, actor: User
) -> DisputeEvidence:
    """Upload a file to the gateway as the evidence's field ``name``, in the place of an earlier one.

    Raises what REFUSALS_OF_FILE names, and NotVisible for a field that holds no file. Call it outside
    of any transaction.
    """
    if name not in FILES:
        raise NotVisible()
    media_type = next((kind for start, kind in TYPES.items() if content.startswith(start)), "")
    if not media_type:
        raise EvidenceFileRefused(
            "Evidence is a PDF, PNG or JPEG file. Send a file of such a type."
        )
    if len(content) > FILE_MAX:
        raise EvidenceFileRefused("The file is larger than 5 MB. Send a smaller one.")
    with transaction.atomic():
        evidence = _locked(dispute_id)
        _check_room(evidence, name, len(content))
    gateway = gateways.by_name(evidence.dispute.payment.gateway)
    file_name = f"{name}{file_name[-60:]}" if "." not in file_name else file_name[-100:]
    with translate_errors():
        try:
            file_id = gateway.upload_evidence(
                name=file_name, content=content, media_type=media_type
            )
        except EvidenceNotTaken as refused:
            raise EvidenceFileRefused(f"The gateway refuses this file: {refused}") from None
    with transaction.atomic():
        evidence = _locked(dispute_id)
        _check_room(evidence, name, len(content))
        file = {"id": file_id, "name": file_name, "size": len(content)}
        evidence.files = {**evidence.files, name: file}
        return _changed(evidence, actor, [name])


def remove_file(*, dispute_id: uuid.UUID, name: str, actor: User) -> DisputeEvidence:
    """Leave a file out of the draft. Safe to repeat. Raises what REFUSALS_OF_CHANGE names."""
    with transaction.atomic():
        evidence = _locked(dispute_id)
        if name not in evidence.files:
            return evidence
        evidence.files = {k: v for k, v in evidence.files.items() if k != name}
        return _changed(evidence, actor, [name])


def submit(*, dispute_id: uuid.UUID, actor: User) -> DisputeEvidence:
    """Submit the draft to the buyer's bank, once; it can never be changed afterwards.

    Raises what REFUSALS_OF_SUBMIT names. After GatewayUnavailable the follow-ups submit it. Call it
    outside of any transaction.
    """
    with transaction.atomic():
        evidence = _locked(dispute_id)
        if not evidence.fields:
            raise EvidenceEmpty()
        gateways.require_open()
        evidence.status, evidence.submitted_by = Status.SUBMITTING, actor
        evidence.changed_at = timezone.now()
        evidence.save()
    submit_at_gateway(evidence, is_repeat=False)
    evidence.refresh_from_db()
    return evidence


def submit_at_gateway(evidence: DisputeEvidence, *, is_repeat: bool = True) -> None:
    """Make a submission at the gateway, and take over the dispute's state. Safe to repeat.

    A repeat of a submission without an answer may be refused because the first one has succeeded.
    Raises GatewayUnavailable; EvidenceRefused when the gateway does not take it, and OfEarlierMode: it
    is a draft again then. Call it outside of any transaction.
    """
    payment = evidence.dispute.payment
    if modes.is_over(payment.created_at):
        DisputeEvidence.objects.filter(pk=evidence.pk).update(status=Status.DRAFT)
        raise OfEarlierMode()
    gateway = gateways.by_name(payment.gateway)
    refused = ""
    with translate_errors():
        try:
            gateway.submit_evidence(
                external_id=evidence.dispute.external_id, fields=evidence.fields, key=evidence.key
            )
        except EvidenceNotTaken as error:
            refused = f"The gateway does not take this evidence: {error} Correct the draft."
        except NotThere:
            refused = (
                f"The gateway ({gateway.name}) does not have this dispute any more, so no evidence was"
                " submitted. Look for it on the gateway's own pages."
            )
        sync_payment(gateway=payment.gateway, external_id=payment.external_id)
    with transaction.atomic():
        locks.lock_payment(pk=payment.pk)
        row = DisputeEvidence.objects.select_related("dispute", "submitted_by").get(pk=evidence.pk)
        if row.status != Status.SUBMITTING:
            return
        if refused and not (is_repeat and row.dispute.submissions):
            row.status, row.attempt = Status.DRAFT, row.attempt + 1
        else:
            row.status, row.submitted_at = Status.SUBMITTED, timezone.now()
            audit.record(
                actor=row.submitted_by,
                action=AuditAction.EVIDENCE_SUBMITTED,
                target=row.dispute,
                fields=sorted(row.fields),
            )
        row.changed_at = timezone.now()
        row.save()
    if row.status == Status.DRAFT:
        raise EvidenceRefused(refused)


def due_submissions() -> list[DisputeEvidence]:
    """Return up to 100 submissions that have had no answer for a minute."""
    lost = DisputeEvidence.objects.filter(
        status=Status.SUBMITTING, changed_at__lt=timezone.now() - REPEAT_AFTER
    )
    return list(lost.select_related("dispute__payment").order_by("changed_at")[:100])


def _locked(dispute_id: uuid.UUID) -> DisputeEvidence:
    """Lock a dispute by its payment and return its evidence, which can change.

    Raises NotVisible, and the reason why it cannot change any more.
    """
    dispute = Dispute.objects.filter(pk=dispute_id).first()
    if dispute is None:
        raise NotVisible()
    locks.lock_payment(pk=dispute.payment_id)
    dispute = Dispute.objects.select_related("payment").get(pk=dispute_id)
    evidence = of(dispute)
    evidence.dispute = dispute
    if (reason := refusal(dispute, evidence)) is not None:
        raise reason
    return evidence


def _check_room(evidence: DisputeEvidence, name: str, size: int) -> None:
    others = sum(file["size"] for field, file in evidence.files.items() if field != name)
    if others + size > FILES_MAX:
        raise EvidenceFileRefused(
            "The files are larger than 4.5 MB together. Send a smaller one, or remove another."
        )


def _changed(evidence: DisputeEvidence, actor: User, fields: list[str]) -> DisputeEvidence:
    evidence.changed_at = timezone.now()
    evidence.save()
    audit.record(
        actor=actor, action=AuditAction.EVIDENCE_CHANGED, target=evidence.dispute, fields=fields
    )
    return evidence
