"""The pages for signing in to pages and out again, and the pages behind mailed links.

The API never reads the session of the first. The others are the same for everybody: the token is in the
fragment of the address, which browsers send to no server, and their script gives it to the API.
"""

from django.contrib import auth
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.middleware.csrf import get_token
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import site_session
from accounts.forms import CheckedSignIn
from config.pages import html_page

AFTER_SIGN_IN = "/numbers/"


@csrf_protect
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    """Sign a user in with address and password, and go on to ``?next=``, a path of this service."""
    wanted = request.GET.get("next", "")
    if not url_has_allowed_host_and_scheme(wanted, allowed_hosts=None):
        wanted = AFTER_SIGN_IN
    form = CheckedSignIn(request, data=request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        auth.login(request, form.get_user())
        return HttpResponseRedirect(wanted)
    context = {
        "form": form,
        "next": wanted,
        "csrf_token": get_token(request),
    }
    return private_page("accounts/sign_in.html", context, status=200)


@csrf_protect
@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session of this browser. Safe to repeat."""
    site_session.end(request)
    auth.logout(request)
    return HttpResponseRedirect("/")


def private_page(template: str, context: dict[str, object], *, status: int = 200) -> HttpResponse:
    """Return a page that no cache keeps, because it is one user's alone."""
    page = html_page(template, context, status=status)
    page["Cache-Control"] = "no-store"
    return page


@csrf_exempt  # no cookie is read, so that any other method is a 405
@require_safe
def reset(request: HttpRequest) -> HttpResponse:
    """Show the form for a new password."""
    return html_page("accounts/reset.html")


@csrf_exempt
@require_safe
def verify(request: HttpRequest) -> HttpResponse:
    """Show the button that verifies an address. A program that only opens links presses no button."""
    return html_page("accounts/verify.html")
