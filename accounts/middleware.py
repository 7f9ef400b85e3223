"""Pages of administrators who have to set a second factor up first (TOTP_REQUIRED_FOR_ADMINS)."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse

from accounts import totp
from accounts.models import User
from config.pages_only import PagesOnly

# These are for everybody, or needed to set one up and to sign out. The API refuses by itself
# (accounts.authentication).
OPEN = ("/account/", "/sign-in", "/sign-out", "/admin/logout/", "/api/", "/health/", "/metrics")


class SecondFactorMiddleware(PagesOnly):
    """Leads an administrator without a second factor to the page that sets one up, from every page."""

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponseBase], args: Any, kwargs: Any
    ) -> HttpResponse | None:
        if not settings.TOTP_REQUIRED_FOR_ADMINS or request.path_info.startswith(OPEN):
            return None
        user = getattr(request, "user", None)
        if isinstance(user, User) and totp.must_set_up(user):
            return HttpResponseRedirect(reverse("second-factor"))
        return None
