"""The HTML pages outside the admin site and the API documentation: one look and one policy for all."""

from collections.abc import Mapping

from django.http import HttpResponse
from django.template.loader import render_to_string

# Everything comes from this host, and no script or style stands in the HTML itself. Playlists play
# natively from 'self'; blob: is for players that assemble the video in the browser.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self' blob:;"
    " connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


def html_page(
    template: str, context: Mapping[str, object] | None = None, *, status: int = 200
) -> HttpResponse:
    """Return a page made from a template that extends ``config/page.html``.

    The template gets no request, so that a page neither reads the session nor costs a query for it.
    """
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
    return HttpResponse(render_to_string(template, context), status=status, headers=headers)
