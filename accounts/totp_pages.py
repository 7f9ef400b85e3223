"""The page on which a user who is signed in to pages sets a second factor up, or turns it off."""

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.middleware.csrf import get_token
from django.urls import reverse
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_http_methods
from rest_framework.exceptions import APIException

from accounts import totp
from accounts.models import User
from accounts.pages import private_page


@csrf_protect
@require_http_methods(["GET", "HEAD", "POST"])
def second_factor(request: HttpRequest) -> HttpResponse:
    """Show the state of the second factor; begin a set-up, confirm it, or turn the factor off.

    The recovery codes are in the answer to the confirmation alone. A refusal is said on the page.
    """
    user = request.user
    if not isinstance(user, User):
        return HttpResponseRedirect(f"{reverse('sign-in')}?next={reverse('second-factor')}")
    context: dict[str, object] = {}
    if request.method == "POST":
        try:
            context = _act(request, user)
        except APIException as refusal:
            context = {"refusal": str(refusal.detail)}
    context |= {
        "state": totp.state_of(user),
        "setup": totp.begun(user),
        "is_required": totp.must_set_up(user),
        "csrf_token": get_token(request),
    }
    return private_page("accounts/second_factor.html", context)


def _act(request: HttpRequest, user: User) -> dict[str, object]:
    """Handle the button that was pressed, and return the context of the page. Raises APIException."""
    act, code = request.POST.get("act"), request.POST.get("totp", "")[: totp.CODE_CHARS]
    if act == "begin":
        totp.begin(user=user)
    elif act == "confirm":
        return {"recovery_codes": totp.confirm(user=user, code=code)}
    elif act == "off":
        password = request.POST.get("current_password", "")
        totp.turn_off(request, user=user, current_password=password, code=code)
        return {"done": "Your second factor is off."}
    return {}
