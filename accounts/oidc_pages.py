"""The way of a browser to the OpenID Connect provider and back.

What has to come back is kept in a signed cookie of ten minutes, so that strangers who begin sign-ins
fill no table. It is removed when it was used; a code of the provider is good once there, too.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.contrib import auth
from django.core import signing
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.middleware.csrf import get_token
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods, require_safe
from rest_framework.exceptions import APIException

from accounts import identities, limits, oidc, services
from accounts.errors import SignInRefused, TotpRequired
from accounts.forms import CODE_MISSING_AT_PROVIDER
from accounts.models import User
from accounts.pages import AFTER_SIGN_IN, private_page
from accounts.totp import CODE_CHARS
from config.api.ratelimit import RateLimited
from config.errors import ServiceUnavailable

BEGUN, ARRIVED = "accounts.oidc.begun", "accounts.oidc.arrived"  # what the cookie says
SECONDS = 600
TEXT_MAX = 500
Page = Callable[[HttpRequest], HttpResponse]


def _only_if_on(page: Page) -> Page:
    """Answer 404 without OIDC_ISSUER, and say a refusal on a page."""

    @wraps(page)
    def guarded(request: HttpRequest) -> HttpResponse:
        if not oidc.is_on():
            raise Http404
        try:
            return page(request)
        except RateLimited as limited:
            text = f"Too many attempts. Try again in {limited.usage.reset_seconds} seconds."
            return _refused(text, 429)
        except APIException as refusal:
            answer = _refused(str(refusal.detail), refusal.status_code)
            if isinstance(refusal, ServiceUnavailable):
                answer["Retry-After"] = str(refusal.retry_after)
            return answer

    return guarded


@csrf_exempt  # nothing is changed here, so that other methods are a 405
@require_safe
@_only_if_on
def begin(request: HttpRequest) -> HttpResponse:
    """Send the browser to the provider.

    Afterwards it goes on to ``?next=``, a path of this service, signed in to its pages; or to
    ``?return_to=``, a page of a front end, with a code for `POST /auth/oidc/token` and the ``?state=``
    of the front end in its fragment.
    """
    wanted = request.GET.get("next", "")
    if not url_has_allowed_host_and_scheme(wanted, allowed_hosts=None):
        wanted = AFTER_SIGN_IN
    return_to, state = request.GET.get("return_to", ""), request.GET.get("state", "")
    if return_to and not _may_return_to(return_to):
        raise SignInRefused(
            "The address to return to is not allowed. It must begin with ACCOUNT_PAGES_URL or one of"
            " CHECKOUT_RETURN_ORIGINS."
        )
    if max(len(wanted), len(return_to), len(state)) > TEXT_MAX:
        raise SignInRefused(f"An address or state may have at most {TEXT_MAX} characters.")
    begun = oidc.start()
    answer = HttpResponseRedirect(begun.url)
    kept = {
        "state": begun.state, "nonce": begun.nonce, "verifier": begun.verifier, "next": wanted,
        "return_to": return_to, "client_state": state,
    }  # fmt: skip
    return _keep(answer, kept, BEGUN)


@csrf_exempt  # the provider sends the browser here; ``state`` is the proof that this browser has begun
@require_safe
@_only_if_on
def callback(request: HttpRequest) -> HttpResponse:
    """Take the provider's answer, and sign its person in."""
    kept = _kept(request, BEGUN)
    if kept is None:
        raise SignInRefused("This sign-in has ended, or began in another browser.")
    if request.GET.get("error"):
        raise SignInRefused(f"{settings.OIDC_NAME} did not sign you in.")
    start = oidc.Start("", kept["state"], kept["nonce"], kept["verifier"])
    person = oidc.finish(
        start,
        state=request.GET.get("state", ""),
        code=request.GET.get("code", ""),
        issuer=request.GET.get("iss", ""),
    )
    user = identities.user_of(person)
    if kept["return_to"]:
        handed = {"code": identities.hand_over(user)}
        if kept["client_state"]:
            handed["state"] = kept["client_state"]
        return _forget(HttpResponseRedirect(f"{kept['return_to']}#{urlencode(handed)}"))
    try:
        return _enter(request, user, kept["next"], code="")
    except TotpRequired:
        answer = HttpResponseRedirect(reverse("oidc-code"))
        return _keep(answer, {"user": str(user.pk), "next": kept["next"]}, ARRIVED)


@csrf_protect
@require_http_methods(["GET", "HEAD", "POST"])
@_only_if_on
def second_factor(request: HttpRequest) -> HttpResponse:
    """Ask a person who came from the provider for the code of their second factor."""
    kept = _kept(request, ARRIVED)
    user = kept and User.objects.filter(pk=kept["user"], is_active=True).first()
    if not kept or not user:
        raise SignInRefused("This sign-in has ended, or began in another browser.")
    refusal = ""
    if request.method == "POST":
        try:
            return _enter(request, user, kept["next"], request.POST.get("totp", "")[:CODE_CHARS])
        except TotpRequired:
            refusal = CODE_MISSING_AT_PROVIDER
        except RateLimited:
            raise
        except APIException as wrong:
            refusal = str(wrong.detail)
    context: dict[str, object] = {"refusal": refusal, "csrf_token": get_token(request)}
    return private_page("accounts/oidc_code.html", context)


def _enter(request: HttpRequest, user: User, wanted: str, code: str) -> HttpResponse:
    """Sign a user in to the pages. Raises RateLimited, and what `accounts.totp.check` raises."""
    limits.count_attempt(request, user.email)
    services.pass_second_factor(request, user, code)
    services.record_sign_in(user)
    auth.login(request, user)
    return _forget(HttpResponseRedirect(wanted))


def _may_return_to(url: str) -> bool:
    """Return whether a sign-in may end at an address: otherwise anyone could be sent its code."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    allowed = {oidc.own_origin(), settings.ACCOUNT_PAGES_URL, *settings.CHECKOUT_RETURN_ORIGINS}
    is_plain = url.isascii() and url.isprintable() and not set(url) & set("\\ #\"'<>")
    return is_plain and f"{parts.scheme}://{parts.netloc}" in allowed - {""}


def _cookie() -> str:
    return settings.CSRF_COOKIE_NAME.replace("csrftoken", "oidc")  # with its prefix


def _keep(answer: HttpResponse, kept: dict[str, Any], what: str) -> HttpResponse:
    answer.set_cookie(
        _cookie(),
        signing.dumps(kept, salt=what, compress=True),
        max_age=SECONDS,
        httponly=True,
        secure=settings.SESSION_COOKIE_SECURE,
        samesite="Lax",  # the way back from the provider is a navigation from another site
    )
    return answer


def _kept(request: HttpRequest, what: str) -> dict[str, Any] | None:
    try:
        kept: dict[str, Any] = signing.loads(
            request.COOKIES.get(_cookie(), ""),
            salt=what,
            max_age=SECONDS,
        )
    except signing.BadSignature:
        return None
    return kept


def _forget(answer: HttpResponse) -> HttpResponse:
    answer.set_cookie(
        _cookie(),
        "",
        max_age=0,
        httponly=True,
        secure=settings.SESSION_COOKIE_SECURE,
        samesite="Lax",
    )
    return answer


def _refused(text: str, status: int) -> HttpResponse:
    answer = private_page("accounts/oidc_refused.html", {"refusal": text}, status=status)
    return _forget(answer)
