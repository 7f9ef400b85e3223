"""The endpoint of the OpenAPI document."""

import re
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response, patch_vary_headers
from drf_spectacular.views import SpectacularAPIView
from rest_framework import exceptions
from rest_framework.permissions import AllowAny
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from config.api import document
from config.api.views import APIView

_ACCEPTS_GZIP = re.compile(r"\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))")


class DocumentView(APIView):
    """The OpenAPI document, as YAML or JSON by ``?format=`` or by ``Accept``.

    Requests are counted like other anonymous ones. A client that has the current document gets 304.
    """

    permission_classes = [AllowAny]
    authentication_classes = []
    renderer_classes = SpectacularAPIView.renderer_classes
    schema = None  # not an operation of the API

    def get_renderers(self) -> list[BaseRenderer]:
        """Return the renderers of ``?format=``, or all of them for the choice by ``Accept``."""
        wanted = self.request.GET.get("format")
        renderers = super().get_renderers()
        return [each for each in renderers if each.format == wanted] or renderers

    def get(self, request: Request) -> HttpResponseBase:
        if request.GET.get("format") not in {None, "", *document.RENDERERS}:
            known = " or ".join(document.RENDERERS)
            raise exceptions.ValidationError({"format": f"The document comes as {known}."})
        renderer = request.accepted_renderer
        made = document.documents()[renderer.format]
        packs = bool(_ACCEPTS_GZIP.search(request.headers.get("Accept-Encoding", "")))
        charset = "" if renderer.format == "json" else "; charset=utf-8"
        response = HttpResponse(
            made.gzipped if packs else made.body, content_type=f"{renderer.media_type}{charset}"
        )
        response["Content-Disposition"] = f'inline; filename="openapi.{renderer.format}"'
        response["Cache-Control"] = "public, max-age=60"
        response["ETag"] = f'"{made.digest[:32]}{"-gzip" if packs else ""}"'
        if packs:
            response["Content-Encoding"] = "gzip"
        patch_vary_headers(response, ["Accept-Encoding"])
        whole: HttpRequest = request._request
        answer = get_conditional_response(whole, etag=response["ETag"], response=response)
        # If-Match is for writers; it could only give a 412 here.
        return answer if answer is not None and answer.status_code == 304 else response

    def finalize_response(
        self, request: Request, response: Response, *args: Any, **kwargs: Any
    ) -> Response:
        """Send errors as JSON, like the whole API."""
        if getattr(response, "exception", False):
            request.accepted_renderer, request.accepted_media_type = (
                JSONRenderer(),
                "application/json",
            )
        return super().finalize_response(request, response, *args, **kwargs)
