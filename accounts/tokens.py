"""Access and refresh tokens: JWTs of simplejwt, grouped by sign-in (`accounts.models.RefreshFamily`).

simplejwt alone does not revoke the other tokens of a sign-in when a refresh token is used again, and
lets two parallel refreshes of one token both succeed. Here the row of the sign-in names the one valid
refresh token, and one UPDATE with that condition replaces it.
"""

import time
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TypeVar

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from rest_framework_simplejwt.exceptions import ExpiredTokenError, TokenError
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, Token
from rest_framework_simplejwt.utils import aware_utcnow

import audit.services as audit
from accounts.errors import TokenExpired, TokenInvalid, TokenReused
from accounts.models import RefreshFamily, User
from audit.actions import AuditAction
from config import ordered

MAX_TOKEN_CHARS = 2048
REMEMBERED = 4096  # verified access tokens in the memory of a process
REFRESH_GRACE = timedelta(seconds=10)
LIFETIME_MAX = timedelta(days=90)  # the longest REFRESH_TOKEN_EXPIRE_DAYS

AnyToken = TypeVar("AnyToken", bound=Token)


@dataclass(frozen=True, slots=True)
class Pair:
    """The tokens of one sign-in. ``expires_in`` is the access token's lifetime in seconds."""

    access: str
    refresh: str
    expires_in: int


def issue(
    user: User, *, network: str = "", user_agent: str = "", family_id: uuid.UUID | None = None
) -> Pair:
    """Start a sign-in and return its first tokens. The caller has verified the user's password.

    ``network`` is that of the request (`accounts.limits`). Of the user agent 200 characters are kept.
    With a ``family_id`` the call is safe to repeat, also at the same moment: a sign-in of the user with
    this id that is there already gives its valid tokens. Raises TokenInvalid if that one is over.
    """
    now = timezone.now()
    fields = {
        "network": network,
        "user_agent": user_agent.replace("\x00", "")[:200],
        "current": uuid.uuid4().hex,
        "expires_at": now + settings.REFRESH_TOKEN_LIFETIME,
    }
    if family_id is None:
        family, is_new = RefreshFamily.objects.create(user=user, **fields), True
    else:
        family, is_new = RefreshFamily.objects.get_or_create(
            pk=family_id, user=user, defaults=fields
        )
    if not is_new and (family.revoked_at is not None or family.expires_at <= now):
        raise TokenInvalid()
    return _pair(family.pk, user.pk, family.current, aware_utcnow())


def rotate(refresh_token: str) -> Pair:
    """Exchange a refresh token for new tokens. The old refresh token is no longer valid.

    Parallel calls with one token, and those within REFRESH_GRACE of the first one, get the same new
    tokens. Another host's clock may be behind this one's by CLOCKS_DIFFER_BY, and two tabs are no theft.
    Raises TokenInvalid, TokenExpired or TokenReused; a TokenReused has also revoked the whole sign-in.
    """
    claims = _read(RefreshToken, refresh_token)
    family_id, jti, successor = _uuid(claims, "fam"), _uuid(claims, "jti").hex, uuid.uuid4().hex
    now, issued_at = timezone.now(), aware_utcnow()
    # The condition names columns of this row only: after a wait for a parallel call, PostgreSQL would
    # not check a joined row again. It need not ask whether the user is active, because a deactivation
    # revokes the user's families.
    replaced = RefreshFamily.objects.filter(
        pk=family_id, current=jti, revoked_at=None, expires_at__gt=now
    ).update(
        current=successor,
        previous=jti,
        rotated_at=issued_at,
        expires_at=now + settings.REFRESH_TOKEN_LIFETIME,
    )
    if replaced:
        return _pair(family_id, _uuid(claims, "sub"), successor, issued_at)
    since = issued_at - REFRESH_GRACE - settings.CLOCKS_DIFFER_BY
    again = RefreshFamily.objects.filter(
        pk=family_id, previous=jti, revoked_at=None, rotated_at__gt=since
    ).first()
    if again is not None and again.rotated_at is not None:
        return _pair(family_id, again.user_id, again.current, again.rotated_at)
    _revoke_if_reused(family_id, jti)
    raise TokenInvalid()


def renew(refresh_token: str) -> Pair:
    """Return new tokens of a refresh token's sign-in without using the refresh token up.

    For a refresh token that never leaves the service. Any number of calls at the same moment succeed,
    where `rotate` would take a late one for a theft. Raises TokenInvalid and TokenExpired.
    """
    claims = _read(RefreshToken, refresh_token)
    family_id, jti, now = _uuid(claims, "fam"), _uuid(claims, "jti").hex, timezone.now()
    live = RefreshFamily.objects.filter(
        pk=family_id, current=jti, revoked_at=None, expires_at__gt=now
    )
    if not live.update(expires_at=now + settings.REFRESH_TOKEN_LIFETIME):
        raise TokenInvalid()
    return _pair(family_id, _uuid(claims, "sub"), jti, aware_utcnow())


def _revoke_if_reused(family_id: uuid.UUID, jti: str) -> None:
    """Revoke the sign-in of a refresh token that was used before, and raise TokenReused.

    Return without a change if the sign-in is unknown or over, or if the token is the valid one.
    """
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


def family_of(refresh_token: str) -> uuid.UUID:
    """Return the id of a refresh token's sign-in. Raises TokenInvalid and TokenExpired."""
    return _uuid(_read(RefreshToken, refresh_token), "fam")


def end(refresh_token: str) -> User | None:
    """Revoke the sign-in of a refresh token. Raises TokenInvalid and TokenExpired.

    Returns the user, or None if the sign-in was already over.
    """
    family_id = _uuid(_read(RefreshToken, refresh_token), "fam")
    family = RefreshFamily.objects.select_related("user").filter(pk=family_id).first()
    ended = RefreshFamily.objects.filter(pk=family_id, revoked_at=None).update(
        revoked_at=timezone.now()
    )
    return family.user if family and ended else None


def live(user: User) -> QuerySet[RefreshFamily]:
    """Return the user's sign-ins whose tokens are valid."""
    return RefreshFamily.objects.filter(user=user, revoked_at=None, expires_at__gt=timezone.now())


def end_one(user: User, family_id: uuid.UUID) -> bool:
    """Revoke one live sign-in of the user. Return whether there was one."""
    return bool(live(user).filter(pk=family_id).update(revoked_at=timezone.now()))


def end_all(user: User) -> int:
    """Revoke all sign-ins of a user and return their number."""
    families = RefreshFamily.objects.filter(user=user, revoked_at=None)
    return ordered.update(families, revoked_at=timezone.now())


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """The user and the sign-in that an access token names, and its first and last second."""

    user_id: uuid.UUID
    family_id: uuid.UUID
    valid_from: int
    expires: int


def read_access(token: str) -> AccessClaims:
    """Verify the signature and the expiry of an access token, and return its claims.

    The caller has to check that the sign-in has not been revoked. Raises TokenInvalid and TokenExpired.
    """
    claims = _remembered(token)
    if claims.valid_from <= time.time() < claims.expires:
        return claims
    return _verified(token)


def _verified(token: str) -> AccessClaims:
    """Return the claims of an access token that is valid now. Raises TokenInvalid and TokenExpired."""
    claims = _read(AccessToken, token)
    return AccessClaims(
        user_id=_uuid(claims, "sub"),
        family_id=_uuid(claims, "fam"),
        valid_from=max(claims["iat"], claims.get("nbf", 0)),
        expires=claims["exp"],
    )


@lru_cache(maxsize=REMEMBERED)
def _remembered(token: str) -> AccessClaims:
    """Return the claims of a token that was valid when this process saw it first.

    Its signature and its content cannot change, so that only its times have to be compared again.
    """
    return _verified(token)


def _read(kind: type[AnyToken], token: str) -> AnyToken:
    """Return a verified token. Raises TokenInvalid and TokenExpired."""
    if len(token) > MAX_TOKEN_CHARS:
        raise TokenInvalid()
    try:
        claims = kind(token)  # type: ignore[arg-type]  # simplejwt says Token, and means its text
    except ExpiredTokenError:
        raise TokenExpired() from None
    except (TokenError, ValueError, TypeError, OverflowError, AttributeError, OSError):
        # Claims of a wrong kind, such as an expiry of 10**20, also raise these errors.
        raise TokenInvalid() from None
    if not _has_sound_times(claims):
        raise TokenInvalid()
    return claims


def _has_sound_times(claims: Token) -> bool:
    """Return whether a token has its times as whole seconds and lives no longer than any of ours.

    PyJWT refuses an ``iat`` of the future, but accepts a token without one, and any kind of number.
    """
    issued, expires = claims.get("iat"), claims.get("exp")
    if any(type(claims.get(name, 0)) is not int for name in ("iat", "exp", "nbf")):
        return False
    return issued is not None and 0 < expires - issued <= LIFETIME_MAX.total_seconds()


def _uuid(token: Token, claim: str) -> uuid.UUID:
    """Return an id that a token holds. Raises TokenInvalid."""
    value = token.get(claim)
    if not isinstance(value, str):
        raise TokenInvalid()
    try:
        return uuid.UUID(value)
    except ValueError:
        raise TokenInvalid() from None


def _pair(family_id: uuid.UUID, user_id: uuid.UUID, jti: str, issued_at: datetime) -> Pair:
    """Return signed tokens of a sign-in: always the same ones for the same arguments.

    ``jti`` is the id of the refresh token.
    """
    refresh, access = RefreshToken(), AccessToken()
    refresh["jti"] = jti
    access["jti"] = uuid.uuid5(family_id, jti).hex
    token: Token
    for token in (refresh, access):
        token.set_iat(at_time=issued_at)
        token.set_exp(from_time=issued_at)
        token["sub"] = str(user_id)
        token["fam"] = str(family_id)
    return Pair(str(access), str(refresh), int(settings.ACCESS_TOKEN_LIFETIME.total_seconds()))
