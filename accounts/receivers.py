"""Reactions of accounts to news of Django."""

from typing import Any

from django.contrib.auth.signals import user_logged_out
from django.dispatch import receiver

import audit.services as audit
from accounts.models import User
from audit.actions import AuditAction


@receiver(user_logged_out, dispatch_uid="accounts.record_sign_out_of_admin_site")
def record_sign_out_of_admin_site(sender: Any, user: Any, **kwargs: Any) -> None:
    """Record that a user has signed out of the admin site. The API does not use Django's sessions."""
    if isinstance(user, User):
        audit.record(actor=user, action=AuditAction.LOGGED_OUT, target=user)
