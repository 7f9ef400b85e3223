"""The documentation pages, which ask nothing of any other host."""

from drf_spectacular.views import SpectacularRedocView, SpectacularSwaggerSplitView

# ReDoc fetches its maker's logo, and its template two fonts: the browser is told to let none out.
POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; worker-src blob:;"
    " frame-ancestors 'none'; base-uri 'none'"
)


class NothingFromOutside:
    def finalize_response(self, request, response, *args, **kwargs):
        response = super().finalize_response(request, response, *args, **kwargs)
        response["Content-Security-Policy"] = POLICY
        return response


class SwaggerView(NothingFromOutside, SpectacularSwaggerSplitView):
    pass


class RedocView(NothingFromOutside, SpectacularRedocView):
    template_name = "config/redoc.html"
