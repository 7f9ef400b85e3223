"""The HTML pages outside the admin site and the API documentation: one look and one policy for all."""

from collections.abc import Mapping

from django.http import HttpResponse
from django.template.loader import render_to_string

from config.headers import PAGE


def html_page(
    template: str,
    context: Mapping[str, object] | None = None,
    *,
    status: int = 200,
    policy: str = PAGE,
) -> HttpResponse:
    """Return a page made from a template that extends ``config/page.html``.

    The template gets no request, so that a page neither reads the session nor costs a query for it.
    """
    headers = {"Content-Security-Policy": policy, "Cache-Control": "no-cache"}
    return HttpResponse(render_to_string(template, context), status=status, headers=headers)
