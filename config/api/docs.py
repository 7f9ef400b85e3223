"""The pages of the API documentation. They load nothing from other hosts."""

from functools import cache
from pathlib import Path
from typing import Any

from django.contrib.staticfiles import finders
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from drf_spectacular.views import SpectacularRedocView, SpectacularSwaggerSplitView
from rest_framework import views
from rest_framework.request import Request
from rest_framework.response import Response

from config.headers import PAGE

WITH_PICTURES = PAGE.replace("img-src 'self'", "img-src 'self' data:")
# ReDoc makes two style elements: an empty one, which it fills through the browser's object model, and
# the one of its scroll bar. It searches in a worker from a blob:.
EMPTY = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
SCROLL_BAR = "'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc='"
REDOC_POLICY = (
    WITH_PICTURES.replace("style-src 'self'", f"style-src 'self' {EMPTY} {SCROLL_BAR}")
    + "; worker-src blob:"
)
REDOC = "drf_spectacular_sidecar/redoc/bundles/redoc.standalone.js"
# ReDoc shows its maker's logo from this address, and has no option to leave it out.
LOGO = b"https://cdn.redoc.ly/redoc/logo-mini.svg"
NO_PICTURE = b"data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"


class OwnHostOnly(views.APIView):
    """A page that may load resources from this host only (Content-Security-Policy)."""

    policy = WITH_PICTURES

    def options(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:  # type: ignore[override]  # no body
        """Answer with the allowed methods alone. The page's template could not show more."""
        return HttpResponse(status=204, headers={"Allow": ", ".join(self.allowed_methods)})

    def finalize_response(
        self, request: Request, response: Response, *args: Any, **kwargs: Any
    ) -> Response:
        response = super().finalize_response(request, response, *args, **kwargs)
        response["Content-Security-Policy"] = self.policy
        return response


class SwaggerView(OwnHostOnly, SpectacularSwaggerSplitView):
    template_name = "config/swagger.html"


class RedocView(OwnHostOnly, SpectacularRedocView):
    template_name = "config/redoc.html"
    policy = REDOC_POLICY

    @staticmethod
    def _redoc_standalone() -> str:
        return reverse("redoc-script")


@csrf_exempt
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
