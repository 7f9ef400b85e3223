from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import Group, PermissionsMixin
from django.db import models, transaction
from django.utils import timezone

import audit.services as audit
from accounts import precis
from accounts.roles import Role
from audit.actions import AuditAction
from config import emails
from config.ids import uuid7
from config.texts import validate_name


class UserManager(BaseUserManager["User"]):
    def get_by_natural_key(self, email: str | None) -> "User":
        """Return the user with this address, however it is written. Raises User.DoesNotExist."""
        user = self.with_address(email or "")
        if user is None:
            raise self.model.DoesNotExist
        return user

    def with_address(self, email: str) -> "User | None":
        """Return the user with this address, however it is written, or None."""
        forms = emails.stored_forms(email)
        found = {user.email: user for user in self.filter(email__in=forms)}
        # Two users only where the migration found two spellings of one address.
        return next((found[form] for form in forms if form in found), None)

    def create_user(
        self,
        email: str,
        password: str | None = None,
        *,
        role: str = Role.VIEWER,
        **fields: Any,
    ) -> "User":
        """Create an active user with one role. Without a password nobody can sign in as this user.

        Raises ValidationError for an address or a password without a normal form, and IntegrityError if
        the address is in use. The role's group is created if it is missing.
        """
        group, _ = Group.objects.get_or_create(name=role)
        user = self.model(
            email=emails.normal(email), role=group, is_staff=role == Role.ADMIN, **fields
        )
        user.set_password(password)
        # A first password is no change of one (accounts.passwords).
        user._password = None  # Django's note for password_changed
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Create an administrator (`manage.py createsuperuser`), and record it."""
        with transaction.atomic():
            fields.setdefault("email_verified", True)  # by the operator, who has the shell
            user = self.create_user(email, password, role=Role.ADMIN, **fields)
            audit.record(
                actor=None, action=AuditAction.USER_REGISTERED, target=user, role=Role.ADMIN.value
            )
        return user


class User(AbstractBaseUser, PermissionsMixin):
    """A person with an account, who signs in with an e-mail address.

    The role is a Django group with named permissions (`accounts.roles`). It is a column and not a group
    membership, so that the database enforces exactly one role and no further query reads it (see
    docs/adr/0001-roles-are-a-column.md). A moderator has the permissions of the group MODERATOR too.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    email = models.EmailField(
        unique=True, max_length=emails.LENGTH_MAX, validators=[emails.validate]
    )
    display_name = models.CharField(max_length=100, blank=True, validators=[validate_name])
    role = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="+")
    is_staff = models.BooleanField("may open the admin site", default=False)
    is_active = models.BooleanField(default=True)
    is_moderator = models.BooleanField("moderates videos", default=False)  # beside the role
    # Somebody who reads this mailbox has said so by a link (accounts.recovery).
    email_verified = models.BooleanField("address verified", default=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    # Since then the user's videos are out of the shop, by a moderator's decision.
    suspended_at = models.DateTimeField("suspended since (UTC)", null=True, editable=False)
    # Sites that may show the user's videos in a frame, where a video names none itself (config.domains).
    embed_domains = models.JSONField("sites that may embed", default=list, blank=True)

    objects = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS = []

    class Meta:
        permissions = [("manage_users", "Can see all users and change their role and status")]
        constraints = [
            models.CheckConstraint(name="user_email_not_empty", condition=~models.Q(email="")),
        ]
        indexes = [
            # GET /users/, newest first.
            models.Index(fields=["-created_at", "-id"], name="user_newest"),
        ]

    def __str__(self) -> str:
        return self.email

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save the row; a new password together with its entry in the log (`accounts.passwords`)."""
        if self._password is None:  # Django's note of a new password
            super().save(*args, **kwargs)
            return
        with transaction.atomic():
            super().save(*args, **kwargs)

    def set_password(self, raw_password: str | None) -> None:
        """Set the password in its normal form, or none. Raises ValidationError if it has no form."""
        form = None if raw_password is None else precis.opaque_string(raw_password)
        super().set_password(form)

    def check_password(self, raw_password: str | None) -> bool:
        """Return whether this is the user's password, on whichever system it was typed.

        A hash of a password that was not in its normal form is replaced by one that is.
        """
        forms = precis.forms(raw_password or "")
        for form in forms:
            if super().check_password(form):
                if form != forms[0]:
                    self.set_password(forms[0])
                    self._password = None  # the password is the same (accounts.passwords)
                    self.save(update_fields=["password"])
                return True
        return False

    @property
    def may_offer(self) -> bool:
        """Whether the user's videos are in the catalogue and the shop."""
        return self.is_active and self.suspended_at is None

    @property
    def readable_email(self) -> str:
        """The address with the letters of its domain, as the user writes it."""
        return emails.readable(self.email)

    @property
    def role_name(self) -> str:
        """A value of `accounts.roles.Role`."""
        return self.role.name

    @property
    def public_name(self) -> str:
        """The name that other users see. It never contains the e-mail address."""
        return self.display_name or f"user-{self.pk.hex[-6:]}"


class RefreshFamily(models.Model):
    """One sign-in, with all tokens that descend from it.

    Only the refresh token with the id ``current`` is valid, for one use. A refresh token that is used
    again may have been stolen, so its use revokes the family with all its refresh and access tokens
    (RFC 9700, section 4.14.2). Only the token ``previous`` may be used again for a few seconds after
    ``rotated_at``, because two tabs of a browser refresh at the same time.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="refresh_families")
    current = models.CharField("id of the valid refresh token", max_length=32)
    previous = models.CharField("id of the refresh token before it", max_length=32, blank=True)
    rotated_at = models.DateTimeField("last refresh (UTC)", null=True)
    network = models.CharField("signed in from this network", max_length=64, blank=True)
    user_agent = models.CharField("signed in with this program", max_length=200, blank=True)
    created_at = models.DateTimeField("signed in (UTC)", default=timezone.now, editable=False)
    expires_at = models.DateTimeField("expires (UTC)")
    revoked_at = models.DateTimeField("ended (UTC)", null=True)

    class Meta:
        verbose_name = "sign-in"
        indexes = [
            # accounts.tokens.end_all: the live sign-ins of a user.
            models.Index(
                fields=["user"], name="family_live", condition=models.Q(revoked_at__isnull=True)
            ),
            # accounts.forgetting: the sign-ins that are over.
            models.Index(fields=["expires_at"], name="family_by_end"),
        ]

    def __str__(self) -> str:
        return f"sign-in of {self.user_id} at {self.created_at:%Y-%m-%d %H:%M}"


class MailedLink(models.Model):
    """A request for a link that is mailed to a person, and the one use of that link.

    The row of a forgotten password is the same for every address; the worker finds out whether it has
    an account (`accounts.links`). The token of the link is made from the row's id and a key of the
    service, when the mail is sent, so neither the row nor the stored mail holds it.
    """

    class Purpose(models.TextChoices):
        RESET_PASSWORD = "reset_password", "set a new password"
        VERIFY_EMAIL = "verify_email", "verify the address"
        CHANGE_EMAIL = "change_email", "change to this address"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    purpose = models.CharField(max_length=20, choices=Purpose.choices)
    # A request for a forgotten password has the address as it was sent, and no user before the worker
    # has searched the account.
    email = models.CharField("mailed to", max_length=emails.LENGTH_MAX)
    user = models.ForeignKey(User, on_delete=models.CASCADE, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField("expires (UTC)")
    mailed_at = models.DateTimeField("taken by the worker (UTC)", null=True)
    ended_at = models.DateTimeField("used or replaced (UTC)", null=True)

    class Meta:
        indexes = [
            # accounts.links.prepare_due: the requests that the worker has not seen.
            models.Index(
                fields=["id"], name="link_waiting", condition=models.Q(mailed_at__isnull=True)
            ),
            # accounts.links: the links that one address got in the last hour.
            models.Index(fields=["email", "mailed_at"], name="link_by_address"),
            # accounts.links.end_all: the live links of a user.
            models.Index(
                fields=["user"], name="link_live", condition=models.Q(ended_at__isnull=True)
            ),
            # accounts.forgetting: the links that are over.
            models.Index(fields=["expires_at"], name="link_by_end"),
        ]

    def __str__(self) -> str:
        return f"{self.purpose} of {self.created_at:%Y-%m-%d %H:%M}"


class ApiKey(models.Model):
    """A key with which a server or a script of a user calls the API, without a sign-in.

    The key is shown once, when it is made; the row has only the SHA-256 of it. It may do what its scopes
    say (`accounts.scopes`), and never more than its user may. A key that is over stays for a while, so
    that a name in the audit log can be looked up (`accounts.forgetting`).
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=60, validators=[validate_name])
    scopes = models.JSONField(default=list)
    digest = models.CharField("SHA-256 of the key", max_length=64, editable=False)
    created_at = models.DateTimeField("made (UTC)", default=timezone.now, editable=False)
    last_used_at = models.DateTimeField("last used (UTC)", null=True)  # to the minute
    expires_at = models.DateTimeField("expires (UTC)", null=True)
    revoked_at = models.DateTimeField("revoked (UTC)", null=True)

    class Meta:
        verbose_name = "API key"
        indexes = [
            # accounts.api_keys: the keys of a user that are not revoked.
            models.Index(
                fields=["user"], name="key_live", condition=models.Q(revoked_at__isnull=True)
            ),
            # accounts.forgetting: the keys that are over.
            models.Index(fields=["revoked_at"], name="key_by_end"),
            models.Index(fields=["expires_at"], name="key_by_expiry"),
        ]

    def __str__(self) -> str:
        return f"API key {self.name}"

    @property
    def prefix(self) -> str:
        """The beginning of the key, by which its owner recognises it."""
        return f"vod_{self.pk.hex}_"


class Erasure(models.Model):
    """The erasure of an account: begun when the row is written, and over at ``finished_at``.

    The user has a pseudonym from the first moment on. Until the end, the row holds the former address
    and name, by which the other rows are searched. ``not_before`` is the next attempt, and the lease of
    the one that is under way.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.OneToOneField(User, on_delete=models.PROTECT, related_name="erasure")
    email = models.CharField("former address", max_length=emails.LENGTH_MAX, blank=True)
    display_name = models.CharField("former name", max_length=100, blank=True)
    asked_by = models.ForeignKey(
        User,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        help_text="Empty: the operator.",
    )
    asked_at = models.DateTimeField("begun (UTC)", default=timezone.now, editable=False)
    not_before = models.DateTimeField("next attempt not before (UTC)", default=timezone.now)
    attempts = models.PositiveIntegerField(default=0)
    finished_at = models.DateTimeField("ended (UTC)", null=True)

    class Meta:
        indexes = [
            # accounts.erasing.go_on
            models.Index(
                fields=["not_before"],
                name="erasure_waiting",
                condition=models.Q(finished_at__isnull=True),
            ),
        ]
        constraints = [
            models.CheckConstraint(
                name="erasure_forgets",
                condition=models.Q(finished_at__isnull=True) | models.Q(email="", display_name=""),
            ),
        ]

    def __str__(self) -> str:
        return f"erasure of {self.user_id}"


# Django looks for models in this module.
from accounts.sign_in_models import ProviderIdentity, RecoveryCode, SignInCode, Totp  # noqa: E402, F401
