"""API keys: made, read, used and ended (`accounts.models.ApiKey`).

A key is ``vod_<id>_<secret>``: the id in 32 hexadecimal digits, and 256 bits of chance in base64url. A
plain SHA-256 protects it in the database, because nobody can try 2 to the 256th secrets.
"""

import hashlib
import hmac
import re
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import Resolver404, resolve
from django.utils import timezone

import audit.services as audit
from accounts import links, scopes
from accounts.errors import InsufficientScope, KeyInvalid, TooManyKeys
from accounts.models import ApiKey, User
from accounts.scopes import Scope
from audit.actions import AuditAction
from audit.context import via_key
from config import ordered
from config.errors import NotVisible
from config.http import route_name
from config.prepared import Prepared, stored

PREFIX = "vod_"
KEYS_MAX = 50  # live keys of a user
NOTED_EVERY = timedelta(minutes=1)  # how exact last_used_at is
_FORM = re.compile(r"vod_([0-9a-f]{32})_[A-Za-z0-9_-]{43}", re.ASCII)
_KEY = ("digest", "name", "scopes", "last_used_at")
_USER = [field.attname for field in User._meta.concrete_fields]
_LIVE = Prepared(
    lambda key, now: ApiKey.objects.filter(
        Q(expires_at=None) | Q(expires_at__gt=now),
        pk=key,
        revoked_at=None,
        user__is_active=True,
    ).values_list(*_KEY, *(f"user__{name}" for name in _USER), "user__role__name"),
    key=uuid.UUID,
    now=datetime,
)


@dataclass(frozen=True, slots=True)
class KeyClaims:
    """The API key of a request: ``request.auth`` of its view."""

    key_id: uuid.UUID
    user_id: uuid.UUID
    name: str


def is_key(token: str) -> bool:
    """Return whether a bearer token is meant to be an API key. It need not be a valid one."""
    return token.startswith(PREFIX)


def authenticate(token: str, request: HttpRequest) -> tuple[User, KeyClaims]:
    """Return the user of a key that may make this request, and the key. Takes one query.

    Once in NOTED_EVERY a second one notes the use. Raises KeyInvalid, and InsufficientScope, also for
    what no key may do.
    """
    match = _FORM.fullmatch(token)
    if match is None:
        raise KeyInvalid()
    key_id, now = uuid.UUID(match[1]), timezone.now()
    rows = _LIVE.rows(key=key_id, now=now)
    # Without a row the comparison is made too, so that its time does not tell which ids exist.
    digest = rows[0][0] if rows else "0" * 64
    if not hmac.compare_digest(digest, _digest(token)) or not rows:
        raise KeyInvalid()
    _, name, granted, last_used_at, *columns, role = rows[0]
    user = stored(User, _USER, columns)
    user._state.fields_cache["role"] = stored(Group, ("id", "name"), (user.role_id, role))
    # For the activity log, which lists refused requests by their user too.
    request.caller_id = user.pk  # type: ignore[attr-defined]
    needed = scopes.scope_of(request.method or "", _route_of(request))
    if not scopes.allows(granted, needed):
        raise InsufficientScope(needed and needed.value, user.pk)
    if last_used_at is None or last_used_at <= now - NOTED_EVERY:
        ApiKey.objects.filter(pk=key_id).update(last_used_at=now)
    via_key.set({"id": str(key_id), "name": name})
    return user, KeyClaims(key_id, user.pk, name)


def _route_of(request: HttpRequest) -> str:
    """Return the route of a request below /api/v1/, with "*" for its parameters."""
    try:
        match = request.resolver_match or resolve(request.path_info)
    except Resolver404:
        return ""
    return route_name(match.route).removeprefix("/api/v1/")


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def of_user(user: User) -> "QuerySet[ApiKey]":
    """Return the user's keys that were not revoked, including expired keys."""
    return ApiKey.objects.filter(user=user, revoked_at=None)


@transaction.atomic
def create(
    *, user: User, name: str, scopes: Sequence[Scope | str], expires_at: datetime | None = None
) -> tuple[ApiKey, str]:
    """Make a key, and return its row and the key itself, which nothing can show again.

    Raises TooManyKeys if the user has KEYS_MAX live ones.
    """
    links.lock(user.pk)  # two at once must not pass the limit
    live = of_user(user).filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()))
    if live.count() >= KEYS_MAX:
        raise TooManyKeys(
            f"You have {KEYS_MAX} API keys, the most that are allowed. Revoke one first."
        )
    row = ApiKey(user=user, name=name, scopes=[str(each) for each in scopes], expires_at=expires_at)
    key = f"{row.prefix}{secrets.token_urlsafe(32)}"
    row.digest = _digest(key)
    row.save(force_insert=True)
    audit.record(
        actor=user, action=AuditAction.API_KEY_CREATED, target=row, name=name, scopes=row.scopes
    )
    return row, key


@transaction.atomic
def revoke(*, key_id: uuid.UUID, actor: User, of: User | None = None) -> None:
    """End a key at once. ``of`` limits it to the keys of a user. Raises NotVisible for every other id.

    A key that was revoked before is not visible any more, so that a repeat leaves no second entry.
    """
    keys = ApiKey.objects.filter(pk=key_id, revoked_at=None)
    row = (keys.filter(user=of) if of else keys).first()
    if row is None or not keys.update(revoked_at=timezone.now()):
        raise NotVisible()
    audit.record(actor=actor, action=AuditAction.API_KEY_REVOKED, target=row, name=row.name)


def end_all(user: User) -> int:
    """End all keys of a user and return their number. The caller records why."""
    return ordered.update(of_user(user), revoked_at=timezone.now())
