"""Access and refresh tokens: JWTs by simplejwt, families by us.

simplejwt alone lets a rotated token's family live on after reuse, and two parallel refreshes of one
token both win. Here a token is good while its family row says so, changed by compare-and-set.
"""

import uuid
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from rest_framework_simplejwt.exceptions import ExpiredTokenError, TokenError
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

import audit.services as audit
from accounts.errors import TokenExpired, TokenInvalid, TokenReused
from accounts.models import RefreshFamily, User
from audit.actions import AuditAction

MAX_TOKEN_CHARS = 2048


@dataclass(frozen=True, slots=True)
class Pair:
    access: str
    refresh: str
    expires_in: int


def issue(user: User) -> Pair:
    """Begin a family: a first pair of tokens for a user who has just proved who they are."""
    family = RefreshFamily.objects.create(
        user=user,
        current=uuid.uuid4().hex,
        expires_at=timezone.now() + settings.REFRESH_TOKEN_LIFETIME,
    )
    return _pair(family.pk, user.pk, family.current)


def rotate(refresh_token: str) -> Pair:
    """A new pair for a refresh token, which is dead from then on.

    Raises TokenInvalid, TokenExpired, or TokenReused, which has also revoked the whole family. Of
    any number of parallel calls with one token exactly one wins.
    """
    claims = _read(RefreshToken, refresh_token)
    family_id, jti, successor = _uuid(claims, "fam"), claims.get("jti"), uuid.uuid4().hex
    now = timezone.now()
    # Columns of this row alone: PostgreSQL would not look at a joined condition again after waiting
    # for another winner. Deactivating a user revokes their families.
    won = RefreshFamily.objects.filter(
        pk=family_id, current=jti, revoked_at=None, expires_at__gt=now
    ).update(current=successor, expires_at=now + settings.REFRESH_TOKEN_LIFETIME)
    if won:
        return _pair(family_id, _uuid(claims, "sub"), successor)
    _refuse(family_id, jti)
    raise TokenInvalid()


def _refuse(family_id: uuid.UUID, jti: str) -> None:
    with transaction.atomic():
        family = RefreshFamily.objects.select_related("user").filter(pk=family_id).first()
        if family is None or family.revoked_at is not None or family.current == jti:
            return
        revoked = RefreshFamily.objects.filter(pk=family_id, revoked_at=None).update(
            revoked_at=timezone.now()
        )
        if revoked:
            audit.record(actor=family.user, action=AuditAction.REFRESH_REUSED, target=family.user)
    raise TokenReused()


def end(refresh_token: str) -> User | None:
    """Sign out: the token's family dies. Safe to repeat; returns whose it was, the first time."""
    family_id = _uuid(_read(RefreshToken, refresh_token), "fam")
    family = RefreshFamily.objects.select_related("user").filter(pk=family_id).first()
    ended = RefreshFamily.objects.filter(pk=family_id, revoked_at=None).update(
        revoked_at=timezone.now()
    )
    return family.user if family and ended else None


def end_all(user: User) -> int:
    """Every token of the user dies. Returns how many sign-ins that ended."""
    return RefreshFamily.objects.filter(user=user, revoked_at=None).update(
        revoked_at=timezone.now()
    )


@dataclass(frozen=True, slots=True)
class AccessClaims:
    user_id: uuid.UUID
    family_id: uuid.UUID


def read_access(token: str) -> AccessClaims:
    """What a genuine, unexpired access token says. Whether its family lives is the caller's query."""
    claims = _read(AccessToken, token)
    return AccessClaims(user_id=_uuid(claims, "sub"), family_id=_uuid(claims, "fam"))


def _read(kind: type, token: str):
    if len(token) > MAX_TOKEN_CHARS:
        raise TokenInvalid()
    try:
        return kind(token)
    except ExpiredTokenError:
        raise TokenExpired() from None
    except (TokenError, ValueError, TypeError, OverflowError, AttributeError, OSError):
        # A genuine signature over odd claims (an expiry of 10**20, a list as id) lands here too.
        raise TokenInvalid() from None


def _uuid(claims, name: str) -> uuid.UUID:
    value = claims.get(name)
    try:
        return uuid.UUID(value) if isinstance(value, str) else _not_a_uuid()
    except ValueError:
        raise TokenInvalid() from None


def _not_a_uuid():
    raise TokenInvalid()


def _pair(family_id: uuid.UUID, user_id: uuid.UUID, jti: str) -> Pair:
    refresh, access = RefreshToken(), AccessToken()
    refresh["jti"] = jti
    for token in (refresh, access):
        token["sub"] = str(user_id)
        token["fam"] = str(family_id)
    lifetime = settings.SIMPLE_JWT["ACCESS_TOKEN_LIFETIME"]
    return Pair(str(access), str(refresh), int(lifetime.total_seconds()))
