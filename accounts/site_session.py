"""The player page and the site's session: the page gets access tokens from it, and can begin one.

The API itself reads no cookie. So a page of this service that knows only the session of `/sign-in` asks
here for an access token, and keeps it in its memory. The session holds the refresh token of its own
sign-in, so that it ends with it: in the list of sign-ins, by a new password, or by signing out.
"""

import json
import uuid
from typing import Any

from django.conf import settings
from django.contrib import auth
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.crypto import salted_hmac
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from rest_framework.exceptions import AuthenticationFailed

from accounts import limits, tokens
from accounts.models import RefreshFamily, User

KEY = "api_refresh_token"
OVER = "over"  # the sign-in of the session has ended; the session gets no other one
BODY_MOST = 4096
BACKEND = "accounts.backends.RoleBackend"


@csrf_exempt  # the origin is checked instead: browsers name it in every POST
@require_POST
def site_session(request: HttpRequest) -> HttpResponse:
    """Give the page an access token of the browser's session, or begin a session for the page's viewer.

    A body without ``refresh_token`` asks for a token: 200 with ``access_token`` and ``expires_in``, or
    204 where nobody is signed in. With one, whose sign-in must be live, the session begins (204), and
    the token is used up. Members of the staff get no session this way, because theirs would open the
    admin site: 204, and they sign in at `/sign-in`. 403 for every other site, 400 for another body.
    """
    if request.headers.get("Origin", "") not in _own_origins(request):
        return _refusal("Only pages of this service may ask for this.", status=403)
    body = _body(request)
    if body is None:
        return _refusal("Send a JSON object.", status=400)
    if "refresh_token" in body:
        return _begin(request, body["refresh_token"])
    pair = _of_session(request)
    if pair is None:
        return HttpResponse(status=204)
    return JsonResponse({"access_token": pair.access, "expires_in": pair.expires_in})


def end(request: HttpRequest) -> None:
    """End the sign-in of the session together with the session. Safe to repeat."""
    if refresh := request.session.pop(KEY, ""):
        try:
            tokens.end(refresh)
        except AuthenticationFailed:
            return  # it is over already


def _begin(request: HttpRequest, refresh: Any) -> HttpResponse:
    try:
        pair = tokens.rotate(refresh if isinstance(refresh, str) else "")
        family = RefreshFamily.objects.select_related("user").get(pk=tokens.family_of(pair.refresh))
    except AuthenticationFailed:
        return _refusal("This sign-in is over. Sign in again.", status=403)
    user = family.user
    if user.is_active and not user.is_staff:
        auth.login(request, user, backend=BACKEND)
        request.session[KEY] = pair.refresh
    return HttpResponse(status=204)


def _of_session(request: HttpRequest) -> tokens.Pair | None:
    """Return tokens for the session's user, or None without one, and when its sign-in is over."""
    user = request.user if settings.SESSION_COOKIE_NAME in request.COOKIES else None
    if not isinstance(user, User) or not user.is_active:
        return None
    session: SessionBase = request.session
    known = session.get(KEY, "")
    if known == OVER:
        return None
    try:
        pair = tokens.renew(known) if known else _issue(request, user)
    except AuthenticationFailed:
        session[KEY] = OVER
        return None
    session[KEY] = pair.refresh
    return pair


def _issue(request: HttpRequest, user: User) -> tokens.Pair:
    """Start the sign-in of the session, once: the page's first calls may come at the same moment."""
    agent = request.META.get("HTTP_USER_AGENT", "")
    name = salted_hmac("accounts.site_session", f"{user.pk}:{request.session.session_key}")
    return tokens.issue(
        user,
        network=limits.network_of(request),
        user_agent=agent,
        family_id=uuid.uuid5(uuid.NAMESPACE_OID, name.hexdigest()),
    )


def _own_origins(request: HttpRequest) -> set[str]:
    return {f"{request.scheme}://{request.get_host()}", settings.PUBLIC_URL} - {""}


def _body(request: HttpRequest) -> dict[str, Any] | None:
    try:
        if len(request.body) > BODY_MOST:
            return None
        sent = json.loads(request.body or b"{}")
    except (ValueError, RecursionError):
        return None
    return sent if isinstance(sent, dict) else None


def _refusal(sentence: str, *, status: int) -> HttpResponse:
    return JsonResponse({"detail": sentence}, status=status)
