import unicodedata

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import Group, PermissionsMixin
from django.db import models
from django.utils import timezone

from accounts.roles import Role
from config.ids import uuid7


def normal_email(text: str) -> str:
    """The one form of an address: what a person would call the same address is the same text."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    # Folding can undo the normal form; the second round makes the result its own normal form.
    return unicodedata.normalize("NFKC", folded).casefold().strip().rstrip(".")


class UserManager(BaseUserManager):
    def get_by_natural_key(self, email):
        return self.get(email=normal_email(email))

    def create_user(self, email: str, password: str | None = None, *, role=Role.VIEWER, **fields):
        """An active user with one role; the role's group is made when it is missing."""
        group, _ = Group.objects.get_or_create(name=role)
        user = self.model(
            email=normal_email(email), role=group, is_staff=role == Role.ADMIN, **fields
        )
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields):
        return self.create_user(email, password, role=Role.ADMIN, **fields)


class User(AbstractBaseUser, PermissionsMixin):
    """Somebody who signs in with an e-mail address.

    The role is a Django group with named permissions (`accounts.roles`). It is a column, not one of
    many memberships, so that the database holds that everybody has exactly one, and so that it comes
    with the row. ``groups`` holds what stands beside the role (MODERATOR).
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    email = models.EmailField(unique=True, max_length=254)
    display_name = models.CharField(max_length=100, blank=True)
    role = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="+")
    is_staff = models.BooleanField("may open the admin site", default=False)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
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

    def __str__(self):
        return self.email

    @property
    def role_name(self) -> str:
        return self.role.name

    @property
    def public_name(self) -> str:
        """What others see: never the address."""
        return self.display_name or f"user-{self.pk.hex[-6:]}"


class RefreshFamily(models.Model):
    """One sign-in, and all tokens that come from it.

    Only the refresh token named by ``current`` is good, once. A token of the family that is used
    again was stolen or replayed: the family dies, and every access token of it with it (RFC 9700,
    section 4.14.2).
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="refresh_families")
    current = models.CharField(max_length=32)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "refresh families"
        indexes = [
            # Revoking everything a user has.
            models.Index(
                fields=["user"], name="family_live", condition=models.Q(revoked_at__isnull=True)
            ),
        ]

    def __str__(self):
        return f"sign-in of {self.user_id} at {self.created_at:%Y-%m-%d %H:%M}"
