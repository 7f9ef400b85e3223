"""The pages of the API documentation. They load nothing from other hosts."""

from typing import Any

from drf_spectacular.views import SpectacularRedocView, SpectacularSwaggerSplitView
from rest_framework import views
from rest_framework.request import Request
from rest_framework.response import Response

# ReDoc loads its maker's logo and its template loads two fonts from other hosts. The policy makes the
# browser refuse such requests.
POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; worker-src blob:;"
    " frame-ancestors 'none'; base-uri 'none'"
)


class OwnHostOnly(views.APIView):
    """A page that may load resources from this host only (Content-Security-Policy)."""

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
