from datetime import datetime
from uuid import UUID

from django.contrib.auth.models import Group
from django.utils import timezone
from rest_framework import HTTP_HEADER_ENCODING
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from accounts import api_keys, scopes, tokens, totp
from accounts.errors import InsufficientScope, TokenExpired, TokenInvalid, TotpSetupRequired
from accounts.models import RefreshFamily, User
from audit.context import via_key
from config import log_context
from config.headers import BEARER
from config.prepared import Prepared, stored

_COLUMNS = [field.attname for field in User._meta.concrete_fields]
# The user of a live sign-in, and the name of the user's role.
_SIGNED_IN = Prepared(
    lambda family, user, now: RefreshFamily.objects.filter(
        pk=family, user_id=user, revoked_at=None, expires_at__gt=now, user__is_active=True
    ).values_list(*(f"user__{name}" for name in _COLUMNS), "user__role__name"),
    family=UUID,
    user=UUID,
    now=datetime,
)


class BearerAuthentication(BaseAuthentication):
    """``Authorization: Bearer <access token or API key>`` (RFC 6750).

    A token is valid while its sign-in (`RefreshFamily`) is. Signing out, a new password and a
    deactivation therefore take effect at once. The role comes from the user's row and not from the
    token. All of this is one query. An API key (`accounts.api_keys`) is valid until it expires or is
    revoked, and is refused here for what its scopes do not allow.
    """

    def authenticate(
        self, request: Request
    ) -> tuple[User, tokens.AccessClaims | api_keys.KeyClaims] | None:
        """Return the user and the token's claims, or None without a token.

        Raises TokenInvalid, TokenExpired, InsufficientScope, and TotpSetupRequired
        (TOTP_REQUIRED_FOR_ADMINS).
        """
        via_key.set(None)
        token = bearer_token(request)
        if token is None:
            return None
        if api_keys.is_key(token):
            owner, key = api_keys.authenticate(token, request._request)
            log_context.user_id.set(str(owner.pk))
            _refuse_without_second_factor(request, owner)
            return owner, key
        claims = tokens.read_access(token)
        rows = _SIGNED_IN.rows(family=claims.family_id, user=claims.user_id, now=timezone.now())
        if not rows:
            raise TokenInvalid()
        user = stored(User, _COLUMNS, rows[0])
        role = stored(Group, ("id", "name"), (user.role_id, rows[0][-1]))
        user._state.fields_cache["role"] = role
        log_context.user_id.set(str(user.pk))
        _refuse_without_second_factor(request, user)
        return user, claims

    @staticmethod
    def refusals_at(view: object) -> tuple[type[APIException], ...]:
        """Return the errors that `authenticate` can raise at a view, for the OpenAPI document."""
        always = (TokenInvalid, TokenExpired, InsufficientScope)
        return always if _is_open_before_setup(view) else (*always, TotpSetupRequired)

    @staticmethod
    def scope_of(method: str, path: str) -> str | None:
        """Return the scope that an API key needs, for the OpenAPI document; None if none is enough."""
        return scopes.scope_of(method, path.removeprefix("/api/v1/"))

    def authenticate_header(self, request: Request) -> str:
        return BEARER


def _refuse_without_second_factor(request: Request, user: User) -> None:
    """Raise TotpSetupRequired for an administrator who has to set a second factor up first.

    A view that is needed for it says so: ``is_open_before_setup``. Every other view refuses, also one
    that is open to everybody.
    """
    view = (request.parser_context or {}).get("view")
    if not _is_open_before_setup(view) and totp.must_set_up(user):
        raise TotpSetupRequired()


def _is_open_before_setup(view: object) -> bool:
    return getattr(view, "is_open_before_setup", False)


def bearer_token(request: Request) -> str | None:
    """Return the token of the Authorization header, or None without one.

    Raises TokenInvalid for a malformed header. The token itself is not checked.
    """
    # Not request.headers, which would be made of all the others, too.
    parts = request.META.get("HTTP_AUTHORIZATION", "").encode(HTTP_HEADER_ENCODING).split()
    if not parts or parts[0].lower() != b"bearer":
        return None
    if len(parts) != 2:
        raise TokenInvalid()
    try:
        return parts[1].decode("ascii")
    except UnicodeDecodeError:
        raise TokenInvalid() from None
