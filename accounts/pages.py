"""The pages behind mailed links. They are the same for everybody: the token is in the fragment of the
address, which browsers send to no server, and their script gives it to the API."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from config.pages import html_page


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
