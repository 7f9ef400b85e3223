"""All routes of the service. Apps are named by strings: config must not import them."""

from django.contrib import admin
from django.urls import include, path, re_path, register_converter

from config import health
from config.api.docs import RedocView, SwaggerView, redoc_script
from config.api.document_view import DocumentView
from config.api.slashes import UNKNOWN
from config.api.views import UnknownRoute
from config.ids import IdConverter
from config.metrics import scraping

register_converter(IdConverter, "id")
api_v1 = [
    path("", include("accounts.urls")),
    path("", include("videos.urls")),
    path("", include("streaming.urls")),
    path("", include("payments.urls")),
    path("", include("webhooks.urls")),
    path("", include("analytics.urls")),
    path("", include("audit.urls")),
]

urlpatterns = [
    path("", include("streaming.page_urls")),
    path("", include("accounts.page_urls")),
    path("", include("videos.moderation.page_urls")),
    path("", include("analytics.page_urls")),
    path("api/v1/", include(api_v1)),
    path("api/schema/", DocumentView.as_view(), name="schema"),
    path("api/docs/", SwaggerView.as_view(url_name="schema"), name="docs"),
    path("api/redoc/", RedocView.as_view(url_name="schema"), name="redoc"),
    path("api/redoc/redoc.js", redoc_script, name="redoc-script"),
    re_path(r"^health/live/?$", health.live),
    re_path(r"^health/ready/?$", health.ready),
    re_path(r"^metrics/?$", scraping.view),
    path("admin/", admin.site.urls),
    re_path(r"^api/", UnknownRoute.as_view(), name=UNKNOWN),
]

handler400 = "config.error_pages.bad_request"
handler403 = "config.error_pages.permission_denied"
handler404 = "config.error_pages.not_found"
handler500 = "config.error_pages.server_error"
