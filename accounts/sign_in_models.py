"""What a sign-in needs beside the password: second factors, and accounts at other providers."""

from django.conf import settings
from django.db import models
from django.utils import timezone

from config.ids import uuid7


class Totp(models.Model):
    """The second factor of a user: time-based one-time passwords (RFC 6238).

    It is asked for from ``confirmed_at`` on. One that is not confirmed is a set-up that has begun; it
    ends after `accounts.totp.SETUP_LIFETIME`. Only codes of a later time step than ``last_step`` count,
    so that each is good once (RFC 6238, section 5.2).
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="totp"
    )
    sealed_secret = models.TextField("secret, encrypted")
    begun_at = models.DateTimeField("set-up begun (UTC)", default=timezone.now)
    confirmed_at = models.DateTimeField("on since (UTC)", null=True)
    last_step = models.BigIntegerField("time step of the last code", default=0)
    failures = models.PositiveIntegerField("wrong codes in a row", default=0)
    locked_until = models.DateTimeField("takes no codes until (UTC)", null=True)

    class Meta:
        verbose_name = "second factor"
        indexes = [
            # accounts.forgetting: the set-ups that nobody completed.
            models.Index(
                fields=["begun_at"], name="totp_begun", condition=models.Q(confirmed_at=None)
            ),
        ]

    def __str__(self) -> str:
        return f"second factor of {self.user_id}"


class RecoveryCode(models.Model):
    """One of the codes that open an account without the app of its second factor, each once.

    The code has 80 random bits, so its plain SHA-256 hash cannot be guessed from the row.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    totp = models.ForeignKey(Totp, on_delete=models.CASCADE, related_name="recovery_codes")
    digest = models.CharField("SHA-256 of the code", max_length=64)
    used_at = models.DateTimeField("used (UTC)", null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["totp", "digest"], name="recovery_code_once"),
        ]

    def __str__(self) -> str:
        return f"recovery code of {self.totp_id}"


class ProviderIdentity(models.Model):
    """The account of a user at the OpenID Connect provider: who that is, never changes.

    An e-mail address may be given to another person one day; the subject of an issuer is not
    (OpenID Connect Core 1.0, section 5.7).
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="identities"
    )
    issuer = models.CharField(max_length=255)
    subject = models.CharField(max_length=255)
    created_at = models.DateTimeField("linked (UTC)", default=timezone.now, editable=False)

    class Meta:
        verbose_name_plural = "provider identities"
        constraints = [
            models.UniqueConstraint(fields=["issuer", "subject"], name="identity_of_subject"),
            models.UniqueConstraint(fields=["user", "issuer"], name="identity_of_user"),
        ]

    def __str__(self) -> str:
        return f"{self.subject} at {self.issuer}"


class SignInCode(models.Model):
    """A code that hands a sign-in at the provider over to a client of the API, once.

    The code has 256 random bits, so its plain SHA-256 hash cannot be guessed from the row.
    """

    digest = models.CharField("SHA-256 of the code", primary_key=True, max_length=64)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    expires_at = models.DateTimeField("expires (UTC)")
    used_at = models.DateTimeField("used (UTC)", null=True)

    class Meta:
        indexes = [
            # accounts.forgetting: the codes that are over.
            models.Index(fields=["expires_at"], name="code_by_end"),
        ]

    def __str__(self) -> str:
        return f"code of {self.user_id} until {self.expires_at:%Y-%m-%d %H:%M}"
