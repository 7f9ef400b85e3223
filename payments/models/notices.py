from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone


class Notice(models.Model):
    """One mail to a user, about money or about the safety of the account, and whether it was sent.

    It is written in the transaction of the change that it reports, and sent after it (an outbox). It
    waits, is sent (``sent_at``), or was given up for ``failure`` (``failed_at``).
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    # Empty: the address that the user has when the mail is sent.
    address = models.CharField("to another address", max_length=254, blank=True)
    # accounts.MailedLink whose address stands in the mail in place of LINK. The body never holds it.
    link_id = models.UUIDField(null=True)
    subject = models.CharField(max_length=200)
    body = models.TextField()
    # The same as HTML, until it is sent: it is several times as long, and the text says as much.
    html = models.TextField(blank=True, db_default="")
    dedupe_key = models.CharField(max_length=120, unique=True)
    created_at = models.DateTimeField(default=timezone.now)
    attempts = models.PositiveIntegerField(default=0)
    not_before = models.DateTimeField("next attempt not before (UTC)", db_default=Now())
    sent_at = models.DateTimeField("sent (UTC)", null=True)
    failed_at = models.DateTimeField("given up (UTC)", null=True)
    failure = models.CharField("why the last attempt failed", max_length=300, blank=True)

    class Meta:
        indexes = [
            # payments.services.notices.sending: the mails that are due.
            models.Index(
                fields=["not_before"],
                name="notice_waiting",
                condition=Q(sent_at=None, failed_at=None),
            ),
        ]

    def __str__(self) -> str:
        return self.dedupe_key
