from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, get_authorization_header

from accounts import tokens
from accounts.errors import TokenInvalid
from accounts.models import RefreshFamily


class BearerAuthentication(BaseAuthentication):
    """``Authorization: Bearer <access token>`` (RFC 6750).

    One query: the token's family, with its user and role. A token is good while its family lives, so
    signing out, a new password and deactivation work at once; roles come from the row, never from
    the token.
    """

    def authenticate(self, request):
        token = bearer_token(request)
        if token is None:
            return None
        claims = tokens.read_access(token)
        family = (
            RefreshFamily.objects.select_related("user__role")
            .filter(
                pk=claims.family_id,
                user_id=claims.user_id,
                revoked_at=None,
                expires_at__gt=timezone.now(),
                user__is_active=True,
            )
            .first()
        )
        if family is None:
            raise TokenInvalid()
        return family.user, claims

    def authenticate_header(self, request):
        return 'Bearer realm="api"'


def bearer_token(request) -> str | None:
    """The token of the header; None without one. Raises TokenInvalid for a malformed header."""
    parts = get_authorization_header(request).split()
    if not parts or parts[0].lower() != b"bearer":
        return None
    if len(parts) != 2:
        raise TokenInvalid()
    try:
        return parts[1].decode("ascii")
    except UnicodeDecodeError:
        raise TokenInvalid() from None
