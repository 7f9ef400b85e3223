"""The pages of the API documentation. They load nothing from other hosts."""

from functools import cache
from pathlib import Path
from typing import Any

from django.contrib.staticfiles import finders
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_safe
from drf_spectacular.views import SpectacularRedocView, SpectacularSwaggerSplitView
from rest_framework import views
from rest_framework.request import Request
from rest_framework.response import Response

# The browser refuses every request to another host, should a new version of a page make one.
POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; worker-src blob:;"
    " frame-ancestors 'none'; base-uri 'none'"
)
REDOC = "drf_spectacular_sidecar/redoc/bundles/redoc.standalone.js"
# ReDoc shows its maker's logo from this address, and has no option to leave it out.
LOGO = b"https://cdn.redoc.ly/redoc/logo-mini.svg"
NO_PICTURE = b"data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"


class OwnHostOnly(views.APIView):
    """A page that may load resources from this host only (Content-Security-Policy)."""

    def options(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:  # type: ignore[override]  # no body
        """Answer with the allowed methods alone. The page's template could not show more."""
        return HttpResponse(status=204, headers={"Allow": ", ".join(self.allowed_methods)})

    def finalize_response(
        self, request: Request, response: Response, *args: Any, **kwargs: Any
    ) -> Response:
        response = super().finalize_response(request, response, *args, **kwargs)
        response["Content-Security-Policy"] = POLICY
        return response


class SwaggerView(OwnHostOnly, SpectacularSwaggerSplitView):
    pass


class RedocView(OwnHostOnly, SpectacularRedocView):
    template_name = "config/redoc.html"

    @staticmethod
    def _redoc_standalone() -> str:
        return reverse("redoc-script")


@require_safe
def redoc_script(request: HttpRequest) -> HttpResponse:
    """Answer with ReDoc without the address of its maker's logo."""
    headers = {"Cache-Control": "public, max-age=86400"}
    return HttpResponse(_redoc_without_logo(), content_type="text/javascript", headers=headers)


@cache
def _redoc_without_logo() -> bytes:
    path = finders.find(REDOC)
    if not isinstance(path, str):
        raise FileNotFoundError(REDOC)
    return Path(path).read_bytes().replace(LOGO, NO_PICTURE)
