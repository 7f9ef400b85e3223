"""The checks of the sandbox's settings, for `manage.py payments_doctor`."""

import time
from collections.abc import Iterator

from django.conf import settings

from payments.gateways import signatures
from payments.gateways.base import Finding, WebhookRefused


def examine() -> Iterator[Finding]:
    """Yield the findings about the settings for webhook messages."""
    secrets = [secret for secret in settings.SANDBOX_WEBHOOK_SECRETS if secret.strip()]
    yield Finding(
        bool(secrets),
        "SANDBOX_WEBHOOK_SECRETS has a secret to sign webhook messages with",
        "Leave the variable empty: a secret is then derived from SECRET_KEY.",
    )
    yield Finding(
        _accepts_own_message(secrets),
        "the sandbox's own webhook messages are accepted",
        "Set WEBHOOK_TOLERANCE_SECONDS back to 300.",
    )


def _accepts_own_message(secrets: list[str]) -> bool:
    header = signatures.sign(b"{}", secrets[0] if secrets else "", time.time())
    try:
        signatures.verify(b"{}", header, secrets)
    except WebhookRefused:
        return False
    return True
