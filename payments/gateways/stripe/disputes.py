"""Evidence against disputes at Stripe. The functions raise the SDK's errors beside EvidenceNotTaken."""

import io
from collections.abc import Mapping
from typing import cast

import stripe
from stripe.params import DisputeUpdateParamsEvidence

from payments.gateways.base import EvidenceNotTaken
from payments.gateways.stripe.client import with_key, with_new_key


class _NamedFile(io.BytesIO):
    """The bytes of a file, with the name that the SDK sends."""

    def __init__(self, name: str, content: bytes) -> None:
        super().__init__(content)
        self.name = name


def upload(client: stripe.StripeClient, *, name: str, content: bytes, media_type: str) -> str:
    """Upload a file: see `Gateway.upload_evidence`. Stripe itself recognises the media type."""
    try:
        file = client.v1.files.create(
            {"file": _NamedFile(name, content), "purpose": "dispute_evidence"}, with_new_key()
        )
    except stripe.InvalidRequestError as error:
        raise EvidenceNotTaken(_sentence(error)) from error
    return file.id


def submit(
    client: stripe.StripeClient, external_id: str, fields: Mapping[str, str], *, key: str
) -> None:
    """Submit evidence: see `Gateway.submit_evidence`."""
    try:
        client.v1.disputes.update(
            external_id,
            {"evidence": cast(DisputeUpdateParamsEvidence, dict(fields)), "submit": True},
            with_key(key),
        )
    except stripe.InvalidRequestError as error:
        is_missing = error.code == "resource_missing"
        if is_missing and not (error.param or "").startswith("evidence"):
            raise
        raise EvidenceNotTaken(_sentence(error)) from error


def _sentence(error: stripe.InvalidRequestError) -> str:
    return f"{str(error.user_message or 'no reason was given').rstrip('.')}."
